/* conv -- a short causal convolution of every column by itself: w0 is [columns][taps], the last tap for the row itself.  Before
 * a sequence's first row there are zeroes; the state is the last taps - 1 rows.  Then silu, or nothing (act: SILU or
 * ACT_COUNT). */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    const struct weight *w = bundle_weight_at(prog_bundle(p), i->w[0]);
    const struct state  *s = bundle_state_at(prog_bundle(p), i->s);
    uint32_t             width = prog_value(p, i->in[0])->width, taps = i->conv.taps;
    if (taps < 2 || taps > 8 || w->in != 1 || w->out != (uint64_t)width * taps)
        return prog_fail(p, "%u weights for %u taps of %u columns", w->out, taps, width);
    if (i->w[1].id && bundle_weight_at(prog_bundle(p), i->w[1])->out != width)
        return prog_fail(p, "a bias of %u for %u columns", bundle_weight_at(prog_bundle(p), i->w[1])->out, width);
    if (s->kind != STATE_SEQUENCE || s->width != width * (taps - 1))
        return prog_fail(p, "a state of %u numbers for %u rows of %u", s->width, taps - 1, width);
    if (i->conv.act != ACT_SILU && i->conv.act != ACT_COUNT)
        return prog_fail(p, "activation %u", i->conv.act);
    if (prog_value(p, i->in[0])->rows != ROWS_TOKEN || prog_value(p, i->in[0])->per != 1)
        return prog_fail(p, "only rows of tokens follow each other");
    out->width = width;
    return true;
}

static void params(const struct instr *i, struct buf *out)
{
    buf_printf(out, " %u taps%s", i->conv.taps, i->conv.act == ACT_SILU ? " silu" : "");
}

static const struct op_case cases[] = {
    {.name = "one token", .instr.conv = {.taps = 4, .act = ACT_SILU}, .in = {64}, .w[0] = {.part_out = {256}, .in = 1},
     .state = 192, .seq = {1}},
    {.name = "bias, odd width", .instr.conv = {.taps = 4, .act = ACT_SILU}, .in = {37}, .views = true,
     .w = {{.part_out = {148}, .in = 1}, {.part_out = {37}, .in = 1}}, .state = 111, .seq = {9, 2, 30}},
    {.name = "chunks", .instr.conv = {.taps = 3, .act = ACT_COUNT}, .in = {300}, .w[0] = {.part_out = {900}, .in = 1},
     .state = 600, .seq = {50, 7}, .chunk = 3},
    {.name = "one at a time", .instr.conv = {.taps = 4, .act = ACT_SILU}, .in = {20},
     .w = {{.part_out = {80}, .in = 1}, {.part_out = {20}, .in = 1}}, .state = 60, .seq = {11, 5}, .chunk = 1},
    {.name = "two taps", .instr.conv = {.taps = 2, .act = ACT_COUNT}, .in = {5}, .w[0] = {.part_out = {10}, .in = 1},
     .state = 5, .seq = {8}, .chunk = 5},
    {0},
};

const struct op_type op_conv = {
    .n_in = 1, .n_w = 1, .n_w_max = 2, .state = true, .shape = shape, .params = params, .cases = cases};
