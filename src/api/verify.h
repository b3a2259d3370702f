/* verify.h -- an answer computed twice: as usual, and again with no caches (X-Cache-Verify).  Both must be the same tokens with the
 * same probabilities. */
#ifndef API_VERIFY_H
#define API_VERIFY_H

#include "engine/engine.h"

struct verify_list {
    int32_t *token;
    float   *logprob;
    uint32_t n, room;
};

struct verify {
    struct verify_list usual, fresh;
};

void verify_drop(struct verify *v);         /* a zeroed one is fine */
void verify_add(struct verify_list *l, const struct drawn *d);

struct verified {
    uint32_t n;                     /* tokens compared */
    bool     same;
    uint32_t differs_at;            /* the first token that differs, or whose log probability does by more than the bound */
    double   apart_max;             /* of log probabilities, as far as the tokens are the same */
};

/* As far as both go. */
struct verified verify_compare(const struct verify *v, float bound);

#endif
