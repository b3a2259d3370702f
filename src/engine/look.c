/* look.c -- see look.h. */
#include "engine/look.h"

#include "base/mem.h"
#include "engine/jobs.h"
#include "engine/memory.h"
#include "engine/state.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t LEAST_NS = 1000000;       /* of a slice: less is lost in stopping */

/* ---- opening ----------------------------------------------------------------------------------------------------- */

uint32_t look_rows(const struct vision *v, uint32_t patches_max)
{
    return patches_max + v->lead;
}

/* Blocks are put in the program's order one by one, through a room of their own. */
static size_t block_floats(const struct vision *v)
{
    return (size_t)v->merge * v->merge * v->patch_width;
}

uint64_t look_bytes(const struct vision *v, uint32_t patches_max)
{
    uint64_t rows = look_rows(v, patches_max);
    return rows * (v->patch_width + 2 * v->n_place + 2) * sizeof(float) + 3 * rows * sizeof(uint32_t) + block_floats(v) * sizeof(float);
}

static bool add_newline(struct engine *g, struct err *e)
{
    struct look *x = &g->look;
    if (!x->vision->newline)
        return true;
    float *row = mem_array(g->model->info.width, sizeof *row);
    bool   ok = model_newline(g->model, row, e) && gallery_newline(&x->gallery, row, e);
    free(row);
    return ok;
}

static void find_inputs(struct look *x)
{
    const struct prog *p = x->vision->prog;
    for (uint32_t i = 0; i < prog_n_inputs(p); i++) {
        uint32_t    width;
        const char *name = prog_input_at(p, i, &width);
        x->input[i] = strcmp(name, "patches") == 0 ? x->patches : strcmp(name, "place") == 0 ? x->place : x->share;
    }
}

bool look_open(struct engine *g, struct err *e)
{
    struct look         *x = &g->look;
    const struct vision *v = &g->model->vision;
    if (!v->prog)
        return true;
    size_t           rows = look_rows(v, g->plan.patches_max);
    struct plan_opts po = memory_tower_opts(g->model, &g->plan);
    x->vision = v;
    if (!g->opts.type->compile(g->backend, v->prog, &po, &x->plan, e)
        || !gallery_open(&x->gallery, g->opts.type, g->backend, g->plan.n_page, v->n_level, g->model->info.width, e) || !add_newline(g, e))
        return false;
    x->patches = mem_array(rows, v->patch_width * sizeof(float));
    x->place = mem_array(rows * v->n_place + 1, sizeof(float));
    x->share = mem_array(rows * v->n_place + 1, sizeof(float));
    x->pos = mem_array(rows * 2, sizeof *x->pos);
    x->order = mem_array(rows, sizeof *x->order);
    x->moved = mem_array(rows, sizeof *x->moved);
    x->window = mem_array(rows + 1, sizeof *x->window);
    x->one = mem_array(block_floats(v), sizeof(float));
    find_inputs(x);
    return true;
}

void look_close(struct engine *g)
{
    struct look *x = &g->look;
    if (x->plan)
        g->opts.type->plan_free(x->plan);
    gallery_close(&x->gallery);
    free(x->patches);
    free(x->place);
    free(x->share);
    free(x->pos);
    free(x->order);
    free(x->moved);
    free(x->window);
    free(x->one);
}

/* ---- who wants what ---------------------------------------------------------------------------------------------- */

/* Has s hold the features of picture p.  False: there is no room for them now. */
static bool hold(struct engine *g, struct seq *s, uint32_t p)
{
    struct look          *x = &g->look;
    struct shown         *shown = s->shown;
    const struct picture *pic = &shown->media.picture[p];
    struct sight         *sight = s->fresh ? NULL : gallery_find(&x->gallery, &pic->key);
    bool                  hit = sight != NULL;
    if (hit)
        gallery_ref(&x->gallery, sight);
    else
        sight = gallery_make(&x->gallery, &pic->key, vision_features(x->vision, pic->rows, pic->columns), s->fresh);
    if (!sight)
        return false;
    shown->sight[p] = sight;
    if (!shown->counted[p]) {
        shown->counted[p] = true;
        g->count.pictures++;
        g->count.picture_hits += hit;
        s->reuse.n_hit += hit;
        s->reuse.n_encoded += !hit;
    }
    return true;
}

