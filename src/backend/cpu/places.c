/* places.c -- see places.h. */
#include "backend/cpu/places.h"

#include "base/mem.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Weights lie side by side in large pieces of memory, so that small ones get huge pages too. */
struct chunk {
    struct chunk *next;
    uint8_t      *p;
    size_t        bytes, used;
};

static const size_t CHUNK_BYTES = (size_t)64 << 20;

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + PANEL_ALIGN - 1) / PANEL_ALIGN * PANEL_ALIGN;
}

static uint8_t *chunk_take(struct places *s, uint64_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    struct chunk *c = s->chunk;
    if (!c || c->bytes - c->used < bytes) {
        c = mem_new(sizeof *c);
        c->bytes = bytes > CHUNK_BYTES ? (size_t)bytes : CHUNK_BYTES;
        c->p = mem_try(c->bytes);
        if (!c->p) {
            free(c);
            return NULL;
        }
        c->next = s->chunk;
        s->chunk = c;
    }
    uint8_t *p = c->p + c->used;
    c->used += (size_t)aligned(bytes) < c->bytes - c->used ? (size_t)aligned(bytes) : c->bytes - c->used;
    return p;
}

/* ---- the sum of a file ------------------------------------------------------------------------------------------- */

struct summing {
    const struct packfile *file;
    _Atomic uint64_t       sum;
};

static uint32_t sum_pieces(void *ctx, uint32_t step)
{
    (void)step;
    return packfile_pieces(((struct summing *)ctx)->file->bytes);
}

static void sum_piece(void *ctx, uint32_t step, uint32_t i, unsigned worker)
{
    (void)step, (void)worker;
    struct summing *s = ctx;
    atomic_fetch_add(&s->sum, packfile_piece_sum(s->file->data, s->file->bytes, i));
}

/* All of it passes through the team, which also brings a mapped file's pages to where the first step will want them. */
static uint64_t sum_of(const struct packfile *f, struct team *t)
{
    struct summing s = {.file = f};
    team_run(t, &(struct work){.n_step = 1, .pieces = sum_pieces, .piece = sum_piece, .ctx = &s});
    return atomic_load(&s.sum);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

/* What is kept under a key depends on this besides: which tensor goes where, and how it lies. */
static uint64_t shape_add(uint64_t shape, const struct weight *w, const struct packed *plan)
{
    char     name[256];
    uint32_t whole[] = {plan->n_part, plan->out, plan->in};
    for (unsigned i = 0; i < 4 && w->part[i]; i++) {
        weight_name(w, i, name, sizeof name);
        shape = hash64(name, strlen(name), shape);
    }
    for (uint32_t i = 0; i < plan->n_part; i++) {
        const struct panels *p = &plan->part[i];
        uint64_t part[] = {(uint64_t)p->format, p->at, p->rows, p->n_panel, p->panel_bytes, p->scales.as, p->scales.shift};
        shape = hash64(part, sizeof part, shape);
    }
    if (w->data)
        shape = hash64(w->data, (size_t)w->out * w->in * sizeof *w->data, shape);
    return hash64(whole, sizeof whole, shape);
}

/* Gives every weight its place, one behind the other. */
static void lay_out(struct places *s, const struct bundle *m, const struct parts parts[])
{
    s->n_weight = s->n_to_come = bundle_n_weights(m);
    s->at = mem_array(s->n_weight, sizeof *s->at);
    for (size_t i = 0; i < s->n_weight; i++) {
        const struct weight *w = bundle_weight_at(m, (wt){(uint16_t)(i + 1)});
        struct packed        plan;
        pack_plan(w, parts[i].part, parts[i].n, &plan);
        s->at[i] = s->head.bytes;
        s->head.shape = shape_add(s->head.shape, w, &plan);
        s->head.bytes += aligned(plan.bytes);
    }
}

static bool open_whole(struct places *s, const char *path, struct team *t, struct err *e)
{
    uint64_t sum;
    if (!packfile_open(&s->file, path, &s->head, &sum, e))
        return false;
    if (sum_of(&s->file, t) == sum)
        return true;
    packfile_close(&s->file);
    return err_set(e, ERR_CORRUPT, "%s: the weights in it have changed", path);
}

static void give_up(struct places *s, const struct err *e)
{
    s->kept = (struct kept){.how = KEPT_NOT};
    snprintf(s->kept.why, sizeof s->kept.why, "%s", e->text);
}

void places_expect(struct places *s, const struct pack_opts *o, const struct bundle *m, const struct parts parts[],
                   struct team *t)
{
    struct err e;
    CHECK(!s->at && !s->chunk);
    if (!o->path)
        return;
    s->head = (struct packfile_head){.key = o->key, .layout = PACK_LAYOUT};
    snprintf(s->head.label, sizeof s->head.label, "%s", o->label ? o->label : "");
    lay_out(s, m, parts);
    if (open_whole(s, o->path, t, &e)) {
        s->filled = true;
        s->kept.how = KEPT_BEFORE;
    } else if (!packfile_new(&s->file, o->path, s->head.bytes, &e)) {
        give_up(s, &e);
    }
}

uint8_t *places_take(struct places *s, wt w, uint64_t bytes, bool *filled)
{
    *filled = s->filled;
    return s->file.data ? s->file.data + s->at[w.id - 1] : chunk_take(s, bytes);
}

void places_done(struct places *s, struct team *t)
{
    struct err e;
    if (!s->file.data || s->filled || --s->n_to_come > 0)
        return;
    s->head.sum = sum_of(&s->file, t);
    if (packfile_finish(&s->file, &s->head, &e))
        s->kept.how = KEPT_NOW;
    else
        give_up(s, &e);
}

void places_drop(struct places *s)
{
    for (struct chunk *c = s->chunk, *next; c; c = next) {
        next = c->next;
        mem_try_free(c->p, c->bytes);
        free(c);
    }
    packfile_close(&s->file);
    free(s->at);
}
