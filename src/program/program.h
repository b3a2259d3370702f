/* program.h -- a model, written down once, for every backend to run.
 *
 * A program is a straight line of instructions over values: no branches, no loops, no batch size.  A model file writes
 * its programs when the model is loaded, a backend compiles each into a plan, and the engine runs plans.  A model that
 * has several parts (vision tower and text, encoder and decoder) writes several programs into one bundle: weights and
 * states belong to the bundle and are shared by its programs.
 *
 * SHAPES.  A value is a matrix [rows, width].  Width is fixed when the value is written.  Rows is a count that only a
 * run knows, or a fixed share of it (patches merged by fours have a quarter of the rows).  Heads are a reading of width,
 * never a third axis.
 *
 * OWNERSHIP.  The bundle owns everything; what its functions return is a small number, good until bundle_free().
 *
 * ERRORS.  The first mistake sticks: later calls do nothing and return the zero value, so a model file checks once per
 * program, at prog_end().
 *
 * THREADS.  Written by one thread; after prog_end() read by any. */
#ifndef PROGRAM_PROGRAM_H
#define PROGRAM_PROGRAM_H

#include "base/err.h"
#include "base/buf.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bundle;
struct prog;

typedef struct { uint16_t id; } val;            /* 0: none */
typedef struct { uint16_t id; } wt;             /* 0: none */
typedef struct { uint16_t id; } st;             /* 0: none */

enum rows_of { ROWS_TOKEN, ROWS_PICK };         /* every token of the run; those that want logits */

/* What a sequence remembers.  TOKEN: one record of `width` numbers a token, in blocks, for as long as the sequence.
 * SEQUENCE: one record of `width` single-precision numbers for all of it, which every token changes: it cannot go back. */
enum state_kind { STATE_TOKEN, STATE_SEQUENCE };

/* How a weight is cut over ranks: each stacked part by itself, along out or along in. */
enum split { SPLIT_NONE, SPLIT_OUT, SPLIT_IN };

/* SILU x / (1 + e^-x); GELU x (1 + erf(x / sqrt 2)) / 2, GELU_TANH its tanh form, GELU_QUICK x / (1 + e^-1.702x); RELU2
 * max(x, 0)^2; SIGMOID 1 / (1 + e^-x); SOFTCAP limit tanh(x / limit).  CLIPPED only gates: min(x, limit) / (1 + e^-1.702 min(x, limit)), and what it gates is clipped to +-limit and
 * has 1 added. */
enum act {
    ACT_SILU, ACT_GELU_TANH, ACT_RELU2, ACT_SIGMOID, ACT_GELU, ACT_GELU_QUICK, ACT_SOFTCAP, ACT_CLIPPED, ACT_COUNT
};

/* How experts are chosen from their logits.  SOFTMAX: the k largest, weighted by the softmax over all.  SIGMOID: weighted by
 * 1 / (1 + e^-x), chosen by that plus a bias. */
enum router { ROUTER_SOFTMAX, ROUTER_SIGMOID };

/* Weights of one instruction; experts that one chooses from; inputs of a run beside its tokens; axes of its positions. */
enum { WEIGHTS_MAX = 5, EXPERTS_MAX = 1024, INPUTS_MAX = 8, AXES_MAX = 4 };

enum op {
#define OP(name, what, ...) OP_##name,
#include "program/ops.def"
#undef OP
    OP_COUNT
};

struct instr {
    uint16_t op, layer;             /* layer + 1; 0: none */
    val      out, in[3];
    wt       w[WEIGHTS_MAX];
    st       s;
    union {
#define OP(name, what, ...) struct { __VA_ARGS__ } name;
#include "program/ops.def"
#undef OP
    };
};

/* A value as a backend sees it.  `partial` marks a sum still spread over the ranks: only OP_sum may read it, and
 * prog_end() refuses a program that forgets, even one written for a single rank. */
struct value {
    enum rows_of rows;
    uint32_t     per;               /* it has one row for so many of those */
    uint32_t     width, col;        /* a view starts at column col of `base` */
    val          base;              /* 0: it owns its storage */
    uint16_t     first, last;       /* the instructions that write it and last read it or a view of it */
    bool         integer, partial;
    const char  *name;              /* of a result; NULL otherwise */
};

/* A weight as a model names it: 1..4 checkpoint tensors stacked along out (q|k|v, gate|up).  '#' in a name stands for
 * the layer.  part_out are the rows of each part, on this rank.  A vector has in = 1 (biases, norm weights).
 *
 * The weights of n_expert experts are as many weights with ids in a row, of one shape.  '*' in a name stands for the
 * expert; a name without it is that of one tensor of all experts, outermost first, and each weight is its share of it. */
struct weight {
    const char *part[4];
    uint32_t    part_out[4];
    uint32_t    out, in;            /* out is filled in: the sum of part_out */
    enum split  split;
    bool        optional;           /* may be absent as a whole: then backends see no bias */
    bool        flat;               /* its tensor may have any axes behind the first (a convolution's taps), or be a vector */
    bool        turned;             /* its one tensor is [in, out] */
    uint32_t    n_expert, expert;   /* n_expert 0: no expert's; expert is filled in */
    int         layer;              /* filled in */
    const float *data;              /* filled in for constants: out * in numbers; NULL for checkpoint tensors */
    enum op     use;                /* filled in: the first op that reads it, … */
    uint32_t    uses;               /* … and all of them, 1u << op each, so that a backend can choose a layout */
};

