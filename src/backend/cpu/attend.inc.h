/* attend.inc.h -- attention over blocks of keys and values, for the lanes included before.
 *
 * A tile is a block.  Sixteen tokens are the lanes of a score, so keys need no sums across lanes; then a softmax that is
 * kept up from tile to tile (Milakov and Gimelshein 2018), tiles at absolute positions in rising order.  Every query row
 * has its own maximum, sum and output, and what goes on beside it changes none of them: rows of one sequence that see a
 * different number of a block's slots go together, as weights of zero add nothing, and rows of other sequences where they
 * see the same slots of the same block, so that a prefix that many have in common is read once for all. */
#ifndef BACKEND_CPU_ATTEND_INC_H
#define BACKEND_CPU_ATTEND_INC_H

#include "backend/cpu/kernels.h"

#include <stddef.h>

LANE vf kv_load(const uint8_t *p, size_t i, const enum kv_kind kind)
{
    return kind == KV_F16 ? vf_f16(p + 2 * i) : vf_load((const float *)(const void *)p + i);
}

LANE vf kv_load_n(const uint8_t *p, size_t i, unsigned n, const enum kv_kind kind)
{
    return kind == KV_F16 ? vf_f16_n(p + 2 * i, n) : vf_load_n((const float *)(const void *)p + i, n);
}

/* Dimension i of slot t among the values of a head: stripes of VALUE_STRIPE dimensions, so that a pass over the tokens
 * reads on and on. */
LANE size_t value_at(const struct kv_layout *l, uint32_t t, uint32_t i)
{
    uint32_t first = i / VALUE_STRIPE * VALUE_STRIPE, left = l->dim - first, width = left < VALUE_STRIPE ? left : VALUE_STRIPE;
    return (size_t)first * l->n_slot + (size_t)t * width + (i - first);
}

/* What a query row has so far: the largest score, the sum of e^(score - largest), its output; and which slots of the block at
 * hand it sees (to <= from: none). */
struct attend_row {
    const float    *q;
    float          *out;
    const uint32_t *pairs;          /* KV_PAIRS: the query */
    float           most, sum;
    uint32_t        from, to;
    const struct attend_token *token;
};

/* Lanes of the 16 slots from t on that are below `end`. */
LANE int lanes_to(uint32_t t, uint32_t end)
{
    return end <= t ? 0 : end - t < 16 ? (int)(end - t) : 16;
}

#ifdef ATTEND_PAIRS             /* these lanes multiply pairs of bf16 */
#include ATTEND_PAIRS
#endif

