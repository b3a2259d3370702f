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
#define PANEL(format, quants, scales, tops, offset, minimum, halves, as, codes) \
    [FORMAT_##format] = {quants, scales, tops, offset, minimum, halves, AS_##as, CODES_##codes},
#include "backend/cpu/panels.def"
#undef PANEL
};

static const uint8_t e2m1_doubled[16] = E2M1_DOUBLED;

enum { TILE_ROWS_MAX = 8 };

/* One group of a strip: where its codes lie; scales (of both halves) and minima of its 16 rows. */
struct group {
    const uint8_t *codes, *more;
    vf             d, d2, m;
};

LANE struct panel_place place_of(const enum format f, const struct linear_job *j, size_t g, const unsigned strip)
{
    const struct panel_layout *l = &layout_of[f];
    return l->as == AS_GIVEN ? panel_place_given(l, &j->scales, g, strip) : panel_place(l, g, strip);
}

/* Scales and minima where the checkpoint says how wide they are: the branches always go the same way. */
LANE void scales_given(const struct linear_job *j, const uint8_t *scales, struct group *out)
{
    if (j->scales.as == FORMAT_BF16) {
        out->d = vf_bf16(scales);
        out->m = vf_bf16(scales + 32);
    } else if (j->scales.as == FORMAT_F16) {
        out->d = vf_f16(scales);
        out->m = vf_f16(scales + 32);
    } else {
        out->d = vf_load((const float *)(const void *)scales);
        out->m = vf_load((const float *)(const void *)(scales + 64));
    }
}

