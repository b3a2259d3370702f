/* pool -- n rows that follow each other become their mean.  A sequence has a multiple of n rows (struct batch: start). */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    const struct value *in = prog_value(p, i->in[0]);
    if (i->pool.n == 0 || i->pool.n > 1024 || in->per > 65536 || in->rows != ROWS_TOKEN)
        return prog_fail(p, "the mean of %u rows of %s", i->pool.n, in->rows == ROWS_TOKEN ? "tokens" : "picks");
    out->per = in->per * i->pool.n;
    out->width = in->width;
    return true;
}

static void params(const struct instr *i, struct buf *out)
{
    buf_printf(out, " %u rows", i->pool.n);
}

static const struct op_case cases[] = {
    {.name = "four", .instr.pool.n = 4, .in = {64}, .seq = {4}},
    {.name = "odd width, view", .instr.pool.n = 3, .in = {37}, .views = true, .seq = {9, 30, 3}},
    {.name = "sixteen", .instr.pool.n = 16, .in = {1152}, .seq = {64, 32}},
    {0},
};

const struct op_type op_pool = {.n_in = 1, .shape = shape, .params = params, .cases = cases};
