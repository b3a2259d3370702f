/* linear_neon.inc.h -- tile_fast() by quarters of a strip, where a register holds four lanes.
 *
 * The codes of a group of a strip would fill all 32 registers.  Those of a quarter of it, four rows, fill eight and stay
 * there while the activations of every row of the tile go by; with four rows the sums take sixteen more.  Each element is
 * computed as in linear.inc.h. */
#ifndef BACKEND_CPU_LINEAR_NEON_INC_H
#define BACKEND_CPU_LINEAR_NEON_INC_H

/* One quarter of a group; as in struct group. */
struct quarter {
    int8x16_t   codes[8];
    float32x4_t d, d2, m;
};

/* Dot products of a row of activations with a quarter; `high` only where a group has two scales. */
struct dots {
    int32x4_t low, high;
};

/* The compiler drops what group_at() does for the other quarters. */
LANE void quarter_at(const enum format f, const struct linear_job *j, const uint8_t *panel, size_t g, const unsigned strip,
                     const unsigned k, struct quarter *out)
{
    struct group w;
    vb           codes[8];
    group_at(f, j, panel, g, strip, &w);
    UNROLL for (int x = 0; x < 4; x++)
        codes_at(f, &w, x, codes + 2 * x);
    UNROLL for (int s = 0; s < 8; s++)
        out->codes[s] = vreinterpretq_s8_u8(layout_of[f].quants == 512 ? vb_centred(codes[s]).v[k] : codes[s].v[k]);
    out->d = w.d.v[k];
    out->d2 = w.d2.v[k];
    out->m = w.m.v[k];
}

/* What the dot products begin with: dot_begin() of all numbers, or of each half. */
LANE struct dots dots_begin(const enum format f, const struct act_group *a)
{
    if (!layout_of[f].halves)
        return (struct dots){dot_begin(f, a->all8).v[0], vdupq_n_s32(0)};
    return (struct dots){dot_begin(f, a->low8).v[0], dot_begin(f, a->all8 - a->low8).v[0]};
}

/* Sixteen numbers of four panel rows; the lane has to be written as a number. */
LANE int32x4_t dot_sixteen(int32x4_t sum, const int8x16_t *codes, int8x16_t a)
{
    sum = vdotq_laneq_s32(sum, codes[0], a, 0);
    sum = vdotq_laneq_s32(sum, codes[1], a, 1);
    sum = vdotq_laneq_s32(sum, codes[2], a, 2);
    return vdotq_laneq_s32(sum, codes[3], a, 3);
}

LANE struct dots row_dots(const enum format f, const struct quarter *w, const struct act_group *a)
{
    struct dots dot = dots_begin(f, a);
    dot.low = dot_sixteen(dot.low, w->codes, vld1q_s8(a->q));
    if (layout_of[f].halves)
        dot.high = dot_sixteen(dot.high, w->codes + 4, vld1q_s8(a->q + 16));
    else
        dot.low = dot_sixteen(dot.low, w->codes + 4, vld1q_s8(a->q + 16));
    return dot;
}

/* group_add() of a quarter. */
LANE float32x4_t dots_add(const enum format f, float32x4_t sum, const struct quarter *w, struct dots dot,
                          const struct act_group *a)
{
    sum = vfmaq_f32(sum, vmulq_n_f32(vcvtq_f32_s32(dot.low), a->scale), w->d);
    if (layout_of[f].halves)
        return vfmaq_f32(sum, vmulq_n_f32(vcvtq_f32_s32(dot.high), a->scale), w->d2);
    return layout_of[f].minimum ? vfmaq_f32(sum, vdupq_n_f32(a->sum), w->m) : sum;
}

/* The rows of a tile in one group. */
#ifdef SMMLA
#include "backend/cpu/linear_i8mm.inc.h"
#else
struct rows {
    const struct act_group *a[TILE_ROWS];
};

LANE void rows_begin(const enum format f, const unsigned nr, struct rows *rows)
{
    (void)f, (void)nr, (void)rows;
}

LANE void rows_add(const enum format f, const unsigned nr, const struct quarter *w, const struct rows *rows,
                   float32x4_t *sum)
{
    UNROLL for (unsigned i = 0; i < nr; i++)
        sum[i] = dots_add(f, sum[i], w, row_dots(f, w, rows->a[i]), rows->a[i]);
}
#endif

/* np strips, from strip `first` on, of panel p, times nr rows from row r on. */
TILE void tile_fast(const enum format f, const unsigned np, const unsigned nr, const struct linear_job *j, uint32_t p,
                    const unsigned first, uint32_t r, const struct ahead *next)
{
    const uint8_t *panel = j->panel + p * j->panel_bytes, *act = (const uint8_t *)j->act + r * j->act_stride;
    const size_t   n = j->in / GROUP;
    float32x4_t    sum[4 * PANEL_STRIPS][TILE_ROWS];
    UNROLL for (unsigned k = 0; k < 4 * np; k++)
        UNROLL for (unsigned i = 0; i < nr; i++)
            sum[k][i] = vdupq_n_f32(0);
    for (size_t g = 0; g < n; g++) {
        struct rows rows;
        fetch_lines(next, g);
        UNROLL for (unsigned i = 0; i < nr; i++)
            rows.a[i] = (const void *)(act + i * j->act_stride + g * sizeof *rows.a[i]);
        rows_begin(f, nr, &rows);
        UNROLL for (unsigned k = 0; k < 4 * np; k++) {
            struct quarter w;
            quarter_at(f, j, panel, g, first + k / 4, k % 4, &w);
            rows_add(f, nr, &w, &rows, sum[k]);
            /* Nothing of the next quarter may be loaded early: there is no register left for it. */
            __asm__ volatile("" ::: "memory");
        }
    }
    UNROLL for (unsigned k = 0; k < np; k++)
        UNROLL for (unsigned i = 0; i < nr; i++)
            columns_out(j, p, first + k, r + i,
                        (vf){{sum[4 * k][i], sum[4 * k + 1][i], sum[4 * k + 2][i], sum[4 * k + 3][i]}});
}

#endif
