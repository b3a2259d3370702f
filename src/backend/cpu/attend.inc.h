/* attend.inc.h -- attention over blocks of keys and values, for the lanes included before.
 *
 * A tile is a block.  Sixteen tokens are the lanes of a score, so keys need no sums across lanes; then a softmax that is
 * kept up from tile to tile (Milakov and Gimelshein 2018), tiles at absolute positions in rising order.  Every query row
 * has its own maximum, sum and output, and does the same operations whoever goes beside it. */
#ifndef BACKEND_CPU_ATTEND_INC_H
#define BACKEND_CPU_ATTEND_INC_H

#include "backend/cpu/kernels.h"

#include <stddef.h>

LANE vf kv_load(const uint8_t *p, size_t i, const bool half)
{
    return half ? vf_f16(p + 2 * i) : vf_load((const float *)(const void *)p + i);
}

LANE vf kv_load_n(const uint8_t *p, size_t i, unsigned n, const bool half)
{
    return half ? vf_f16_n(p + 2 * i, n) : vf_load_n((const float *)(const void *)p + i, n);
}

/* Dimension i of slot t among the values of a head: stripes of VALUE_STRIPE dimensions, so that a pass over the tokens
 * reads on and on. */
LANE size_t value_at(const struct kv_layout *l, uint32_t t, uint32_t i)
{
    uint32_t first = i / VALUE_STRIPE * VALUE_STRIPE, left = l->dim - first, width = left < VALUE_STRIPE ? left : VALUE_STRIPE;
    return (size_t)first * l->n_slot + (size_t)t * width + (i - first);
}

static void kv_append(const struct kv_layout *l, uint8_t *head, uint32_t slot, const float *k, const float *v)
{
    size_t   at = (size_t)slot / 16 * l->dim * 16 + slot % 16, values = (size_t)round16(l->n_slot) * l->dim;
    uint32_t dim = l->dim;
    for (uint32_t i = 0; i < dim; i += 16) {
        unsigned n = dim - i < 16 ? dim - i : 16;
        size_t   value = values + value_at(l, slot, i);
        if (l->half) {
            uint16_t *to = (uint16_t *)(void *)head, h[16];
            vf_store_f16_n((uint8_t *)h, vf_load_n(k + i, n), n);
            for (unsigned x = 0; x < n; x++)
                to[at + 16 * (size_t)(i + x)] = h[x];
            vf_store_f16_n((uint8_t *)(to + value), vf_load_n(v + i, n), n);
        } else {
            float *to = (float *)(void *)head;
            for (unsigned x = 0; x < n; x++)
                to[at + 16 * (size_t)(i + x)] = k[i + x];
            memcpy(to + value, v + i, n * sizeof *v);
        }
    }
}

/* What a query row has so far: the largest score, the sum of e^(score - largest); its output lies in the job's `out`. */
struct attend_row {
    const float *q;
    float       *out;
    float        most, sum;
};

/* Scores of nr rows against 16 tokens: even and odd dimensions summed apart.  What lies `next` bytes behind these keys is
 * fetched meanwhile: blocks are too small and too far apart for the machine to guess. */
TILE void scores_of(const unsigned nr, const struct attend_job *j, const struct attend_row *row, const uint8_t *keys,
                    ptrdiff_t next, const bool half, vf *score)
{
    vf       s[2][ATTEND_ROWS];
    uint32_t dim = j->kv.dim, i = 0;
    UNROLL for (unsigned r = 0; r < nr; r++)
        s[0][r] = s[1][r] = vf_set(0);
    for (; i + 2 <= dim; i += 2) {
        vf even = kv_load(keys, (size_t)i * 16, half), odd = kv_load(keys, (size_t)(i + 1) * 16, half);
        __builtin_prefetch(keys + next + (size_t)i * 16 * (half ? 2 : 4));
        UNROLL for (unsigned r = 0; r < nr; r++) {
            s[0][r] = vf_mad(vf_set(row[r].q[i]), even, s[0][r]);
            s[1][r] = vf_mad(vf_set(row[r].q[i + 1]), odd, s[1][r]);
        }
    }
    if (i < dim) {
        vf last = kv_load(keys, (size_t)i * 16, half);
        for (unsigned r = 0; r < nr; r++)
            s[0][r] = vf_mad(vf_set(row[r].q[i]), last, s[0][r]);
    }
    for (unsigned r = 0; r < nr; r++)
        score[r] = vf_mul(vf_add(s[0][r], s[1][r]), vf_set(j->scale));
    for (unsigned r = 0; j->softcap > 0 && r < nr; r++)
        score[r] = softcapped(score[r], vf_set(j->softcap));
}

