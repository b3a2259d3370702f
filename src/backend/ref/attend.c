/* attend.c -- attention: over what a sequence holds, where a record is its key, then its value; over the rows of a run. */
#include "backend/ref/ref.h"

#include "backend/batch.h"

#include <math.h>
#include <string.h>

#define LEAST 1e-30f            /* smaller numbers count as zeroes: 127 over them need not be a number */

/* n numbers of a head as what is left of them in bytes, times their scale: KV_FORMAT_INT8. */
static void round_to_int8(float *x, uint32_t n)
{
    float most = LEAST;
    for (uint32_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i]));
    for (uint32_t i = 0; i < n; i++)
        x[i] = most / 127 * fminf(fmaxf(rintf(x[i] * (127 / most)), -127), 127);
}

static void append(const struct ref_call *c, const struct ref_seq *s)
{
    struct ref_rows k = ref_in(c, 1), v = ref_in(c, 2);
    uint32_t        dim = c->instr->attend.head_dim;
    for (uint32_t r = s->from; r < s->to; r++) {
        float *record = ref_record(c, s, s->past + (r - s->from));
        memcpy(record, ref_row(k, r), k.width * sizeof *record);
        memcpy(record + k.width, ref_row(v, r), v.width * sizeof *record);
        for (uint32_t i = 0; ref_kv_format(c) == KV_FORMAT_INT8 && i < k.width + v.width; i += dim)
            round_to_int8(record + i, dim);
    }
}

/* scores first .. end - 1 become weights, which are left to be divided by the sum that is returned.  sink: -INFINITY is none. */
static double soften(float *score, uint32_t first, uint32_t end, float sink)
{
    float most = sink;
    for (uint32_t j = first; j < end; j++)
        most = fmaxf(most, score[j]);
    double sum = exp((double)(sink - most));
    for (uint32_t j = first; j < end; j++) {
        score[j] = expf(score[j] - most);
        sum += (double)score[j];
    }
    return sum;
}

/* One head of the token at `pos`: q against the keys at column `at` of the records it sees, before `end`, then their values. */
static void head(const struct ref_call *c, const struct ref_seq *s, const float *q, float *out, uint32_t at, uint32_t pos,
                 uint32_t end, float sink)
{
    uint32_t dim = c->instr->attend.head_dim, window = c->instr->attend.window, width = ref_in(c, 1).width;
    uint32_t first = window && pos >= window ? pos - window + 1 : 0;
    float   *score = ref_scores(c), cap = c->instr->attend.softcap;
    for (uint32_t j = first; j < end; j++) {
        score[j] = (float)ref_dot(q, ref_record(c, s, j) + at, dim) * c->instr->attend.scale;
        score[j] = cap > 0 ? ref_activate(ACT_SOFTCAP, score[j], cap) : score[j];
    }
    double sum = soften(score, first, end, sink);
    for (uint32_t i = 0; i < dim; i++) {
        double x = 0;
        for (uint32_t j = first; j < end; j++)
            x += (double)score[j] * (double)ref_record(c, s, j)[width + at + i];
        out[i] = (float)(x / sum);
    }
}

void ref_attend(const struct ref_call *c)
{
    struct ref_rows q = ref_in(c, 0), k = ref_in(c, 1), out = ref_out(c);
    uint32_t        dim = c->instr->attend.head_dim, share = q.width / k.width;
    const float    *sink = ref_has(c, 0) ? ref_vector(c, 0) : NULL;
    for (uint32_t n = 0; n < c->batch->n_seq; n++) {
        struct ref_seq s = ref_seq(c, n);
        append(c, &s);
        for (uint32_t r = s.from; r < s.to; r++)
            for (uint32_t h = 0; h < q.width / dim; h++)
                head(c, &s, ref_row(q, r) + h * dim, ref_row(out, r) + h * dim, h / share * dim, s.past + (r - s.from),
                     batch_see(c->batch, n, r), sink ? sink[h] : -INFINITY);
    }
}

/* Head h of row r, among rows from .. to - 1. */
static void head_all(const struct ref_call *c, uint32_t r, uint32_t h, uint32_t from, uint32_t to)
{
    struct ref_rows q = ref_in(c, 0), k = ref_in(c, 1), v = ref_in(c, 2), out = ref_out(c);
    uint32_t        dim = c->instr->attend_all.head_dim, at = h / (q.width / k.width) * dim;
    float          *score = ref_scores(c);
    for (uint32_t j = from; j < to; j++)
        score[j] = (float)ref_dot(ref_row(q, r) + h * dim, ref_row(k, j) + at, dim) * c->instr->attend_all.scale;
    double sum = soften(score, from, to, -INFINITY);
    for (uint32_t i = 0; i < dim; i++) {
        double x = 0;
        for (uint32_t j = from; j < to; j++)
            x += (double)score[j] * (double)ref_row(v, j)[at + i];
        ref_row(out, r)[h * dim + i] = (float)(x / sum);
    }
}

void ref_attend_all(const struct ref_call *c)
{
    const struct batch *b = c->batch;
    const uint32_t     *bound = c->instr->attend_all.windows ? b->window : b->start;
    uint32_t            n = c->instr->attend_all.windows ? b->n_window : b->n_seq;
    for (uint32_t s = 0; s < n; s++)
        for (uint32_t r = bound[s]; r < bound[s + 1]; r++)
            for (uint32_t h = 0; h < ref_in(c, 0).width / c->instr->attend_all.head_dim; h++)
                head_all(c, r, h, bound[s], bound[s + 1]);
}
