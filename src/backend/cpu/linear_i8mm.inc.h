/* linear_i8mm.inc.h -- two rows of activations at once (SMMLA), for linear_neon.inc.h.
 *
 * One such instruction multiplies two rows of eight numbers with two others: for that, codes of four rows and four numbers
 * are zipped to two rows and eight numbers.  The dot products are of whole numbers, hence to the bit those of
 * row_dots(). */
#ifndef BACKEND_CPU_LINEAR_I8MM_INC_H
#define BACKEND_CPU_LINEAR_I8MM_INC_H

/* The rows of a tile in one group, and as pairs: eight numbers of the one, then of the other, and what their dot products
 * begin with, twice each.  An odd last row is paired with itself, which takes no longer than to do it alone. */
struct rows {
    const struct act_group *a[TILE_ROWS];
    struct pair {
        int8x16_t q[4];
        int32x4_t low, high;
    } pair[TILE_ROWS / 2];
};

LANE void rows_begin(const enum format f, const unsigned nr, struct rows *rows)
{
    UNROLL for (unsigned i = 0; nr > 1 && i < nr; i += 2) {
        const struct act_group *a = rows->a[i], *b = rows->a[i + 1 < nr ? i + 1 : i];
        struct pair *to = &rows->pair[i / 2];
        struct dots  x = dots_begin(f, a), y = dots_begin(f, b);
        UNROLL for (int k = 0; k < 4; k++)
            to->q[k] = vcombine_s8(vld1_s8(a->q + 8 * k), vld1_s8(b->q + 8 * k));
        to->low = vcombine_s32(vget_low_s32(x.low), vget_low_s32(y.low));
        to->high = vcombine_s32(vget_low_s32(x.high), vget_low_s32(y.high));
    }
}

/* The codes of a quarter as pairs of rows, eight numbers each: rows 0 and 1, rows 2 and 3. */
struct zipped {
    int8x16_t first[4], last[4];
};

LANE void zipped_of(const struct quarter *w, struct zipped *out)
{
    UNROLL for (int i = 0; i < 4; i++) {
        int32x4_t x = vreinterpretq_s32_s8(w->codes[2 * i]), y = vreinterpretq_s32_s8(w->codes[2 * i + 1]);
        out->first[i] = vreinterpretq_s8_s32(vzip1q_s32(x, y));
        out->last[i] = vreinterpretq_s8_s32(vzip2q_s32(x, y));
    }
}

/* Numbers 8 * from .. 8 * to - 1 of a pair with a quarter: four dot products of its first row, and of its second. */
LANE void pair_dot(const struct zipped *w, const struct pair *p, int32x4_t begin, const int from, const int to,
                   int32x4_t *first, int32x4_t *second)
{
    int32x4_t x = begin, y = begin;         /* both rows with rows 0 and 1 of the quarter; with rows 2 and 3 */
    UNROLL for (int i = from; i < to; i++) {
        x = vmmlaq_s32(x, p->q[i], w->first[i]);
        y = vmmlaq_s32(y, p->q[i], w->last[i]);
    }
    *first = vreinterpretq_s32_s64(vzip1q_s64(vreinterpretq_s64_s32(x), vreinterpretq_s64_s32(y)));
    *second = vreinterpretq_s32_s64(vzip2q_s64(vreinterpretq_s64_s32(x), vreinterpretq_s64_s32(y)));
}

LANE void rows_add(const enum format f, const unsigned nr, const struct quarter *w, const struct rows *rows,
                   float32x4_t *sum)
{
    struct zipped z;
    if (nr == 1) {
        sum[0] = dots_add(f, sum[0], w, row_dots(f, w, rows->a[0]), rows->a[0]);
        return;
    }
    zipped_of(w, &z);
    UNROLL for (unsigned i = 0; i < nr; i += 2) {
        const struct pair *p = &rows->pair[i / 2];
        struct dots        dot[2] = {0};
        pair_dot(&z, p, p->low, 0, layout_of[f].halves ? 2 : 4, &dot[0].low, &dot[1].low);
        if (layout_of[f].halves)
            pair_dot(&z, p, p->high, 2, 4, &dot[0].high, &dot[1].high);
        sum[i] = dots_add(f, sum[i], w, dot[0], rows->a[i]);
        if (i + 1 < nr)
            sum[i + 1] = dots_add(f, sum[i + 1], w, dot[1], rows->a[i + 1]);
    }
}

#endif
