/* rows.inc.h -- what works on a row by itself, for the lanes included before. */
#ifndef BACKEND_CPU_ROWS_INC_H
#define BACKEND_CPU_ROWS_INC_H

#include "backend/cpu/kernels.h"

/* e^x to about 1e-7: x = n ln 2 + r, and a polynomial for e^r.  Below -87 it stays at e^-87. */
LANE vf vf_exp(vf x)
{
    x = vf_min(vf_max(x, vf_set(-87.0f)), vf_set(88.0f));
    vi n = vi_round(vf_mul(x, vf_set(1.44269504f)));
    vf r = vf_mad(vf_from(n), vf_set(-0.693359375f), x);
    r = vf_mad(vf_from(n), vf_set(2.12194440e-4f), r);
    vf y = vf_set(1.9875691500e-4f);
    y = vf_mad(y, r, vf_set(1.3981999507e-3f));
    y = vf_mad(y, r, vf_set(8.3334519073e-3f));
    y = vf_mad(y, r, vf_set(4.1665795894e-2f));
    y = vf_mad(y, r, vf_set(1.6666665459e-1f));
    y = vf_mad(y, r, vf_set(5.0000001201e-1f));
    y = vf_add(vf_mad(y, vf_mul(r, r), r), vf_set(1));
    return vf_mul(y, vf_pow2(n));
}

static void row_quantise(const float *x, uint32_t n, struct act_group *out)
{
    for (uint32_t i = 0; i < n; i += GROUP, out++) {
        vf    low = vf_load(x + i), high = vf_load(x + i + 16);
        float most = vf_most(vf_max(vf_abs(low), vf_abs(high)));
        vf    by = vf_set(most > 0 ? 127 / most : 0), top = vf_set(127), bottom = vf_set(-127);
        vi    a = vi_round(vf_max(vf_min(vf_mul(low, by), top), bottom));
        vi    b = vi_round(vf_max(vf_min(vf_mul(high, by), top), bottom));
        vi_store_i8(out->q, a);
        vi_store_i8(out->q + 16, b);
        int32_t first = vi_sum(a), all = first + vi_sum(b);
        out->scale = most / 127;
        out->sum = out->scale * (float)all;
        out->all8 = -8 * all;
        out->low8 = -8 * first;
    }
}

/* The sum of x, or of the squares of what it is beyond `mean`. */
LANE float row_sum(const float *x, uint32_t n, const bool squares, float mean)
{
    vf       s[4] = {vf_set(0), vf_set(0), vf_set(0), vf_set(0)}, m = vf_set(mean);
    uint32_t i = 0;
    for (; i + 64 <= n; i += 64)
        for (unsigned k = 0; k < 4; k++) {
            vf a = vf_sub(vf_load(x + i + 16 * k), m);
            s[k] = squares ? vf_mad(a, a, s[k]) : vf_add(a, s[k]);
        }
    for (; i < n; i += 16) {
        vf a = n - i >= 16 ? vf_sub(vf_load(x + i), m) : vf_keep(vf_sub(vf_load_n(x + i, n - i), m), 0, (int)(n - i), 0);
        s[0] = squares ? vf_mad(a, a, s[0]) : vf_add(a, s[0]);
    }
    return vf_sum(vf_add(vf_add(s[0], s[1]), vf_add(s[2], s[3])));
}

static void row_norm(const struct norm_job *j, const float *x, float *out)
{
    uint32_t n = j->n;
    float    mean = j->centred ? row_sum(x, n, false, 0) / (float)n : 0;
    float    by = 1 / sqrtf(row_sum(x, n, true, mean) / (float)n + j->eps);
    for (uint32_t i = 0; i < n; i += 16) {
        unsigned k = n - i < 16 ? n - i : 16;
        vf y = vf_mul(vf_sub(vf_load_n(x + i, k), vf_set(mean)), vf_set(by)), w = vf_add(vf_load_n(j->w + i, k), vf_set(j->one));
        vf_store_n(out + i, j->bias ? vf_mad(y, w, vf_load_n(j->bias + i, k)) : vf_mul(y, w), k);
    }
}

/* limit tanh(x / limit), as limit (1 - 2 / (e^2y + 1)). */
LANE vf softcapped(vf x, vf limit)
{
    vf e = vf_exp(vf_mul(vf_set(2), vf_div(x, limit)));
    return vf_mul(limit, vf_sub(vf_set(1), vf_div(vf_set(2), vf_add(e, vf_set(1)))));
}

/* gelu(x) = x (1 + erf(x / sqrt 2)) / 2, with erf(z) = 1 - p(t) e^-z^2 and t = 1 / (1 + 0.3275911 z) for positive z, to 1.5e-7
 * (Abramowitz and Stegun, 7.1.26): max(x, 0) - |x| p e^-z^2 / 2 on both sides. */
