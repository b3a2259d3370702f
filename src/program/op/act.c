/* act -- a function of each number: enum act.  `limit` is SOFTCAP's. */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    uint8_t act = i->act.act;
    if (act >= ACT_CLIPPED || (act == ACT_SOFTCAP) != (i->act.limit > 0))
        return prog_fail(p, "activation %u with limit %g", act, (double)i->act.limit);
    out->width = prog_value(p, i->in[0])->width;
    return true;
}

static void params(const struct instr *i, struct buf *out)
{
    static const char *const names[] = {"silu", "gelu_tanh", "relu2", "sigmoid", "gelu", "gelu_quick", "softcap"};
    buf_printf(out, " %s", names[i->act.act]);
    if (i->act.limit > 0)
        buf_printf(out, " %g", (double)i->act.limit);
}

static const struct op_case cases[] = {
    {.name = "silu", .instr.act.act = ACT_SILU, .in = {100}, .seq = {3}},
    {.name = "gelu, view", .instr.act.act = ACT_GELU_TANH, .in = {37}, .views = true, .seq = {9, 4}},
    {.name = "relu2", .instr.act.act = ACT_RELU2, .in = {256}, .seq = {20}},
    {.name = "sigmoid", .instr.act.act = ACT_SIGMOID, .in = {7}, .seq = {30, 1}},
    {.name = "gelu, erf", .instr.act.act = ACT_GELU, .in = {300}, .seq = {30, 1}},
    {.name = "gelu, quick", .instr.act.act = ACT_GELU_QUICK, .in = {70}, .views = true, .seq = {30, 1}},
    {.name = "softcap", .instr.act = {.act = ACT_SOFTCAP, .limit = 0.75f}, .in = {512}, .seq = {5}},
    {.name = "wide softcap", .instr.act = {.act = ACT_SOFTCAP, .limit = 30}, .in = {50}, .seq = {5}},
    {0},
};

const struct op_type op_act = {.n_in = 1, .shape = shape, .params = params, .cases = cases};
