/* processor.h -- from pictures to what a model's vision tower reads, exactly as the Hugging Face processor of the model does.
 *
 * An item (one picture, or one video) becomes one or several *runs* of the tower, all of one size:
 *   Qwen2.5-VL, Qwen3-VL    a picture is one run; a video is one run for each pair of frames
 *   LLaVA 1.5, Gemma 3      a picture is one run
 *   LLaVA 1.6               the whole picture is run 0, its tiles are the runs after it, row by row
 *
 * The order of work: processor_fit() says sizes and counts from the picture's size alone (so that a request can be priced or
 * refused before anything is decoded further); processor_resize() makes the runs' pixels, 8 bits each, which is what a job
 * keeps; processor_patches() makes one run's float rows, just before the tower reads them; processor_source() says where
 * each row that goes into the text comes from, when the tower has run.
 *
 * The pixels are Pillow's, bit for bit (transformers' backend "pil"); the floats are that backend's, bit for bit.
 * A processor never changes once made; any number of threads may use it. */
#ifndef MEDIA_PROCESSOR_H
#define MEDIA_PROCESSOR_H

#include "base/json.h"
#include "media/image.h"

#ifdef __cplusplus
extern "C" {
#endif

struct processor;

/* The files of a checkpoint's folder, parsed; NULL where there is none.  They are not kept. */
struct processor_files {
    json config;            /* config.json: which model, and patch size and token counts where the others do not say */
    json image;             /* preprocessor_config.json */
    json video;             /* video_preprocessor_config.json */
    json both;              /* processor_config.json, which newer checkpoints have in place of the two before */
};

/* ERR_UNSUPPORTED: a model_type without a processor here, or a setting that is not honoured (pan-and-scan, …), in words.
 * ERR_INVALID: a setting that is missing, of the wrong type, or out of bounds. */
MUST_USE bool processor_new(struct processor **out, const struct processor_files *files, struct err *e);
void          processor_free(struct processor *p);      /* NULL is fine */

/* Whether a model_type ("qwen3_vl") has a processor here. */
bool processor_knows(struct str model_type);

/* What of a checkpoint's files decides: equal keys treat equal pictures equally. */
struct sha256 processor_key(const struct processor *p);

/* The name of what an item looks like to this model: over processor_key() and what identifies its pictures, which is
 * image_hash() of each; of a video those of the chosen frames in order, with their seconds (NULL: a still picture).  Behind
 * it stands whatever else decides (the model), which is the caller's to add. */
struct sha256 processor_item_key(const struct processor *p, const struct sha256 *image, const double *second, size_t n);

struct processor_fit {
    uint32_t n_run;                 /* runs of the tower */
    uint32_t width, height;         /* of one run's pixels */
    uint32_t grid_h, grid_w;        /* of one run, in patches: height / patch and width / patch */
    uint32_t n_patch;               /* of one run: grid_h * grid_w, rows that go into the tower */
    uint32_t patch_width;           /* floats in such a row: 3 * temporal * patch * patch */
    uint32_t merge;                 /* merge * merge patches, which follow each other, become one feature row */
    uint32_t n_feature;             /* of one run: feature rows that come out, n_patch / (merge * merge) */
    uint32_t n_row;                 /* of the item: rows in the text, so as many placeholder tokens */
    uint32_t run_frames;            /* frames in one run's pixels: 1 for a picture, 2 for a pair of a video's */
    size_t   run_bytes;             /* of one run's pixels: width * height * 3 * run_frames */

    /* Of the item as the models' position rules have it: Qwen's grid_thw is grid_t, grid_h, grid_w. */
    uint32_t grid_t;                /* pairs of frames; 1 for a picture */

    /* LLaVA 1.6: tiles, and what of their joint map of features stays when padding is cut off; each row of the map is followed
     * by one row that is the model's own (image_newline).  All 0 elsewhere. */
    uint32_t tile_rows, tile_cols;
    uint32_t map_top, map_left, map_rows, map_cols;         /* in features */

    /* For processor_resize(): how large the picture is made, and which of its pixels is the first of the run (LLaVA 1.6: of the
     * field of tiles).  What the picture does not reach is black. */
    struct processor_canvas {
        uint32_t full_width, full_height;
        int32_t  x, y;
    } canvas;
};

/* ERR_INVALID: the picture cannot be shown to this model, in words: a side is 0, or one is over 200 times the other (Qwen's
 * own limit, kept for all, because it bounds what resizing takes). */
MUST_USE bool processor_fit(const struct processor *p, uint32_t width, uint32_t height, struct processor_fit *fit, struct err *e);

/* The picture's pixels for all runs, one run after the other: n_run * run_bytes bytes at out.  fit is of its size. */
void processor_resize(const struct processor *p, const struct processor_fit *fit, const struct image *image, uint8_t *out);

/* One run's rows for the tower: n_patch * patch_width floats at out, normalised, from that run's pixels (run_bytes).
 * A row holds [channel][temporal][row][column] of one patch, which is what a linear over the checkpoint's convolution
 * [out, 3, temporal, patch, patch] flattened wants; a still picture stands in every temporal slot.  Blocks of merge x merge
 * patches follow each other row by row, and within a block its patches do. */
void processor_patches(const struct processor *p, const struct processor_fit *fit, const uint8_t *pixels, float *out);

/* Where in its run's grid the i-th patch in that order lies. */
struct processor_place {
    uint32_t row, col;
};
struct processor_place processor_place(const struct processor_fit *fit, uint32_t i);

/* Which feature row stands at row i (< n_row) of the item: run * n_feature + row of that run, or PROCESSOR_NEWLINE. */
#define PROCESSOR_NEWLINE UINT32_MAX
uint32_t processor_source(const struct processor_fit *fit, uint32_t i);

/* ---- video: Qwen2.5-VL and Qwen3-VL only ---- */

bool processor_has_video(const struct processor *p);

/* A video as its container describes it.  Frames are numbered from 0; frame i is what is shown at i / fps seconds, which is
 * how it should be found where the times between frames are uneven. */
struct processor_clip {
    uint64_t n_frame;
    double   fps;
    uint32_t width, height;
};

/* What a request wants otherwise than the checkpoint; 0: the checkpoint's own. */
struct processor_wish {
    double   fps;                   /* frames a second that are looked at */
    uint32_t frames_max;            /* at most so many; also a ceiling to the checkpoint's own least number */
    uint64_t frame_pixels_max;      /* of one frame after resizing: a ceiling to the checkpoint's own */
};

/* At most how many frames processor_choose() gives. */
uint32_t processor_frames_max(const struct processor *p, const struct processor_wish *wish);

/* Which frames are looked at, in order: n at index, which has room for processor_frames_max().  ERR_INVALID: an empty video,
 * or a rate that is not a positive number. */
MUST_USE bool processor_choose(const struct processor *p, const struct processor_clip *clip, const struct processor_wish *wish,
                               uint64_t *index, uint32_t *n, struct err *e);

/* For n chosen frames.  Runs are pairs of frames: pair i is frames 2 i and 2 i + 1, or the last one twice.  A run's pixels
 * (run_bytes) are its two frames' one after the other. */
MUST_USE bool processor_fit_video(const struct processor *p, const struct processor_clip *clip, const struct processor_wish *wish,
                                  uint32_t n, struct processor_fit *fit, struct err *e);

/* One frame's pixels, width * height * 3 bytes at out.  fit is of the video. */
void processor_resize_frame(const struct processor *p, const struct processor_fit *fit, const struct image *frame, uint8_t *out);

/* Seconds in the video, for the prompt ("<1.5 seconds>" before each pair in Qwen3-VL): the mean of each pair's two times,
 * grid_t of them at second. */
void processor_pair_seconds(const struct processor_clip *clip, const uint64_t *index, uint32_t n, double *second);

/* Seconds between pairs, from which Qwen2.5-VL's time positions are made (second_per_grid_ts). */
double processor_pair_interval(const struct processor_clip *clip, uint32_t n);

#ifdef __cplusplus
}
#endif
#endif
