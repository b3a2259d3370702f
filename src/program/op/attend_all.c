/* attend_all -- attention of every row to every other of its sequence, those behind it too, and of the run alone: nothing is
 * remembered.  With `windows` to those of its window (struct batch: window).  Heads as in attend. */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    const struct value *in = prog_value(p, i->in[0]);
    uint32_t q = in->width, k = prog_value(p, i->in[1])->width, v = prog_value(p, i->in[2])->width, dim = i->attend_all.head_dim;
    if (dim == 0 || q % dim || k % dim || k != v || q % k)
        return prog_fail(p, "queries of %u, keys of %u and values of %u columns as heads of %u", q, k, v, dim);
    if (in->rows != ROWS_TOKEN || in->per != 1)
        return prog_fail(p, "only rows of tokens attend");
    out->width = q;
    return true;
}

static void params(const struct instr *i, struct buf *out)
{
    buf_printf(out, " heads of %u scale %g%s", i->attend_all.head_dim, (double)i->attend_all.scale,
               i->attend_all.windows ? " in windows" : "");
}

static const struct op_case cases[] = {
    {.name = "one row", .instr.attend_all = {.head_dim = 64, .scale = 0.125f}, .in = {64, 64, 64}, .seq = {1}},
    {.name = "one sequence", .instr.attend_all = {.head_dim = 64, .scale = 0.125f}, .in = {128, 128, 128}, .views = true,
     .seq = {150}},
    {.name = "many sequences", .instr.attend_all = {.head_dim = 72, .scale = 0.11785113f}, .in = {144, 144, 144}, .views = true,
     .seq = {64, 1, 200, 63, 65, 17}},
    {.name = "odd head, grouped", .instr.attend_all = {.head_dim = 7, .scale = 0.4f}, .in = {28, 14, 14}, .seq = {19, 90}},
    {.name = "windows", .instr.attend_all = {.head_dim = 80, .scale = 0.1118034f, .windows = 1}, .in = {160, 160, 160},
     .views = true, .seq = {150, 20, 33}},
    {.name = "sharp", .instr.attend_all = {.head_dim = 32, .scale = 4}, .in = {64, 64, 64}, .seq = {70, 9}},
    {.name = "long", .instr.attend_all = {.head_dim = 64, .scale = 0.125f}, .in = {64, 64, 64}, .seq = {700, 300}},
    {0},
};

const struct op_type op_attend_all = {.n_in = 3, .shape = shape, .params = params, .cases = cases};
