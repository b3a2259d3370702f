/* processor.c -- see processor.h; what the families do alike. */
#include "media/family.h"

#include "base/buf.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#define RATIO_MAX 200

extern const struct family qwen2_5_vl, qwen3_vl, llava, llava_next, gemma3;

static const struct known {
    const char          *model_type;
    const struct family *family;
} known[] = {
#define PROCESSOR(model_type, family) {model_type, &family},
#include "media/processors.def"
#undef PROCESSOR
};

static const struct family *family_find(struct str model_type)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_is(model_type, known[i].model_type))
            return known[i].family;
    return NULL;
}

bool processor_knows(struct str model_type)
{
    return family_find(model_type) != NULL;
}

bool processor_new(struct processor **out, const struct processor_files *files, struct err *e)
{
    struct str           type = json_str(json_get(files->config, "model_type"));
    const struct family *family = family_find(type);
    if (!family)
        return err_set(e, ERR_UNSUPPORTED, "pictures for models of type \"%.*s\" are not prepared here", (int)(type.n < 64 ? type.n : 64),
                       type.n ? type.p : "");
    if (json_type(settings_image(files)) != JSON_OBJECT)
        return err_set(e, ERR_INVALID, "the checkpoint has no preprocessor_config.json that says how pictures are prepared");
    struct processor *p = mem_new(sizeof *p);
    p->family = family;
    if (!family->read(p, files, e)) {
        free(p);
        return err_in(e, "how pictures are prepared");
    }
    *out = p;
    return true;
}

void processor_free(struct processor *p)
{
    free(p);
}

bool processor_has_video(const struct processor *p)
{
    return p->family->choose != NULL;
}

/* ---- keys ---- */

static void look_print(const struct look *l, struct buf *b)
{
    buf_printf(b, " filter %d patch %u merge %u temporal %u pixels %" PRIu64 " %" PRIu64 " rescale %a", (int)l->filter, l->patch, l->merge,
               l->temporal, l->pixels_min, l->pixels_max, l->rescale);
    for (unsigned c = 0; c < 3; c++)
        buf_printf(b, " %a %a", l->mean[c], l->std[c]);
}

struct sha256 processor_key(const struct processor *p)
{
    struct buf b;
    buf_init(&b, 0);
    buf_printf(&b, "%s", p->family->name);
    look_print(&p->image, &b);
    if (processor_has_video(p))
        look_print(&p->video, &b);
    buf_printf(&b, " size %u %u %u %u %u", p->shortest, p->full_width, p->full_height, p->width, p->height);
    for (uint32_t i = 0; i < p->n_pinpoint; i++)
        buf_printf(&b, " %u %u", p->pinpoint[i].height, p->pinpoint[i].width);
    struct sha256 key = sha256_of(b.p, b.n);
    buf_drop(&b);
    return key;
}

struct sha256 processor_item_key(const struct processor *p, const struct sha256 *image, const double *second, size_t n)
{
    struct sha256_run *h = sha256_new();
    struct sha256      key = processor_key(p);
    uint64_t           head[2] = {n, second != NULL};
    sha256_start(h);
    sha256_add(h, key.byte, sizeof key.byte);
    sha256_add(h, head, sizeof head);
    for (size_t i = 0; i < n; i++) {
        sha256_add(h, image[i].byte, sizeof image[i].byte);
        if (second)
            sha256_add(h, &second[i], sizeof second[i]);
    }
    key = sha256_end(h);
    sha256_free(h);
    return key;
}

/* ---- sizes ---- */

static bool shape_check(uint32_t width, uint32_t height, struct err *e)
{
    double longer = width > height ? width : height, shorter = width > height ? height : width;
    if (shorter == 0)
        return err_set(e, ERR_INVALID, "the picture is %u x %u pixels", width, height);
    if (longer > shorter * RATIO_MAX)
        return err_set(e, ERR_INVALID, "the picture, %u x %u pixels, is too long and thin: one side may be %d times the other", width, height,
                       RATIO_MAX);
    return true;
}

