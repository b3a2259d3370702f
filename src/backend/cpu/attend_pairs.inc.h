/* attend_pairs.inc.h -- attention over pairs, for lanes that multiply those of bf16: two products an instruction, and no
 * conversions, or of bytes, which bf16 holds exactly.  Queries and weights are rounded to bf16 too, sums are f32.  A pair is two
 * dimensions of a key and a query, or two tokens' values and weights, at even places: so a row's arithmetic does not depend on
 * what else is computed. */
#ifndef BACKEND_CPU_ATTEND_PAIRS_INC_H
#define BACKEND_CPU_ATTEND_PAIRS_INC_H

LANE size_t key_pair_at(const struct kv_layout *l, uint32_t t, uint32_t i)
{
    return ((size_t)t / 16 * l->dim + i / 2 * 2) * 16 + t % 16 * 2 + i % 2;
}

/* Number i of the value of token t; its stripe is `width` dimensions wide. */
LANE size_t value_pair_at(const struct kv_layout *l, uint32_t t, uint32_t i)
{
    uint32_t first = i / VALUE_STRIPE * VALUE_STRIPE, left = l->dim - first, width = left < VALUE_STRIPE ? left : VALUE_STRIPE;
    return (size_t)first * l->n_slot + (size_t)t / 2 * 2 * width + (i - first) * 2 + t % 2;
}

LANE void append_pairs(const struct kv_layout *l, uint8_t *head, uint32_t slot, const float *k, const float *v)
{
    uint16_t *key = (uint16_t *)(void *)head, *value = key + (size_t)round16(l->n_slot) * l->dim;
    uint32_t  dim = l->dim;
    for (uint32_t i = 0; i < dim; i += 16) {
        unsigned n = dim - i < 16 ? dim - i : 16;
        uint16_t a[16], b[16];
        vf_store_bf16((uint8_t *)a, vf_load_n(k + i, n));
        vf_store_bf16((uint8_t *)b, vf_load_n(v + i, n));
        for (unsigned x = 0; x < n; x++) {
            key[key_pair_at(l, slot, i + x)] = a[x];
            value[value_pair_at(l, slot, i + x)] = b[x];
        }
    }
}

/* dim numbers of a query as dim / 2 pairs. */
LANE void query_pairs(const float *q, uint32_t dim, uint32_t *out)
{
    for (uint32_t i = 0; i < dim; i += 16)
        vf_store_bf16((uint8_t *)(out + i / 2), vf_load_n(q + i, dim - i < 16 ? dim - i : 16));
}

/* n pairs. */
LANE vb pairs_load(const uint8_t *p, unsigned n, const enum kv_kind kind)
{
    if (kind == KV_INT8_PAIRS)
        return vb_bf16_from_i8(p, n);
    return n == 16 ? vb_load(p) : vb_load_n(p, n);
}

/* Scores of nr rows against 16 tokens: every other pair of dimensions summed apart. */
TILE void scores_of_pairs(const unsigned nr, const struct attend_job *j, const struct attend_row *row, const uint8_t *keys,
                          ptrdiff_t next, const enum kv_kind kind, vf *score)
{
    const size_t each = 32 * kv_number_bytes(kind);
    vf       s[2][ATTEND_ROWS];
    uint32_t n = j->kv.dim / 2, i = 0;
    UNROLL for (unsigned r = 0; r < nr; r++)
        s[0][r] = s[1][r] = vf_set(0);
    for (; i + 2 <= n; i += 2) {
        vb even = pairs_load(keys + i * each, 16, kind), odd = pairs_load(keys + (i + 1) * each, 16, kind);
        __builtin_prefetch(keys + next + i * each);
        if (each == 64)
            __builtin_prefetch(keys + next + (i + 1) * each);
        UNROLL for (unsigned r = 0; r < nr; r++) {
            s[0][r] = vf_dot_pairs(s[0][r], even, vi_set((int32_t)row[r].pairs[i]));
            s[1][r] = vf_dot_pairs(s[1][r], odd, vi_set((int32_t)row[r].pairs[i + 1]));
        }
    }
    if (i < n)
        UNROLL for (unsigned r = 0; r < nr; r++)
            s[0][r] = vf_dot_pairs(s[0][r], pairs_load(keys + i * each, 16, kind), vi_set((int32_t)row[r].pairs[i]));
    UNROLL for (unsigned r = 0; r < nr; r++)
        score[r] = vf_mul(vf_add(s[0][r], s[1][r]), vf_set(j->scale));
}

/* The weights of a row's tile, floats in place of which they become bf16. */
LANE void weights_to_pairs(float *weight, uint32_t from, uint32_t to)
{
    for (uint32_t t = from; t < to; t += 16)
        vf_store_bf16((uint8_t *)weight + (size_t)t * 2, vf_load(weight + t));
}

/* values_of() for pairs.  Where the last token has no partner, what lies in its place counts as zero. */
TILE void values_of_pairs(const unsigned nr, const unsigned nd, const struct attend_job *j, const struct attend_row *row,
                          const float *by, const uint8_t *values, ptrdiff_t next, uint32_t from, uint32_t to, uint32_t i,
                          unsigned n, const enum kv_kind kind)
{
    const uint32_t slots = round16(j->kv.n_slot);
    const size_t   each = kv_number_bytes(kind);
    vf             o[ATTEND_ROWS][2];
    UNROLL for (unsigned r = 0; r < nr; r++)
        UNROLL for (unsigned d = 0; d < nd; d++)
            o[r][d] = vf_mul(nd == 2 ? vf_load(row[r].out + i + 16 * d) : vf_load_n(row[r].out + i, n), vf_set(by[r]));
    for (uint32_t t = from / 2 * 2; t < to; t += 2) {
        const uint8_t *at = values + value_pair_at(&j->kv, t, i) * each;
        UNROLL for (unsigned d = 0; d < nd; d++) {
            vb v = pairs_load(at + 32 * each * d, n, kind);
            __builtin_prefetch(at + next + 32 * each * d);
            if (t + 1 == to)
                v = vb_low_halves(v);
            UNROLL for (unsigned r = 0; r < nr; r++) {
                int32_t two;
                memcpy(&two, (const uint8_t *)(j->scratch + r * slots) + (size_t)t * 2, sizeof two);
                o[r][d] = vf_dot_pairs(o[r][d], v, vi_set(two));
            }
        }
    }
    UNROLL for (unsigned r = 0; r < nr; r++)
        UNROLL for (unsigned d = 0; d < nd; d++) {
            if (nd == 2)
                vf_store(row[r].out + i + 16 * d, o[r][d]);
            else
                vf_store_n(row[r].out + i, o[r][d], n);
        }
}

#endif
