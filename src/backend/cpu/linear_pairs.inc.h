/* linear_pairs.inc.h -- bf16 panels times rows rounded to bf16, for lanes that multiply pairs of them.
 *
 * An element is one f32 sum over pairs of its row in rising order, whatever the number of rows.  A stretch of a panel is laid
 * out in pairs once, in the first-level cache, and all rows go through it; what they have so far waits in the output.  Twelve
 * rows times both strips are 24 sums, as many as it takes to hide how long one product lasts, and leave room for the weights. */
#ifndef BACKEND_CPU_LINEAR_PAIRS_INC_H
#define BACKEND_CPU_LINEAR_PAIRS_INC_H

#include "backend/cpu/kernels.h"

enum { PAIR_ROWS = 12, PAIR_STRETCH = 128 };

/* Pairs from .. from + n - 1 of panel p: row by row of it, numbers 2k and 2k + 1 side by side; an odd last one has a zero. */
LANE void stretch_at(const struct linear_job *j, uint32_t p, uint32_t from, uint32_t n, vb out[PAIR_STRETCH][PANEL_STRIPS])
{
    const uint8_t *at = j->panel + p * j->panel_bytes + (size_t)from * 2 * PANEL_ROWS * 2;
    for (uint32_t k = 0; k < n; k++, at += 2 * PANEL_ROWS * 2) {
        vb a = vb_load(at), b = 2 * (from + k) + 1 < j->in ? vb_load(at + PANEL_ROWS * 2) : vb_none();
        out[k][0] = vb_zip(a, b, false);
        out[k][1] = vb_zip(a, b, true);
    }
}

/* What nr rows have so far of a strip's columns. */
LANE vf sum_so_far(const struct linear_job *j, uint32_t p, unsigned strip, uint32_t row)
{
    uint32_t at = p * PANEL_ROWS + strip * STRIP_ROWS;
    if (at >= j->n_out)
        return vf_set(0);
    const float *out = j->out + row * j->out_stride + at;
    return j->n_out - at >= STRIP_ROWS ? vf_load(out) : vf_load_n(out, j->n_out - at);
}

LANE void sum_keep(const struct linear_job *j, uint32_t p, unsigned strip, uint32_t row, vf sum)
{
    struct linear_job plain = *j;
    plain.bias = NULL;
    columns_out(&plain, p, strip, row, sum);
}

TILE void tile_pairs(const unsigned nr, const struct linear_job *j, uint32_t p, uint32_t r, uint32_t from, uint32_t n,
                     vb w[PAIR_STRETCH][PANEL_STRIPS])
{
    const uint8_t *act = (const uint8_t *)j->act + r * j->act_stride + (size_t)from * 4;
    vf             sum[PANEL_STRIPS][PAIR_ROWS];
    UNROLL for (unsigned i = 0; i < nr; i++)
        UNROLL for (unsigned s = 0; s < PANEL_STRIPS; s++)
            sum[s][i] = from ? sum_so_far(j, p, s, r + i) : vf_set(0);
    for (uint32_t k = 0; k < n; k++)
        UNROLL for (unsigned i = 0; i < nr; i++) {
            int32_t two;
            memcpy(&two, act + i * j->act_stride + (size_t)k * 4, sizeof two);
            UNROLL for (unsigned s = 0; s < PANEL_STRIPS; s++)
                sum[s][i] = vf_dot_pairs(sum[s][i], w[k][s], vi_set(two));
        }
    bool last = 2 * (from + n) >= j->in;
    UNROLL for (unsigned i = 0; i < nr; i++)
        UNROLL for (unsigned s = 0; s < PANEL_STRIPS; s++) {
            if (last)
                columns_out(j, p, s, r + i, sum[s][i]);
            else
                sum_keep(j, p, s, r + i, sum[s][i]);
        }
}

static void linear_pairs_BF16(const struct linear_job *j)
{
    uint32_t all = (j->in + 1) / 2;
    vb       w[PAIR_STRETCH][PANEL_STRIPS];
    for (uint32_t p = 0; p < j->n_panel; p++)
        for (uint32_t from = 0, n; from < all; from += n) {
            n = all - from < PAIR_STRETCH ? all - from : PAIR_STRETCH;
            stretch_at(j, p, from, n, w);
            uint32_t r = 0;
            for (; r + 12 <= j->n_row; r += 12)
                tile_pairs(12, j, p, r, from, n, w);
            for (; r + 6 <= j->n_row; r += 6)
                tile_pairs(6, j, p, r, from, n, w);
            for (; r + 2 <= j->n_row; r += 2)
                tile_pairs(2, j, p, r, from, n, w);
            if (r < j->n_row)
                tile_pairs(1, j, p, r, from, n, w);
        }
}

/* n numbers as bf16, zeroes behind them up to a multiple of sixteen. */
static void row_halve(const float *x, uint32_t n, uint16_t *out)
{
    for (uint32_t i = 0; i < n; i += 16)
        vf_store_bf16((uint8_t *)(out + i), vf_load_n(x + i, n - i < 16 ? n - i : 16));
}

#endif