struct state {
    enum state_kind kind;
    uint32_t        width;          /* numbers a token, or in all */
    uint32_t        head_dim;       /* filled in: of the ops that attend to it; 0: none does */
    int             layer;
};

struct bundle *bundle_new(int rank, int world);
void           bundle_free(struct bundle *b);                       /* NULL is fine */
struct prog   *bundle_prog(struct bundle *b, const char *name);     /* makes or finds: "text", … */
uint32_t       bundle_share(struct bundle *b, uint32_t n);          /* n / world, or a sticky error */
int            bundle_rank(const struct bundle *b);
int            bundle_world(const struct bundle *b);

wt bundle_weight(struct bundle *b, int layer, const struct weight *w);      /* equal names: the same weight */
wt bundle_experts(struct bundle *b, int layer, const struct weight *w);     /* the first expert's; n_expert is set */
wt bundle_const(struct bundle *b, const float *x, uint32_t n);              /* [n, 1]; copied */
st bundle_state(struct bundle *b, int layer, enum state_kind kind, uint32_t width);

struct bundle *prog_bundle(const struct prog *p);
val prog_tokens(struct prog *p);                                    /* the run's token ids, [TOKEN, 1], integer */
/* Single-precision numbers that every token of the run brings along, [TOKEN, width].  Numbered in the order of these calls. */
val prog_input(struct prog *p, const char *name, uint32_t width);
val prog_cols(struct prog *p, val v, uint32_t from, uint32_t width);        /* a view, no copy */

/* Says which layer the instructions from here on belong to (-1: none); for messages and listings. */
void prog_layer(struct prog *p, int layer);

/* Appends one instruction and returns its output, whose shape follows from its op's shape rule.  Copies *in. */
val prog_emit(struct prog *p, enum op op, const struct instr *in);
#define EMIT(p, name, ...) prog_emit((p), OP_##name, &(struct instr){__VA_ARGS__})

void prog_out(struct prog *p, const char *name, val v);             /* names a result: "logits", "hidden" */

/* Sticks an error of the model file's own: "head_dim 7 is odd". */
bool prog_fail(struct prog *p, const char *fmt, ...) PRINTF(2, 3);

/* Checks the whole and computes lifetimes.  False: *e says which layer and instruction was wrong.  The program never
 * changes again. */
MUST_USE bool prog_end(struct prog *p, struct err *e);

size_t               prog_len(const struct prog *p);
uint32_t             prog_long_from(const struct prog *p);          /* OP_rope's `from`; 0: length changes nothing */
const struct instr  *prog_at(const struct prog *p, size_t i);
uint32_t             prog_n_inputs(const struct prog *p);
const char          *prog_input_at(const struct prog *p, uint32_t i, uint32_t *width);      /* its name */
uint32_t             prog_axes(const struct prog *p);               /* of positions: 1, or as many as OP_rope tells apart */
uint32_t             prog_per(const struct prog *p);                /* the run's tokens, and each sequence's, are a multiple */
uint32_t             prog_levels(const struct prog *p);             /* of features that OP_place takes; 0: it takes none */
bool                 prog_has_state(const struct prog *p, enum state_kind kind);
size_t               prog_n_values(const struct prog *p);           /* val ids run from 1 to this */
const struct value  *prog_value(const struct prog *p, val v);
val                  prog_result(const struct prog *p, const char *name);   /* 0: none of that name */
size_t               bundle_n_weights(const struct bundle *b);      /* wt ids run from 1 to this */
const struct weight *bundle_weight_at(const struct bundle *b, wt w);
size_t               bundle_n_states(const struct bundle *b);       /* st ids run from 1 to this */
bool                 bundle_has_state(const struct bundle *b, enum state_kind kind);
const struct state  *bundle_state_at(const struct bundle *b, st s);

/* The name of part i with its layer and expert put in, in the caller's room. */
void weight_name(const struct weight *w, unsigned part, char *out, size_t room);

const char *op_name(enum op op);
void        prog_list(const struct prog *p, struct buf *out);       /* readable listing, a line an instruction */

/* Storage for the values that own theirs, in floats per row: values whose lifetimes do not overlap share.  Counted
 * apart for each kind of rows, as their counts differ; a value with fewer rows takes as much less.  With n rows of its kind
 * value v lies, row after row, from float offset[v] * n; offsets are multiples of 16.  A view has its base's offset; token ids have no storage (offset 0). */
struct storage {
    uint32_t *offset;               /* [prog_n_values + 1] in floats per row, within its kind of rows */
    uint32_t  token_floats, pick_floats;
};
void storage_plan(const struct prog *p, bool keep_all, struct storage *out);    /* keep_all: nothing is shared */
void storage_drop(struct storage *s);

#ifdef __cplusplus
}
#endif
#endif
