/* verify.c -- see verify.h. */
#include "api/verify.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

void verify_drop(struct verify *v)
{
    free(v->usual.token);
    free(v->usual.logprob);
    free(v->fresh.token);
    free(v->fresh.logprob);
    *v = (struct verify){0};
}

void verify_add(struct verify_list *l, const struct drawn *d)
{
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 64;
        l->token = mem_grow(l->token, l->room, sizeof *l->token);
        l->logprob = mem_grow(l->logprob, l->room, sizeof *l->logprob);
    }
    l->token[l->n] = d->token;
    l->logprob[l->n++] = d->logprob;
}

struct verified verify_compare(const struct verify *v, float bound)
{
    struct verified r = {.same = true};
    uint32_t        n = v->usual.n < v->fresh.n ? v->usual.n : v->fresh.n;
    for (; r.n < n && r.same; r.n++) {
        double apart = fabs((double)v->usual.logprob[r.n] - (double)v->fresh.logprob[r.n]);
        bool   token = v->usual.token[r.n] == v->fresh.token[r.n];
        if (token && apart > r.apart_max)
            r.apart_max = apart;
        if (!token || !(apart <= (double)bound)) {
            r.same = false;
            r.differs_at = r.n;
        }
    }
    return r;
}
