/* rows.c -- what works row by row: norm, rope, glu, act, add, mul, order, sum, pick, input, gather, fold, pool, place. */
#include "backend/ref/ref.h"

#include "backend/batch.h"
#include "backend/host.h"

#include <math.h>
#include <string.h>

static float mean_of(const float *x, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)x[i];
    return (float)(sum / n);
}

void ref_norm(const struct ref_call *c)
{
    struct ref_rows in = ref_in(c, 0), out = ref_out(c);
    uint32_t        group = c->instr->norm.group ? c->instr->norm.group : in.width;
    const float    *w = ref_vector(c, 0), *bias = ref_has(c, 1) ? ref_vector(c, 1) : NULL;
    bool            whole = ref_weight_out(c, 0) == in.width;
    for (uint32_t r = 0; r < out.rows; r++)
        for (uint32_t g = 0; g < in.width; g += group) {
            const float *x = ref_row(in, r) + g;
            float        mean = c->instr->norm.centred ? mean_of(x, group) : 0;
            double       squares = 0;
            for (uint32_t i = 0; i < group; i++)
                squares += (double)(x[i] - mean) * (double)(x[i] - mean) / group;
            float by = (float)(1 / sqrt(squares + (double)c->instr->norm.eps));
            for (uint32_t i = 0; i < group; i++) {
                uint32_t k = whole ? g + i : i;
                ref_row(out, r)[g + i] = (x[i] - mean) * by * (w[k] + (float)c->instr->norm.one) + (bias ? bias[k] : 0);
            }
        }
}

/* Angles are single-precision products, as in the implementations that models are trained with: with exact ones, late
 * positions would come out different from what the model knows. */
static void turn(const struct ref_call *c, const float *x, float *y, const uint32_t pos[AXES_MAX], const float *freq, const float *axis)
{
    uint32_t     dim = c->instr->rope.head_dim, n_rot = c->instr->rope.n_rot ? c->instr->rope.n_rot : dim, half = n_rot / 2;
    uint32_t     step = c->instr->rope.interleaved ? 2 : 1, apart = c->instr->rope.interleaved ? 1 : half;
    for (uint32_t i = 0; i < half; i++) {
        float angle = (float)pos[axis ? (uint32_t)axis[i] : 0] * freq[i];
        float cosine = (float)cos((double)angle) * c->instr->rope.factor;
        float sine = (float)sin((double)angle) * c->instr->rope.factor;
        float a = x[i * step], b = x[i * step + apart];
        y[i * step] = a * cosine - b * sine;
        y[i * step + apart] = b * cosine + a * sine;
    }
    memcpy(y + n_rot, x + n_rot, (dim - n_rot) * sizeof *y);
}

void ref_rope(const struct ref_call *c)
{
    struct ref_rows in = ref_in(c, 0), out = ref_out(c);
    const float    *axis = ref_has(c, 2) ? ref_vector(c, 2) : NULL;
    uint32_t        axes = prog_axes(ref_prog(c)), pos[AXES_MAX];
    for (uint32_t s = 0; s < c->batch->n_seq; s++) {
        struct ref_seq q = ref_seq(c, s);
        const float   *freq = ref_vector(c, c->instr->rope.from && batch_reach(c->batch, s) > c->instr->rope.from);
        for (uint32_t r = q.from; r < q.to; r++) {
            for (uint32_t a = 0; a < axes; a++)
                pos[a] = batch_pos(c->batch, a, s, r);
            for (uint32_t h = 0; h < in.width; h += c->instr->rope.head_dim)
                turn(c, ref_row(in, r) + h, ref_row(out, r) + h, pos, freq, axis);
        }
    }
}

float ref_activate(uint8_t act, float x, float limit)
{
    double z = (double)x, cut = fmin(z, (double)limit);
    switch (act) {
    case ACT_SILU: return (float)(z / (1 + exp(-z)));
    case ACT_GELU_TANH: return (float)(0.5 * z * (1 + tanh(0.79788456080286536 * (z + 0.044715 * z * z * z))));
    case ACT_RELU2: return (float)(fmax(z, 0) * fmax(z, 0));
    case ACT_GELU: return (float)(0.5 * z * (1 + erf(z * 0.70710678118654752)));
    case ACT_GELU_QUICK: return (float)(z / (1 + exp(-1.702 * z)));
    case ACT_SIGMOID: return (float)(1 / (1 + exp(-z)));
    case ACT_SOFTCAP: return (float)((double)limit * tanh(z / (double)limit));
    default: return (float)(cut / (1 + exp(-1.702 * cut)));
    }
}

void ref_glu(const struct ref_call *c)
{
    struct ref_rows in = ref_in(c, 0), out = ref_out(c);
    for (uint32_t r = 0; r < out.rows; r++)
        for (uint32_t i = 0; i < out.width; i++)
            ref_row(out, r)[i] = ref_activate(c->instr->glu.act, ref_row(in, r)[i], 0) * ref_row(in, r)[out.width + i];
}

