/* cpu.h -- what the files of this backend share: the backend, a plan, a step of it.
 *
 * compile() turns each instruction into one or two steps, every step knows its kernel, and run() lets the team walk
 * through them.  Nothing is allocated there: a plan's memory is sized by the largest run. */
#ifndef BACKEND_CPU_CPU_H
#define BACKEND_CPU_CPU_H

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/places.h"
#include "backend/cpu/team.h"

struct states {
    uint8_t *p;                     /* of one layer: n blocks, or for states of whole sequences n slots */
    size_t   bytes, block_bytes;
    uint32_t n;
    bool     slots;
};

struct backend {
    const struct kernels *kernels;
    enum precision   precision;
    struct team     *team;
    struct packed   *weight;        /* [n_weight], by wt id - 1 */
    bool            *here;
    size_t           n_weight;
    struct pack_opts pack;
    struct places    places;        /* of packed weights */
    struct states   *state;
    size_t           n_state;
    uint32_t         n_block, block_tokens;
    struct touch    *touch;
};

/* Bytes of one block of a state of `width` numbers a token, half of them keys: independent of how heads cut it. */
static inline size_t state_block_bytes(uint32_t width, uint32_t block_tokens, enum precision precision)
{
    size_t each = precision == PRECISION_FAST ? 2 : 4;
    return ((size_t)round16(block_tokens) + block_tokens) * (width / 2) * each;
}

/* Bytes of one block, or of one slot. */
static inline size_t state_bytes(const struct state *s, uint32_t block_tokens, enum precision precision)
{
    return s->kind == STATE_SEQUENCE ? s->width * sizeof(float) : state_block_bytes(s->width, block_tokens, precision);
}

/* A value as a step reads or writes it: rows of floats, or of int8 groups in the same place and at the same distance. */
struct operand {
    enum rows_of rows;
    uint32_t     per;               /* it has a row for so many of those */
    uint32_t     offset;            /* floats per row, to the value's place */
    uint32_t     col, width, stride;
    bool         act;
};

struct plan;
struct step;
typedef uint32_t (*pieces_fn)(const struct plan *pl, const struct step *s);
typedef void (*piece_fn)(struct plan *pl, const struct step *s, uint32_t i, unsigned worker);

struct step {
    const struct instr *instr;
    pieces_fn           pieces;
    piece_fn            piece;
    struct operand      in[3], out;
    const struct packed *w, *bias, *more[3];    /* weights 0, 1, 2 to 4; NULL: none */
    const struct packed *product, *product_bias;    /* experts: the first one's, of this step */
    const linear_fn    *linear;     /* by format */
    const struct step  *next;       /* of a linear: the linear after it; NULL: none */
    struct kv_layout    kv;
    const struct states *state;
    uint32_t            turns;      /* which of the plan's tables of turns */
    uint32_t            chunk;      /* rows of a piece, where rows are independent */
    bool                from_acts;  /* linear: its input was turned into int8, or bf16, by the step before */
};

/* Cosines and sines of this run's positions: one table for each set of frequencies. */
struct turns {
    wt       w, w_long, axes;
    uint32_t dim, from;             /* columns turned; sequences longer than `from` have those of w_long */
    uint8_t  interleaved;
    float    factor;
    float   *table;                 /* [token_max][2 * dim]; see kernels.rope */
};

/* What the rows of an expert op become on their way, by slots (experts.h). */
struct experts_room {
    uint32_t *chosen, *slot;        /* [rows][k] */
    float    *weight;               /* [rows][k] */
    uint32_t *row;                  /* [slots] */
    uint32_t *first, *active, n_active;     /* [n + 1] slots of each expert; those that have any */
    uint8_t  *before;               /* [slots] inputs of a product, before_stride bytes apart */
    float    *behind;               /* [slots] outputs, behind_stride floats apart */
    size_t    before_stride, behind_stride;
};

/* Tokens that attend as one piece for each key head: of one sequence, or of some that begin with the same blocks. */
struct walk {
    uint32_t from, n;               /* in the order that brings such sequences together */
};

