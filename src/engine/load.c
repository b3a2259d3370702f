/* load.c -- see load.h.  Weights come in the order in which the programs read them, which is about that of the file. */
#include "engine/load.h"

static uint64_t bytes_of(const struct tensor part[4], size_t n)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += part[i].bytes;
    return bytes;
}

bool load_weights(const struct model *m, const struct backend_type *t, struct backend *b,
                  void (*progress)(void *ctx, uint64_t done, uint64_t all), void *ctx, struct err *e)
{
    struct tensor part[4];
    size_t        n, n_weight = bundle_n_weights(m->bundle);
    uint64_t      all = 0, done = 0;
    for (size_t i = 1; i <= n_weight; i++) {
        if (!model_weight(m, (wt){(uint16_t)i}, part, &n, e))
            return false;
        all += bytes_of(part, n);
    }
    for (size_t i = 1; i <= n_weight; i++) {
        wt w = {(uint16_t)i};
        if (!model_weight(m, w, part, &n, e))
            return false;
        if (!t->adopt(b, m->bundle, w, part, n, e)) {
            char name[256];
            weight_name(bundle_weight_at(m->bundle, w), 0, name, sizeof name);
            return err_in(e, "taking in %s", name);
        }
        done += bytes_of(part, n);
        if (progress)
            progress(ctx, done, all);
    }
    return true;
}
