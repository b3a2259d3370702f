/* square.c -- LLaVA 1.5 and 1.6 and Gemma 3, whose towers read pictures of one size. */
#include "media/family.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What the tower's own description says; it decides the size that the settings must come to. */
static bool tower_read(struct processor *p, const struct processor_files *files, uint32_t *side, struct err *e)
{
    json vision = json_get(files->config, "vision_config");
    p->image.patch = 0;
    p->image.merge = p->image.temporal = 1;
    *side = 0;
    if (!setting_u32(files->both, "patch_size", 1, 256, &p->image.patch, e) ||
        !setting_u32(vision, "patch_size", 1, 256, &p->image.patch, e) || !setting_u32(vision, "image_size", 1, 16384, side, e))
        return false;
    return p->image.patch || err_set(e, ERR_INVALID, "config.json does not say vision_config.patch_size");
}

static bool run_check(const struct processor *p, uint32_t side, struct err *e)
{
    if (p->width % p->image.patch || p->height % p->image.patch)
        return err_set(e, ERR_INVALID, "pictures of %u x %u pixels are not whole patches of %u", p->width, p->height, p->image.patch);
    if (side && (p->width != side || p->height != side))
        return err_set(e, ERR_INVALID, "pictures of %u x %u pixels are made for a tower that reads %u x %u", p->width, p->height, side, side);
    return true;
}

static bool rows_check(const struct processor_files *files, struct err *e)
{
    json v = json_get(files->config, "vision_feature_select_strategy");
    if (json_type(v) != JSON_ABSENT && !json_is(v, "default"))
        return err_set(e, ERR_UNSUPPORTED, "vision_feature_select_strategy other than \"default\" is not done here");
    return true;
}

/* A size cut from the middle of another. */
static bool crop_read(struct processor *p, json from, struct size size, struct err *e)
{
    struct size crop = {.height = 224, .width = 224};
    if (!setting_size(from, "size", &size, e) || !setting_size(from, "crop_size", &crop, e) ||
        !setting_only(from, "do_center_crop", true, e))
        return false;
    if (crop.shortest)
        crop.height = crop.width = crop.shortest;
    p->shortest = size.shortest;
    p->full_width = size.width;
    p->full_height = size.height;
    p->width = crop.width;
    p->height = crop.height;
    return true;
}

static bool llava_read(struct processor *p, const struct processor_files *files, struct err *e)
{
    json     from = settings_image(files);
    uint32_t side;
    p->image = LOOK_CLIP;
    /* CLIP's class ignores do_pad, LLaVA's pads to a square with the mean colour. */
    if (!json_is(json_get(from, "image_processor_type"), "CLIPImageProcessor") && !setting_only(from, "do_pad", false, e))
        return false;
    return tower_read(p, files, &side, e) && look_read(&p->image, from, e) && crop_read(p, from, (struct size){.shortest = 224}, e) &&
           run_check(p, side, e) && rows_check(files, e);
}

/* What a picture is made as large as, and its middle. */
static bool middle_fit(const struct processor *p, uint32_t width, uint32_t height, struct processor_fit *fit)
{
    struct processor_canvas *c = &fit->canvas;
    double                   longer = width > height ? width : height, shorter = width > height ? height : width;
    uint32_t                 new_long = (uint32_t)(p->shortest * longer / shorter);
    c->full_width = !p->shortest ? p->full_width : width <= height ? p->shortest : new_long;
    c->full_height = !p->shortest ? p->full_height : width <= height ? new_long : p->shortest;
    int32_t over_x = (int32_t)c->full_width - (int32_t)p->width, over_y = (int32_t)c->full_height - (int32_t)p->height;
    c->x = over_x >= 0 ? over_x / 2 : -((1 - over_x) / 2);      /* a smaller picture lies nearer to the far edge */
    c->y = over_y >= 0 ? over_y / 2 : -((1 - over_y) / 2);
    return true;
}

static bool llava_fit(const struct processor *p, uint32_t width, uint32_t height, struct processor_fit *fit, struct err *e)
{
    (void)e;
    fit->n_run = 1;
    fit->width = p->width;
    fit->height = p->height;
    return middle_fit(p, width, height, fit);
}

static bool gemma3_read(struct processor *p, const struct processor_files *files, struct err *e)
{
    json        from = settings_image(files);
    struct size size = {.height = 224, .width = 224};
    uint32_t    side, tokens = 256;
    p->image = LOOK_HALF;
    p->image.filter = RESAMPLE_BILINEAR;
    if (!tower_read(p, files, &side, e) || !look_read(&p->image, from, e) || !setting_only(from, "do_pan_and_scan", false, e) ||
        !setting_size(from, "size", &size, e) || !setting_u32(files->config, "mm_tokens_per_image", 1, 1 << 20, &tokens, e))
        return false;
    p->width = p->full_width = size.shortest ? size.shortest : size.width;
    p->height = p->full_height = size.shortest ? size.shortest : size.height;
    if (!run_check(p, side, e))
        return false;
    uint32_t grid = p->width / p->image.patch, edge = (uint32_t)sqrt(tokens);
    if (p->width != p->height || edge * edge != tokens || grid % edge)
        return err_set(e, ERR_INVALID, "%u x %u patches cannot be pooled to %u tokens", p->height / p->image.patch, grid, tokens);
    p->image.merge = grid / edge;
    return true;
}

