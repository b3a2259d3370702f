/* matrix.c -- what reads matrices: embed, linear. */
#include "backend/ref/ref.h"

void ref_embed(const struct ref_call *c)
{
    struct ref_rows out = ref_out(c);
    for (uint32_t r = 0; r < out.rows; r++) {
        int32_t token = c->batch->token[r];
        CHECK(token >= 0 && (uint32_t)token < ref_weight_out(c, 0));    /* ref draws nothing, so every id is known */
        const float *row = ref_weight_row(c, 0, (uint32_t)token);
        for (uint32_t i = 0; i < out.width; i++)
            ref_row(out, r)[i] = c->instr->embed.scale * row[i];
    }
}

void ref_linear(const struct ref_call *c)
{
    struct ref_rows in = ref_in(c, 0), out = ref_out(c);
    const float    *bias = ref_has(c, 1) ? ref_vector(c, 1) : NULL;
    for (uint32_t i = 0; i < out.width; i++) {
        const float *row = ref_weight_row(c, 0, i);
        for (uint32_t r = 0; r < out.rows; r++) {
            double x = ref_dot(ref_row(in, r), row, in.width);
            ref_row(out, r)[i] = (float)(bias ? x + (double)bias[i] : x);
        }
    }
}