/* out = out * by + weights * values, nd vectors of dimensions from i on (the last of n lanes). */
TILE void values_of(const unsigned nr, const unsigned nd, const struct attend_job *j, const struct attend_row *row,
                    const float *by, const uint8_t *values, ptrdiff_t next, uint32_t from, uint32_t to, uint32_t i, unsigned n,
                    const bool half)
{
    const uint32_t slots = round16(j->kv.n_slot);
    vf             o[ATTEND_ROWS][2];
    for (unsigned r = 0; r < nr; r++)
        for (unsigned d = 0; d < nd; d++)
            o[r][d] = vf_mul(nd == 2 ? vf_load(row[r].out + i + 16 * d) : vf_load_n(row[r].out + i, n), vf_set(by[r]));
    for (uint32_t t = from; t < to; t++) {
        __builtin_prefetch(values + next + value_at(&j->kv, t, i) * (half ? 2 : 4));
        for (unsigned d = 0; d < nd; d++) {
            size_t at = value_at(&j->kv, t, i) + 16 * d;
            vf     v = nd == 2 ? kv_load(values, at, half) : kv_load_n(values, at, n, half);
            UNROLL for (unsigned r = 0; r < nr; r++)
                o[r][d] = vf_mad(vf_set(j->scratch[r * slots + t]), v, o[r][d]);
        }
    }
    for (unsigned r = 0; r < nr; r++)
        for (unsigned d = 0; d < nd; d++) {
            if (nd == 2)
                vf_store(row[r].out + i + 16 * d, o[r][d]);
            else
                vf_store_n(row[r].out + i, o[r][d], n);
        }
}

/* nr rows that all see slots from .. to - 1 of a block; what is needed soon lies `next` bytes behind it. */
TILE void attend_tile(const unsigned nr, const struct attend_job *j, struct attend_row *row, const uint8_t *head,
                      ptrdiff_t next, uint32_t from, uint32_t to, const bool half)
{
    const uint32_t slots = round16(j->kv.n_slot), dim = j->kv.dim;
    const size_t   each = half ? 2 : 4;
    vf             most[ATTEND_ROWS], score[ATTEND_ROWS];
    UNROLL for (unsigned r = 0; r < nr; r++)
        most[r] = vf_set(row[r].most);
    for (uint32_t t = from / 16 * 16; t < to; t += 16) {
        scores_of(nr, j, row, head + (size_t)t * dim * each, next, half, score);
        UNROLL for (unsigned r = 0; r < nr; r++) {
            score[r] = vf_keep(score[r], from > t ? (int)(from - t) : 0, to - t < 16 ? (int)(to - t) : 16, -INFINITY);
            most[r] = vf_max(score[r], most[r]);
            vf_store(j->scratch + r * slots + t, score[r]);
        }
    }
    float by[16] = {0};             /* what becomes of what was summed under a smaller maximum */
    UNROLL for (unsigned r = 0; r < nr; r++) {
        float largest = vf_most(most[r]);
        by[r] = row[r].most - largest;
        row[r].most = largest;
    }
    vf_store(by, vf_exp(vf_load(by)));
    UNROLL for (unsigned r = 0; r < nr; r++) {
        vf sum = vf_set(0);
        for (uint32_t t = from / 16 * 16; t < to; t += 16) {
            vf p = vf_exp(vf_sub(vf_load(j->scratch + r * slots + t), vf_set(row[r].most)));
            p = vf_keep(p, from > t ? (int)(from - t) : 0, to - t < 16 ? (int)(to - t) : 16, 0);
            vf_store(j->scratch + r * slots + t, p);
            sum = vf_add(sum, p);
        }
        row[r].sum = row[r].sum * by[r] + vf_sum(sum);
    }
    const uint8_t *values = head + (size_t)slots * dim * each;
    uint32_t       i = 0;
    for (; i + 32 <= dim; i += 32)
        values_of(nr, 2, j, row, by, values, next, from, to, i, 16, half);
    for (; i < dim; i += 16)
        values_of(nr, 1, j, row, by, values, next, from, to, i, dim - i < 16 ? dim - i : 16, half);
}

/* Which slots of block b a token at `position` sees; to <= from: none. */
struct seen {
    uint32_t from, to;
};