/* ---- LLaVA 1.6: the whole picture small, and its tiles ---- */

static bool pinpoints_read(struct processor *p, json list, struct err *e)
{
    static const struct pinpoint usual[] = {{336, 672}, {672, 336}, {672, 672}, {1008, 336}, {336, 1008}};
    p->n_pinpoint = (uint32_t)json_len(list);
    if (!list) {
        p->n_pinpoint = sizeof usual / sizeof *usual;
        memcpy(p->pinpoint, usual, sizeof usual);
    }
    if (p->n_pinpoint == 0 || p->n_pinpoint > PINPOINTS_MAX)
        return err_set(e, ERR_INVALID, "\"image_grid_pinpoints\" is not a list of 1 to %d sizes", PINPOINTS_MAX);
    for (uint32_t i = 0; i < p->n_pinpoint; i++) {
        struct pinpoint *at = &p->pinpoint[i];
        uint64_t         h = at->height, w = at->width;
        json             pair = json_at(list, i);
        if (list && (json_len(pair) != 2 || !json_u64(json_at(pair, 0), &h) || !json_u64(json_at(pair, 1), &w)))
            return err_set(e, ERR_INVALID, "\"image_grid_pinpoints\": size %u is not two counts", i);
        if (h > 16384 || w > 16384 || h % p->height || w % p->width || h * w <= (uint64_t)p->height * p->width)
            return err_set(e, ERR_UNSUPPORTED, "\"image_grid_pinpoints\": size %u is not two tiles of %u x %u or more, up to 16384", i,
                           p->width, p->height);
        *at = (struct pinpoint){(uint32_t)h, (uint32_t)w};
    }
    return true;
}

static bool llava_next_read(struct processor *p, const struct processor_files *files, struct err *e)
{
    json     from = settings_image(files);
    uint32_t side;
    p->image = LOOK_CLIP;
    if (!tower_read(p, files, &side, e) || !look_read(&p->image, from, e) || !crop_read(p, from, (struct size){.shortest = 224}, e) ||
        !run_check(p, side, e) || !rows_check(files, e))
        return false;
    uint32_t high = p->shortest ? p->shortest : p->full_height, wide = p->shortest ? p->shortest : p->full_width;
    if (p->width != p->height || high != p->height || wide != p->width)
        return err_set(e, ERR_UNSUPPORTED, "tiles of %u x %u pixels cut from %u x %u are not done here", p->width, p->height, wide, high);
    return pinpoints_read(p, json_get(from, "image_grid_pinpoints"), e);
}

/* select_best_resolution(): where most of the picture's pixels survive, and among equals least is wasted. */
static struct pinpoint best_pinpoint(const struct processor *p, double width, double height)
{
    struct pinpoint best = p->pinpoint[0];
    double          most = 0, least_wasted = INFINITY;
    for (uint32_t i = 0; i < p->n_pinpoint; i++) {
        double h = p->pinpoint[i].height, w = p->pinpoint[i].width, scale = fmin(w / width, h / height);
        double kept = fmin(trunc(width * scale) * trunc(height * scale), width * height), wasted = w * h - kept;
        if (kept > most || (kept == most && wasted < least_wasted)) {
            most = kept;
            least_wasted = wasted;
            best = p->pinpoint[i];
        }
    }
    return best;
}

/* int(round(x, 7)): Python rounds the number's exact decimal value. */
static uint32_t whole7(double x)
{
    char text[64];
    snprintf(text, sizeof text, "%.7f", x);
    return (uint32_t)strtod(text, NULL);
}

static void map_fit(const struct processor *p, double width, double height, struct processor_fit *fit)
{
    uint32_t rows = fit->tile_rows * (p->height / p->image.patch), cols = fit->tile_cols * (p->width / p->image.patch);
    if (width / height > (double)cols / rows)
        fit->map_top = (rows - whole7(height * (cols / width))) / 2;
    else
        fit->map_left = (cols - whole7(width * (rows / height))) / 2;
    fit->map_rows = rows - 2 * fit->map_top;
    fit->map_cols = cols - 2 * fit->map_left;
}

static bool llava_next_fit(const struct processor *p, uint32_t width, uint32_t height, struct processor_fit *fit, struct err *e)
{
    (void)e;
    struct pinpoint          at = best_pinpoint(p, width, height);
    struct processor_canvas *c = &fit->canvas;
    double                   scale_w = (double)at.width / width, scale_h = (double)at.height / height;
    bool                     by_width = scale_w < scale_h;
    c->full_width = by_width ? at.width : (uint32_t)fmin(ceil(width * scale_h), at.width);
    c->full_height = by_width ? (uint32_t)fmin(ceil(height * scale_w), at.height) : at.height;
    c->x = -(int32_t)((at.width - c->full_width) / 2);
    c->y = -(int32_t)((at.height - c->full_height) / 2);
    fit->width = p->width;
    fit->height = p->height;
    fit->tile_rows = at.height / p->height;
    fit->tile_cols = at.width / p->width;
    fit->n_run = 1 + fit->tile_rows * fit->tile_cols;
    map_fit(p, width, height, fit);
    return true;
}

const struct family llava = {.name = "llava", .read = llava_read, .fit = llava_fit};
const struct family llava_next = {.name = "llava_next", .read = llava_next_read, .fit = llava_next_fit};
const struct family gemma3 = {.name = "gemma3", .read = gemma3_read, .fit = llava_fit};
