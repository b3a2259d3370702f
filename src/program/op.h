/* op.h -- what an op says about itself.  One file each, op/<name>.c, holds one `const struct op_type op_<name>`. */
#ifndef PROGRAM_OP_H
#define PROGRAM_OP_H

#include "program/program.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { OP_CASE_SEQS = 8 };

/* A test of the op on any backend: a program of this one instruction over random inputs and weights.  Data only; it
 * lies beside the shape rule so that an op stays one file. */
struct op_case {
    const char   *name;             /* NULL ends a table */
    struct instr  instr;            /* only its parameters are read */
    uint32_t      in[3];            /* widths of the inputs (none for token ids) */
    bool          list;             /* constants are columns of the inputs, not frequencies; a third one is always of axes */
    uint32_t      below;            /* inputs are those of the run: in[0] whole numbers below this */
    uint32_t      ahead;            /* tokens see to the end of so many side by side */
    bool          views;            /* the inputs are columns of one wider value, not values of their own */
    struct weight w[WEIGHTS_MAX];   /* part_out, in, n_expert; in 0: a constant of part_out[0] numbers; no part_out: absent */
    uint32_t      state;            /* width of a state of the sequence; 0: one a token, of in[1] + in[2], if the op has one */
    uint32_t      seq[OP_CASE_SEQS];    /* tokens of each sequence */
    uint32_t      chunk;            /* tokens of a sequence in one run at most; 0: all at once */
};

struct op_type {
    uint8_t n_in;                   /* values it reads, all of equal rows */
    uint8_t n_w, n_w_max;           /* weights it must and may have */
    bool    integer, partial, state;    /* reads token ids; reads what is spread over the ranks; has a state */

    /* Checks what emit could not know and fills in the shape of the output, which comes as a copy of in[0]'s rows (without
     * inputs: one a token) with width 0.  False: prog_fail() was called. */
    bool (*shape)(struct prog *p, const struct instr *i, struct value *out);

    void (*params)(const struct instr *i, struct buf *out);     /* for listings: " eps 1e-05"; NULL: it has none */
    const struct op_case *cases;
};

const struct op_type *op_type(enum op op);

/* For a shape rule: state s holds heads of so many numbers.  False: of another size, as an op before said. */
bool bundle_heads(struct bundle *b, st s, uint32_t head_dim);

#ifdef __cplusplus
}
#endif
#endif
