/* rows.c -- what works row by row: norm, rope, glu, add, sum, pick. */
#include "backend/ref/ref.h"

#include <math.h>
#include <string.h>

void ref_norm(const struct ref_call *c)
{
    struct ref_rows in = ref_in(c, 0), out = ref_out(c);
    uint32_t        group = c->instr->norm.group ? c->instr->norm.group : in.width;
    const float    *w = ref_vector(c, 0);
    for (uint32_t r = 0; r < out.rows; r++)
        for (uint32_t g = 0; g < in.width; g += group) {
            const float *x = ref_row(in, r) + g;
            double       squares = ref_dot(x, x, group) / group;
            float        by = (float)(1 / sqrt(squares + (double)c->instr->norm.eps));
            for (uint32_t i = 0; i < group; i++)
                ref_row(out, r)[g + i] = x[i] * by * (w[i] + (float)c->instr->norm.one);
        }
}

/* Angles are single-precision products, as in the implementations that models are trained with: with exact ones, late
 * positions would come out different from what the model knows. */
static void turn(const struct ref_call *c, const float *x, float *y, uint32_t pos)
{
    uint32_t     half = c->instr->rope.head_dim / 2;
    uint32_t     step = c->instr->rope.interleaved ? 2 : 1, apart = c->instr->rope.interleaved ? 1 : half;
    const float *freq = ref_vector(c, 0);
    for (uint32_t i = 0; i < half; i++) {
        float angle = (float)pos * freq[i];
        float cosine = (float)cos((double)angle) * c->instr->rope.factor;
        float sine = (float)sin((double)angle) * c->instr->rope.factor;
        float a = x[i * step], b = x[i * step + apart];
        y[i * step] = a * cosine - b * sine;
        y[i * step + apart] = b * cosine + a * sine;
    }
}

void ref_rope(const struct ref_call *c)
{
    struct ref_rows in = ref_in(c, 0), out = ref_out(c);
    for (uint32_t s = 0; s < c->batch->n_seq; s++) {
        struct ref_seq q = ref_seq(c, s);
        for (uint32_t r = q.from; r < q.to; r++)
            for (uint32_t h = 0; h < in.width; h += c->instr->rope.head_dim)
                turn(c, ref_row(in, r) + h, ref_row(out, r) + h, q.past + (r - q.from));
    }
}

static float activate(uint8_t act, float x)
{
    double z = (double)x;
    if (act == ACT_SILU)
        return (float)(z / (1 + exp(-z)));
    return (float)(0.5 * z * (1 + tanh(0.79788456080286536 * (z + 0.044715 * z * z * z))));
}

void ref_glu(const struct ref_call *c)
{
    struct ref_rows in = ref_in(c, 0), out = ref_out(c);
    for (uint32_t r = 0; r < out.rows; r++)
        for (uint32_t i = 0; i < out.width; i++)
            ref_row(out, r)[i] = activate(c->instr->glu.act, ref_row(in, r)[i]) * ref_row(in, r)[out.width + i];
}

void ref_add(const struct ref_call *c)
{
    struct ref_rows a = ref_in(c, 0), b = ref_in(c, 1), out = ref_out(c);
    for (uint32_t r = 0; r < out.rows; r++)
        for (uint32_t i = 0; i < out.width; i++)
            ref_row(out, r)[i] = ref_row(a, r)[i] + ref_row(b, r)[i];
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