void ref_act(const struct ref_call *c)
{
    struct ref_rows in = ref_in(c, 0), out = ref_out(c);
    for (uint32_t r = 0; r < out.rows; r++)
        for (uint32_t i = 0; i < out.width; i++)
            ref_row(out, r)[i] = ref_activate(c->instr->act.act, ref_row(in, r)[i], c->instr->act.limit);
}

void ref_add(const struct ref_call *c)
{
    struct ref_rows a = ref_in(c, 0), b = ref_in(c, 1), out = ref_out(c);
    for (uint32_t r = 0; r < out.rows; r++)
        for (uint32_t i = 0; i < out.width; i++)
            ref_row(out, r)[i] = ref_row(a, r)[i] + ref_row(b, r)[i];
}

void ref_mul(const struct ref_call *c)
{
    struct ref_rows a = ref_in(c, 0), b = ref_in(c, 1), out = ref_out(c);
    uint32_t        share = a.width / b.width;
    for (uint32_t r = 0; r < out.rows; r++)
        for (uint32_t i = 0; i < out.width; i++)
            ref_row(out, r)[i] = ref_row(a, r)[i] * ref_row(b, r)[i / share];
}

void ref_order(const struct ref_call *c)
{
    struct ref_rows a = ref_in(c, 0), b = ref_in(c, 1), out = ref_out(c);
    const float    *from = ref_vector(c, 0);
    for (uint32_t r = 0; r < out.rows; r++)
        for (uint32_t i = 0; i < out.width; i++) {
            uint32_t at = (uint32_t)from[i];
            ref_row(out, r)[i] = at < a.width ? ref_row(a, r)[at] : ref_row(b, r)[at - a.width];
        }
}

/* There is one rank: compile refuses others. */
void ref_sum(const struct ref_call *c)
{
    struct ref_rows in = ref_in(c, 0), out = ref_out(c);
    for (uint32_t r = 0; r < out.rows; r++)
        memcpy(ref_row(out, r), ref_row(in, r), out.width * sizeof(float));
}

void ref_pick(const struct ref_call *c)
{
    struct ref_rows in = ref_in(c, 0), out = ref_out(c);
    for (uint32_t r = 0; r < out.rows; r++)
        memcpy(ref_row(out, r), ref_row(in, c->batch->pick[r]), out.width * sizeof(float));
}

void ref_input(const struct ref_call *c)
{
    struct ref_rows out = ref_out(c);
    const float    *in = c->batch->input[c->instr->input.at];
    for (uint32_t r = 0; r < out.rows; r++)
        memcpy(ref_row(out, r), in + (size_t)r * out.width, out.width * sizeof *in);
}

void ref_gather(const struct ref_call *c)
{
    struct ref_rows at = ref_in(c, 0), by = ref_in(c, 1), out = ref_out(c);
    for (uint32_t r = 0; r < out.rows; r++) {
        memset(ref_row(out, r), 0, out.width * sizeof(float));
        for (uint32_t k = 0; k < at.width; k++) {
            float row = ref_row(at, r)[k], weight = ref_row(by, r)[k];
            CHECK(row >= 0 && row < (float)ref_weight_out(c, 0));
            const float *x = ref_weight_row(c, 0, (uint32_t)row);
            for (uint32_t i = 0; i < out.width; i++)
                ref_row(out, r)[i] += weight * x[i];
        }
    }
}

void ref_fold(const struct ref_call *c)
{
    struct ref_rows in = ref_in(c, 0), out = ref_out(c);
    for (uint32_t r = 0; r < in.rows; r++)
        memcpy(ref_row(out, r / c->instr->fold.n) + r % c->instr->fold.n * in.width, ref_row(in, r), in.width * sizeof(float));
}

void ref_pool(const struct ref_call *c)
{
    struct ref_rows in = ref_in(c, 0), out = ref_out(c);
    uint32_t        n = c->instr->pool.n;
    for (uint32_t r = 0; r < out.rows; r++)
        for (uint32_t i = 0; i < out.width; i++) {
            double sum = 0;
            for (uint32_t k = 0; k < n; k++)
                sum += (double)ref_row(in, r * n + k)[i];
            ref_row(out, r)[i] = (float)(sum / n);
        }
}

void ref_place(const struct ref_call *c)
{
    struct ref_rows in = ref_in(c, 0), out = ref_out(c);
    for (uint32_t r = 0; r < out.rows; r++)
        memcpy(ref_row(out, r), ref_row(in, r), out.width * sizeof(float));
    for (uint32_t s = 0; s < c->batch->n_span; s++) {
        const struct span *x = &c->batch->span[s];
        for (uint32_t r = 0; r < x->n; r++) {
            const float *f = host_features_row(x->features, x->from + c->instr->place.level * x->step + r, out.width);
            float       *y = ref_row(out, x->row + r);
            for (uint32_t i = 0; i < out.width; i++)
                y[i] = c->instr->place.add ? y[i] + f[i] : f[i];
        }
    }
}
