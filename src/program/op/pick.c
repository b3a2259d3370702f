/* pick -- the rows that want logits; what follows runs on those alone. */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    const struct value *in = prog_value(p, i->in[0]);
    if (in->rows != ROWS_TOKEN || in->per != 1)
        return prog_fail(p, "its input is picked already, or has not a row a token");
    out->rows = ROWS_PICK;
    out->width = in->width;
    return true;
}

static const struct op_case cases[] = {
    {.name = "one row", .in = {64}, .seq = {1}},
    {.name = "odd width", .in = {37}, .seq = {15, 8}},
    {.name = "view", .in = {50}, .views = true, .seq = {9, 1, 1, 30}},
    {0},
};

const struct op_type op_pick = {.n_in = 1, .shape = shape, .cases = cases};