LANE struct seen seen_in(const struct attend_job *j, uint32_t position, uint32_t b)
{
    uint32_t n = j->kv.n_slot, begin = b * n, first = j->window && position >= j->window ? position - j->window + 1 : 0;
    if (position < begin || first >= begin + n)
        return (struct seen){0, 0};
    return (struct seen){first > begin ? first - begin : 0, position - begin + 1 < n ? position - begin + 1 : n};
}

TILE void attend_tile_any(unsigned nr, const struct attend_job *j, struct attend_row *row, const uint8_t *head,
                          ptrdiff_t next, struct seen s, const bool half)
{
    if (nr == 1)
        attend_tile(1, j, row, head, next, s.from, s.to, half);
    else if (nr == 2)
        attend_tile(2, j, row, head, next, s.from, s.to, half);
    else if (nr == 3)
        attend_tile(3, j, row, head, next, s.from, s.to, half);
    else if (nr == 4)
        attend_tile(4, j, row, head, next, s.from, s.to, half);
    else if (TILE_QUERIES >= 5 && nr == 5)
        attend_tile(5, j, row, head, next, s.from, s.to, half);
    else if (TILE_QUERIES >= 6 && nr == 6)
        attend_tile(6, j, row, head, next, s.from, s.to, half);
    else if (TILE_QUERIES >= 7 && nr == 7)
        attend_tile(7, j, row, head, next, s.from, s.to, half);
    else if (TILE_QUERIES >= 8)
        attend_tile(8, j, row, head, next, s.from, s.to, half);
}

/* What is fetched while block b is worked on: the block after next, and in the end the first ones of the next key head. */
LANE const uint8_t *fetched_at(const struct attend_job *j, uint32_t first, uint32_t b, uint32_t last)
{
    const uint8_t *head = j->state + j->head_at;
    if (b + 2 <= last)
        return head + j->block[b + 2] * j->block_bytes;
    b = first + (b + 1 - last);
    return head + kv_head_bytes(&j->kv) + j->block[b < last ? b : last] * j->block_bytes;
}

/* Query rows first .. first + nr - 1 of the job, heads of a token side by side.  In most tiles all see the same slots and
 * go together; at the edges those that do. */
static void attend_rows(const unsigned nr, const struct attend_job *j, uint32_t first, const bool half)
{
    struct attend_row row[ATTEND_ROWS];
    uint32_t          n_slot = j->kv.n_slot, position[ATTEND_ROWS];
    for (unsigned r = 0; r < nr; r++) {
        uint32_t token = (first + r) / j->share, h = (first + r) % j->share;
        position[r] = j->position + token;
        row[r] = (struct attend_row){j->q + token * j->q_stride + (size_t)h * j->kv.dim,
                                     j->out + token * j->out_stride + (size_t)h * j->kv.dim,
                                     j->sink ? j->sink[h] : -INFINITY, j->sink ? 1 : 0};
        memset(row[r].out, 0, j->kv.dim * sizeof(float));
    }
    uint32_t begin = j->window && position[0] >= j->window ? position[0] - j->window + 1 : 0;
    for (uint32_t b = begin / n_slot, last = position[nr - 1] / n_slot; b <= last; b++) {
        const uint8_t *head = j->state + j->block[b] * j->block_bytes + j->head_at;
        ptrdiff_t      away = fetched_at(j, begin / n_slot, b, last) - head;
        for (unsigned r = 0, n; r < nr; r += n) {
            struct seen s = seen_in(j, position[r], b), next = s;
            for (n = 1; r + n < nr; n++) {
                next = seen_in(j, position[r + n], b);
                if (next.from != s.from || next.to != s.to)
                    break;
            }
            if (s.from < s.to)
                attend_tile_any(n, j, row + r, head, away, s, half);
        }
    }
    for (unsigned r = 0; r < nr; r++)
        for (uint32_t i = 0; i < j->kv.dim; i++)
            row[r].out[i] /= row[r].sum;
}

TILE void attend_job_of(const struct attend_job *j, const bool half)
{
    uint32_t all = j->n_row * j->share;
    for (uint32_t r = 0, n; r < all; r += n) {
        n = all - r < TILE_QUERIES ? all - r : TILE_QUERIES;
        attend_rows(n, j, r, half);
    }
}

static void attend_run(const struct attend_job *j)
{
    if (j->kv.half)
        attend_job_of(j, true);
    else
        attend_job_of(j, false);
}

#endif
