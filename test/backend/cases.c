/* cases.c -- see cases.h. */
#include "cases.h"

#include "proof/proof.h"

#include <stdio.h>

static void print_row(void *ctx, const struct proof_row *r)
{
    const struct proof *x = ctx;
    if (r->wrong)
        printf("  %s %s, %s: over %.3g%s%s\n", r->op, r->format, r->first_wrong, r->bound, *r->why.text ? ": " : "", r->why.text);
    printf("%-4s %-5s %-7s %-5s %3u cases, worst %.2e, bound %.0e\n", x->type->name,
           x->precision == PRECISION_EXACT ? "exact" : "fast", r->op, r->format, r->n, r->worst, r->bound);
}

unsigned run_cases(const struct backend_type *t, enum precision precision, double least)
{
    struct proof x = {.type = t, .precision = precision, .least = least, .row = print_row, .ctx = &x};
    return proof_run(&x).wrong;
}

unsigned run_cases_of(const struct backend_type *t, enum precision precision, double least, enum op op)
{
    struct proof x = {.type = t, .precision = precision, .least = least, .row = print_row, .ctx = &x};
    return proof_run_op(&x, op).wrong;
}

unsigned run_int8_cases(const struct backend_type *t, enum precision precision)
{
    static const double costs =
#define BOUND_KV(format, error) error
#include "program/bounds.def"
        ;
    struct proof x = {.type = t, .precision = precision, .kv = KV_FORMAT_INT8, .ref_kv = KV_FORMAT_INT8, .row = print_row, .ctx = &x};
    unsigned     wrong = proof_run_op(&x, OP_attend).wrong;
    x.ref_kv = KV_FORMAT_F16;
    x.least = costs;
    return wrong + proof_run_op(&x, OP_attend).wrong;
}