void look_want(struct engine *g, struct seq *s)
{
    struct shown *shown = s->shown;
    uint32_t      end = s->n_run + g->plan.token_max;
    shown->want = MEDIA_NEWLINE;
    for (uint32_t i = shown_span_at(shown, s->n_run); i < shown->media.n_span && shown->media.span[i].row < end; i++) {
        uint32_t p = shown->media.span[i].picture;
        if (p == MEDIA_NEWLINE)
            continue;
        if (!shown->sight[p] && !hold(g, s, p))
            return;
        if (shown->sight[p]->state != SIGHT_READY) {
            shown->want = p;
            return;
        }
    }
}

/* Drops the picture under way when nobody waits for it. */
static void drop_unwanted(struct engine *g)
{
    struct look *x = &g->look;
    if (!x->now || x->now->ref > 1)
        return;
    if (x->begun && g->opts.type->stop)
        g->opts.type->stop(x->plan);
    gallery_unref(&x->gallery, x->now);
    x->now = NULL;
    g->count.encodings_dropped++;
}

void look_pass(struct engine *g, struct seq *s)
{
    if (!s->shown)
        return;
    shown_pass(s->shown, &g->look.gallery, s->n_done);
    drop_unwanted(g);
}

void look_leave(struct engine *g, struct seq *s)
{
    if (!s->shown)
        return;
    shown_release(s->shown, &g->look.gallery);
    drop_unwanted(g);
}

/* The job whose client's turn it is among those that wait for a picture nobody has begun. */
static struct seq *next(const struct engine *g)
{
    struct seq *best = NULL;
    for (uint32_t i = 0; i < g->n_run; i++) {
        struct seq *s = g->run[i];
        if (!s->shown || s->shown->want == MEDIA_NEWLINE || s->shown->sight[s->shown->want]->state != SIGHT_BLANK)
            continue;
        if (!best || s->turn->looked_at < best->turn->looked_at || (s->turn == best->turn && s->id < best->id))
            best = s;
    }
    return best;
}

