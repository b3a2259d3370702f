/* storage.c -- where values lie: the widest first, each at the lowest place that is free while it lives.
 *
 * The batch is not known, so places are counted in floats per row; every batch size has the same plan.  A value that is
 * read for the last time by the instruction that writes another still counts as living: no kernel works in place. */
#include "program/program.h"

#include "base/mem.h"

#include <stdlib.h>

enum { ROUND = 16 };    /* floats: with any number of rows, every value starts a cache line */

struct place {
    uint32_t from, width;
    uint16_t v, first, last;
};

static int by_width(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return x->width != y->width ? (x->width < y->width ? 1 : -1) : (int)x->v - (int)y->v;
}

/* Puts x into the list of n placed ones, which is kept in order of `from`. */
static void put(struct place *placed, size_t n, struct place x, bool keep_all)
{
    x.from = 0;
    for (size_t k = 0; k < n; k++) {
        const struct place *o = &placed[k];
        bool together = keep_all || (x.first <= o->last && o->first <= x.last);
        if (!together || o->from + o->width <= x.from)
            continue;
        if (o->from >= x.from + x.width)
            break;
        x.from = o->from + o->width;
    }
    size_t at = n;
    for (; at > 0 && placed[at - 1].from > x.from; at--)
        placed[at] = placed[at - 1];
    placed[at] = x;
}

static uint32_t plan_rows(const struct prog *p, enum rows_of rows, bool keep_all, uint32_t *offset)
{
    size_t        n = 0, n_value = prog_n_values(p);
    struct place *want = mem_array(n_value, sizeof *want), *placed = mem_array(n_value, sizeof *placed);
    for (size_t v = 1; v <= n_value; v++) {
        const struct value *x = prog_value(p, (val){(uint16_t)v});
        if (x->rows == rows && !x->base.id && !x->integer)
            want[n++] = (struct place){.width = ((x->width + x->per - 1) / x->per + ROUND - 1) / ROUND * ROUND, .v = (uint16_t)v,
                                       .first = x->first, .last = x->last};
    }
    qsort(want, n, sizeof *want, by_width);
    for (size_t k = 0; k < n; k++)
        put(placed, k, want[k], keep_all);
    uint32_t all = 0;
    for (size_t k = 0; k < n; k++) {
        offset[placed[k].v] = placed[k].from;
        if (placed[k].from + placed[k].width > all)
            all = placed[k].from + placed[k].width;
    }
    free(want);
    free(placed);
    return all;
}

void storage_plan(const struct prog *p, bool keep_all, struct storage *out)
{
    size_t n_value = prog_n_values(p);
    out->offset = mem_array(n_value + 1, sizeof *out->offset);
    out->token_floats = plan_rows(p, ROWS_TOKEN, keep_all, out->offset);
    out->pick_floats = plan_rows(p, ROWS_PICK, keep_all, out->offset);
    for (size_t v = 1; v <= n_value; v++) {
        const struct value *x = prog_value(p, (val){(uint16_t)v});
        if (x->base.id)
            out->offset[v] = out->offset[x->base.id];
    }
}

void storage_drop(struct storage *s)
{
    free(s->offset);
    *s = (struct storage){0};
}
