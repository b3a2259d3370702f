/* pack.h -- weights as the kernels read them: panels of 32 rows, made straight from the mapped file, the only copy.
 *
 * Quantised formats keep their codes and their scales to the bit (panels.def); those whose scales lie apart in the file have
 * them beside the codes here.  F32, F16 and BF16 lie as [in][32].  Vectors
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

/* Where a format leaves it to the checkpoint how scales lie (panels.def, GIVEN); else all 0. */
struct panel_scales {
    uint8_t  as;                            /* enum format: F16, BF16, F32 */
    uint8_t  shift;                         /* 1 << shift groups share them */
    uint16_t bytes;                         /* of a strip's, minima included */
};

/* Rows that lie alike. */
struct panels {
    enum format    format;                  /* of panels: codes of 2 and 3 bits lie as those of 4 */
    struct panel_scales scales;
    uint32_t       at, rows, n_panel;       /* output columns at .. at + rows - 1 */
    size_t         panel_bytes;
    const uint8_t *p;
};

struct packed {
    struct panels part[4];
    uint32_t      n_part, out, in;          /* n_part 0: an optional weight that is absent */
    uint64_t      bytes;
};

enum panel_as { AS_F16 = FORMAT_F16, AS_BF16 = FORMAT_BF16, AS_GIVEN = FORMAT_COUNT };
enum panel_codes { CODES_WHOLE, CODES_E2M1, CODES_E4M3 };

struct panel_layout {
    uint32_t         quants, scales, tops, offset;
    int              minimum;
    bool             halves;
    enum panel_as    as;
    enum panel_codes codes;
};

/* What the codes of 4-bit floats stand for: twice the number, plus the offset of panels.def. */
#define E2M1_DOUBLED {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0}

/* Where in a panel the parts of a group's strip begin: its codes of numbers 8x to 8x + 7 (codes + x * codes_step), what
 * else of its codes there is (`more`), its scales, its tops. */
struct panel_place {
    size_t codes, codes_step, more, scales, tops;
};

/* For a group of both strips that begins at `at`, its scales and tops at those places. */
static inline struct panel_place panel_place_from(const struct panel_layout *l, unsigned strip, size_t at, size_t scales, size_t tops)
{
    size_t line = l->quants == 512 ? 128 : 64, more = l->quants - 4 * line;
    return (struct panel_place){at + strip * line, PANEL_STRIPS * line, at + PANEL_STRIPS * 4 * line + strip * more, scales, tops};
}

static inline struct panel_place panel_place(const struct panel_layout *l, size_t group, unsigned strip)
{
    size_t each = l->quants + l->scales, tops = l->tops ? group / 8 * PANEL_STRIPS * (l->tops + 8 * each) : 0;
    size_t at = tops + PANEL_STRIPS * (l->tops + (l->tops ? group % 8 : group) * each);
    return panel_place_from(l, strip, at, at + PANEL_STRIPS * l->quants + strip * l->scales, tops + strip * l->tops);
}

/* The same with GIVEN. */
static inline struct panel_place panel_place_given(const struct panel_layout *l, const struct panel_scales *s, size_t group,
                                                   unsigned strip)
{
    size_t block = PANEL_STRIPS * ((group >> s->shift) * (s->bytes + ((size_t)l->quants << s->shift)));
    size_t within = group & (((size_t)1 << s->shift) - 1);
    return panel_place_from(l, strip, block + PANEL_STRIPS * (s->bytes + within * l->quants), block + strip * s->bytes, 0);
}

/* Of panels of that format.  NULL: they are not quantised. */
const struct panel_layout *panel_layout(enum format f);

/* How weight w of these parts will lie: everything but the addresses.  n 0: a constant, or absent. */
void pack_plan(const struct weight *w, const struct tensor part[], size_t n, struct packed *out);

/* Fills in the addresses: plan->bytes that were packed before lie there. */
void pack_at(struct packed *plan, const uint8_t *at);

/* Fills zeroed memory of plan->bytes (aligned to PANEL_ALIGN), and the addresses. */
void pack_fill(struct packed *plan, const struct weight *w, const struct tensor part[], uint8_t *to, struct team *t);

/* Row `row` of the whole, as numbers. */
void pack_row(const struct packed *m, uint32_t row, float *out);

#endif
