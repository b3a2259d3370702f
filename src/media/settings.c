/* settings.c -- a processor's settings, out of JSON that anybody may have written. */
#include "media/family.h"

#include <inttypes.h>
#include <math.h>

const struct look LOOK_CLIP = {
    .filter = RESAMPLE_BICUBIC, .patch = 14, .merge = 2, .temporal = 2, .rescale = 1 / 255.0,
    .mean = {0.48145466, 0.4578275, 0.40821073}, .std = {0.26862954, 0.26130258, 0.27577711},
};
const struct look LOOK_HALF = {
    .filter = RESAMPLE_BICUBIC, .patch = 16, .merge = 2, .temporal = 2, .rescale = 1 / 255.0,
    .mean = {0.5, 0.5, 0.5}, .std = {0.5, 0.5, 0.5},
};

json settings_image(const struct processor_files *files)
{
    json nested = json_get(files->both, "image_processor");
    return files->image ? files->image : nested;
}

/* transformers reads the picture's settings where a checkpoint has none for video. */
json settings_video(const struct processor_files *files)
{
    json nested = json_get(files->both, "video_processor");
    return files->video ? files->video : nested ? nested : settings_image(files);
}

static bool said(json v)
{
    return json_type(v) != JSON_ABSENT && json_type(v) != JSON_NULL;
}

static bool count_read(json v, const char *key, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
    uint64_t n;
    if (!json_u64(v, &n) || n < min || n > max)
        return err_set(e, ERR_INVALID, "\"%s\" is not a count from %" PRIu64 " to %" PRIu64, key, min, max);
    *out = n;
    return true;
}

bool setting_count(json from, const char *key, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
    json v = json_get(from, key);
    return !said(v) || count_read(v, key, min, max, out, e);
}

bool setting_u32(json from, const char *key, uint32_t min, uint32_t max, uint32_t *out, struct err *e)
{
    uint64_t n = *out;
    if (!setting_count(from, key, min, max, &n, e))
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool number_read(json v, const char *key, double min, double max, double *out, struct err *e)
{
    double x;
    if (!json_f64(v, &x) || !(x >= min && x <= max))
        return err_set(e, ERR_INVALID, "\"%s\" is not a number from %g to %g", key, min, max);
    *out = x;
    return true;
}

bool setting_number(json from, const char *key, double min, double max, double *out, struct err *e)
{
    json v = json_get(from, key);
    return !said(v) || number_read(v, key, min, max, out, e);
}

bool setting_only(json from, const char *key, bool as, struct err *e)
{
    json v = json_get(from, key);
    if (said(v) && json_type(v) != JSON_BOOL)
        return err_set(e, ERR_INVALID, "\"%s\" is %s, not true or false", key, json_type_name(v));
    if (json_bool(v, as) != as)
        return err_set(e, ERR_UNSUPPORTED, "\"%s\": %s is not done here", key, as ? "false" : "true");
    return true;
}

enum { SIDE_MAX = 16384 };

static bool side_read(json v, const char *key, uint32_t *out, struct err *e)
{
    uint64_t n = 0;
    if (!count_read(v, key, 1, SIDE_MAX, &n, e))
        return false;
    *out = (uint32_t)n;
    return true;
}

bool setting_size(json from, const char *key, struct size *out, struct err *e)
{
    json v = json_get(from, key);
    switch (json_type(v)) {
    case JSON_ABSENT:
    case JSON_NULL: return true;
    case JSON_ARRAY:
        *out = (struct size){0};
        return side_read(json_at(v, 0), key, &out->height, e) && side_read(json_at(v, 1), key, &out->width, e);
    case JSON_OBJECT:
        *out = (struct size){0};
        if (said(json_get(v, "longest_edge")))
            return err_set(e, ERR_UNSUPPORTED, "\"%s\" with a longest_edge is not done here", key);
        if (said(json_get(v, "shortest_edge")))
            return side_read(json_get(v, "shortest_edge"), key, &out->shortest, e);
        return side_read(json_get(v, "height"), key, &out->height, e) && side_read(json_get(v, "width"), key, &out->width, e);
    default:
        *out = (struct size){0};
        return side_read(v, key, &out->shortest, e);
    }
}

static bool channels_read(json from, const char *key, double min, double max, double out[3], struct err *e)
{
    json v = json_get(from, key);
    if (!said(v))
        return true;
    if (json_type(v) == JSON_ARRAY && json_len(v) != 3)
        return err_set(e, ERR_INVALID, "\"%s\" has %zu numbers, not 3", key, json_len(v));
    for (size_t i = 0; i < 3; i++)
        if (!number_read(json_type(v) == JSON_ARRAY ? json_at(v, i) : v, key, min, max, &out[i], e))
            return false;
    return true;
}

static bool filter_read(struct look *look, json from, struct err *e)
{
    uint64_t filter = look->filter;
    if (!setting_count(from, "resample", 0, 5, &filter, e))
        return false;
    if (filter < RESAMPLE_LANCZOS || filter > RESAMPLE_BICUBIC)
        return err_set(e, ERR_UNSUPPORTED, "\"resample\": %" PRIu64 " is not done here (1, 2 and 3 are: Lanczos, bilinear, bicubic)",
                       filter);
    look->filter = (enum resample)filter;
    return true;
}

/* The order of roundings is that of transformers' NumPy code: to float after rescaling, then all in float. */
static void shades_make(struct look *look)
{
    for (unsigned c = 0; c < 3; c++)
        for (unsigned v = 0; v < 256; v++) {
            float x = look->rescale != 0 ? (float)((double)v * look->rescale) : (float)v;
            look->shade[c][v] = look->std[c] != 0 ? (x - (float)look->mean[c]) / (float)look->std[c] : x;
        }
}

bool look_read(struct look *look, json from, struct err *e)
{
    static const char *const switches[] = {"do_rescale", "do_normalize"};
    if (!filter_read(look, from, e) || !setting_only(from, "do_resize", true, e) ||
        !setting_number(from, "rescale_factor", 1e-6, 1e3, &look->rescale, e) ||
        !channels_read(from, "image_mean", -1e3, 1e3, look->mean, e) || !channels_read(from, "image_std", 1e-6, 1e6, look->std, e))
        return false;
    for (size_t i = 0; i < 2; i++) {
        json v = json_get(from, switches[i]);
        if (said(v) && json_type(v) != JSON_BOOL)
            return err_set(e, ERR_INVALID, "\"%s\" is %s, not true or false", switches[i], json_type_name(v));
    }
    if (!json_bool(json_get(from, "do_rescale"), true))
        look->rescale = 0;
    if (!json_bool(json_get(from, "do_normalize"), true))
        memset(look->std, 0, sizeof look->std);
    shades_make(look);
    return true;
}
