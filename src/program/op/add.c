/* add -- two values of the same shape. */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    uint32_t a = prog_value(p, i->in[0])->width, b = prog_value(p, i->in[1])->width;
    if (a != b)
        return prog_fail(p, "%u columns and %u", a, b);
    out->width = a;
    return true;
}

static const struct op_case cases[] = {
    {.name = "one row", .in = {64, 64}, .seq = {1}},
    {.name = "odd width", .in = {37, 37}, .seq = {5, 8}},
    {.name = "views", .in = {50, 50}, .views = true, .seq = {9}},
    {.name = "many rows", .in = {576, 576}, .seq = {200}},
    {0},
};

const struct op_type op_add = {.n_in = 2, .shape = shape, .cases = cases};
