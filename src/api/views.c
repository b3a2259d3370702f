/* views.c -- see views.h. */
#include "api/views.h"

#include "api/bring.h"
#include "base/mem.h"
#include "media/video.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one call of views_open() works with. */
struct work {
    const struct eyes      *eyes;
    const struct view_wish *wish;
    struct view_totals     *totals;
    const atomic_word      *stop;
    size_t                  held;       /* bytes of pixels so far */
};

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* What is seen of run `at`, resized in this way, by this model. */
static struct sha256 run_key(const struct eyes *eyes, const struct view *v, const struct sha256 *seen, uint32_t at)
{
    uint32_t           shape[3] = {v->fit.width, v->fit.height, at};
    struct sha256_run *h = sha256_new();
    sha256_start(h);
    sha256_add(h, eyes->model.byte, sizeof eyes->model.byte);
    sha256_add(h, seen->byte, sizeof seen->byte);
    sha256_add(h, shape, sizeof shape);
    struct sha256 key = sha256_end(h);
    sha256_free(h);
    return key;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static bool reserve(struct work *w, struct view *v, struct err *e)
{
    size_t bytes = v->fit.run_bytes * v->fit.n_run;
    if (!engine_fits(w->eyes->vision, w->eyes->patches_max, &v->fit, e))
        return false;
    if (v->fit.run_bytes > w->eyes->held_max / v->fit.n_run || bytes > w->eyes->held_max - w->held)
        return err_set(e, ERR_INVALID, "with it the request shows over %zu MB of pixels", w->eyes->held_max >> 20);
    v->pixels = mem_try(bytes);
    if (!v->pixels)
        return err_set(e, ERR_MEMORY, "no memory for %zu bytes of pixels", bytes);
    w->held += bytes;
    v->run = mem_array(v->fit.n_run, sizeof *v->run);
    for (uint32_t i = 0; i < v->fit.n_run; i++)
        v->run[i] = (struct view_run){.view = v, .pixels = v->pixels + i * v->fit.run_bytes};
    return true;
}
