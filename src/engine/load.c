/* load.c -- see load.h.  Weights come in the order in which the programs read them, which is about that of the file. */
#include "engine/load.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>

static uint64_t bytes_of(const struct parts *p)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < p->n; i++)
        bytes += p->part[i].bytes;
    return bytes;
}

/* What was read and copied would else be counted as this process's memory beside the copy. */
static void forget(const struct parts *p)
{
    for (size_t i = 0; i < p->n; i++) {
        struct tensor_piece piece[TENSOR_PIECES_MAX];
        for (size_t k = tensor_pieces(&p->part[i], piece); k-- > 0;)
            file_forget(piece[k].p, piece[k].n);
    }
}

static bool adopt_all(const struct model *m, const struct parts *parts, const struct backend_type *t, struct backend *b,
                      void (*progress)(void *ctx, uint64_t done, uint64_t all), void *ctx, struct err *e)
{
    uint64_t all = 0, done = 0;
    size_t   n_weight = bundle_n_weights(m->bundle);
    for (size_t i = 0; i < n_weight; i++)
        all += bytes_of(&parts[i]);
    for (size_t i = 0; i < n_weight; i++) {
        wt w = {(uint16_t)(i + 1)};
        if (!t->adopt(b, m->bundle, w, parts[i].part, parts[i].n, e)) {
            char name[256];
            weight_name(bundle_weight_at(m->bundle, w), 0, name, sizeof name);
            return err_in(e, "taking in %s", name);
        }
        if (t->weight_bytes)
            forget(&parts[i]);
        done += bytes_of(&parts[i]);
        if (progress)
            progress(ctx, done, all);
    }
    return true;
}

bool load_weights(const struct model *m, const struct backend_type *t, struct backend *b,
                  void (*progress)(void *ctx, uint64_t done, uint64_t all), void *ctx, struct err *e)
{
    size_t        n_weight = bundle_n_weights(m->bundle);
    struct parts *parts = mem_array(n_weight, sizeof *parts);
    bool          ok = true;
    for (size_t i = 0; i < n_weight && ok; i++)
        ok = model_weight(m, (wt){(uint16_t)(i + 1)}, parts[i].part, &parts[i].n, e);
    if (ok && t->expect)
        t->expect(b, m->bundle, parts);
    ok = ok && adopt_all(m, parts, t, b, progress, ctx, e);
    free(parts);
    return ok;
}