/* Group g of a panel's strip. */
LANE void group_at(const enum format f, const struct linear_job *j, const uint8_t *panel, size_t g, const unsigned strip,
                   struct group *out)
{
    const struct panel_layout *l = &layout_of[f];
    const struct panel_place   at = place_of(f, j, g, strip);
    const uint8_t             *scales = panel + at.scales, *tops = panel + at.tops;
    out->codes = panel + at.codes;
    out->more = panel + at.more;
    out->d2 = out->m = vf_set(0);
    if (l->as == AS_GIVEN) {
        scales_given(j, scales, out);
    } else if (l->as == AS_BF16) {
        out->d = vf_bf16(scales);
        if (l->halves)
            out->d2 = vf_bf16(scales + 32);
    } else if (l->tops == 0) {
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

/* The codes of numbers 8x to 8x + 7 of a group, four a vector. */
LANE void codes_at(const enum format f, const struct group *w, const int x, vb two[2])
{
    const struct panel_layout *l = &layout_of[f];
    const uint8_t             *q = w->codes + (size_t)x * panel_place(l, 0, 0).codes_step;
    if (l->quants == 512) {
        two[0] = vb_load(q);
        two[1] = vb_load(q + 64);
        return;
    }
    vb both = vb_load(q);
    two[0] = vb_bits(both, 0, 0x0f);
    two[1] = vb_bits(both, -4, 0x0f);
    UNROLL for (int i = 0, s = 2 * x; i < 2; i++, s++) {
        if (l->quants == 320)
            two[i] = vb_or(two[i], vb_bits(vb_load(w->more), 4 - s, 0x10));
        else if (l->quants == 384)
            two[i] = vb_or(two[i], vb_bits(vb_load(w->more + s / 4 * 64), 4 - s % 4 * 2, 0x30));
        else if (l->codes == CODES_E2M1)
            two[i] = vb_find(two[i], e2m1_doubled);
    }
}

/* What to begin a dot product with, so that the codes' offset is gone in the end; eight = -8 times the sum of q. */
LANE vi dot_begin(const enum format f, int32_t eight)
{
    const uint32_t offset = layout_of[f].quants == 512 ? DOT_OFFSET_128 : layout_of[f].offset;
    if (layout_of[f].quants == 512 && layout_of[f].offset == 0)     /* whole bytes without an offset: the lanes' goes */
        return DOT_OFFSET_128 == 0 ? vi_set(-16 * eight) : vi_set(0);
    if (offset == 12)
        return vi_set(eight + eight / 2);
    return offset == 0 ? vi_set(0) : vi_shl(vi_set(eight), offset == 8 ? 0 : offset == 16 ? 1 : offset == 32 ? 2 : 4);
}

LANE vi dot_codes(const enum format f, vi sum, vb codes, const int8_t *q)
{
    return layout_of[f].quants == 512 ? vi_dot_wide(sum, codes, q) : vi_dot(sum, codes, q);
}

/* Lines from .. to - 1 of a group of np strips, times nr rows.  Only a line's codes are in registers at a time, so that the
 * sums stay there. */
LANE void dot_lines(const enum format f, const unsigned np, const unsigned nr, const struct group *w,
                    const struct act_group *const *a, vi dot[PANEL_STRIPS][TILE_ROWS_MAX], const int from, const int to)
{
    UNROLL for (int x = from; x < to; x++) {
        vb codes[2][2];
        UNROLL for (unsigned k = 0; k < np; k++)
            codes_at(f, &w[k], x, codes[k]);
        UNROLL for (unsigned h = 0; h < 2; h++)
            UNROLL for (unsigned i = 0; i < nr; i++)
                UNROLL for (unsigned k = 0; k < np; k++)
                    dot[k][i] = dot_codes(f, dot[k][i], codes[k][h], a[i]->q + 8 * x + 4 * h);
    }
}

/* One group of np strips and nr rows: what it adds to the sums. */
LANE void group_add(const enum format f, const unsigned np, const unsigned nr, const struct group *w,
                    const struct act_group *const *a, vf sum[PANEL_STRIPS][TILE_ROWS_MAX])
{
    const int halves = layout_of[f].halves ? 2 : 1;
    UNROLL for (int h = 0; h < halves; h++) {
        vi dot[PANEL_STRIPS][TILE_ROWS_MAX];
        UNROLL for (unsigned i = 0; i < nr; i++)
            dot[0][i] = dot[1][i] = dot_begin(f, halves == 1 ? a[i]->all8 : h == 0 ? a[i]->low8 : a[i]->all8 - a[i]->low8);
        dot_lines(f, np, nr, w, a, dot, h * 2, halves == 1 ? 4 : h * 2 + 2);
        UNROLL for (unsigned i = 0; i < nr; i++)
            UNROLL for (unsigned k = 0; k < np; k++)
                sum[k][i] = vf_mad(vf_mul(vf_from(dot[k][i]), vf_set(a[i]->scale)), h ? w[k].d2 : w[k].d, sum[k][i]);
    }
    if (layout_of[f].minimum)
        UNROLL for (unsigned i = 0; i < nr; i++)
            UNROLL for (unsigned k = 0; k < np; k++)
                sum[k][i] = vf_mad(vf_set(a[i]->sum), w[k].m, sum[k][i]);
}

LANE void columns_out(const struct linear_job *j, uint32_t panel, unsigned strip, uint32_t row, vf sum)
{
    uint32_t at = panel * PANEL_ROWS + strip * STRIP_ROWS;
    if (at >= j->n_out)
        return;
    uint32_t n = j->n_out - at;
    float   *out = j->out + row * j->out_stride + at;
    if (n >= STRIP_ROWS) {
        vf_store(out, j->bias ? vf_add(sum, vf_load(j->bias + at)) : sum);
        return;
    }
    vf_store_n(out, j->bias ? vf_add(sum, vf_load_n(j->bias + at, n)) : sum, n);
}

/* What a tile brings into the second-level cache beside its work: `lines` cache lines a group from address `at` on, which may
 * lie behind all weights. */
struct ahead {
    uintptr_t at;
    uint32_t  lines;
};

LANE void fetch_lines(const struct ahead *next, size_t g)
{
    uintptr_t at = next->at + g * next->lines * 64;
    for (uint32_t i = 0; i < next->lines; i++, at += 64)
        __builtin_prefetch((const void *)at, 0, 2);
}

#ifdef TILE_FAST         /* these lanes have a tile of their own */
#include TILE_FAST
#else
/* np strips, from strip `first` on, of panel p, times nr rows from row r on. */
TILE void tile_fast(const enum format f, const unsigned np, const unsigned nr, const struct linear_job *j, uint32_t p,
                    const unsigned first, uint32_t r, const struct ahead *next)
{
    const uint8_t *panel = j->panel + p * j->panel_bytes, *act = (const uint8_t *)j->act + r * j->act_stride;
    const size_t   n = j->in / GROUP;
    vf             sum[PANEL_STRIPS][TILE_ROWS_MAX];
    UNROLL for (unsigned i = 0; i < nr; i++)
        sum[0][i] = sum[1][i] = vf_set(0);
    for (size_t g = 0; g < n; g++) {
        struct group            w[PANEL_STRIPS];
        const struct act_group *a[TILE_ROWS_MAX];
        UNROLL for (unsigned i = 0; i < nr; i++)
            a[i] = (const void *)(act + i * j->act_stride + g * sizeof *a[i]);
        UNROLL for (unsigned k = 0; k < np; k++)
            group_at(f, j, panel, g, first + k, &w[k]);
        fetch_lines(next, g);
        group_add(f, np, nr, w, a, sum);
    }
    UNROLL for (unsigned i = 0; i < nr; i++)
        UNROLL for (unsigned k = 0; k < np; k++)
            columns_out(j, p, first + k, r + i, sum[k][i]);
}
#endif

/* Rows of a tile when `left` rows are left: as few tiles as possible, of about one size. */
LANE uint32_t tile_rows(uint32_t left)
{
    uint32_t n = (left + TILE_ROWS - 1) / TILE_ROWS;
    return (left + n - 1) / n;
}

TILE void tile_fast_any(const enum format f, uint32_t nr, const struct linear_job *j, uint32_t p, const unsigned first,
                        uint32_t r, const struct ahead *next)
{
    if (nr == 1)
        tile_fast(f, TILE_STRIPS, 1, j, p, first, r, next);
    else if (nr == 2)
        tile_fast(f, TILE_STRIPS, 2, j, p, first, r, next);
    else if (nr == 3)
        tile_fast(f, TILE_STRIPS, 3, j, p, first, r, next);
    else if (nr == 4)
        tile_fast(f, TILE_STRIPS, 4, j, p, first, r, next);
    else if (TILE_ROWS >= 5 && nr == 5)
        tile_fast(f, TILE_STRIPS, 5, j, p, first, r, next);
    else if (TILE_ROWS >= 6)
        tile_fast(f, TILE_STRIPS, 6, j, p, first, r, next);
}

/* Panel p times all rows.  Its tiles bring in the panel after it, each its share: the machine's own prefetching does not see
 * past the end of one that is read several times, and all at once would have to wait for memory. */
TILE void panel_fast(const enum format f, const struct linear_job *j, uint32_t p)
{
    const uint32_t tiles = (j->n_row + TILE_ROWS - 1) / TILE_ROWS * (PANEL_STRIPS / TILE_STRIPS), n = j->in / GROUP;
    const size_t   all = (size_t)64 * tiles * n;
    struct ahead   next = {(uintptr_t)(p + 1 < j->n_panel ? j->panel + (p + 1) * j->panel_bytes : j->next), 0};
    if (next.at)
        next.lines = (uint32_t)((j->panel_bytes + all - 1) / all);
    for (unsigned strip = 0; strip < PANEL_STRIPS; strip += TILE_STRIPS)
        for (uint32_t r = 0, rows; r < j->n_row; r += rows) {
            rows = tile_rows(j->n_row - r);
            tile_fast_any(f, rows, j, p, strip, r, &next);
            next.at += (size_t)n * next.lines * 64;
        }
}

/* How far ahead of a single row weights are fetched: measured, 4 and 16 KB are slower. */
enum { AHEAD_BYTES = 8192 };

/* A single row takes whole panels, as a panel is one stream of memory.  The machine's own prefetching stops at the end of every
 * page, so the stream is fetched ahead, and in the end what comes next. */
TILE void linear_fast(const enum format f, const struct linear_job *j)
{
    for (uint32_t p = 0; p < j->n_panel; p++) {
        if (j->n_row > 1) {
            panel_fast(f, j, p);
            continue;
        }
        struct ahead next = {(uintptr_t)j->panel + p * j->panel_bytes + AHEAD_BYTES,
                             (layout_of[f].quants + layout_of[f].scales) * PANEL_STRIPS / 64};
        if (p + 1 == j->n_panel && j->next)
            next = (struct ahead){(uintptr_t)j->next, next.lines + 1};
        tile_fast(f, PANEL_STRIPS, 1, j, p, 0, 0, &next);
    }
}

enum { EXACT_ROWS = 4 };

/* What a code stands for, but for its offset. */
LANE vf code_value(const enum format f, vb codes, const int byte)
{
    vi code = vi_byte(codes, byte);
    return layout_of[f].codes == CODES_E4M3 ? vf_e4m3(code) : vf_from(code);
}

TILE void tile_quantised(const enum format f, const unsigned nr, const struct linear_job *j, uint32_t p, const unsigned strip,
                         uint32_t r)
{
    const uint8_t *panel = j->panel + p * j->panel_bytes;
    const size_t   stride = j->act_stride / sizeof(float), n = j->in / GROUP;
    const float   *act = (const float *)j->act + r * stride;
    const vf       offset = vf_set((float)layout_of[f].offset);
    vf             sum[2][EXACT_ROWS];
    UNROLL for (unsigned i = 0; i < nr; i++)
        sum[0][i] = sum[1][i] = vf_set(0);
    for (size_t g = 0; g < n; g++) {
        struct group w;
        vb           codes[8];
        group_at(f, j, panel, g, strip, &w);
        UNROLL for (int x = 0; x < 4; x++)
            codes_at(f, &w, x, codes + 2 * x);
        for (unsigned s = 0; s < 8; s++)
            UNROLL for (unsigned b = 0; b < 4; b++) {
                vf d = layout_of[f].halves && s >= 4 ? w.d2 : w.d, code = code_value(f, codes[s], (int)b);
                vf x = layout_of[f].minimum ? vf_mad(code, d, w.m) : vf_mul(vf_sub(code, offset), d);
                UNROLL for (unsigned i = 0; i < nr; i++)
                    sum[b % 2][i] = vf_mad(vf_set(act[i * stride + g * GROUP + s * 4 + b]), x, sum[b % 2][i]);
            }
    }
    UNROLL for (unsigned i = 0; i < nr; i++)
        columns_out(j, p, strip, r + i, vf_add(sum[0][i], sum[1][i]));
}

/* Number k of the rows of a strip. */
LANE vf plain_at(const enum format f, const uint8_t *panel, size_t k, const unsigned strip)
{
    size_t at = k * PANEL_ROWS + strip * STRIP_ROWS;
    if (f == FORMAT_F32)
        return vf_load((const float *)(const void *)panel + at);
    return f == FORMAT_F16 ? vf_f16(panel + at * 2) : vf_bf16(panel + at * 2);
}

TILE void tile_plain(const enum format f, const unsigned nr, const struct linear_job *j, uint32_t p, const unsigned strip,
                     uint32_t r)
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
            vf x = plain_at(f, panel, k + b, strip);
            UNROLL for (unsigned i = 0; i < nr; i++)
                sum[b][i] = vf_mad(vf_set(act[i * stride + k + b]), x, sum[b][i]);
        }
    if (k < j->in)
        UNROLL for (unsigned i = 0; i < nr; i++)
            sum[0][i] = vf_mad(vf_set(act[i * stride + k]), plain_at(f, panel, k, strip), sum[0][i]);
    UNROLL for (unsigned i = 0; i < nr; i++)
        columns_out(j, p, strip, r + i, vf_add(sum[0][i], sum[1][i]));
}

