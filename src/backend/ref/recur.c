/* recur.c -- what runs along a sequence: conv, scan, delta. */
#include "backend/ref/ref.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

/* Channel i of one row: `past` holds what it was in the rows before, oldest first. */
static float conv_one(const struct ref_call *c, const float *w, const float *bias, float *past, size_t stride, float x)
{
    uint32_t taps = c->instr->conv.taps;
    double   sum = bias ? (double)*bias : 0;
    for (uint32_t k = 0; k < taps; k++)
        sum += (double)w[k] * (double)(k + 1 < taps ? past[k * stride] : x);
    for (uint32_t k = 0; k + 1 < taps; k++)
        past[k * stride] = k + 2 < taps ? past[(k + 1) * stride] : x;
    return (float)sum;
}

void ref_conv(const struct ref_call *c)
{
    struct ref_rows in = ref_in(c, 0), out = ref_out(c);
    const float    *w = ref_vector(c, 0), *bias = ref_has(c, 1) ? ref_vector(c, 1) : NULL;
    for (uint32_t s = 0; s < c->batch->n_seq; s++) {
        struct ref_seq q = ref_seq(c, s);
        float         *memory = ref_memory(c, s);
        for (uint32_t r = q.from; r < q.to; r++)
            for (uint32_t i = 0; i < in.width; i++) {
                float y = conv_one(c, w + (size_t)i * c->instr->conv.taps, bias ? bias + i : NULL, memory + i, in.width,
                                   ref_row(in, r)[i]);
                ref_row(out, r)[i] = c->instr->conv.act == ACT_SILU ? ref_activate(ACT_SILU, y, 0) : y;
            }
    }
}

/* One head at one row.  memory: [head_dim][state_dim]. */
static void scan_one(const struct ref_call *c, uint32_t h, const float *in, float step, float *memory, float *out)
{
    const struct instr *i = c->instr;
    uint32_t            dim = i->scan.head_dim, n = i->scan.state_dim, inner = i->scan.heads * dim;
    uint32_t            group = h / (i->scan.heads / i->scan.groups);
    const float        *x = in + h * dim, *b = in + inner + group * n, *cc = in + inner + (i->scan.groups + group) * n;
    double              raw = (double)step + (double)ref_vector(c, 0)[h];
    float               dt = (float)(raw > 20 ? raw : log1p(exp(raw)));
    dt = fminf(fmaxf(dt, i->scan.step_min), i->scan.step_max);
    float decay = (float)exp(-exp((double)ref_vector(c, 1)[h]) * (double)dt), skip = ref_vector(c, 2)[h];
    for (uint32_t p = 0; p < dim; p++) {
        double y = (double)skip * (double)x[p];
        for (uint32_t s = 0; s < n; s++) {
            float *m = &memory[(size_t)p * n + s];
            *m = *m * decay + dt * x[p] * b[s];
            y += (double)*m * (double)cc[s];
        }
        out[p] = (float)y;
    }
}

void ref_scan(const struct ref_call *c)
{
    struct ref_rows in = ref_in(c, 0), step = ref_in(c, 1), out = ref_out(c);
    uint32_t        dim = c->instr->scan.head_dim;
    for (uint32_t s = 0; s < c->batch->n_seq; s++) {
        struct ref_seq q = ref_seq(c, s);
        float         *memory = ref_memory(c, s);
        for (uint32_t h = 0; h < c->instr->scan.heads; h++)
            for (uint32_t r = q.from; r < q.to; r++)
                scan_one(c, h, ref_row(in, r), ref_row(step, r)[h], memory + (size_t)h * dim * c->instr->scan.state_dim,
                         ref_row(out, r) + (size_t)h * dim);
    }
}

/* v over its length, by scale. */
static void unit(const float *v, uint32_t n, double scale, double *out)
{
    double by = scale / sqrt(ref_dot(v, v, n) + 1e-6);
    for (uint32_t i = 0; i < n; i++)
        out[i] = by * (double)v[i];
}

/* One head at one row.  memory: [key_dim][value_dim]. */
static void delta_one(const struct instr *i, const double *q, const double *k, const float *v, double decay, double beta,
                      float *memory, float *out)
{
    uint32_t dk = i->delta.key_dim, dv = i->delta.value_dim;
    for (uint32_t c = 0; c < dv; c++) {
        double held = 0, y = 0;
        for (uint32_t r = 0; r < dk; r++) {
            memory[r * dv + c] = (float)((double)memory[r * dv + c] * decay);
            held += k[r] * (double)memory[r * dv + c];
        }
        for (uint32_t r = 0; r < dk; r++) {
            memory[r * dv + c] = (float)((double)memory[r * dv + c] + k[r] * ((double)v[c] - held) * beta);
            y += q[r] * (double)memory[r * dv + c];
        }
        out[c] = (float)y;
    }
}

void ref_delta(const struct ref_call *c)
{
    const struct instr *i = c->instr;
    struct ref_rows     in = ref_in(c, 0), ba = ref_in(c, 1), out = ref_out(c);
    uint32_t            dk = i->delta.key_dim, dv = i->delta.value_dim, heads = i->delta.heads, keys = i->delta.key_heads;
    const float        *bias = ref_vector(c, 0), *rate = ref_vector(c, 1);
    double             *q = mem_array(2 * (size_t)dk, sizeof *q), *k = q + dk;
    for (uint32_t s = 0; s < c->batch->n_seq; s++) {
        struct ref_seq seq = ref_seq(c, s);
        float         *memory = ref_memory(c, s);
        for (uint32_t h = 0; h < heads; h++)
            for (uint32_t r = seq.from; r < seq.to; r++) {
                const float *row = ref_row(in, r), *b = ref_row(ba, r);
                uint32_t     g = h / (heads / keys);
                double       raw = (double)b[heads + h] + (double)bias[h];
                unit(row + g * dk, dk, 1 / sqrt((double)dk), q);
                unit(row + (keys + g) * dk, dk, 1, k);
                delta_one(i, q, k, row + 2 * keys * dk + h * dv, exp(-exp((double)rate[h]) * (raw > 20 ? raw : log1p(exp(raw)))),
                          1 / (1 + exp(-(double)b[h])), memory + (size_t)h * dk * dv, ref_row(out, r) + h * dv);
            }
    }
    free(q);
}
