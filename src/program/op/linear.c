/* linear -- a matrix applied to each row.
 *
 * A matrix cut along `in` sees a part of the row on each rank, so what it gives is a part of a sum.  A bias would then
 * be added once a rank: only rank 0 may have one. */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    const struct bundle *b = prog_bundle(p);
    const struct weight *w = bundle_weight_at(b, i->w[0]);
    const struct value  *in = prog_value(p, i->in[0]);
    if (in->width != w->in)
        return prog_fail(p, "the matrix takes %u columns, its input has %u", w->in, in->width);
    if (i->w[1].id) {
        const struct weight *bias = bundle_weight_at(b, i->w[1]);
        if (bias->in != 1 || bias->out != w->out)
            return prog_fail(p, "a bias of [%u, %u] for %u outputs", bias->out, bias->in, w->out);
        if (w->split == SPLIT_IN && bundle_rank(b) > 0)
            return prog_fail(p, "a bias on every rank would be added %d times", bundle_world(b));
        if (w->split == SPLIT_OUT && bias->split != SPLIT_OUT)
            return prog_fail(p, "the bias is not cut as the matrix is");
    }
    out->width = w->out;
    out->partial = w->split == SPLIT_IN;
    return true;
}

static const struct op_case cases[] = {
    {.name = "one row", .in = {256}, .w[0] = {.part_out = {64}, .in = 256}, .seq = {1}},
    {.name = "odd shapes", .in = {37}, .w[0] = {.part_out = {19}, .in = 37}, .seq = {3, 2}},
    {.name = "one output", .in = {64}, .w[0] = {.part_out = {1}, .in = 64}, .seq = {7}},
    {.name = "one block", .in = {32}, .w[0] = {.part_out = {33}, .in = 32}, .seq = {5}},
    {.name = "odd number of blocks", .in = {288}, .w[0] = {.part_out = {70}, .in = 288}, .seq = {9}},
    {.name = "odd outputs", .in = {768}, .w[0] = {.part_out = {131}, .in = 768}, .seq = {2, 1, 4}},
    {.name = "stacked, bias", .in = {256},
     .w = {{.part_out = {96, 32, 31}, .in = 256}, {.part_out = {96, 32, 31}, .in = 1}}, .seq = {1, 17}},
    {.name = "four parts", .in = {512}, .w[0] = {.part_out = {5, 64, 1, 48}, .in = 512}, .seq = {16}},
    {.name = "view", .in = {256}, .views = true, .w[0] = {.part_out = {40}, .in = 256}, .seq = {6}},
    {.name = "many rows", .in = {512}, .w[0] = {.part_out = {300}, .in = 512}, .seq = {130, 7}},
    {.name = "many rows, bias", .in = {1024}, .w = {{.part_out = {65}, .in = 1024}, {.part_out = {65}, .in = 1}},
     .seq = {64}},
    {.name = "wide", .in = {2048}, .w[0] = {.part_out = {128}, .in = 2048}, .seq = {1, 1, 1}},
    {0},
};

const struct op_type op_linear = {.n_in = 1, .n_w = 1, .n_w_max = 2, .shape = shape, .cases = cases};
