/* linear.inc.h -- panels times rows, for the lanes included before.
 *
 * FAST: the dot product of a group is whole numbers, hence exact; one mad a group (two with minima or halves) goes into
 * one f32 sum an element, groups in rising order.  EXACT and unquantised weights: codes become floats in registers; even
 * and odd positions go into a sum each.  Tiles of any size do just that, so the number of rows changes no bit.
 *
 * `f` is a constant wherever these functions are inlined: the branches on it vanish. */
#ifndef BACKEND_CPU_LINEAR_INC_H
#define BACKEND_CPU_LINEAR_INC_H

#include "backend/cpu/kernels.h"

static const struct panel_layout layout_of[FORMAT_COUNT] = {
#define PANEL(format, quants, scales, tops, offset, minimum, halves) \
    [FORMAT_##format] = {quants, scales, tops, offset, minimum, halves},
#include "backend/cpu/panels.def"
#undef PANEL
};

/* One group of a panel: the codes of 16 rows, four numbers a vector; scales (of both halves) and minima. */
struct group {
    vb codes[8];
    vf d, d2, m;
};

LANE void codes_at(const enum format f, const uint8_t *q, vb *codes)
{
    const uint32_t quants = layout_of[f].quants;
    if (quants == 512) {
        UNROLL for (int s = 0; s < 8; s++)
            codes[s] = vb_load(q + 64 * s);
        return;
    }
    UNROLL for (int x = 0; x < 4; x++) {
        vb both = vb_load(q + 64 * x);
        codes[2 * x] = vb_bits(both, 0, 0x0f);
        codes[2 * x + 1] = vb_bits(both, -4, 0x0f);
    }
    if (quants == 320) {
        vb fifth = vb_load(q + 256);
        UNROLL for (int s = 0; s < 8; s++)
            codes[s] = vb_or(codes[s], vb_bits(fifth, 4 - s, 0x10));
    } else if (quants == 384) {
        UNROLL for (int s = 0; s < 8; s++)
            codes[s] = vb_or(codes[s], vb_bits(vb_load(q + 256 + s / 4 * 64), 4 - s % 4 * 2, 0x30));
    }
}

/* Group g of a panel of n groups. */
LANE void group_at(const enum format f, const uint8_t *panel, size_t n, size_t g, struct group *out)
{
    const struct panel_layout *l = &layout_of[f];
    const uint8_t *scales = panel + n * l->quants + g * l->scales;
    const uint8_t *tops = panel + n * (l->quants + l->scales) + g / 8 * l->tops;
    codes_at(f, panel + g * l->quants, out->codes);
    out->d2 = out->m = vf_set(0);
    if (l->tops == 0) {
        out->d = vf_f16(scales);
        if (l->minimum)
            out->m = vf_f16(scales + 32);
    } else if (l->halves) {
        vf top = vf_f16(tops);
        out->d = vf_mul(top, vf_i8(scales));
        out->d2 = vf_mul(top, vf_i8(scales + 16));
    } else {
        out->d = vf_mul(vf_f16(tops), vf_u8(scales));
        out->m = vf_sub(vf_set(0), vf_mul(vf_f16(tops + 32), vf_u8(scales + 16)));
    }
}

/* What to begin a dot product with, so that the codes' offset is gone in the end; eight = -8 times the sum of q. */
LANE vi dot_begin(const enum format f, int32_t eight)
{
    const uint32_t offset = layout_of[f].quants == 512 ? DOT_OFFSET_128 : layout_of[f].offset;
    return offset == 0 ? vi_set(0) : vi_shl(vi_set(eight), offset == 8 ? 0 : offset == 16 ? 1 : offset == 32 ? 2 : 4);
}

LANE vi dot_slabs(const enum format f, vi sum, const vb *codes, const int8_t *q, const int from, const int to)
{
    UNROLL for (int s = from; s < to; s++)
        sum = layout_of[f].quants == 512 ? vi_dot_wide(sum, codes[s], q + 4 * s) : vi_dot(sum, codes[s], q + 4 * s);
    return sum;
}

/* One group of one panel and one row: what it adds to the sum. */
LANE vf group_add(const enum format f, vf sum, const struct group *w, const struct act_group *a)
{
    vf scale = vf_set(a->scale);
    if (layout_of[f].halves) {
        vi low = dot_slabs(f, dot_begin(f, a->low8), w->codes, a->q, 0, 4);
        vi high = dot_slabs(f, dot_begin(f, a->all8 - a->low8), w->codes, a->q, 4, 8);
        sum = vf_mad(vf_mul(vf_from(low), scale), w->d, sum);
        return vf_mad(vf_mul(vf_from(high), scale), w->d2, sum);
    }
    vi dot = dot_slabs(f, dot_begin(f, a->all8), w->codes, a->q, 0, 8);
    sum = vf_mad(vf_mul(vf_from(dot), scale), w->d, sum);
    return layout_of[f].minimum ? vf_mad(vf_set(a->sum), w->m, sum) : sum;
}

LANE void columns_out(const struct linear_job *j, uint32_t panel, uint32_t row, vf sum)
{
    uint32_t at = panel * PANEL_ROWS, n = j->n_out - at;
    float   *out = j->out + row * j->out_stride + at;
    if (n >= PANEL_ROWS) {
        vf_store(out, j->bias ? vf_add(sum, vf_load(j->bias + at)) : sum);
        return;
    }
    vf_store_n(out, j->bias ? vf_add(sum, vf_load_n(j->bias + at, n)) : sum, n);
}

#ifdef TILE_FAST         /* these lanes have a tile of their own */
#include TILE_FAST
#else
/* np panels from panel p on and nr rows from row r on.  The second panel may be the first again (an odd one out). */
TILE void tile_fast(const enum format f, const unsigned np, const unsigned nr, const struct linear_job *j, uint32_t p, uint32_t r)
{
    const uint8_t *first = j->panel + p * j->panel_bytes;
    const bool     pair = p + 1 < j->n_panel;
    const uint8_t *panel[2] = {first, pair ? first + j->panel_bytes : first};
    const uint8_t *act = (const uint8_t *)j->act + r * j->act_stride;
    const size_t   n = j->in / GROUP;
    vf             sum[2][8];
    UNROLL for (unsigned i = 0; i < nr; i++)
        sum[0][i] = sum[1][i] = vf_set(0);
    for (size_t g = 0; g < n; g++) {
        struct group w[2];
        UNROLL for (unsigned k = 0; k < np; k++) {
            group_at(f, panel[k], n, g, &w[k]);
            UNROLL for (unsigned x = 0; x < layout_of[f].quants; x += 64)
                fetch_ahead(panel[k] + g * layout_of[f].quants + x + 4096);
        }
        UNROLL for (unsigned i = 0; i < nr; i++) {
            const struct act_group *a = (const void *)(act + i * j->act_stride + g * sizeof *a);
            UNROLL for (unsigned k = 0; k < np; k++)
                sum[k][i] = group_add(f, sum[k][i], &w[k], a);
        }
    }
    UNROLL for (unsigned i = 0; i < nr; i++) {
        columns_out(j, p, r + i, sum[0][i]);
        if (np == 2 && pair)
            columns_out(j, p + 1, r + i, sum[1][i]);
    }
}
#endif

/* Rows of a tile when `left` rows are left: as few tiles as possible, of about one size. */
LANE uint32_t tile_rows(uint32_t left)
{
    uint32_t n = (left + TILE_ROWS - 1) / TILE_ROWS;
    return (left + n - 1) / n;
}

TILE void linear_fast(const enum format f, const struct linear_job *j)
{
    if (j->n_row == 1) {
        for (uint32_t p = 0; p < j->n_panel; p++)
            tile_fast(f, 1, 1, j, p, 0);
        return;
    }
    for (uint32_t p = 0; p < j->n_panel; p += TILE_PANELS)
        for (uint32_t r = 0, n; r < j->n_row; r += n) {
            n = tile_rows(j->n_row - r);
            if (n == 1)
                tile_fast(f, TILE_PANELS, 1, j, p, r);
            else if (n == 2)
                tile_fast(f, TILE_PANELS, 2, j, p, r);
            else if (n == 3)
                tile_fast(f, TILE_PANELS, 3, j, p, r);
            else if (n == 4)
                tile_fast(f, TILE_PANELS, 4, j, p, r);
            else if (TILE_ROWS >= 5 && n == 5)
                tile_fast(f, TILE_PANELS, 5, j, p, r);
            else if (TILE_ROWS >= 6)
                tile_fast(f, TILE_PANELS, 6, j, p, r);
        }
}

enum { EXACT_ROWS = 4 };

TILE void tile_quantised(const enum format f, const unsigned nr, const struct linear_job *j, uint32_t p, uint32_t r)
{
    const uint8_t *panel = j->panel + p * j->panel_bytes;
    const float   *act = (const float *)j->act + r * (j->act_stride / sizeof(float));
    const size_t   n = j->in / GROUP;
    const vf       offset = vf_set((float)layout_of[f].offset);
    vf             sum[2][EXACT_ROWS];
    UNROLL for (unsigned i = 0; i < nr; i++)
        sum[0][i] = sum[1][i] = vf_set(0);
    for (size_t g = 0; g < n; g++) {
        struct group w;
        group_at(f, panel, n, g, &w);
        for (unsigned s = 0; s < 8; s++)
            UNROLL for (unsigned b = 0; b < 4; b++) {
                vf d = layout_of[f].halves && s >= 4 ? w.d2 : w.d, code = vf_from(vi_byte(w.codes[s], (int)b));
                vf x = layout_of[f].minimum ? vf_mad(code, d, w.m) : vf_mul(vf_sub(code, offset), d);
                UNROLL for (unsigned i = 0; i < nr; i++)
                    sum[b % 2][i] = vf_mad(vf_set(act[i * (j->act_stride / sizeof(float)) + g * GROUP + s * 4 + b]), x,
                                           sum[b % 2][i]);
            }
    }
    UNROLL for (unsigned i = 0; i < nr; i++)
        columns_out(j, p, r + i, vf_add(sum[0][i], sum[1][i]));
}

LANE vf plain_at(const enum format f, const uint8_t *panel, size_t k)
{
    if (f == FORMAT_F32)
        return vf_load((const float *)(const void *)panel + k * PANEL_ROWS);
    return f == FORMAT_F16 ? vf_f16(panel + k * PANEL_ROWS * 2) : vf_bf16(panel + k * PANEL_ROWS * 2);
}

TILE void tile_plain(const enum format f, const unsigned nr, const struct linear_job *j, uint32_t p, uint32_t r)
{
    const uint8_t *panel = j->panel + p * j->panel_bytes;
    const size_t   stride = j->act_stride / sizeof(float);
    const float   *act = (const float *)j->act + r * stride;
    vf             sum[2][EXACT_ROWS];
    UNROLL for (unsigned i = 0; i < nr; i++)
        sum[0][i] = sum[1][i] = vf_set(0);
    uint32_t k = 0;
    for (; k + 2 <= j->in; k += 2)
        UNROLL for (unsigned b = 0; b < 2; b++) {
            vf x = plain_at(f, panel, k + b);
            UNROLL for (unsigned i = 0; i < nr; i++)
                sum[b][i] = vf_mad(vf_set(act[i * stride + k + b]), x, sum[b][i]);
        }
    if (k < j->in)
        UNROLL for (unsigned i = 0; i < nr; i++)
            sum[0][i] = vf_mad(vf_set(act[i * stride + k]), plain_at(f, panel, k), sum[0][i]);
    UNROLL for (unsigned i = 0; i < nr; i++)
        columns_out(j, p, r + i, vf_add(sum[0][i], sum[1][i]));
}

TILE void tile_exact(const enum format f, const unsigned nr, const struct linear_job *j, uint32_t p, uint32_t r)
{
    if (layout_of[f].quants)
        tile_quantised(f, nr, j, p, r);
    else
        tile_plain(f, nr, j, p, r);
}

TILE void linear_exact(const enum format f, const struct linear_job *j)
{
    for (uint32_t p = 0; p < j->n_panel; p++)
        for (uint32_t r = 0; r < j->n_row; r += EXACT_ROWS) {
            uint32_t n = j->n_row - r;
            if (n == 1)
                tile_exact(f, 1, j, p, r);
            else if (n == 2)
                tile_exact(f, 2, j, p, r);
            else if (n == 3)
                tile_exact(f, 3, j, p, r);
            else
                tile_exact(f, 4, j, p, r);
        }
}

#define PANEL(format, ...) \
    static void linear_fast_##format(const struct linear_job *j) { linear_fast(FORMAT_##format, j); }
#include "backend/cpu/panels.def"
#undef PANEL

#define FORMAT(format, ...) \
    static void linear_exact_##format(const struct linear_job *j) { linear_exact(FORMAT_##format, j); }
#include "base/formats.def"
#undef FORMAT

#endif
