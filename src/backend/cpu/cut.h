/* cut.h -- how a matrix is cut into pieces for the team: some panels, times a block of rows. */
#ifndef BACKEND_CPU_CUT_H
#define BACKEND_CPU_CUT_H

#include "backend/cpu/pack.h"

enum {
    ROW_BLOCK = 64,             /* rows that go through a stretch of panels together: their int8 fits the L2 cache */
    PIECE_WORK = 48 << 10,      /* of a piece: bytes of weights, plus a byte for every 8 products */
};

struct cut {
    const struct panels *part;
    uint32_t             panel, n_panel;
};

static inline uint32_t parts(uint32_t n, uint32_t each)
{
    return n / each + (n % each != 0);
}

/* Panels of a cut of this part, for n rows. */
static inline uint32_t panels_of_cut(const struct panels *p, uint32_t in, uint32_t n)
{
    return (uint32_t)(PIECE_WORK / (p->panel_bytes + (size_t)in * PANEL_ROWS / 8 * n)) + 1;
}

/* Cuts of all parts, for n rows. */
static inline uint32_t cuts_of(const struct packed *w, uint32_t n)
{
    uint32_t cuts = 0;
    for (uint32_t k = 0; k < w->n_part; k++)
        cuts += parts(w->part[k].n_panel, panels_of_cut(&w->part[k], w->in, n));
    return cuts;
}

static inline struct cut cut_at(const struct packed *w, uint32_t n, uint32_t i)
{
    const struct panels *p = w->part;
    uint32_t             each = panels_of_cut(p, w->in, n);
    for (; i >= parts(p->n_panel, each); each = panels_of_cut(p, w->in, n)) {
        i -= parts(p->n_panel, each);
        p++;
    }
    uint32_t panel = i * each;
    return (struct cut){p, panel, p->n_panel - panel < each ? p->n_panel - panel : each};
}

#endif
