/* scan.inc.h -- recurrences over a sequence's tokens, for the lanes included before.
 *
 * A job is some channels, or one head, of one sequence: its tokens one after the other, so that where a run begins changes
 * no bit.  A head's state stays in the nearest cache meanwhile. */
#ifndef BACKEND_CPU_SCAN_INC_H
#define BACKEND_CPU_SCAN_INC_H

#include "backend/cpu/kernels.h"

/* n <= 16 channels from `at` on. */
static void conv_lanes(const struct conv_job *j, uint32_t at, unsigned n)
{
    vf    tap[CONV_TAPS_MAX], past[CONV_TAPS_MAX], bias = j->bias ? vf_load_n(j->bias + at, n) : vf_set(0);
    float w[16] = {0};
    for (uint32_t k = 0; k < j->taps; k++) {
        for (unsigned i = 0; i < n; i++)
            w[i] = j->w[(size_t)(at + i) * j->taps + k];
        tap[k] = vf_load(w);
        past[k] = j->fresh || k + 1 == j->taps ? vf_set(0) : vf_load_n(j->state + (size_t)k * j->width + at, n);
    }
    for (uint32_t r = 0; r < j->n_row; r++) {
        vf sum = bias;
        past[j->taps - 1] = vf_load_n(j->x + r * j->x_stride + at, n);
        for (uint32_t k = 0; k < j->taps; k++)
            sum = vf_mad(tap[k], past[k], sum);
        for (uint32_t k = 0; k + 1 < j->taps; k++)
            past[k] = past[k + 1];
        vf_store_n(j->out + r * j->out_stride + at, j->silu ? activated(sum, ACT_SILU, vf_set(0)) : sum, n);
    }
    for (uint32_t k = 0; k + 1 < j->taps; k++)
        vf_store_n(j->state + (size_t)k * j->width + at, past[k], n);
}

static void conv_run(const struct conv_job *j)
{
    for (uint32_t i = j->from; i < j->to; i += 16)
        conv_lanes(j, i, j->to - i < 16 ? j->to - i : 16);
}

/* n columns of a state, n a constant where it is 16. */
LANE vf state_load(const float *p, const unsigned n)
{
    return n == 16 ? vf_load(p) : vf_load_n(p, n);
}

LANE void state_store(float *p, vf v, const unsigned n)
{
    if (n == 16)
        vf_store(p, v);
    else
        vf_store_n(p, v, n);
}

/* One token of n columns of x (16, or all that are left): state[s] = decay state[s] + (step x) B[s]; the sum of C[s] state[s],
 * even and odd s apart. */
TILE vf scan_token(const struct scan_job *j, float *state, const float *b, const float *c, float decay, vf x, const unsigned n)
{
    vf       sum[2] = {vf_set(0), vf_set(0)};
    uint32_t s = 0;
    for (; s < j->state_dim; s++) {
        float *at = state + (size_t)s * n;
        vf     now = vf_mad(vf_set(b[s]), x, vf_mul(state_load(at, n), vf_set(decay)));
        state_store(at, now, n);
        sum[s % 2] = vf_mad(vf_set(c[s]), now, sum[s % 2]);
    }
    return vf_add(sum[0], sum[1]);
}

static void scan_run(const struct scan_job *j)
{
    for (uint32_t r = 0; r < j->n_row; r++)
        for (uint32_t at = 0; at < j->head_dim; at += 16) {
            unsigned     n = j->head_dim - at < 16 ? j->head_dim - at : 16;
            const float *b = j->b + r * j->stride, *c = j->c + r * j->stride;
            float       *state = j->state + (size_t)at * j->state_dim;
            vf           x = vf_load_n(j->x + r * j->stride + at, n), in = vf_mul(x, vf_set(j->step[r]));
            vf           y = n == 16 ? scan_token(j, state, b, c, j->decay[r], in, 16)
                                     : scan_token(j, state, b, c, j->decay[r], in, n);
            vf_store_n(j->out + r * j->out_stride + at, vf_mad(vf_set(j->skip), x, y), n);
        }
}

/* v over its length, by scale. */
static void row_unit(const float *v, uint32_t n, float scale, float *out)
{
    vf sum = vf_set(0);
    for (uint32_t i = 0; i < n; i += 16) {
        vf a = vf_load_n(v + i, n - i < 16 ? n - i : 16);
        sum = vf_mad(a, a, sum);
    }
    float by = scale / sqrtf(vf_sum(sum) + 1e-6f);
    for (uint32_t i = 0; i < n; i++)
        out[i] = v[i] * by;
}

/* One token of n columns of v.  Two passes: what the memory holds for k after it has decayed, then what is learnt. */
TILE vf delta_token(const struct delta_job *j, float *state, const float *q, const float *k, vf v, uint32_t r, const unsigned n)
{
    vf held[2] = {vf_set(0), vf_set(0)}, sum[2] = {vf_set(0), vf_set(0)};
    for (uint32_t s = 0; s < j->key_dim; s++) {
        float *at = state + (size_t)s * n;
        vf     now = vf_mul(state_load(at, n), vf_set(j->decay[r]));
        state_store(at, now, n);
        held[s % 2] = vf_mad(vf_set(k[s]), now, held[s % 2]);
    }
    vf learnt = vf_mul(vf_sub(v, vf_add(held[0], held[1])), vf_set(j->beta[r]));
    for (uint32_t s = 0; s < j->key_dim; s++) {
        float *at = state + (size_t)s * n;
        vf     now = vf_mad(vf_set(k[s]), learnt, state_load(at, n));
        state_store(at, now, n);
        sum[s % 2] = vf_mad(vf_set(q[s]), now, sum[s % 2]);
    }
    return vf_add(sum[0], sum[1]);
}

static void delta_run(const struct delta_job *j)
{
    float q[DELTA_KEY_MAX], k[DELTA_KEY_MAX];
    for (uint32_t r = 0; r < j->n_row; r++) {
        row_unit(j->q + r * j->stride, j->key_dim, 1 / sqrtf((float)j->key_dim), q);
        row_unit(j->k + r * j->stride, j->key_dim, 1, k);
        for (uint32_t at = 0; at < j->value_dim; at += 16) {
            unsigned n = j->value_dim - at < 16 ? j->value_dim - at : 16;
            float   *state = j->state + (size_t)at * j->key_dim;
            vf       v = vf_load_n(j->v + r * j->stride + at, n);
            vf       y = n == 16 ? delta_token(j, state, q, k, v, r, 16) : delta_token(j, state, q, k, v, r, n);
            vf_store_n(j->out + r * j->out_stride + at, y, n);
        }
    }
}

#endif
