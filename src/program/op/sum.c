/* sum -- adds up what the ranks hold.  The only op that may read a partial value; alone, a rank's part is the whole. */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    out->width = prog_value(p, i->in[0])->width;
    return true;
}

/* A partial value can only come from a linear cut along `in`: linear's cases and this copy cover both. */
static const struct op_case cases[] = {
    {.name = "one row", .in = {64}, .w[0] = {.part_out = {64}, .in = 64}, .seq = {1}},
    {.name = "odd width", .in = {33}, .w[0] = {.part_out = {37}, .in = 33}, .seq = {5, 6}},
    {0},
};

const struct op_type op_sum = {.n_in = 1, .partial = true, .shape = shape, .cases = cases};
