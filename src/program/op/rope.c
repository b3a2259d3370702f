/* rope -- rotary positions (Su et al. 2021): pair i of every head is turned by position * w0[i], and scaled by factor.
 *
 * Pairs are (i, i + n_rot / 2), or (2i, 2i + 1) when interleaved; what lies behind the first n_rot columns of a head stays
 * (n_rot 0: there is nothing behind).  With w1, sequences that reach beyond `from` tokens (struct batch: reach) are turned
 * by that instead.  With w2, pair i is turned by the position on axis w2[i] (struct batch: pos) instead of the first: the
 * rows and columns of a picture, times and places among text (Bai et al. 2025). */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    const struct weight *w;
    uint32_t             width = prog_value(p, i->in[0])->width, dim = i->rope.head_dim;
    uint32_t             n_rot = i->rope.n_rot ? i->rope.n_rot : dim;
    if (dim == 0 || n_rot % 2 || n_rot > dim || width % dim)
        return prog_fail(p, "%u columns are not whole heads of %u, an even number of them turned", width, dim);
    if (prog_value(p, i->in[0])->rows != ROWS_TOKEN || prog_value(p, i->in[0])->per != 1)
        return prog_fail(p, "only rows of tokens have positions");
    for (unsigned k = 0; k < 3; k++) {
        w = i->w[k].id ? bundle_weight_at(prog_bundle(p), i->w[k]) : NULL;
        if (w && (!w->data || w->out != n_rot / 2))
            return prog_fail(p, "%u %s %sfor %u columns", w->out, k < 2 ? "frequencies" : "axes", w->data ? "" : "that are no constant ",
                             n_rot);
    }
    for (uint32_t k = 0; w && k < w->out; k++)
        if (!(w->data[k] >= 0 && w->data[k] < (float)AXES_MAX && w->data[k] == (float)(uint32_t)w->data[k]))
            return prog_fail(p, "axis %g of %d", (double)w->data[k], AXES_MAX);
    if ((i->w[1].id != 0) != (i->rope.from != 0))
        return prog_fail(p, "frequencies for long sequences need a length, and a length them");
    if (i->rope.from && prog_long_from(p) && prog_long_from(p) != i->rope.from)
        return prog_fail(p, "sequences would be long from %u tokens on and from %u", prog_long_from(p), i->rope.from);
    out->width = width;
    return true;
}

static void params(const struct instr *i, struct buf *out)
{
    buf_printf(out, " heads of %u%s", i->rope.head_dim, i->rope.interleaved ? " interleaved" : "");
    if (i->rope.n_rot)
        buf_printf(out, " the first %u", i->rope.n_rot);
    if (i->rope.from)
        buf_printf(out, " long from %u", i->rope.from);
    if (i->rope.factor != 1)
        buf_printf(out, " factor %g", (double)i->rope.factor);
}

static const struct op_case cases[] = {
    {.name = "halves", .instr.rope = {.head_dim = 64, .factor = 1}, .in = {192}, .w[0].part_out = {32}, .seq = {5}},
    {.name = "pairs", .instr.rope = {.head_dim = 64, .factor = 1, .interleaved = 1}, .in = {192},
     .w[0].part_out = {32}, .seq = {5, 9}},
    {.name = "odd half", .instr.rope = {.head_dim = 6, .factor = 1}, .in = {18}, .w[0].part_out = {3}, .seq = {20}},
    {.name = "odd half, pairs", .instr.rope = {.head_dim = 10, .factor = 1, .interleaved = 1}, .in = {30},
     .w[0].part_out = {5}, .seq = {20}},
    {.name = "smallest", .instr.rope = {.head_dim = 2, .factor = 1}, .in = {2}, .w[0].part_out = {1}, .seq = {3}},
    {.name = "factor, view", .instr.rope = {.head_dim = 32, .factor = 1.25f}, .in = {96}, .views = true,
     .w[0].part_out = {16}, .seq = {11, 1, 2}},
    {.name = "part of a head", .instr.rope = {.head_dim = 24, .n_rot = 10, .factor = 1}, .in = {72}, .views = true,
     .w[0].part_out = {5}, .seq = {11, 30}},
    {.name = "part, pairs", .instr.rope = {.head_dim = 20, .n_rot = 4, .factor = 1, .interleaved = 1}, .in = {60},
     .w[0].part_out = {2}, .seq = {17}},
    {.name = "long and short", .instr.rope = {.head_dim = 32, .factor = 1.5f, .from = 20}, .in = {64},
     .w = {{.part_out = {16}}, {.part_out = {16}}}, .seq = {20, 21, 50}, .chunk = 7},
    {.name = "axes", .instr.rope = {.head_dim = 36, .factor = 1}, .in = {72}, .views = true,
     .w = {[0].part_out = {18}, [2].part_out = {18}}, .seq = {30, 7}},
    {.name = "axes, part, pairs", .instr.rope = {.head_dim = 20, .n_rot = 12, .factor = 1, .interleaved = 1}, .in = {60},
     .w = {[0].part_out = {6}, [2].part_out = {6}}, .seq = {17, 40}, .chunk = 9},
    {.name = "late positions", .instr.rope = {.head_dim = 128, .factor = 1}, .in = {256}, .w[0].part_out = {64},
     .seq = {300, 70}, .chunk = 40},
    {0},
};

const struct op_type op_rope = {.n_in = 1, .n_w = 1, .n_w_max = 3, .shape = shape, .params = params, .cases = cases};