/* Rows that attend to all of a picture, or of a window of it, as one piece for each key head. */
struct look {
    uint32_t row, n, block;         /* the picture's first block */
    uint32_t from, to;              /* what they see, counted from the picture's first row */
};

enum { SPAN_TOKENS = 16, TURNS_MAX = 8, ALL_SLOTS = 64, LOOK_ROWS = 16 };

struct plan {
    struct backend    *backend;
    const struct prog *prog;
    struct plan_opts   opts;
    struct storage     storage;
    struct step       *step;
    uint32_t           n_step;
    char             (*name)[40];   /* of each instruction's kernel */
    struct turns       turns[TURNS_MAX];
    uint32_t           n_turns, axes;
    size_t             act_stride;  /* bytes of a row in `acts` */
    size_t             scratch_floats;      /* of each worker */

    uint8_t           *memory;      /* all of the following */
    size_t             bytes;
    float             *room[2];     /* values of tokens, of picks: by enum rows_of */
    uint8_t           *acts;        /* a linear's input as int8, when no step before wrote it so, or as bf16 */
    float             *scratch;
    uint32_t          *position, *token_seq;        /* of each token of the run */
    uint32_t          *seq_order, *order;           /* the run's sequences, and its tokens, alike ones side by side */
    struct walk       *span;
    struct experts_room experts;
    uint8_t           *all;         /* keys and values of attend_all: of all heads in blocks of ALL_SLOTS rows */
    struct look       *look[2];     /* at pictures, at windows */
    uint32_t          *seq_block, *block;       /* the first block of each picture; numbers of all blocks */

    const struct batch *in;         /* the run */
    uint32_t           rows[2], n_span, n_look[2];

    /* Where the run is: pieces first .. first + n_open - 1 of n_piece of a step are under way. */
    bool               going;       /* it has begun and is not done */
    uint32_t           at, first, n_open, n_piece;
    uint64_t           open_ns, stop_ns;        /* since when; when to stop, 0: never */
};

/* run.c: how steps run; compile only chooses among these. */
uint32_t pieces_of_rows(const struct plan *pl, const struct step *s);
uint32_t pieces_of_linear(const struct plan *pl, const struct step *s);
uint32_t pieces_of_attend(const struct plan *pl, const struct step *s);
uint32_t pieces_of_attend_all(const struct plan *pl, const struct step *s);
uint32_t pieces_of_conv(const struct plan *pl, const struct step *s);       /* recur.c */
uint32_t pieces_of_scan(const struct plan *pl, const struct step *s);
uint32_t pieces_of_delta(const struct plan *pl, const struct step *s);
void     run_turns(struct plan *pl, const struct step *s, uint32_t i, unsigned worker);
void     run_acts(struct plan *pl, const struct step *s, uint32_t i, unsigned worker);
void     run_halves(struct plan *pl, const struct step *s, uint32_t i, unsigned worker);
void     run_append_all(struct plan *pl, const struct step *s, uint32_t i, unsigned worker);
void     run_append(struct plan *pl, const struct step *s, uint32_t i, unsigned worker);
#define OP(name, what, ...) void run_##name(struct plan *pl, const struct step *s, uint32_t i, unsigned worker);
#include "program/ops.def"
#undef OP

bool         plan_run(struct plan *pl, const struct batch *in);            /* false: it stopped, and goes on with the next */
uint32_t     plan_rows(const struct plan *pl, const struct operand *o);
float       *plan_row(const struct plan *pl, const struct operand *o, uint32_t r);
const float *plan_value(const struct plan *pl, const struct operand *o);    /* its first row */

/* compile.c */
struct operand plan_operand(const struct plan *pl, val v);
struct step   *plan_step(struct plan *pl, pieces_fn pieces, piece_fn piece, const struct step *like);     /* appends a copy */
bool           plan_compile(struct backend *b, const struct prog *p, const struct plan_opts *o, struct plan **out, struct err *e);
void           plan_drop(struct plan *pl);
uint64_t       plan_scratch_bytes(struct backend *b, const struct prog *p, const struct plan_opts *o);

#endif
