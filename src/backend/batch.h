/* batch.h -- what every backend may rely on in a batch. */
#ifndef BACKEND_BATCH_H
#define BACKEND_BATCH_H

#include "backend/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Ends the program when the batch breaks its promises: a mistake of the engine's would write into other sequences'
 * blocks.  Blocks and slots are looked at only where the bundle has such states. */
void batch_check(const struct batch *in, const struct plan_opts *o, const struct bundle *m, uint32_t n_block);

/* The length for which sequence s is computed. */
uint32_t batch_reach(const struct batch *in, uint32_t s);

#ifdef __cplusplus
}
#endif
#endif
