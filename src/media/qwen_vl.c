/* qwen_vl.c -- Qwen2.5-VL and Qwen3-VL: a picture keeps its shape and nearly its size, in whole blocks of merged patches
 * (transformers: qwen2_vl's image and video processors, qwen3_vl's video processor). */
#include "media/family.h"

#include <inttypes.h>
#include <math.h>

#define PIXELS_MAX ((uint64_t)1 << 28)
enum { FRAMES_MAX = 1 << 16 };

static uint32_t factor_of(const struct look *l)
{
    return l->patch * l->merge;
}

/* Its pixels, under three names, the later ones stronger. */
static bool pixels_read(struct look *l, json from, struct err *e)
{
    json size = json_get(from, "size");
    if (!setting_count(size, "min_pixels", 1, PIXELS_MAX, &l->pixels_min, e) ||
        !setting_count(size, "shortest_edge", 1, PIXELS_MAX, &l->pixels_min, e) ||
        !setting_count(from, "min_pixels", 1, PIXELS_MAX, &l->pixels_min, e) ||
        !setting_count(size, "max_pixels", 1, PIXELS_MAX, &l->pixels_max, e) ||
        !setting_count(size, "longest_edge", 1, PIXELS_MAX, &l->pixels_max, e) ||
        !setting_count(from, "max_pixels", 1, PIXELS_MAX, &l->pixels_max, e))
        return false;
    if (l->pixels_max < l->pixels_min)
        return err_set(e, ERR_INVALID, "at most %" PRIu64 " pixels are allowed and at least %" PRIu64, l->pixels_max, l->pixels_min);
    return true;
}

static bool qwen_look_read(struct look *l, json from, struct err *e)
{
    if (!look_read(l, from, e) || !setting_u32(from, "patch_size", 1, 256, &l->patch, e) ||
        !setting_u32(from, "merge_size", 1, 16, &l->merge, e) || !setting_u32(from, "temporal_patch_size", 1, 16, &l->temporal, e))
        return false;
    if (l->temporal != 2)
        return err_set(e, ERR_UNSUPPORTED, "\"temporal_patch_size\": %u is not done here (2 is)", l->temporal);
    return pixels_read(l, from, e);
}

static bool sampling_read(struct sampling *s, json from, struct err *e)
{
    json capped = json_get(from, "cap_pixels_per_frame");
    if (json_type(capped) == JSON_BOOL)
        s->capped = json_bool(capped, false);
    return setting_number(from, "fps", 1e-3, 1e3, &s->fps, e) && setting_u32(from, "min_frames", 1, FRAMES_MAX, &s->frames_min, e) &&
           setting_u32(from, "max_frames", 1, FRAMES_MAX, &s->frames_max, e) &&
           setting_u32(from, "max_video_tokens", 1, 1 << 24, &s->tokens_max, e);
}

static bool files_read(struct processor *p, const struct processor_files *files, struct err *e)
{
    return (qwen_look_read(&p->image, settings_image(files), e) || err_in(e, "for pictures")) &&
           ((qwen_look_read(&p->video, settings_video(files), e) && sampling_read(&p->sampling, settings_video(files), e)) ||
            err_in(e, "for videos"));
}

static bool qwen2_5_vl_read(struct processor *p, const struct processor_files *files, struct err *e)
{
    p->image = p->video = LOOK_CLIP;
    p->image.pixels_min = 56 * 56;
    p->image.pixels_max = 28 * 28 * 1280;
    p->video.pixels_min = 128 * 28 * 28;
    p->video.pixels_max = 28 * 28 * 768;
    p->sampling = (struct sampling){.fps = 2, .frames_min = 4, .frames_max = 768, .tokens_max = 128000};
    return files_read(p, files, e);
}

static bool qwen3_vl_read(struct processor *p, const struct processor_files *files, struct err *e)
{
    p->image = LOOK_CLIP;       /* the class is Qwen2-VL's; checkpoints say otherwise */
    p->image.pixels_min = 56 * 56;
    p->image.pixels_max = 28 * 28 * 1280;
    p->video = LOOK_HALF;
    p->video.pixels_min = 128 * 32 * 32;
    p->video.pixels_max = 32 * 32 * 768;
    p->sampling = (struct sampling){.fps = 2, .frames_min = 4, .frames_max = 768, .tokens_max = 768};
    return files_read(p, files, e);
}

/* smart_resize(): both sides to the nearest multiple of factor (halves to even, as Python rounds), then made smaller or
 * larger together until t * height * width lies between the bounds.  tf is how many frames the budget's root is over, which
 * differs from t where an odd number is rounded. */
struct wanted {
    uint32_t height, width;
};

static struct wanted smart_resize(double height, double width, double t, double tf, double f, double least, double most)
{
    double h = rint(height / f) * f, w = rint(width / f) * f;
    if (t * h * w > most) {
        double beta = sqrt(tf * height * width / most);
        h = fmax(f, floor(height / beta / f) * f);
        w = fmax(f, floor(width / beta / f) * f);
    } else if (t * h * w < least) {
        double beta = sqrt(least / (tf * height * width));
        h = ceil(height * beta / f) * f;
        w = ceil(width * beta / f) * f;
    }
    return (struct wanted){(uint32_t)h, (uint32_t)w};
}

