/* host.c -- see host.h. */
#include "backend/host.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct features {
    size_t bytes;
    char  *p;
};

bool host_features_new(struct backend *b, size_t bytes, struct features **out, struct err *e)
{
    (void)b;
    char *p = mem_try(bytes ? bytes : 1);
    if (!p)
        return err_set(e, ERR_MEMORY, "no memory for %zu bytes of features", bytes);
    *out = mem_new(sizeof **out);
    **out = (struct features){bytes, p};
    return true;
}

void host_features_free(struct features *x)
{
    if (!x)
        return;
    mem_try_free(x->p, x->bytes ? x->bytes : 1);
    free(x);
}

bool host_features_write(struct features *x, size_t at, const void *in, size_t bytes, struct err *e)
{
    (void)e;
    CHECK(at <= x->bytes && bytes <= x->bytes - at);
    memcpy(x->p + at, in, bytes);
    return true;
}

bool host_features_read(const struct features *x, size_t at, void *out, size_t bytes, struct err *e)
{
    (void)e;
    CHECK(at <= x->bytes && bytes <= x->bytes - at);
    memcpy(out, x->p + at, bytes);
    return true;
}

const float *host_features_row(const struct features *x, uint32_t row, uint32_t width)
{
    size_t each = width * sizeof(float);
    CHECK((row + (size_t)1) * each <= x->bytes);
    return (const float *)(const void *)(x->p + row * each);
}

bool host_keep(const float *rows, uint32_t n_row, uint32_t width, uint32_t from, uint32_t n, struct features *into, size_t at,
               struct err *e)
{
    CHECK(from <= n_row && n <= n_row - from);
    return host_features_write(into, at, rows + (size_t)from * width, (size_t)n * width * sizeof(float), e);
}
