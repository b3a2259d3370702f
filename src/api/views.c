/* views.c -- see views.h. */
#include "api/views.h"

#include "api/bring.h"
#include "base/mem.h"
#include "media/video.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one call of views_open() works with. */
struct work {
    const struct eyes      *eyes;
    const struct engine    *engine;
    const struct view_wish *wish;
    struct view_totals     *totals;
    const atomic_word      *stop;
    struct views           *views;
};

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* Over whose weights look, what is seen, how large, and which of its runs. */
static struct sha256 run_key(const struct eyes *eyes, const struct processor_fit *fit, const struct sha256 *seen, size_t n_seen, uint32_t at)
{
    uint32_t           shape[3] = {fit->width, fit->height, at};
    struct sha256      how = processor_key(eyes->processor);
    struct sha256_run *h = sha256_new();
    sha256_start(h);
    sha256_add(h, eyes->model.byte, sizeof eyes->model.byte);
    sha256_add(h, how.byte, sizeof how.byte);
    sha256_add(h, shape, sizeof shape);
    sha256_add(h, seen, n_seen * sizeof *seen);
    struct sha256 key = sha256_end(h);
    sha256_free(h);
    return key;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static bool reserve(struct work *w, struct view *v, struct err *e)
{
    size_t bytes = v->fit.run_bytes * v->fit.n_run, most = w->eyes->held_max;
    bool   fits = v->fit.run_bytes <= most / v->fit.n_run && bytes <= most - w->views->held;
    if (!engine_sees(w->engine, v->fit.grid_h, v->fit.grid_w, e))
        return false;
    if (!fits)
        return err_set(e, ERR_INVALID, "with it the request shows over %zu MB of pixels", most >> 20);
    if (atomic_fetch_add(&w->totals->held, bytes) + bytes > w->eyes->held_all_max) {
        atomic_fetch_sub(&w->totals->held, bytes);
        return err_set(e, ERR_BUSY, "the pictures of those who wait take all the room there is for pixels; try again later");
    }
    v->pixels = mem_array(bytes, 1);
    w->views->held += bytes;
    v->run = mem_array(v->fit.n_run, sizeof *v->run);
    for (uint32_t i = 0; i < v->fit.n_run; i++)
        v->run[i] = (struct view_run){.view = v, .pixels = v->pixels + i * v->fit.run_bytes};
    return true;
}

static bool open_picture(struct work *w, struct view *v, struct str bytes, struct err *e)
{
    struct image_limits limits = {.bytes_max = w->eyes->bytes_max, .pixels_max = w->eyes->pixels_max};
    struct image        image;
    if (!image_decode(&image, bytes.p, bytes.n, limits, e))
        return false;
    bool ok = processor_fit(w->eyes->processor, image.width, image.height, &v->fit, e) && reserve(w, v, e);
    if (ok) {
        struct sha256 seen = image_hash(&image);
        processor_resize(w->eyes->processor, &v->fit, &image, v->pixels);
        v->key = run_key(w->eyes, &v->fit, &seen, 1, UINT32_MAX);
        for (uint32_t i = 0; i < v->fit.n_run; i++)
            v->run[i].key = run_key(w->eyes, &v->fit, &seen, 1, i);
    }
    image_drop(&image);
    return ok;
}

/* The chosen frames come one by one; their pixels stay, made smaller, and their names. */
static bool take_frames(struct work *w, struct view *v, struct video *video, const struct processor_clip *clip, uint32_t n,
                        struct sha256 *seen, struct err *e)
{
    size_t       each = v->fit.run_bytes / 2;
    struct image frame;
    if (!image_new(&frame, clip->width, clip->height, w->eyes->pixels_max, e))
        return false;
    bool ok = true;
    for (uint32_t i = 0; ok && i < n; i++) {
        double second;
        ok = video_next(video, &second, frame.rgb, e);
        if (ok) {
            seen[i] = image_hash(&frame);
            processor_resize_frame(w->eyes->processor, &v->fit, &frame, v->pixels + i * each);
        }
    }
    image_drop(&frame);
    if (ok && n % 2) {
        seen[n] = seen[n - 1];
        memcpy(v->pixels + n * each, v->pixels + (n - 1) * each, each);
    }
    return ok;
}

static bool choose(struct work *w, const struct processor_clip *clip, const struct processor_wish *wish, struct view *v, struct video *video,
                   uint64_t *index, uint32_t *n, struct err *e)
{
    if (!processor_choose(w->eyes->processor, clip, wish, index, n, e)
        || !processor_fit_video(w->eyes->processor, clip, wish, *n, &v->fit, e) || !reserve(w, v, e))
        return false;
    uint32_t *number = mem_array(*n, sizeof *number);
    for (uint32_t i = 0; i < *n; i++)
        number[i] = (uint32_t)index[i];
    bool ok = video_choose(video, number, *n, e);
    free(number);
    return ok;
}

static bool see_video(struct work *w, struct view *v, struct video *video, const struct video_info *info, struct err *e)
{
    struct processor_clip clip = {info->n_frame, info->fps, info->width, info->height};
    uint32_t              most = w->wish->frames_max && w->wish->frames_max < w->eyes->frames_max ? w->wish->frames_max : w->eyes->frames_max;
    struct processor_wish wish = {.fps = w->wish->fps, .frames_max = most, .frame_pixels_max = w->eyes->frame_pixels_max};
    uint32_t              room = processor_frames_max(w->eyes->processor, &wish), n = 0;
    uint64_t             *index = mem_array(room + 1, sizeof *index);
    struct sha256        *seen = mem_array((size_t)room + 2, sizeof *seen);
    bool ok = choose(w, &clip, &wish, v, video, index, &n, e) && take_frames(w, v, video, &clip, n, seen, e);
    if (ok) {
        v->second = mem_array(v->fit.grid_t, sizeof *v->second);
        processor_pair_seconds(&clip, index, n, v->second);
        v->interval = processor_pair_interval(&clip, n);
        for (uint32_t i = 0; i < v->fit.n_run; i++)
            v->run[i].key = run_key(w->eyes, &v->fit, seen + 2 * i, 2, UINT32_MAX - 1);
        v->key = run_key(w->eyes, &v->fit, seen, 2 * (size_t)v->fit.n_run, UINT32_MAX - 2);
    }
    free(index);
    free(seen);
    return ok;
}

static bool open_video(struct work *w, struct view *v, struct str bytes, struct err *e)
{
    uint64_t            most = w->eyes->pixels_max < VIDEO_PIXELS_MAX ? w->eyes->pixels_max : VIDEO_PIXELS_MAX;
    struct video_limits limits = {.helper = w->eyes->video_helper, .pixels_max = most, .stop = w->stop};
    struct video       *video;
    struct video_info   info;
    if (!video_open(&video, &info, bytes, &limits, e))
        return false;
    bool ok = see_video(w, v, video, &info, e);
    video_close(video);
    return ok;
}

static bool open_one(struct work *w, struct view *v, const struct media_part *part, struct err *e)
{
    struct buf bytes;
    buf_init(&bytes, w->eyes->bytes_max);
    *v = (struct view){.processor = w->eyes->processor, .is_video = part->is_video};
    bool brought = bring(w->eyes, part->url, &bytes, w->totals, w->stop, e), ok = brought;
    if (ok)
        ok = part->is_video ? open_video(w, v, buf_view(&bytes), e) : open_picture(w, v, buf_view(&bytes), e);
    if (brought)
        atomic_fetch_add(ok ? &w->totals->decoded : &w->totals->decode_failures, 1);
    buf_drop(&bytes);
    if (ok)
        return true;
    snprintf(e->param, sizeof e->param, "%s", part->place);
    return err_in(e, "%s", part->place);
}

bool views_open(struct views *out, const struct eyes *eyes, const struct engine *g, const struct media_parts *parts,
                const struct view_wish *wish, struct view_totals *totals, const atomic_word *stop, struct err *e)
{
    struct work w = {.eyes = eyes, .engine = g, .wish = wish, .totals = totals, .stop = stop, .views = out};
    *out = (struct views){.eyes = eyes, .totals = totals, .view = mem_array(parts->n + 1, sizeof *out->view)};
    bool ok = true;
    for (size_t i = 0; ok && i < parts->n; i++) {
        out->n++;                           /* what a failing one has got is dropped too */
        ok = open_one(&w, &out->view[i], &parts->part[i], e);
        if (ok && atomic_load(stop))
            ok = err_set(e, ERR_GONE, "the client went away");
    }
    if (!ok)
        views_drop(out);
    return ok;
}

void views_drop(struct views *v)
{
    if (v->totals)
        atomic_fetch_sub(&v->totals->held, v->held);
    for (size_t i = 0; i < v->n; i++) {
        free(v->view[i].pixels);
        free(v->view[i].run);
        free(v->view[i].second);
    }
    free(v->view);
    free(v->picture);
    free(v->item);
    free(v->span);
    *v = (struct views){0};
}

/* ---- placing ----------------------------------------------------------------------------------------------------- */

/* Qwen3-VL's videos: every pair of frames by itself. */
static bool in_pairs(const struct views *v, size_t i)
{
    return v->view[i].is_video && v->eyes->vision->pairs;
}

uint32_t views_blocks(const struct views *v, size_t i)
{
    return in_pairs(v, i) ? v->view[i].fit.n_run : 1;
}

uint32_t views_pads(const struct views *v, size_t i)
{
    return in_pairs(v, i) ? v->view[i].fit.n_feature : v->view[i].fit.n_row;
}

static bool make_patches(void *ctx, float *out, struct err *e)
{
    const struct view_run *run = ctx;
    (void)e;
    processor_patches(run->view->processor, &run->view->fit, run->pixels, out);
    return true;
}

/* The span that row r of a block goes on with, or one of its own. */
static void add_row(struct views *v, uint32_t row, uint32_t source, uint32_t n_feature, uint32_t first_picture)
{
    struct media_span *last = v->media.n_span ? &v->span[v->media.n_span - 1] : NULL;
    bool               newline = source == PROCESSOR_NEWLINE;
    struct media_span  span = {.row = row, .n = 1, .picture = newline ? MEDIA_NEWLINE : first_picture + source / n_feature,
                               .from = newline ? 0 : source % n_feature};
    if (last && !newline && last->picture == span.picture && last->row + last->n == row && last->from + last->n == span.from)
        last->n++;
    else
        v->span[v->media.n_span++] = span;
}

static void place_block(struct views *v, size_t i, uint32_t block, uint32_t row, uint32_t first_picture)
{
    const struct view *view = &v->view[i];
    bool               pairs = in_pairs(v, i);
    uint32_t           n = views_pads(v, i);
    v->item[v->media.n_item++] = (struct item){
        .row = row, .n = n, .key = pairs ? view->run[block].key : view->key, .n_pair = pairs ? 1 : view->fit.grid_t, .rows = view->fit.grid_h,
        .columns = view->fit.grid_w, .seconds = view->is_video && !pairs ? view->interval : 0,
    };
    for (uint32_t r = 0; r < n; r++)
        add_row(v, row + r, pairs ? block * view->fit.n_feature + r : processor_source(&view->fit, r), view->fit.n_feature, first_picture);
}

void views_place(struct views *v, const size_t *order, const uint32_t *row)
{
    size_t   n_block = 0, n_row = 0, n_run = 0;
    uint32_t picture = 0;
    for (size_t i = 0; i < v->n; i++) {
        n_block += views_blocks(v, i);
        n_row += (size_t)views_blocks(v, i) * views_pads(v, i);
        n_run += v->view[i].fit.n_run;
    }
    v->picture = mem_array(n_run + 1, sizeof *v->picture);
    v->item = mem_array(n_block + 1, sizeof *v->item);
    v->span = mem_array(n_row + 1, sizeof *v->span);
    for (size_t k = 0; k < v->n; k++) {
        const struct view *view = &v->view[order[k]];
        for (uint32_t i = 0; i < view->fit.n_run; i++)
            v->picture[picture + i] = (struct picture){.key = view->run[i].key, .rows = view->fit.grid_h, .columns = view->fit.grid_w,
                                                       .patches = make_patches, .ctx = &view->run[i]};
        for (uint32_t block = 0; block < views_blocks(v, order[k]); block++)
            place_block(v, order[k], block, *row++, picture);
        picture += view->fit.n_run;
    }
    v->media.picture = v->picture;
    v->media.item = v->item;
    v->media.span = v->span;
    v->media.n_picture = picture;
}
