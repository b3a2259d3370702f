/* family.h -- what the families of processors share; nobody outside the room includes it. */
#ifndef MEDIA_FAMILY_H
#define MEDIA_FAMILY_H

#include "media/processor.h"
#include "media/resize.h"

/* How pictures, or the frames of videos, are looked at. */
struct look {
    enum resample filter;
    uint32_t      patch, merge, temporal;
    uint64_t      pixels_min, pixels_max;       /* Qwen: of a picture; of a frame or (Qwen3-VL) of all frames together */
    double        rescale, mean[3], std[3];     /* rescale 0: not done; std 0: not normalised */
    float         shade[3][256];                /* what each of a channel's values becomes */
};

struct sampling {
    double   fps;
    uint32_t frames_min, frames_max;
    bool     capped;            /* each frame to its share (qwen-vl-utils' rule) */
    uint32_t tokens_max;        /* of a frame (Qwen3-VL), of a model's context (Qwen2.5-VL), when capped */
};

enum { PINPOINTS_MAX = 64 };

struct processor {
    const struct family *family;
    struct look          image, video;
    struct sampling      sampling;
    uint32_t             shortest;              /* the picture's shorter side; 0: full_width x full_height it is */
    uint32_t             full_width, full_height;
    uint32_t             width, height;         /* of a run, cut from the middle */
    struct pinpoint {
        uint32_t height, width;
    } pinpoint[PINPOINTS_MAX];
    uint32_t             n_pinpoint;
};

struct family {
    const char *name;
    bool (*read)(struct processor *p, const struct processor_files *files, struct err *e);
    /* Fills canvas, n_run, width, height and what is its own; the rest follows from these. */
    bool (*fit)(const struct processor *p, uint32_t width, uint32_t height, struct processor_fit *fit, struct err *e);

    /* NULL: no video. */
    bool (*choose)(const struct processor *p, const struct processor_clip *clip, const struct processor_wish *wish, uint64_t *index,
                   uint32_t *n, struct err *e);
    bool (*fit_frame)(const struct processor *p, const struct processor_clip *clip, const struct processor_wish *wish, uint32_t n,
                      struct processor_fit *fit, struct err *e);
};

/* ---- settings.c: reading the files ---- */

/* The object with the settings for pictures, and for videos (or else those for pictures). */
json settings_image(const struct processor_files *files);
json settings_video(const struct processor_files *files);

/* A setting that is absent or null leaves *out as it is.  ERR_INVALID: of another type, or out of bounds. */
MUST_USE bool setting_count(json from, const char *key, uint64_t min, uint64_t max, uint64_t *out, struct err *e);
MUST_USE bool setting_u32(json from, const char *key, uint32_t min, uint32_t max, uint32_t *out, struct err *e);
MUST_USE bool setting_number(json from, const char *key, double min, double max, double *out, struct err *e);

/* A switch that has to stand so (absent: it does); ERR_UNSUPPORTED otherwise. */
MUST_USE bool setting_only(json from, const char *key, bool as, struct err *e);

/* A size: a number, [height, width], {"height", "width"} or {"shortest_edge"}.  Sides that are not said are 0. */
struct size {
    uint32_t shortest, height, width;
};
MUST_USE bool setting_size(json from, const char *key, struct size *out, struct err *e);

/* Filter, rescaling and normalisation over what *look holds before, and its table of shades. */
MUST_USE bool look_read(struct look *look, json from, struct err *e);

extern const struct look LOOK_CLIP, LOOK_HALF;      /* mean and deviation of OpenAI's CLIP; 0.5 and 0.5 */

#endif
