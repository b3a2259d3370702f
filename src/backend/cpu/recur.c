/* recur.c -- states of whole sequences: short convolutions and scans.
 *
 * A piece is some channels, or one head, of one sequence: it walks through the sequence's rows in their order, however few
 * or many there are. */
#include "backend/cpu/cpu.h"

#include <math.h>
#include <string.h>

enum { CONV_COLUMNS = 256 };

static const float *vector_of(const struct packed *w)
{
    return w ? (const float *)(const void *)w->part[0].p : NULL;
}

static const float *row_of(const struct plan *pl, const struct operand *o, uint32_t r)
{
    return plan_value(pl, o) + (size_t)r * o->stride;
}

static float *out_of(const struct plan *pl, const struct step *s, uint32_t r)
{
    return pl->room[s->out.rows] + (row_of(pl, &s->out, r) - pl->room[s->out.rows]);
}

/* What sequence n remembers. */
static float *record_of(const struct plan *pl, const struct step *s, uint32_t n)
{
    return (float *)(void *)(s->state->p + pl->in->slot[n] * s->state->block_bytes);
}

static uint32_t conv_cuts(const struct step *s)
{
    return (s->out.width + CONV_COLUMNS - 1) / CONV_COLUMNS;
}

uint32_t pieces_of_conv(const struct plan *pl, const struct step *s)
{
    return pl->in->n_seq * conv_cuts(s);
}

void run_conv(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    uint32_t        n = i / conv_cuts(s), from = i % conv_cuts(s) * CONV_COLUMNS, first = pl->in->start[n];
    struct conv_job j = {
        .from = from,
        .to = s->out.width - from < CONV_COLUMNS ? s->out.width : from + CONV_COLUMNS,
        .width = s->out.width,
        .taps = s->instr->conv.taps,
        .n_row = pl->in->start[n + 1] - first,
        .x = row_of(pl, &s->in[0], first),
        .w = vector_of(s->w),
        .bias = vector_of(s->bias),
        .out = out_of(pl, s, first),
        .state = record_of(pl, s, n),
        .x_stride = s->in[0].stride,
        .out_stride = s->out.stride,
        .fresh = pl->in->past[n] == 0,
        .silu = s->instr->conv.act == ACT_SILU,
    };
    pl->backend->kernels->conv(&j);
}

/* log(1 + e^x) without overflow. */
static float softplus(float x)
{
    return (float)(x > 20 ? (double)x : log1p(exp((double)x)));
}

uint32_t pieces_of_scan(const struct plan *pl, const struct step *s)
{
    return pl->in->n_seq * s->instr->scan.heads;
}

void run_scan(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    const struct instr *in = s->instr;
    uint32_t heads = in->scan.heads, n = i / heads, h = i % heads, first = pl->in->start[n];
    uint32_t n_row = pl->in->start[n + 1] - first, inner = heads * in->scan.head_dim, group = h / (heads / in->scan.groups);
    float   *step = pl->scratch + pl->scratch_floats * worker, *decay = step + n_row, *state = record_of(pl, s, n);
    float    rate = -(float)exp((double)vector_of(s->bias)[h]);
    for (uint32_t r = 0; r < n_row; r++) {
        float x = softplus(row_of(pl, &s->in[1], first + r)[h] + vector_of(s->w)[h]);
        x = x < in->scan.step_min ? in->scan.step_min : x > in->scan.step_max ? in->scan.step_max : x;
        step[r] = x;
        decay[r] = (float)exp((double)(rate * x));
    }
    const float    *x = row_of(pl, &s->in[0], first);
    struct scan_job j = {
        .n_row = n_row,
        .head_dim = in->scan.head_dim,
        .state_dim = in->scan.state_dim,
        .x = x + (size_t)h * in->scan.head_dim,
        .b = x + inner + (size_t)group * in->scan.state_dim,
        .c = x + inner + (size_t)(in->scan.groups + group) * in->scan.state_dim,
        .step = step,
        .decay = decay,
        .out = out_of(pl, s, first) + (size_t)h * in->scan.head_dim,
        .state = state + (size_t)h * in->scan.head_dim * in->scan.state_dim,
        .stride = s->in[0].stride,
        .out_stride = s->out.stride,
        .skip = vector_of(s->more[0])[h],
    };
    if (pl->in->past[n] == 0)
        memset(j.state, 0, (size_t)j.head_dim * j.state_dim * sizeof *j.state);
    pl->backend->kernels->scan(&j);
}

uint32_t pieces_of_delta(const struct plan *pl, const struct step *s)
{
    return pl->in->n_seq * s->instr->delta.heads;
}

void run_delta(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    const struct instr *in = s->instr;
    uint32_t heads = in->delta.heads, keys = in->delta.key_heads, n = i / heads, h = i % heads, first = pl->in->start[n];
    uint32_t n_row = pl->in->start[n + 1] - first, dk = in->delta.key_dim, dv = in->delta.value_dim, group = h / (heads / keys);
    float   *decay = pl->scratch + pl->scratch_floats * worker, *beta = decay + n_row;
    double   rate = -exp((double)vector_of(s->bias)[h]);
    for (uint32_t r = 0; r < n_row; r++) {
        const float *ba = row_of(pl, &s->in[1], first + r);
        decay[r] = (float)exp(rate * (double)softplus(ba[heads + h] + vector_of(s->w)[h]));
        beta[r] = (float)(1 / (1 + exp(-(double)ba[h])));
    }
    const float     *x = row_of(pl, &s->in[0], first);
    struct delta_job j = {
        .n_row = n_row,
        .key_dim = dk,
        .value_dim = dv,
        .q = x + (size_t)group * dk,
        .k = x + (size_t)(keys + group) * dk,
        .v = x + 2 * (size_t)keys * dk + (size_t)h * dv,
        .decay = decay,
        .beta = beta,
        .out = out_of(pl, s, first) + (size_t)h * dv,
        .state = record_of(pl, s, n) + (size_t)h * dk * dv,
        .stride = s->in[0].stride,
        .out_stride = s->out.stride,
    };
    if (pl->in->past[n] == 0)
        memset(j.state, 0, (size_t)dk * dv * sizeof *j.state);
    pl->backend->kernels->delta(&j);
}