bool look_busy(const struct engine *g)
{
    return g->look.now || next(g);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

/* The picture cannot be had: all who hold it end. */
static void fail(struct engine *g, const struct err *e)
{
    struct look  *x = &g->look;
    struct sight *sight = x->now;
    gallery_fail(&x->gallery, sight);
    x->now = NULL;
    g->count.encodings_failed++;
    for (uint32_t i = 0; i < g->n_run;) {
        struct seq *s = g->run[i];
        bool        holds = false;
        for (uint32_t p = 0; s->shown && !holds && p < s->shown->media.n_picture; p++)
            holds = s->shown->sight[p] == sight;
        if (holds)
            jobs_end(g, s, END_FAILED, e);
        else
            i++;
    }
    gallery_unref(&x->gallery, sight);
}

/* Blocks in reading order become those in the program's, along the cycles of the permutation. */
static void reorder(struct look *x, float *block, uint32_t n)
{
    size_t   floats = block_floats(x->vision), bytes = floats * sizeof(float);
    uint32_t *order = x->moved;
    memcpy(order, x->order, n * sizeof *order);
    for (uint32_t i = 0; i < n; i++) {
        if (order[i] == i)
            continue;
        memcpy(x->one, block + i * floats, bytes);
        uint32_t to = i;
        for (uint32_t from = order[i]; from != i; from = order[to]) {
            memcpy(block + to * floats, block + from * floats, bytes);
            order[to] = to;
            to = from;
        }
        memcpy(block + to * floats, x->one, bytes);
        order[to] = to;
    }
}

/* Fills in what the program takes. */
static bool prepare(struct look *x, const struct picture *p, struct err *e)
{
    const struct vision *v = x->vision;
    float               *first = x->patches + (size_t)v->lead * v->patch_width;
    x->n_row = vision_rows(v, p->rows, p->columns);
    x->n_feature = vision_features(v, p->rows, p->columns);
    memset(x->patches, 0, (size_t)v->lead * v->patch_width * sizeof(float));
    if (!p->patches(p->ctx, first, e))
        return false;
    struct vision_fill fill = {.pos = x->pos, .pos_stride = x->n_row, .place = v->n_place ? x->place : NULL,
                               .share = v->n_place ? x->share : NULL, .order = x->order};
    if (v->windows)
        fill.window = x->window + 1;
    x->window[0] = 0;
    uint32_t n_window = vision_fill(v, p->rows, p->columns, &fill);
    if (v->ordered)
        reorder(x, first, x->n_feature);
    x->start[0] = x->past = 0;
    x->start[1] = x->n_row;
    x->batch = (struct batch){.n_token = x->n_row, .n_seq = 1, .start = x->start, .past = &x->past, .input = x->input, .pos = x->pos,
                              .window = v->windows ? x->window : NULL, .n_window = v->windows ? n_window : 0};
    return true;
}

/* Takes the next picture under way. */
static bool begin(struct engine *g)
{
    struct look *x = &g->look;
    struct seq  *s = next(g);
    struct err   e;
    if (!s)
        return false;
    const struct picture *p = &s->shown->media.picture[s->shown->want];
    x->now = s->shown->sight[s->shown->want];
    gallery_ref(&x->gallery, x->now);
    x->begun = false;
    s->turn->looked_at = ++x->turn;
    if (!prepare(x, p, &e))
        fail(g, &e);
    return true;
}

static bool keep(struct engine *g, struct err *e)
{
    struct look *x = &g->look;
    uint32_t     lead = x->vision->lead;
    if (!x->vision->ordered)
        return gallery_keep(&x->gallery, x->now, x->plan, lead, 0, x->n_feature, e);
    for (uint32_t i = 0; i < x->n_feature; i++)
        if (!gallery_keep(&x->gallery, x->now, x->plan, lead + i, x->order[i], 1, e))
            return false;
    return true;
}

/* Runs the tower for about ns. */
static void run_for(struct engine *g, uint64_t ns)
{
    struct look *x = &g->look;
    struct err   e;
    bool         done = true;
    x->batch.run_max = (uint32_t)((ns > LEAST_NS ? ns : LEAST_NS) / 1000);
    if (!g->opts.type->run(x->plan, &x->batch, &done, &e)) {
        fail(g, &e);
        return;
    }
    x->begun = !done;
    if (!done)
        return;
    if (!keep(g, &e)) {
        fail(g, &e);
        return;
    }
    x->now->state = SIGHT_READY;
    gallery_unref(&x->gallery, x->now);
    x->now = NULL;
    g->count.encodings++;
    g->count.patches_encoded += x->n_row - x->vision->lead;
}

bool look_slice(struct engine *g, uint64_t ns)
{
    struct look *x = &g->look;
    uint64_t     from = clock_ns(g->opts.clock), now = from;
    bool         did = false;
    while (x->vision && now - from < ns && (x->now || begin(g))) {
        did = true;
        now = clock_ns(g->opts.clock);
        if (x->now)
            run_for(g, now - from < ns ? ns - (now - from) : 0);
        now = clock_ns(g->opts.clock);
    }
    if (did) {
        g->count.tower_slices++;
        g->count.tower_ns += now - from;
        g->count.tower_slice_ns_max = now - from > g->count.tower_slice_ns_max ? now - from : g->count.tower_slice_ns_max;
    }
    return did;
}