static void kv_append(const struct kv_layout *l, uint8_t *head, uint32_t slot, const float *k, const float *v)
{
    size_t   at = (size_t)slot / 16 * l->dim * 16 + slot % 16, values = (size_t)round16(l->n_slot) * l->dim;
    uint32_t dim = l->dim;
#ifdef ATTEND_PAIRS
    if (l->kind == KV_PAIRS) {
        append_pairs(l, head, slot, k, v);
        return;
    }
#endif
    for (uint32_t i = 0; i < dim; i += 16) {
        unsigned n = dim - i < 16 ? dim - i : 16;
        size_t   value = values + value_at(l, slot, i);
        if (l->kind == KV_F16) {
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

/* Scores of nr rows against 16 tokens: even and odd dimensions summed apart.  What lies `next` bytes behind these keys is
 * fetched meanwhile: blocks are too small and too far apart for the machine to guess. */
TILE void scores_of(const unsigned nr, const struct attend_job *j, const struct attend_row *row, const uint8_t *keys,
                    ptrdiff_t next, const enum kv_kind kind, vf *score)
{
    vf       s[2][ATTEND_ROWS];
    uint32_t dim = j->kv.dim, i = 0;
    UNROLL for (unsigned r = 0; r < nr; r++)
        s[0][r] = s[1][r] = vf_set(0);
    for (; i + 2 <= dim; i += 2) {
        vf even = kv_load(keys, (size_t)i * 16, kind), odd = kv_load(keys, (size_t)(i + 1) * 16, kind);
        __builtin_prefetch(keys + next + (size_t)i * 16 * kv_number_bytes(kind));
        UNROLL for (unsigned r = 0; r < nr; r++) {
            s[0][r] = vf_mad(vf_set(row[r].q[i]), even, s[0][r]);
            s[1][r] = vf_mad(vf_set(row[r].q[i + 1]), odd, s[1][r]);
        }
    }
    if (i < dim) {
        vf last = kv_load(keys, (size_t)i * 16, kind);
        for (unsigned r = 0; r < nr; r++)
            s[0][r] = vf_mad(vf_set(row[r].q[i]), last, s[0][r]);
    }
    for (unsigned r = 0; r < nr; r++)
        score[r] = vf_mul(vf_add(s[0][r], s[1][r]), vf_set(j->scale));
}

/* out = out * by + weights * values, nd vectors of dimensions from i on (the last of n lanes). */
TILE void values_of(const unsigned nr, const unsigned nd, const struct attend_job *j, const struct attend_row *row,
                    const float *by, const uint8_t *values, ptrdiff_t next, uint32_t from, uint32_t to, uint32_t i, unsigned n,
                    const enum kv_kind kind)
{
    const uint32_t slots = round16(j->kv.n_slot);
    vf             o[ATTEND_ROWS][2];
    for (unsigned r = 0; r < nr; r++)
        for (unsigned d = 0; d < nd; d++)
            o[r][d] = vf_mul(nd == 2 ? vf_load(row[r].out + i + 16 * d) : vf_load_n(row[r].out + i, n), vf_set(by[r]));
    for (uint32_t t = from; t < to; t++) {
        __builtin_prefetch(values + next + value_at(&j->kv, t, i) * kv_number_bytes(kind));
        for (unsigned d = 0; d < nd; d++) {
            size_t at = value_at(&j->kv, t, i) + 16 * d;
            vf     v = nd == 2 ? kv_load(values, at, kind) : kv_load_n(values, at, n, kind);
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

TILE void tile_scores(const unsigned nr, const struct attend_job *j, const struct attend_row *row, const uint8_t *keys,
                      ptrdiff_t next, const enum kv_kind kind, vf *score)
{
#ifdef ATTEND_PAIRS
    if (kind == KV_PAIRS)
        scores_of_pairs(nr, j, row, keys, next, score);
    else
#endif
        scores_of(nr, j, row, keys, next, kind, score);
    for (unsigned r = 0; j->softcap > 0 && r < nr; r++)
        score[r] = softcapped(score[r], vf_set(j->softcap));
}

TILE void tile_values(const unsigned nr, const unsigned nd, const struct attend_job *j, const struct attend_row *row,
                      const float *by, const uint8_t *values, ptrdiff_t next, uint32_t from, uint32_t to, uint32_t i, unsigned n,
                      const enum kv_kind kind)
{
#ifdef ATTEND_PAIRS
    if (kind == KV_PAIRS) {
        values_of_pairs(nr, nd, j, row, by, values, next, from, to, i, n);
        return;
    }
#endif
    values_of(nr, nd, j, row, by, values, next, from, to, i, n, kind);
}

/* nr rows that see slots of a block from a common one on, the last of them the most; what is needed soon lies `next` bytes
 * behind it. */
TILE void attend_tile(const unsigned nr, const struct attend_job *j, struct attend_row *row, const uint8_t *head,
                      ptrdiff_t next, const enum kv_kind kind)
{
    const uint32_t slots = round16(j->kv.n_slot), dim = j->kv.dim, from = row[0].from, to = row[nr - 1].to;
    const size_t   each = kv_number_bytes(kind);
    vf             most[ATTEND_ROWS], score[ATTEND_ROWS];
    UNROLL for (unsigned r = 0; r < nr; r++)
        most[r] = vf_set(row[r].most);
    for (uint32_t t = from / 16 * 16; t < to; t += 16) {
        tile_scores(nr, j, row, head + (size_t)t * dim * each, next, kind, score);
        UNROLL for (unsigned r = 0; r < nr; r++) {
            score[r] = vf_keep(score[r], from > t ? (int)(from - t) : 0, lanes_to(t, row[r].to), -INFINITY);
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
            p = vf_keep(p, from > t ? (int)(from - t) : 0, lanes_to(t, row[r].to), 0);
            vf_store(j->scratch + r * slots + t, p);
            sum = vf_add(sum, p);
        }
#ifdef ATTEND_PAIRS
        if (kind == KV_PAIRS)
            weights_to_pairs(j->scratch + r * slots, from / 16 * 16, to);
#endif
        row[r].sum = row[r].sum * by[r] + vf_sum(sum);
    }
    const uint8_t *values = head + (size_t)slots * dim * each;
    uint32_t       i = 0;
    for (; i + 32 <= dim; i += 32)
        tile_values(nr, 2, j, row, by, values, next, from, to, i, 16, kind);
    for (; i < dim; i += 16)
        tile_values(nr, 1, j, row, by, values, next, from, to, i, dim - i < 16 ? dim - i : 16, kind);
}

TILE void attend_tile_any(unsigned nr, const struct attend_job *j, struct attend_row *row, const uint8_t *head, ptrdiff_t next,
                          const enum kv_kind kind)
{
    if (nr == 1)
        attend_tile(1, j, row, head, next, kind);
    else if (nr == 2)
        attend_tile(2, j, row, head, next, kind);
    else if (nr == 3)
        attend_tile(3, j, row, head, next, kind);
    else if (nr == 4)
        attend_tile(4, j, row, head, next, kind);
    else if (TILE_QUERIES >= 5 && nr == 5)
        attend_tile(5, j, row, head, next, kind);
    else if (TILE_QUERIES >= 6 && nr == 6)
        attend_tile(6, j, row, head, next, kind);
    else if (TILE_QUERIES >= 7 && nr == 7)
        attend_tile(7, j, row, head, next, kind);
    else if (TILE_QUERIES >= 8)
        attend_tile(8, j, row, head, next, kind);
}

/* Which slots of block b the row sees. */
LANE void look_at(const struct attend_job *j, struct attend_row *r, uint32_t b)
{
    uint32_t n = j->kv.n_slot, begin = b * n, first = r->token->from, end = r->token->to;
    r->from = r->to = 0;
    if (end <= begin || first >= begin + n)
        return;
    r->from = first > begin ? first - begin : 0;
    r->to = end - begin < n ? end - begin : n;
}

/* Whether b may go through the tile of block k that a is in. */
LANE bool go_together(const struct attend_row *a, const struct attend_row *b, uint32_t k)
{
    return a->from < a->to && b->from < b->to && a->from == b->from
           && (a->token->block == b->token->block || (a->to == b->to && a->token->block[k] == b->token->block[k]));
}

/* What is fetched while a row's block b is worked on: the block after next, and in the end the first ones of the next key
 * head. */
LANE const uint8_t *fetched_at(const struct attend_job *j, const struct attend_row *r, uint32_t b)
{
    const uint8_t *head = j->state + j->head_at;
    uint32_t       first = r->token->from / j->kv.n_slot, last = (r->token->to - 1) / j->kv.n_slot;
    if (b + 2 <= last)
        return head + r->token->block[b + 2] * j->block_bytes;
    b = first + (b + 1 - last);
    return head + kv_head_bytes(&j->kv) + r->token->block[b < last ? b : last] * j->block_bytes;
}

static void attend_rows(const unsigned nr, const struct attend_job *j, uint32_t first, const enum kv_kind kind)
{
    struct attend_row row[WALK_ROWS];
    const uint32_t    n_slot = j->kv.n_slot;
    uint32_t          begin = UINT32_MAX, end = 0;
    for (unsigned r = 0; r < nr; r++) {
        const struct attend_token *t = &j->token[(first + r) / j->share];
        size_t                     h = (size_t)((first + r) % j->share) * j->kv.dim;
        row[r] = (struct attend_row){.q = t->q + h, .out = t->out + h, .most = j->sink ? j->sink[(first + r) % j->share] : -INFINITY,
                                     .sum = j->sink ? 1 : 0, .token = t};
        memset(row[r].out, 0, j->kv.dim * sizeof(float));
#ifdef ATTEND_PAIRS
        uint32_t *pairs = (uint32_t *)(void *)(j->scratch + ATTEND_ROWS * round16(n_slot)) + r * (round16(j->kv.dim) / 2);
        row[r].pairs = pairs;
        if (kind == KV_PAIRS)
            query_pairs(row[r].q, j->kv.dim, pairs);
#endif
        uint32_t from = t->from / n_slot, last = (t->to - 1) / n_slot;
        begin = from < begin ? from : begin;
        end = last >= end ? last + 1 : end;
    }
    for (uint32_t b = begin; b < end; b++) {
        for (unsigned r = 0; r < nr; r++)
            look_at(j, &row[r], b);
        for (unsigned r = 0, n; r < nr; r += n) {
            for (n = 1; r + n < nr && n < TILE_QUERIES && go_together(&row[r + n - 1], &row[r + n], b); n++)
                ;
            if (row[r].from >= row[r].to)
                continue;
            const uint8_t *head = j->state + row[r].token->block[b] * j->block_bytes + j->head_at;
            attend_tile_any(n, j, row + r, head, fetched_at(j, &row[r], b) - head, kind);
        }
    }
    for (unsigned r = 0; r < nr; r++)
        for (uint32_t i = 0; i < j->kv.dim; i++)
            row[r].out[i] /= row[r].sum;
}

TILE void attend_job_of(const struct attend_job *j, const enum kv_kind kind)
{
    uint32_t all = j->n_token * j->share;
    for (uint32_t r = 0, n; r < all; r += n) {
        n = all - r < WALK_ROWS ? all - r : WALK_ROWS;
        attend_rows(n, j, r, kind);
    }
}

static void attend_run(const struct attend_job *j)
{
    if (j->kv.kind == KV_F32)
        attend_job_of(j, KV_F32);
    else if (j->kv.kind == KV_F16)
        attend_job_of(j, KV_F16);
#ifdef ATTEND_PAIRS
    else
        attend_job_of(j, KV_PAIRS);
#endif
}

#endif
