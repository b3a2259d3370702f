/* order -- columns in another order: out[i] is column w0[i] of in0 and in1 side by side.  A column may come more than once, or
 * never.  (The rows of the matrix before it could be put in order instead, but checkpoints have them as they are.) */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    const struct weight *w = bundle_weight_at(prog_bundle(p), i->w[0]);
    uint32_t             n = prog_value(p, i->in[0])->width + prog_value(p, i->in[1])->width;
    if (!w->data || w->in != 1)
        return prog_fail(p, "an order that is no constant");
    for (uint32_t k = 0; k < w->out; k++)
        if (!(w->data[k] >= 0 && w->data[k] < (float)n && w->data[k] == (float)(uint32_t)w->data[k]))
            return prog_fail(p, "column %g of %u", (double)w->data[k], n);
    out->width = w->out;
    return true;
}

static const struct op_case cases[] = {
    {.name = "one row", .in = {64, 64}, .w[0] = {.part_out = {80}}, .list = true, .seq = {1}},
    {.name = "odd width, views", .in = {37, 3}, .views = true, .w[0] = {.part_out = {91}}, .list = true, .seq = {5, 8}},
    {.name = "many rows", .in = {200, 56}, .w[0] = {.part_out = {130}}, .list = true, .seq = {150}},
    {0},
};

const struct op_type op_order = {.n_in = 2, .n_w = 1, .n_w_max = 1, .shape = shape, .cases = cases};
