/* load.h -- a model's weights, handed to a backend. */
#ifndef ENGINE_LOAD_H
#define ENGINE_LOAD_H

#include "backend/backend.h"
#include "model/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Has b, a backend of type t, adopt every weight of the model.  progress(ctx, done, all) tells
 * bytes of the checkpoint and may be NULL.  After a failure b is good for close() alone. */
MUST_USE bool load_weights(const struct model *m, const struct backend_type *t, struct backend *b,
                           void (*progress)(void *ctx, uint64_t done, uint64_t all), void *ctx, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