TILE void tile_exact(const enum format f, const unsigned nr, const struct linear_job *j, uint32_t p, const unsigned strip,
                     uint32_t r)
{
    if (layout_of[f].quants)
        tile_quantised(f, nr, j, p, strip, r);
    else
        tile_plain(f, nr, j, p, strip, r);
}

TILE void linear_exact(const enum format f, const struct linear_job *j)
{
    for (uint32_t s = 0; s < j->n_panel * PANEL_STRIPS; s++)
        for (uint32_t r = 0, p = s / PANEL_STRIPS; r < j->n_row; r += EXACT_ROWS) {
            uint32_t n = j->n_row - r, strip = s % PANEL_STRIPS;
            if (n == 1)
                tile_exact(f, 1, j, p, strip, r);
            else if (n == 2)
                tile_exact(f, 2, j, p, strip, r);
            else if (n == 3)
                tile_exact(f, 3, j, p, strip, r);
            else
                tile_exact(f, 4, j, p, strip, r);
        }
}

#define PANEL(format, quants, scales, tops, offset, minimum, halves, as, codes) \
    static void linear_exact_##format(const struct linear_job *j) { linear_exact(FORMAT_##format, j); } \
    FAST_##codes(format)
#define FAST_WHOLE(format) static void linear_fast_##format(const struct linear_job *j) { linear_fast(FORMAT_##format, j); }
#define FAST_E2M1(format)  FAST_WHOLE(format)
#define FAST_E4M3(format)
#include "backend/cpu/panels.def"
#undef PANEL
#undef FAST_WHOLE
#undef FAST_E2M1
#undef FAST_E4M3

static void linear_exact_F32(const struct linear_job *j)
{
    linear_exact(FORMAT_F32, j);
}

static void linear_exact_F16(const struct linear_job *j)
{
    linear_exact(FORMAT_F16, j);
}

static void linear_exact_BF16(const struct linear_job *j)
{
    linear_exact(FORMAT_BF16, j);
}

#ifdef LINEAR_PAIRS             /* these lanes multiply pairs of bf16 */
#include LINEAR_PAIRS
#endif

#endif