LANE vf gelu_erf(vf x)
{
    vf z = vf_mul(vf_abs(x), vf_set(0.70710678f)), t = vf_div(vf_set(1), vf_mad(z, vf_set(0.3275911f), vf_set(1)));
    vf p = vf_set(1.061405429f);
    p = vf_mad(p, t, vf_set(-1.453152027f));
    p = vf_mad(p, t, vf_set(1.421413741f));
    p = vf_mad(p, t, vf_set(-0.284496736f));
    p = vf_mad(p, t, vf_set(0.254829592f));
    p = vf_mul(vf_mul(p, t), vf_exp(vf_sub(vf_set(0), vf_mul(z, z))));
    return vf_sub(vf_max(x, vf_set(0)), vf_mul(vf_mul(vf_abs(x), vf_set(0.5f)), p));
}

/* silu(x) = x / (1 + e^-x); gelu's tanh form is x / (1 + e^-2u) with u = sqrt(2 / pi) (x + 0.044715 x^3). */
LANE vf activated(vf x, uint8_t act, vf limit)
{
    vf z = vf_sub(vf_set(0), x), most = vf_max(x, vf_set(0));
    if (act == ACT_RELU2)
        return vf_mul(most, most);
    if (act == ACT_SOFTCAP)
        return softcapped(x, limit);
    if (act == ACT_SIGMOID)
        return vf_div(vf_set(1), vf_add(vf_set(1), vf_exp(z)));
    if (act == ACT_GELU)
        return gelu_erf(x);
    if (act == ACT_GELU_QUICK)
        z = vf_mul(x, vf_set(-1.702f));
    if (act == ACT_GELU_TANH)
        z = vf_mul(vf_mul(x, vf_set(-1.5957691216f)), vf_mad(vf_mul(x, x), vf_set(0.044715f), vf_set(1)));
    if (act == ACT_CLIPPED) {
        x = vf_min(x, limit);
        z = vf_mul(x, vf_set(-1.702f));
    }
    return vf_div(x, vf_add(vf_set(1), vf_exp(z)));
}

LANE vf gated(vf x, vf y, uint8_t act, vf limit)
{
    if (act == ACT_CLIPPED)
        y = vf_add(vf_max(vf_min(y, limit), vf_sub(vf_set(0), limit)), vf_set(1));
    return vf_mul(activated(x, act, limit), y);
}

static void row_glu(const float *x, const float *y, float *out, uint32_t n, uint8_t act, float limit)
{
    uint32_t i = 0;
    vf       cut = vf_set(limit);
    for (; i + 16 <= n; i += 16)
        vf_store(out + i, gated(vf_load(x + i), vf_load(y + i), act, cut));
    if (i < n)
        vf_store_n(out + i, gated(vf_load_n(x + i, n - i), vf_load_n(y + i, n - i), act, cut), n - i);
}

static void row_act(const float *x, float *out, uint32_t n, uint8_t act, float limit)
{
    for (uint32_t i = 0; i < n; i += 16) {
        unsigned k = n - i < 16 ? n - i : 16;
        vf_store_n(out + i, activated(vf_load_n(x + i, k), act, vf_set(limit)), k);
    }
}

static void row_mul(const float *a, const float *b, float *out, uint32_t n, uint32_t share)
{
    for (uint32_t i = 0; share == 1 && i < n; i += 16) {
        unsigned k = n - i < 16 ? n - i : 16;
        vf_store_n(out + i, vf_mul(vf_load_n(a + i, k), vf_load_n(b + i, k)), k);
    }
    for (uint32_t i = 0; share > 1 && i < n; i++)
        out[i] = a[i] * b[i / share];
}

static void row_add_scaled(const float *x, float by, float *out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += 16) {
        unsigned k = n - i < 16 ? n - i : 16;
        vf_store_n(out + i, vf_mad(vf_load_n(x + i, k), vf_set(by), vf_load_n(out + i, k)), k);
    }
}

static void row_add(const float *a, const float *b, float *out, uint32_t n)
{
    uint32_t i = 0;
    for (; i + 16 <= n; i += 16)
        vf_store(out + i, vf_add(vf_load(a + i), vf_load(b + i)));
    if (i < n)
        vf_store_n(out + i, vf_add(vf_load_n(a + i, n - i), vf_load_n(b + i, n - i)), n - i);
}

static void row_scale(float *x, uint32_t n, float by)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] *= by;
}

LANE vf turned(const float *x, const float *partner, const float *turn, uint32_t dim, uint32_t n)
{
    return vf_mad(vf_load_n(partner, n), vf_load_n(turn + dim, n), vf_mul(vf_load_n(x, n), vf_load_n(turn, n)));
}

static void row_rope(const float *x, const float *turn, float *out, uint32_t dim, bool interleaved)
{
    for (uint32_t i = 0; interleaved && i < dim; i += 16) {
        uint32_t n = dim - i < 16 ? dim - i : 16;
        vf       a = vf_load_n(x + i, n);
        vf_store_n(out + i, vf_mad(vf_swap(a), vf_load_n(turn + dim + i, n), vf_mul(a, vf_load_n(turn + i, n))), n);
    }
    for (uint32_t i = 0, half = dim / 2; !interleaved && i < half; i += 16) {
        uint32_t n = half - i < 16 ? half - i : 16;
        vf       a = turned(x + i, x + half + i, turn + i, dim, n);
        vf       b = turned(x + half + i, x + i, turn + half + i, dim, n);
        vf_store_n(out + i, a, n);
        vf_store_n(out + half + i, b, n);
    }
}

#endif
