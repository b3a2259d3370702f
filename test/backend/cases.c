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
