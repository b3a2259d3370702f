/* glu -- a gated activation (Shazeer 2020): the left half of a row, activated, times the right half. */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    uint32_t width = prog_value(p, i->in[0])->width;
    if (width % 2 || (i->glu.act != ACT_SILU && i->glu.act != ACT_GELU_TANH))
        return prog_fail(p, "activation %u of halves of %u columns", i->glu.act, width);
    out->width = width / 2;
    return true;
}

static void params(const struct instr *i, struct buf *out)
{
    buf_str(out, i->glu.act == ACT_SILU ? STR(" silu") : STR(" gelu_tanh"));
}

static const struct op_case cases[] = {
    {.name = "silu", .instr.glu.act = ACT_SILU, .in = {256}, .seq = {1}},
    {.name = "silu, odd half, view", .instr.glu.act = ACT_SILU, .in = {74}, .views = true, .seq = {9, 4}},
    {.name = "silu, many rows", .instr.glu.act = ACT_SILU, .in = {3072}, .seq = {90}},
    {.name = "gelu", .instr.glu.act = ACT_GELU_TANH, .in = {256}, .seq = {3}},
    {.name = "gelu, odd half", .instr.glu.act = ACT_GELU_TANH, .in = {10}, .seq = {40}},
    {.name = "smallest", .instr.glu.act = ACT_SILU, .in = {2}, .seq = {2}},
    {0},
};

const struct op_type op_glu = {.n_in = 1, .shape = shape, .params = params, .cases = cases};
