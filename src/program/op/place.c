/* place -- features in place of rows, or added to them: a picture among text.  Which rows, and which features, the run says
 * (struct batch: span); all others go through as they are. */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    const struct value *in = prog_value(p, i->in[0]);
    if (in->rows != ROWS_TOKEN || in->per != 1)
        return prog_fail(p, "only rows of tokens have features");
    out->width = in->width;
    return true;
}

static void params(const struct instr *i, struct buf *out)
{
    buf_printf(out, " level %u%s", i->place.level, i->place.add ? " added" : "");
}

static const struct op_case cases[] = {
    {.name = "set", .in = {64}, .seq = {9, 20}},
    {.name = "added, odd width", .instr.place = {.level = 1, .add = 1}, .in = {37}, .views = true, .seq = {30, 1, 12}},
    {.name = "added, many rows", .instr.place = {.level = 2, .add = 1}, .in = {512}, .seq = {200}, .chunk = 90},
    {0},
};

const struct op_type op_place = {.n_in = 1, .shape = shape, .params = params, .cases = cases};
