/* input -- numbers that come with the run: pixels of patches, places in tables. */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    if (i->input.at >= prog_n_inputs(p))
        return prog_fail(p, "input %u of %u", i->input.at, prog_n_inputs(p));
    out->width = i->input.width;
    return true;
}

static void params(const struct instr *i, struct buf *out)
{
    buf_printf(out, " number %u", i->input.at);
}

static const struct op_case cases[] = {
    {.name = "one row", .instr.input.width = 64, .seq = {1}},
    {.name = "odd width", .instr.input.width = 37, .seq = {5, 8}},
    {.name = "wide", .instr.input.width = 1536, .seq = {50}, .chunk = 20},
    {0},
};

const struct op_type op_input = {.shape = shape, .params = params, .cases = cases};