/* What follows from width, height and n_run. */
static void fit_finish(const struct look *l, struct processor_fit *fit)
{
    fit->grid_h = fit->height / l->patch;
    fit->grid_w = fit->width / l->patch;
    fit->n_patch = fit->grid_h * fit->grid_w;
    fit->patch_width = 3 * l->temporal * l->patch * l->patch;
    fit->merge = l->merge;
    fit->n_feature = fit->n_patch / (l->merge * l->merge);
    fit->n_row = fit->tile_rows ? fit->n_feature + fit->map_rows * (fit->map_cols + 1) : fit->n_feature * fit->n_run;
    fit->run_bytes = (size_t)fit->width * fit->height * 3 * fit->run_frames;
}

bool processor_fit(const struct processor *p, uint32_t width, uint32_t height, struct processor_fit *fit, struct err *e)
{
    *fit = (struct processor_fit){.grid_t = 1, .run_frames = 1};
    if (!shape_check(width, height, e) || !p->family->fit(p, width, height, fit, e))
        return false;
    fit_finish(&p->image, fit);
    return true;
}

/* ---- pixels ---- */

/* width x height pixels of the resized picture from (x, y) on; black where it is not. */
static void window_fill(const struct image *image, enum resample filter, const struct processor_fit *fit, int32_t x, int32_t y, uint8_t *out)
{
    const struct processor_canvas *c = &fit->canvas;
    size_t                         stride = (size_t)fit->width * 3;
    uint32_t                       left = x < 0 ? (uint32_t)-x : 0, top = y < 0 ? (uint32_t)-y : 0;
    struct resize r = {.filter = filter, .full_width = c->full_width, .full_height = c->full_height,
                       .x = x < 0 ? 0 : (uint32_t)x, .y = y < 0 ? 0 : (uint32_t)y};
    memset(out, 0, stride * fit->height);
    if (left >= fit->width || top >= fit->height || r.x >= r.full_width || r.y >= r.full_height)
        return;
    r.width = fit->width - left < r.full_width - r.x ? fit->width - left : r.full_width - r.x;
    r.height = fit->height - top < r.full_height - r.y ? fit->height - top : r.full_height - r.y;
    resize(image, &r, out + top * stride + (size_t)left * 3, stride);
}

void processor_resize(const struct processor *p, const struct processor_fit *fit, const struct image *image, uint8_t *out)
{
    if (!fit->tile_rows) {
        window_fill(image, p->image.filter, fit, fit->canvas.x, fit->canvas.y, out);
        return;
    }
    struct resize whole = resize_whole(p->image.filter, fit->width, fit->height);
    resize(image, &whole, out, (size_t)fit->width * 3);
    for (uint32_t i = 1; i < fit->n_run; i++) {
        uint32_t row = (i - 1) / fit->tile_cols, col = (i - 1) % fit->tile_cols;
        window_fill(image, p->image.filter, fit, fit->canvas.x + (int32_t)(col * fit->width), fit->canvas.y + (int32_t)(row * fit->height),
                    out + i * fit->run_bytes);
    }
}

void processor_resize_frame(const struct processor *p, const struct processor_fit *fit, const struct image *frame, uint8_t *out)
{
    window_fill(frame, p->video.filter, fit, 0, 0, out);
}

/* ---- patches ---- */

struct processor_place processor_place(const struct processor_fit *fit, uint32_t i)
{
    uint32_t m = fit->merge, block = i / (m * m), within = i % (m * m), wide = fit->grid_w / m;
    return (struct processor_place){block / wide * m + within / m, block % wide * m + within % m};
}

/* One channel of one patch of one frame. */
static float *patch_put(const uint8_t *pixel, size_t stride, uint32_t patch, const float *shade, float *out)
{
    for (uint32_t y = 0; y < patch; y++, pixel += stride)
        for (uint32_t x = 0; x < patch; x++)
            *out++ = shade[pixel[(size_t)x * 3]];
    return out;
}

