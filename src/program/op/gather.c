/* gather -- rows of a table, weighted and added up: learned positions between the points of their grid, or a row of its own
 * where the weight is one.  in0 has the rows' numbers, whole and below the table's, in1 their weights. */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    const struct weight *table = bundle_weight_at(prog_bundle(p), i->w[0]);
    uint32_t             n = prog_value(p, i->in[0])->width, by = prog_value(p, i->in[1])->width;
    if (n != by)
        return prog_fail(p, "%u rows and %u weights", n, by);
    if (table->split != SPLIT_NONE || table->out > 1u << 24)
        return prog_fail(p, "a table that is cut over ranks, or has %u rows", table->out);
    out->width = table->in;
    return true;
}

static const struct op_case cases[] = {
    {.name = "one row", .in = {1, 1}, .below = 97, .w[0] = {.part_out = {97}, .in = 256}, .seq = {1}},
    {.name = "four, odd width", .in = {4, 4}, .below = 64, .w[0] = {.part_out = {64}, .in = 37}, .seq = {5, 30}},
    {.name = "two parts", .in = {2, 2}, .below = 18, .w[0] = {.part_out = {17, 1}, .in = 64}, .seq = {70}},
    {0},
};

const struct op_type op_gather = {.n_in = 2, .n_w = 1, .n_w_max = 1, .shape = shape, .cases = cases};
