/* ref.h -- the reference backend's own: what its kernels see.
 *
 * ref defines what an op means.  It is meant to be read: one thread, float storage, sums in double, weights decoded row
 * by row where they lie in the file, no arithmetic shared with any other backend. */
#ifndef BACKEND_REF_REF_H
#define BACKEND_REF_REF_H

#include "backend/backend.h"

/* n numbers (whole blocks) of a format with its scales inside, as floats. */
void ref_decode(enum format f, const void *from, size_t n, float *out);

/* A row of t, `in` numbers long, of any format. */
void ref_decode_row(const struct tensor *t, uint64_t row, uint32_t in, float *out);

/* A value or a view of one: row r begins at p + r * stride. */
struct ref_rows {
    float   *p;
    uint32_t rows, width;
    size_t   stride;
};

/* What a sequence's tokens have in common in this run. */
struct ref_seq {
    uint32_t        from, to, past;     /* rows from .. to-1 stand at positions past, past + 1, … */
    const uint32_t *block;
};

/* One instruction of one run. */
struct ref_call {
    struct plan        *plan;
    const struct instr *instr;
    const struct batch *batch;
};

const struct prog *ref_prog(const struct ref_call *c);
struct ref_rows ref_in(const struct ref_call *c, unsigned k);
struct ref_rows ref_out(const struct ref_call *c);
struct ref_seq  ref_seq(const struct ref_call *c, uint32_t s);
bool            ref_has(const struct ref_call *c, unsigned k);      /* weight k is there */
uint32_t        ref_weight_out(const struct ref_call *c, unsigned k);
float          *ref_weight_row(const struct ref_call *c, unsigned k, uint32_t row); /* good until the next row of k */
float          *ref_vector(const struct ref_call *c, unsigned k);                       /* the same, for [n, 1] */
float          *ref_scores(const struct ref_call *c);               /* room for a number a token of context, or of the run */

float           ref_activate(uint8_t act, float x, float limit);

/* The record of the sequence's token at pos in the instruction's state. */
float *ref_record(const struct ref_call *c, const struct ref_seq *s, uint32_t pos);

enum kv_format  ref_kv_format(const struct ref_call *c);

/* What sequence s of the batch remembers as a whole; zeroes where it begins. */
float *ref_memory(const struct ref_call *c, uint32_t s);

static inline float *ref_row(struct ref_rows m, uint32_t r)
{
    return m.p + r * m.stride;
}

/* Four sums side by side, in one fixed order: a single one would wait for each addition. */
static inline double ref_dot(const float *a, const float *b, uint32_t n)
{
    double   s[4] = {0};
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (uint32_t k = 0; k < 4; k++)
            s[k] += (double)a[i + k] * (double)b[i + k];
    for (; i < n; i++)
        s[0] += (double)a[i] * (double)b[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

#define OP(name, what, ...) void ref_##name(const struct ref_call *c);
#include "program/ops.def"
#undef OP

#endif