static bool wanted_put(struct wanted w, struct processor_fit *fit, struct err *e)
{
    if (w.height == 0 || w.width == 0 || (uint64_t)w.height * w.width > 2 * PIXELS_MAX)
        return err_set(e, ERR_INVALID, "it would be shown as %u x %u pixels", w.width, w.height);
    fit->n_run = 1;
    fit->width = fit->canvas.full_width = w.width;
    fit->height = fit->canvas.full_height = w.height;
    return true;
}

static bool qwen_fit(const struct processor *p, uint32_t width, uint32_t height, struct processor_fit *fit, struct err *e)
{
    const struct look *l = &p->image;
    return wanted_put(smart_resize(height, width, 1, 1, factor_of(l), (double)l->pixels_min, (double)l->pixels_max), fit, e);
}

static double fps_of(const struct processor *p, const struct processor_wish *wish)
{
    return wish->fps > 0 ? wish->fps : p->sampling.fps;
}

static bool qwen3_vl_choose(const struct processor *p, const struct processor_clip *clip, const struct processor_wish *wish,
                            uint64_t *index, uint32_t *n, struct err *e)
{
    double total = (double)clip->n_frame, count = trunc(total / clip->fps * fps_of(p, wish));
    (void)e;
    count = fmin(fmin(fmax(count, p->sampling.frames_min), processor_frames_max(p, wish)), total);
    double step = count > 1 ? (total - 1) / (count - 1) : 0;
    *n = (uint32_t)count;
    for (uint32_t i = 0; i < *n; i++)       /* numpy.linspace(0, total - 1, n).round() */
        index[i] = (uint64_t)rint(i + 1 == *n && *n > 1 ? total - 1 : (double)i * step);
    return true;
}

static bool qwen2_5_vl_choose(const struct processor *p, const struct processor_clip *clip, const struct processor_wish *wish,
                              uint64_t *index, uint32_t *n, struct err *e)
{
    double total = (double)clip->n_frame, most = floor(fmin(processor_frames_max(p, wish), total) / 2) * 2;
    double count = total / clip->fps * fps_of(p, wish);
    (void)e;
    count = floor(fmin(fmin(fmax(count, p->sampling.frames_min), most), total) / 2) * 2;
    count = fmax(count, 1);                 /* a single frame, which transformers cannot take, stands twice */
    double step = total / count;
    *n = (uint32_t)count;
    for (uint32_t i = 0; i < *n; i++)       /* torch.arange(0, total, step).int(), in float */
        index[i] = (uint64_t)fmin((double)(float)(step * i), total - 1);
    return true;
}

static double frame_ceiling(double pixels, const struct processor_wish *wish, double frames)
{
    return wish->frame_pixels_max ? fmin(pixels, (double)wish->frame_pixels_max * frames) : pixels;
}

/* Each frame for itself. */
static bool qwen2_5_vl_fit_frame(const struct processor *p, const struct processor_clip *clip, const struct processor_wish *wish,
                                 uint32_t n, struct processor_fit *fit, struct err *e)
{
    const struct look *l = &p->video;
    uint32_t           f = factor_of(l);
    double             least = (double)l->pixels_min, most = (double)l->pixels_max;
    if (p->sampling.capped) {
        double all = trunc((double)p->sampling.tokens_max * f * f * 0.9);
        most = fmax(fmin(most, floor(all * 2 / n)), trunc(least * 1.05));
    }
    return wanted_put(smart_resize(clip->height, clip->width, 1, 1, f, least, frame_ceiling(most, wish, 1)), fit, e);
}

/* All frames out of one budget. */
static bool qwen3_vl_fit_frame(const struct processor *p, const struct processor_clip *clip, const struct processor_wish *wish,
                               uint32_t n, struct processor_fit *fit, struct err *e)
{
    const struct look *l = &p->video;
    double             f = factor_of(l), frames = n < 2 ? 2 : n, least = (double)l->pixels_min, most = (double)l->pixels_max;
    double             height = clip->height, width = clip->width;
    if (p->sampling.capped)
        most = fmax(fmin(p->sampling.tokens_max * f * f, floor(most / frames)), trunc(least * 1.05)) * frames;
    if (height < f || width < f) {
        double scale = fmax(f / height, f / width);
        height = trunc(height * scale);
        width = trunc(width * scale);
    }
    most = frame_ceiling(most, wish, frames);
    return wanted_put(smart_resize(height, width, rint(frames / 2) * 2, frames, f, least, most), fit, e);
}

const struct family qwen2_5_vl = {"qwen2_5_vl", qwen2_5_vl_read, qwen_fit, qwen2_5_vl_choose, qwen2_5_vl_fit_frame};
const struct family qwen3_vl = {"qwen3_vl", qwen3_vl_read, qwen_fit, qwen3_vl_choose, qwen3_vl_fit_frame};
