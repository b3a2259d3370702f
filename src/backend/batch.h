/* batch.h -- what every backend may rely on in a batch. */
#ifndef BACKEND_BATCH_H
#define BACKEND_BATCH_H

#include "backend/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Ends the program when the batch breaks its promises: a mistake of the engine's would write into other sequences'
 * blocks.  Blocks and slots are looked at only where the program has such states. */
void batch_check(const struct batch *in, const struct plan_opts *o, const struct prog *p, uint32_t n_block);

/* The length for which sequence s is computed. */
uint32_t batch_reach(const struct batch *in, uint32_t s);

/* Where row r of sequence s is on an axis; how many of its sequence's tokens it sees from the first on. */
static inline uint32_t batch_pos(const struct batch *in, uint32_t axis, uint32_t s, uint32_t r)
{
    return in->pos ? in->pos[(size_t)axis * in->n_token + r] : in->past[s] + (r - in->start[s]);
}

static inline uint32_t batch_see(const struct batch *in, uint32_t s, uint32_t r)
{
    return in->see ? in->see[r] : in->past[s] + (r - in->start[s]) + 1;
}

#ifdef __cplusplus
}
#endif
#endif
