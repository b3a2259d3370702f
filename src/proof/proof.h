/* proof.h -- a backend on this very machine, proved against ref: every op's cases, in every format. */
#ifndef PROOF_PROOF_H
#define PROOF_PROOF_H

#include "backend/backend.h"

/* All cases of one op in one format.  Errors are lengths of differences over lengths of rows (program/bounds.def). */
struct proof_row {
    const char *op, *format;
    unsigned    n, wrong;           /* cases; those over the bound, or not run at all */
    double      worst, bound;       /* worst: infinite when one gave no numbers */
    const char *first_wrong;        /* that case's name; NULL: none is wrong */
    struct err  why;                /* why it could not be run; empty: it could, and its numbers are wrong */
};

struct proof {
    const struct backend_type *type;
    enum precision             precision;
    enum kv_format             kv, ref_kv;  /* keys and values of the backend, and of ref beside it */
    double                     least;       /* bounds are bounds.def's, or this where it is larger */
    void                     (*row)(void *ctx, const struct proof_row *r);
    void                      *ctx;
};

struct proof_sum {
    unsigned n, wrong;
};

/* Runs every case with 1 and with 3 threads, and reports each op and format as it is done. */
struct proof_sum proof_run(const struct proof *x);
struct proof_sum proof_run_op(const struct proof *x, enum op op);

#endif
