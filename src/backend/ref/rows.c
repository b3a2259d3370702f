/* rows.c -- what works row by row: norm, rope, glu, act, add, mul, order, sum, pick. */
#include "backend/ref/ref.h"

#include "backend/batch.h"

#include <math.h>
#include <string.h>

void ref_norm(const struct ref_call *c)
{
    struct ref_rows in = ref_in(c, 0), out = ref_out(c);
    uint32_t        group = c->instr->norm.group ? c->instr->norm.group : in.width;
    const float    *w = ref_vector(c, 0);
    bool            whole = ref_weight_out(c, 0) == in.width;
    for (uint32_t r = 0; r < out.rows; r++)
        for (uint32_t g = 0; g < in.width; g += group) {
            const float *x = ref_row(in, r) + g;
            double       squares = ref_dot(x, x, group) / group;
            float        by = (float)(1 / sqrt(squares + (double)c->instr->norm.eps));
            for (uint32_t i = 0; i < group; i++)
                ref_row(out, r)[g + i] = x[i] * by * (w[whole ? g + i : i] + (float)c->instr->norm.one);
        }
}

/* Angles are single-precision products, as in the implementations that models are trained with: with exact ones, late
 * positions would come out different from what the model knows. */
static void turn(const struct ref_call *c, const float *x, float *y, uint32_t pos, const float *freq)
{
    uint32_t     dim = c->instr->rope.head_dim, n_rot = c->instr->rope.n_rot ? c->instr->rope.n_rot : dim, half = n_rot / 2;
    uint32_t     step = c->instr->rope.interleaved ? 2 : 1, apart = c->instr->rope.interleaved ? 1 : half;
    for (uint32_t i = 0; i < half; i++) {
        float angle = (float)pos * freq[i];
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
    for (uint32_t s = 0; s < c->batch->n_seq; s++) {
        struct ref_seq q = ref_seq(c, s);
        const float   *freq = ref_vector(c, c->instr->rope.from && batch_reach(c->batch, s) > c->instr->rope.from);
        for (uint32_t r = q.from; r < q.to; r++)
            for (uint32_t h = 0; h < in.width; h += c->instr->rope.head_dim)
                turn(c, ref_row(in, r) + h, ref_row(out, r) + h, q.past + (r - q.from), freq);
    }
}

float ref_activate(uint8_t act, float x, float limit)
{
    double z = (double)x, cut = fmin(z, (double)limit);
    switch (act) {
    case ACT_SILU: return (float)(z / (1 + exp(-z)));
    case ACT_GELU_TANH: return (float)(0.5 * z * (1 + tanh(0.79788456080286536 * (z + 0.044715 * z * z * z))));
    case ACT_RELU2: return (float)(fmax(z, 0) * fmax(z, 0));
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