void processor_patches(const struct processor *p, const struct processor_fit *fit, const uint8_t *pixels, float *out)
{
    const struct look *l = fit->run_frames > 1 ? &p->video : &p->image;
    size_t             stride = (size_t)fit->width * 3, frame_bytes = stride * fit->height;
    for (uint32_t i = 0; i < fit->n_patch; i++) {
        struct processor_place at = processor_place(fit, i);
        const uint8_t         *first = pixels + (size_t)at.row * l->patch * stride + (size_t)at.col * l->patch * 3;
        for (unsigned c = 0; c < 3; c++)
            for (uint32_t t = 0; t < l->temporal; t++) {
                size_t frame = t < fit->run_frames ? t : fit->run_frames - 1;
                out = patch_put(first + frame * frame_bytes + c, stride, l->patch, l->shade[c], out);
            }
    }
}

uint32_t processor_source(const struct processor_fit *fit, uint32_t i)
{
    if (!fit->tile_rows || i < fit->n_feature)
        return i;
    uint32_t row = (i - fit->n_feature) / (fit->map_cols + 1), col = (i - fit->n_feature) % (fit->map_cols + 1);
    if (col == fit->map_cols)
        return PROCESSOR_NEWLINE;
    row += fit->map_top;
    col += fit->map_left;
    uint32_t tile = row / fit->grid_h * fit->tile_cols + col / fit->grid_w;
    return (1 + tile) * fit->n_feature + row % fit->grid_h * fit->grid_w + col % fit->grid_w;
}

/* ---- video ---- */

static bool clip_check(const struct processor *p, const struct processor_clip *clip, struct err *e)
{
    if (!processor_has_video(p))
        return err_set(e, ERR_UNSUPPORTED, "this model reads pictures, not videos");
    if (clip->n_frame == 0 || clip->n_frame > UINT32_MAX)
        return err_set(e, ERR_INVALID, "the video has %" PRIu64 " frames", clip->n_frame);
    if (!(clip->fps > 0 && clip->fps <= 1e6))
        return err_set(e, ERR_INVALID, "the video has %g frames a second", clip->fps);
    return shape_check(clip->width, clip->height, e);
}

uint32_t processor_frames_max(const struct processor *p, const struct processor_wish *wish)
{
    return wish->frames_max ? wish->frames_max : p->sampling.frames_max;
}

bool processor_choose(const struct processor *p, const struct processor_clip *clip, const struct processor_wish *wish, uint64_t *index,
                      uint32_t *n, struct err *e)
{
    if (wish->fps < 0 || !isfinite(wish->fps))
        return err_set(e, ERR_INVALID, "%g frames a second cannot be looked at", wish->fps);
    return clip_check(p, clip, e) && p->family->choose(p, clip, wish, index, n, e);
}

bool processor_fit_video(const struct processor *p, const struct processor_clip *clip, const struct processor_wish *wish, uint32_t n,
                         struct processor_fit *fit, struct err *e)
{
    *fit = (struct processor_fit){0};
    if (n == 0)
        return err_set(e, ERR_INVALID, "no frame of the video is looked at");
    if (!clip_check(p, clip, e) || !p->family->fit_frame(p, clip, wish, n, fit, e))
        return false;
    fit->n_run = fit->grid_t = n / 2 + n % 2;
    fit->run_frames = 2;
    fit_finish(&p->video, fit);
    return true;
}

void processor_pair_seconds(const struct processor_clip *clip, const uint64_t *index, uint32_t n, double *second)
{
    for (uint32_t i = 0; i < n; i += 2) {
        uint32_t other = i + 1 < n ? i + 1 : i;
        second[i / 2] = ((double)index[i] / clip->fps + (double)index[other] / clip->fps) / 2;
    }
}

double processor_pair_interval(const struct processor_clip *clip, uint32_t n)
{
    return 2 / ((double)n / (double)clip->n_frame * clip->fps);
}
