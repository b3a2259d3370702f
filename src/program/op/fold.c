/* fold -- n rows that follow each other become one, side by side: neighbouring patches, before a matrix merges them.  A sequence
 * has a multiple of n rows (struct batch: start). */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    const struct value *in = prog_value(p, i->in[0]);
    if (i->fold.n == 0 || i->fold.n > 1024 || in->per > 65536 || in->rows != ROWS_TOKEN)
        return prog_fail(p, "%u rows of %s side by side", i->fold.n, in->rows == ROWS_TOKEN ? "tokens" : "picks");
    out->per = in->per * i->fold.n;
    out->width = in->width * i->fold.n;
    return true;
}

static void params(const struct instr *i, struct buf *out)
{
    buf_printf(out, " %u rows", i->fold.n);
}

static const struct op_case cases[] = {
    {.name = "four", .instr.fold.n = 4, .in = {64}, .seq = {4}},
    {.name = "odd width, view", .instr.fold.n = 3, .in = {37}, .views = true, .seq = {9, 30, 3}},
    {.name = "one", .instr.fold.n = 1, .in = {20}, .seq = {7}},
    {.name = "many rows", .instr.fold.n = 4, .in = {576}, .seq = {200, 40}},
    {0},
};

const struct op_type op_fold = {.n_in = 1, .shape = shape, .params = params, .cases = cases};
