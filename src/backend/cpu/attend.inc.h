/* attend.inc.h -- attention over blocks of keys and values, for the lanes included before.
 *
 * A tile is a block.  Sixteen tokens are the lanes of a score, so keys need no sums across lanes; then a softmax that is
 * kept up from tile to tile (Milakov and Gimelshein 2018), tiles at absolute positions in rising order.  Every query row
 * has its own maximum, sum and output, and does the same operations whoever goes beside it. */
#ifndef BACKEND_CPU_ATTEND_INC_H
#define BACKEND_CPU_ATTEND_INC_H

#include "backend/cpu/kernels.h"

LANE vf kv_load(const uint8_t *p, size_t i, const bool half)
{
    return half ? vf_f16(p + 2 * i) : vf_load((const float *)(const void *)p + i);
}

LANE vf kv_load_n(const uint8_t *p, size_t i, unsigned n, const bool half)
{
    return half ? vf_f16_n(p + 2 * i, n) : vf_load_n((const float *)(const void *)p + i, n);
}

static void kv_append(const struct kv_layout *l, uint8_t *head, uint32_t slot, const float *k, const float *v)
{
    size_t   at = (size_t)slot / 16 * l->dim * 16 + slot % 16, values = (size_t)round16(l->n_slot) * l->dim;
    uint32_t dim = l->dim;
    if (!l->half) {
        float *to = (float *)(void *)head;
        for (uint32_t i = 0; i < dim; i++)
            to[at + 16 * (size_t)i] = k[i];
        memcpy(to + values + (size_t)slot * dim, v, dim * sizeof *v);
        return;
    }
    uint16_t *to = (uint16_t *)(void *)head;
    for (uint32_t i = 0; i < dim; i += 16) {
        uint16_t h[16];
        unsigned n = dim - i < 16 ? dim - i : 16;
        vf_store_f16_n((uint8_t *)h, vf_load_n(k + i, n), n);
        for (unsigned x = 0; x < n; x++)
            to[at + 16 * (size_t)(i + x)] = h[x];
        vf_store_f16_n((uint8_t *)(to + values + (size_t)slot * dim + i), vf_load_n(v + i, n), n);
    }
}

/* What a query row has so far: the largest score, the sum of e^(score - largest); its output lies in the job's `out`. */
struct attend_row {
    const float *q;
    float       *out;
    float        most, sum;
};

