/* pack.h -- weights as the kernels read them: panels of 32 rows, made straight from the mapped file, the only copy.
 *
 * Quantised formats keep their codes and their scales to the bit (panels.def).  F32, F16 and BF16 lie as [in][32].  Vectors
 * (in = 1: biases, norm weights) become F32 without gaps. */
#ifndef BACKEND_CPU_PACK_H
#define BACKEND_CPU_PACK_H

#include "backend/backend.h"
#include "backend/cpu/team.h"

/* To be raised whenever a weight comes to lie otherwise, here or in panels.def: files of packed weights that other builds
 * have left are then packed anew. */
enum { PACK_LAYOUT = 1 };

/* A strip is what the lanes of a kernel hold side by side. */
enum { STRIP_ROWS = 16, PANEL_STRIPS = 2, PANEL_ROWS = STRIP_ROWS * PANEL_STRIPS, GROUP = 32, PANEL_ALIGN = 64 };

/* Rows of one format. */
struct panels {
    enum format    format;
    uint32_t       at, rows, n_panel;       /* output columns at .. at + rows - 1 */
    size_t         panel_bytes;
    const uint8_t *p;
};

struct packed {
    struct panels part[4];
    uint32_t      n_part, out, in;          /* n_part 0: an optional weight that is absent */
    uint64_t      bytes;
};

struct panel_layout {
    uint32_t quants, scales, tops, offset;
    int      minimum;
    bool     halves;
};

/* Where in a panel the parts of a group's strip begin: its codes of numbers 8x to 8x + 7 (codes + x * codes_step), what
 * else of its codes there is (`more`), its scales, its tops. */
struct panel_place {
    size_t codes, codes_step, more, scales, tops;
};

static inline struct panel_place panel_place(const struct panel_layout *l, size_t group, unsigned strip)
{
    size_t each = l->quants + l->scales, line = l->quants == 512 ? 128 : 64, more = l->quants - 4 * line;
    size_t tops = l->tops ? group / 8 * PANEL_STRIPS * (l->tops + 8 * each) : 0;
    size_t at = tops + PANEL_STRIPS * (l->tops + (l->tops ? group % 8 : group) * each);
    return (struct panel_place){at + strip * line, PANEL_STRIPS * line, at + PANEL_STRIPS * 4 * line + strip * more,
                                at + PANEL_STRIPS * l->quants + strip * l->scales, tops + strip * l->tops};
}

/* NULL: the format is not quantised. */
const struct panel_layout *panel_layout(enum format f);
size_t                     panel_bytes(enum format f, uint32_t in);

/* How weight w of these parts will lie: everything but the addresses.  n 0: a constant, or absent. */
void pack_plan(const struct weight *w, const struct tensor part[], size_t n, struct packed *out);

/* Fills in the addresses: plan->bytes that were packed before lie there. */
void pack_at(struct packed *plan, const uint8_t *at);

/* Fills zeroed memory of plan->bytes (aligned to PANEL_ALIGN), and the addresses. */
void pack_fill(struct packed *plan, const struct weight *w, const struct tensor part[], uint8_t *to, struct team *t);

/* Row `row` of the whole, as numbers. */
void pack_row(const struct packed *m, uint32_t row, float *out);

#endif
