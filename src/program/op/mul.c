/* mul -- a value times another of the same shape, or of fewer columns: each of those then counts for as many columns of in0
 * side by side. */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    uint32_t a = prog_value(p, i->in[0])->width, b = prog_value(p, i->in[1])->width;
    if (a % b)
        return prog_fail(p, "%u columns and %u", a, b);
    out->width = a;
    return true;
}

static const struct op_case cases[] = {
    {.name = "one row", .in = {64, 64}, .seq = {1}},
    {.name = "odd width, views", .in = {37, 37}, .views = true, .seq = {5, 8}},
    {.name = "one for all", .in = {50, 1}, .seq = {9}},
    {.name = "one a head", .in = {96, 4}, .views = true, .seq = {200}},
    {0},
};

const struct op_type op_mul = {.n_in = 2, .shape = shape, .cases = cases};