/* Scores of nr rows against 16 tokens: even and odd dimensions summed apart. */
TILE void scores_of(const unsigned nr, const struct attend_job *j, const struct attend_row *row, const uint8_t *keys,
                    const bool half, vf *score)
{
    vf       s[2][ATTEND_ROWS];
    uint32_t dim = j->kv.dim, i = 0;
    for (unsigned r = 0; r < nr; r++)
        s[0][r] = s[1][r] = vf_set(0);
    for (; i + 2 <= dim; i += 2) {
        vf even = kv_load(keys, (size_t)i * 16, half), odd = kv_load(keys, (size_t)(i + 1) * 16, half);
        for (unsigned r = 0; r < nr; r++) {
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
}

/* out = out * by + weights * values, nd vectors of dimensions from i on (the last of n lanes). */
TILE void values_of(const unsigned nr, const unsigned nd, const struct attend_job *j, const struct attend_row *row,
                    const float *by, const uint8_t *values, uint32_t from, uint32_t to, uint32_t i, unsigned n, const bool half)
{
    const uint32_t slots = round16(j->kv.n_slot);
    vf             o[ATTEND_ROWS][2];
    for (unsigned r = 0; r < nr; r++)
        for (unsigned d = 0; d < nd; d++)
            o[r][d] = vf_mul(nd == 2 ? vf_load(row[r].out + i + 16 * d) : vf_load_n(row[r].out + i, n), vf_set(by[r]));
    for (uint32_t t = from; t < to; t++)
        for (unsigned d = 0; d < nd; d++) {
            size_t at = (size_t)t * j->kv.dim + i + 16 * d;
            vf     v = nd == 2 ? kv_load(values, at, half) : kv_load_n(values, at, n, half);
            for (unsigned r = 0; r < nr; r++)
                o[r][d] = vf_mad(vf_set(j->scratch[r * slots + t]), v, o[r][d]);
        }
    for (unsigned r = 0; r < nr; r++)
        for (unsigned d = 0; d < nd; d++) {
            if (nd == 2)
                vf_store(row[r].out + i + 16 * d, o[r][d]);
            else
                vf_store_n(row[r].out + i, o[r][d], n);
        }
}

/* nr rows that all see slots from .. to - 1 of a block. */
TILE void attend_tile(const unsigned nr, const struct attend_job *j, struct attend_row *row, const uint8_t *head,
                      uint32_t from, uint32_t to, const bool half)
{
    const uint32_t slots = round16(j->kv.n_slot), dim = j->kv.dim;
    const size_t   each = half ? 2 : 4;
    float          by[ATTEND_ROWS];
    vf             most[ATTEND_ROWS], score[ATTEND_ROWS];
    for (unsigned r = 0; r < nr; r++)
        most[r] = vf_set(row[r].most);
    for (uint32_t t = from / 16 * 16; t < to; t += 16) {
        scores_of(nr, j, row, head + (size_t)t * dim * each, half, score);
        for (unsigned r = 0; r < nr; r++) {
            score[r] = vf_keep(score[r], from > t ? (int)(from - t) : 0, to - t < 16 ? (int)(to - t) : 16, -INFINITY);
            most[r] = vf_max(score[r], most[r]);
            vf_store(j->scratch + r * slots + t, score[r]);
        }
    }
    for (unsigned r = 0; r < nr; r++) {
        float largest = vf_most(most[r]);
        vf    sum = vf_set(0);
        for (uint32_t t = from / 16 * 16; t < to; t += 16) {
            vf p = vf_exp(vf_sub(vf_load(j->scratch + r * slots + t), vf_set(largest)));
            p = vf_keep(p, from > t ? (int)(from - t) : 0, to - t < 16 ? (int)(to - t) : 16, 0);
            vf_store(j->scratch + r * slots + t, p);
            sum = vf_add(sum, p);
        }
        float old[16] = {row[r].most - largest};
        vf_store(old, vf_exp(vf_load(old)));
        by[r] = old[0];
        row[r].sum = row[r].sum * by[r] + vf_sum(sum);
        row[r].most = largest;
    }
    const uint8_t *values = head + (size_t)slots * dim * each;
    uint32_t       i = 0;
    for (; i + 32 <= dim; i += 32)
        values_of(nr, 2, j, row, by, values, from, to, i, 16, half);
    for (; i < dim; i += 16)
        values_of(nr, 1, j, row, by, values, from, to, i, dim - i < 16 ? dim - i : 16, half);
}

TILE void attend_rows(const unsigned nr, const struct attend_job *j, uint32_t position, const float *q, float *out,
                      const bool half)
{
    struct attend_row row[ATTEND_ROWS];
    uint32_t          first = j->window && position >= j->window ? position - j->window + 1 : 0, n_slot = j->kv.n_slot;
    for (unsigned r = 0; r < nr; r++) {
        row[r] = (struct attend_row){q + (size_t)r * j->kv.dim, out + (size_t)r * j->kv.dim, -INFINITY, 0};
        memset(row[r].out, 0, j->kv.dim * sizeof(float));
    }
    for (uint32_t b = first / n_slot; b <= position / n_slot; b++) {
        const uint8_t *head = j->state + j->block[b] * j->block_bytes + j->head_at;
        uint32_t       from = first > b * n_slot ? first - b * n_slot : 0, left = position + 1 - b * n_slot;
        attend_tile(nr, j, row, head, from, left < n_slot ? left : n_slot, half);
    }
    for (unsigned r = 0; r < nr; r++)
        for (uint32_t i = 0; i < j->kv.dim; i++)
            row[r].out[i] /= row[r].sum;
}

TILE void attend_job_of(const struct attend_job *j, const bool half)
{
    for (uint32_t r = 0; r < j->n_row; r++)
        for (uint32_t h = 0, n; h < j->share; h += n) {
            const float *q = j->q + r * j->q_stride + (size_t)h * j->kv.dim;
            float       *out = j->out + r * j->out_stride + (size_t)h * j->kv.dim;
            n = j->share - h < ATTEND_ROWS ? j->share - h : ATTEND_ROWS;
            if (n == 1)
                attend_rows(1, j, j->position + r, q, out, half);
            else if (n == 2)
                attend_rows(2, j, j->position + r, q, out, half);
            else if (n == 3)
                attend_rows(3, j, j->position + r, q, out, half);
            else
                attend_rows(4, j, j->position + r, q, out, half);
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
