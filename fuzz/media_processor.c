/* Any bytes as a checkpoint's files, {"config": …, "image": …, "video": …, "both": …}; behind a NUL the sizes that are asked
 * for: two of 4 bytes, frames of 4 and a rate of 4.  What is accepted holds what processor.h promises. */
#include "media/processor.h"

#include "base/mem.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { FLOATS_MAX = 1 << 20, FRAMES_MAX = 64 };

struct asked {
    uint32_t width, height, frames;
    float    fps;
};

static void fit_check(const struct processor_fit *f)
{
    CHECK(f->n_run && f->n_patch && f->n_feature && f->n_row && f->patch_width && f->merge);
    CHECK(f->n_patch == f->grid_h * f->grid_w && f->n_feature * f->merge * f->merge == f->n_patch);
    CHECK(f->run_bytes == (size_t)f->width * f->height * 3 * f->run_frames);
    for (uint32_t i = 0; i < f->n_patch && i < 1000; i++) {
        struct processor_place at = processor_place(f, i);
        CHECK(at.row < f->grid_h && at.col < f->grid_w);
    }
    uint32_t lines = 0;
    for (uint32_t i = 0; i < f->n_row && i < 100000; i++) {
        uint32_t from = processor_source(f, i);
        CHECK(from == PROCESSOR_NEWLINE ? f->tile_rows > 0 : from < f->n_run * f->n_feature);
        lines += from == PROCESSOR_NEWLINE;
    }
    CHECK(f->n_row > 100000 || lines == f->map_rows);
}

static void pixels_check(const struct processor *p, const struct processor_fit *f, const struct asked *a)
{
    struct image image;
    struct err   e;
    if ((size_t)f->n_run * f->n_patch * f->patch_width > FLOATS_MAX || f->width > 4096 || f->height > 4096 ||
        !image_new(&image, a->width, a->height, 1 << 16, &e))
        return;
    memset(image.rgb, 77, (size_t)a->width * a->height * 3);
    uint8_t *pixels = malloc(f->run_bytes * f->n_run);
    float   *rows = malloc((size_t)f->n_patch * f->patch_width * sizeof *rows);
    if (f->run_frames == 1)
        processor_resize(p, f, &image, pixels);
    else
        for (uint32_t i = 0; i < f->n_run * f->run_frames; i++)
            processor_resize_frame(p, f, &image, pixels + i * (f->run_bytes / f->run_frames));
    for (uint32_t i = 0; i < f->n_run; i++)
        processor_patches(p, f, pixels + i * f->run_bytes, rows);
    free(pixels);
    free(rows);
    image_drop(&image);
}

static void video_check(const struct processor *p, const struct asked *a)
{
    struct processor_clip clip = {a->frames, (double)a->fps, a->width, a->height};
    struct processor_wish wish = {.frames_max = FRAMES_MAX, .frame_pixels_max = 1 << 14};
    struct processor_fit  fit;
    struct err            e;
    uint64_t              index[FRAMES_MAX];
    double                second[FRAMES_MAX];
    uint32_t              n;
    if (!processor_choose(p, &clip, &wish, index, &n, &e))
        return;
    CHECK(processor_has_video(p) && n > 0 && n <= FRAMES_MAX);
    for (uint32_t i = 0; i < n; i++)
        CHECK(index[i] < clip.n_frame && (i == 0 || index[i] >= index[i - 1]));
    processor_pair_seconds(&clip, index, n, second);
    CHECK(processor_pair_interval(&clip, n) > 0);
    if (processor_fit_video(p, &clip, &wish, n, &fit, &e)) {
        CHECK(fit.grid_t == (n + 1) / 2);
        fit_check(&fit);
        pixels_check(p, &fit, a);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t   *end = n ? memchr(data, 0, n) : NULL;
    struct asked     a = {100, 80, 50, 25};
    struct json_doc *doc;
    struct processor *p;
    struct processor_fit fit;
    struct err       e;
    if (end && (size_t)(data + n - end) > sizeof a)
        memcpy(&a, end + 1, sizeof a);
    if (!json_parse(&doc, (struct str){(const char *)data, end ? (size_t)(end - data) : n}, &e))
        return 0;
    json                   at = json_root(doc);
    struct processor_files files = {json_get(at, "config"), json_get(at, "image"), json_get(at, "video"), json_get(at, "both")};
    bool                   ok = processor_new(&p, &files, &e);
    json_free(doc);
    if (!ok) {
        CHECK(e.text[0] && (e.kind == ERR_INVALID || e.kind == ERR_UNSUPPORTED));
        return 0;
    }
    if (processor_fit(p, a.width, a.height, &fit, &e)) {
        fit_check(&fit);
        pixels_check(p, &fit, &a);
    }
    video_check(p, &a);
    processor_free(p);
    return 0;
}
