/* norm -- root mean square normalisation (Zhang and Sennrich 2019), of whole rows or of each head by itself; when centred,
 * of what is left without the mean (Ba et al. 2016).  Heads have the same weights and biases, or each its own. */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    const struct weight *w = bundle_weight_at(prog_bundle(p), i->w[0]);
    uint32_t             width = prog_value(p, i->in[0])->width, group = i->norm.group ? i->norm.group : width;
    if (width % group)
        return prog_fail(p, "%u columns are not whole groups of %u", width, group);
    if (w->in != 1 || (w->out != group && w->out != width) || w->split != SPLIT_NONE)
        return prog_fail(p, "weights of [%u, %u] for groups of %u", w->out, w->in, group);
    if (i->w[1].id) {
        const struct weight *bias = bundle_weight_at(prog_bundle(p), i->w[1]);
        if (bias->in != 1 || bias->out != w->out || bias->split != SPLIT_NONE)
            return prog_fail(p, "biases of [%u, %u] for weights of %u", bias->out, bias->in, w->out);
    }
    out->width = width;
    return true;
}

static void params(const struct instr *i, struct buf *out)
{
    buf_printf(out, " eps %g", (double)i->norm.eps);
    if (i->norm.group)
        buf_printf(out, " groups of %u", i->norm.group);
    if (i->norm.centred)
        buf_str(out, STR(" centred"));
    if (i->norm.one)
        buf_printf(out, " weights + %u", i->norm.one);
}

static const struct op_case cases[] = {
    {.name = "one row", .instr.norm.eps = 1e-5f, .in = {64}, .w[0] = {.part_out = {64}, .in = 1}, .seq = {1}},
    {.name = "odd width", .instr.norm.eps = 1e-6f, .in = {37}, .w[0] = {.part_out = {37}, .in = 1}, .seq = {4, 9}},
    {.name = "one column", .instr.norm.eps = 1e-6f, .in = {1}, .w[0] = {.part_out = {1}, .in = 1}, .seq = {3}},
    {.name = "large eps", .instr.norm.eps = 10, .in = {100}, .w[0] = {.part_out = {100}, .in = 1}, .seq = {3}},
    {.name = "1 + w", .instr.norm = {.eps = 1e-6f, .one = 1}, .in = {192}, .w[0] = {.part_out = {192}, .in = 1},
     .seq = {5}},
    {.name = "heads", .instr.norm = {.eps = 1e-6f, .group = 32}, .in = {128}, .w[0] = {.part_out = {32}, .in = 1},
     .seq = {8, 3}},
    {.name = "heads of a view", .instr.norm = {.eps = 1e-6f, .group = 20}, .in = {60}, .views = true,
     .w[0] = {.part_out = {20}, .in = 1}, .seq = {7}},
    {.name = "heads, weights of their own", .instr.norm = {.eps = 1e-6f, .group = 24}, .in = {96},
     .w[0] = {.part_out = {96}, .in = 1}, .seq = {5, 2}},
    {.name = "centred", .instr.norm = {.eps = 1e-6f, .centred = 1}, .in = {72}, .views = true,
     .w = {{.part_out = {72}, .in = 1}, {.part_out = {72}, .in = 1}}, .seq = {9, 3}},
    {.name = "centred, no bias", .instr.norm = {.eps = 1e-5f, .centred = 1}, .in = {37}, .w[0] = {.part_out = {37}, .in = 1},
     .seq = {20}},
    {.name = "bias, heads", .instr.norm = {.eps = 1e-5f, .centred = 1, .group = 40}, .in = {120},
     .w = {{.part_out = {40}, .in = 1}, {.part_out = {40}, .in = 1}}, .seq = {31}},
    {.name = "many rows", .instr.norm.eps = 1e-5f, .in = {576}, .w[0] = {.part_out = {576}, .in = 1},
     .seq = {150, 100}},
    {0},
};

const struct op_type op_norm = {.n_in = 1, .n_w = 1, .n_w_max = 2, .shape = shape, .params = params, .cases = cases};
