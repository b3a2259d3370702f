/* samples.c -- see samples.h. */
#include "app/samples.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

bool samples_init(struct samples *s, size_t n_max, struct err *e)
{
    *s = (struct samples){.v = mem_try(n_max * sizeof *s->v), .n_max = n_max};
    return s->v || err_set(e, ERR_MEMORY, "there is no memory for %zu measured values", n_max);
}

void samples_drop(struct samples *s)
{
    mem_try_free(s->v, s->n_max * sizeof *s->v);
    *s = (struct samples){0};
}

void samples_add(struct samples *s, double v)
{
    if (s->n < s->n_max)
        s->v[s->n++] = (float)v;
    else
        s->n_lost++;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double at_rank(const float *v, size_t n, double rank)
{
    size_t below = (size_t)rank;
    double part = rank - (double)below;
    return below + 1 < n ? (double)v[below] * (1 - part) + (double)v[below + 1] * part : (double)v[n - 1];
}

struct spread samples_spread(struct samples *s)
{
    struct spread out = {.n = s->n};
    double        sum = 0;
    if (s->n > 0)
        qsort(s->v, s->n, sizeof *s->v, by_value);
    for (size_t i = 0; i < s->n; i++)
        sum += (double)s->v[i];
    out.mean = s->n ? sum / (double)s->n : (double)NAN;
    for (int i = 0; i < SPREAD_POINTS; i++)
        out.at[i] = s->n ? at_rank(s->v, s->n, (double)(s->n - 1) * i / (SPREAD_POINTS - 1)) : (double)NAN;
    return out;
}
