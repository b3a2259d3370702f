/* kernels.h -- what one instruction set can do: a table of functions over rows.
 *
 * The same sources (linear.inc.h, rows.inc.h, attend.inc.h), written on vectors of 16 lanes, are compiled once for each
 * set; kernels_<isa>.c chooses the lanes.  Within a set there is one arithmetic per element, whatever the number of rows. */
#ifndef BACKEND_CPU_KERNELS_H
#define BACKEND_CPU_KERNELS_H

#include "backend/cpu/pack.h"

/* 32 activations as int8.  A row of them takes less room than as floats. */
struct act_group {
    int8_t  q[GROUP];
    float   scale;              /* the number is scale * q */
    float   sum;                /* of the 32 numbers */
    int32_t all8, low8;         /* -8 times the sum of all q, of the first 16: codes are stored with an offset */
};

/* Panels applied to rows. */
struct linear_job {
    const uint8_t *panel;
    const uint8_t *next;                /* weights that this thread will probably read next; NULL: none */
    size_t         panel_bytes;
    struct panel_scales scales;
    uint32_t       n_panel, n_out;      /* n_out: columns that are there; the last panel may have fewer than 16 */
    uint32_t       in, n_row;
    const void    *act;                 /* struct act_group[in / 32], float[in] or bf16[round16(in)], act_stride bytes apart */
    size_t         act_stride;
    float         *out;                 /* of the first panel's first row; out_stride floats apart */
    size_t         out_stride;
    const float   *bias;                /* NULL: none */
};
typedef void (*linear_fn)(const struct linear_job *j);

enum { VALUE_STRIPE = 32 };

/* Keys and values of one head in one block of n_slot tokens: keys as [n_slot / 16][dim][16], then values as stripes
 * [dim / 32][n_slot][32], the last one narrower where dim ends.  KV_PAIRS: bf16, numbers of two neighbouring dimensions of a
 * key, or of two neighbouring tokens of a value, side by side in place of rows and rows, as dot products of pairs take them;
 * where both counts are even. */
enum kv_kind { KV_F32, KV_F16, KV_PAIRS };

struct kv_layout {
    uint32_t     n_slot, dim;
    enum kv_kind kind;
};

/* One token that attends: its query heads lie side by side, and so do its outputs. */
struct attend_token {
    const float    *q;
    float          *out;
    const uint32_t *block;              /* of its sequence, in order */
    uint32_t        from, to;           /* it sees tokens from .. to - 1 of its sequence */
};

/* One key head, `share` query heads a token.  Tokens of one sequence follow each other, neither end of what they see falling.  Tokens side by side
 * whose sequences share a block read it together. */
struct attend_job {
    struct kv_layout kv;
    const uint8_t   *state;             /* of this layer; block b begins at b * block_bytes + head_at */
    size_t           block_bytes, head_at;
    const struct attend_token *token;
    uint32_t         n_token, share;
    float            scale, softcap;    /* softcap 0: none */
    const float     *sink;              /* of the first query head; NULL: none */
    float           *scratch;           /* attend_scratch() floats */
};

static inline uint32_t round16(uint32_t n)
{
    return (n + 15) & ~15u;
}

enum {
    ATTEND_ROWS = 8,                    /* query rows that go through a tile side by side, at most */
    WALK_ROWS = 64,                     /* that walk through the blocks together: a block stays in the cache meanwhile */
};

/* Floats: the scores of a tile, and queries as pairs. */
static inline size_t attend_scratch(uint32_t n_slot, uint32_t dim)
{
    return (size_t)ATTEND_ROWS * round16(n_slot) + (size_t)WALK_ROWS * (round16(dim) / 2);
}

static inline size_t kv_number_bytes(enum kv_kind kind)
{
    return kind == KV_F32 ? 4 : 2;
}

static inline size_t kv_head_bytes(const struct kv_layout *l)
{
    return (size_t)(round16(l->n_slot) + l->n_slot) * l->dim * kv_number_bytes(l->kind);
}

enum { CONV_TAPS_MAX = 8 };

/* Columns from .. to - 1 of one sequence's rows. */
struct conv_job {
    uint32_t     from, to, width, taps, n_row;
    const float *x, *w, *bias;          /* w: [width][taps]; bias NULL: none */
    float       *out, *state;           /* [taps - 1][width], oldest first */
    size_t       x_stride, out_stride;
    bool         fresh;                 /* nothing came before, whatever lies in the state */
    bool         silu;
};

/* One head of one sequence's rows.  State: for every 16 columns of x, or those left, [state_dim][columns]. */
struct scan_job {
    uint32_t     n_row, head_dim, state_dim;
    const float *x, *b, *c, *step, *decay;  /* step, decay: [n_row] */
    float       *out, *state;
    size_t       stride, out_stride;
    float        skip;
};

enum { DELTA_KEY_MAX = 1024 };

/* The same.  State: for every 16 columns of v, or those left, [key_dim][columns]. */
struct delta_job {
    uint32_t     n_row, key_dim, value_dim;
    const float *q, *k, *v, *decay, *beta;  /* decay, beta: [n_row] */
    float       *out, *state;
    size_t       stride, out_stride;
};

/* Of whole rows or a head: less its mean when centred. */
struct norm_job {
    const float *w, *bias;              /* bias NULL: none */
    uint32_t     n;
    float        eps, one;
    bool         centred;
};

struct kernels {
    const char *isa;
    linear_fn   fast[FORMAT_COUNT];     /* by the panels' format: int8 activations; NULL where it has no int8 products */
    linear_fn   exact[FORMAT_COUNT];    /* f32 activations */
    linear_fn   halves[FORMAT_COUNT];   /* bf16 activations, where kernels_pairs(); NULL: none */
    void (*quantise)(const float *x, uint32_t n, struct act_group *out);        /* n: whole groups */
    void (*norm)(const struct norm_job *j, const float *x, float *out);
    void (*glu)(const float *x, const float *y, float *out, uint32_t n, uint8_t act, float limit);     /* x: gates */
    void (*act)(const float *x, float *out, uint32_t n, uint8_t act, float limit);
    void (*add)(const float *a, const float *b, float *out, uint32_t n);
    void (*mul)(const float *a, const float *b, float *out, uint32_t n, uint32_t share);    /* b: one for `share` of a */
    void (*add_scaled)(const float *x, float by, float *out, uint32_t n);                   /* out += by x */
    void (*scale)(float *x, uint32_t n, float by);
    /* One head, turned: out[i] = x[i] turn[i] + x[partner of i] turn[dim + i]. */
    void (*rope)(const float *x, const float *turn, float *out, uint32_t dim, bool interleaved);
    void (*append)(const struct kv_layout *l, uint8_t *head, uint32_t slot, const float *k, const float *v);
    void (*attend)(const struct attend_job *j);
    void (*conv)(const struct conv_job *j);
    void (*scan)(const struct scan_job *j);
    void (*delta)(const struct delta_job *j);
    void (*halve)(const float *x, uint32_t n, uint16_t *out);      /* to bf16; zeroes up to round16(n) */
    bool pairs;                         /* knows KV_PAIRS and `halves`, where kernels_pairs() */
};

extern const struct kernels kernels_portable, kernels_avx2, kernels_avx512, kernels_neon, kernels_i8mm;

/* The best this machine has, or the one of that name.  NULL: not here. */
const struct kernels *kernels_find(const char *isa);
const struct kernels *kernels_at(size_t i);     /* what this machine has, best first; NULL past the last */
bool                  kernels_pairs(const struct kernels *k);   /* whether k takes KV_PAIRS on this machine */

#endif
