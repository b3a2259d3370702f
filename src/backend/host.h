/* host.h -- features where the backend's memory is the host's. */
#ifndef BACKEND_HOST_H
#define BACKEND_HOST_H

#include "backend/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

bool host_features_new(struct backend *b, size_t bytes, struct features **out, struct err *e);
void host_features_free(struct features *x);
bool host_features_write(struct features *x, size_t at, const void *in, size_t bytes, struct err *e);
bool host_features_read(const struct features *x, size_t at, void *out, size_t bytes, struct err *e);

/* Row `row` of rows of `width` numbers. */
const float *host_features_row(const struct features *x, uint32_t row, uint32_t width);

/* What keep() does with the rows of a result, `width` numbers each. */
bool host_keep(const float *rows, uint32_t n_row, uint32_t width, uint32_t from, uint32_t n, struct features *into, size_t at,
               struct err *e);

#ifdef __cplusplus
}
#endif
#endif
