/* scan -- the selective state space recurrence of Mamba 2 (Dao and Gu 2024), head by head: in0 is [x | B | C], x of heads *
 * head_dim columns, B and C of groups * state_dim; a head reads group h / (heads / groups).
 *
 * With step = softplus(in1 + w0), at least step_min and at most step_max: memory = e^(-e^w1 step) memory + step x B^T, and out =
 * memory C + w2 x.  Memory is [head_dim, state_dim] a head, single precision, zero before the first token; how it lies in the
 * state is a backend's secret. */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    uint32_t heads = i->scan.heads, groups = i->scan.groups, dim = i->scan.head_dim, n = i->scan.state_dim;
    uint32_t in = prog_value(p, i->in[0])->width, step = prog_value(p, i->in[1])->width;
    if (heads == 0 || groups == 0 || dim == 0 || n == 0 || heads % groups)
        return prog_fail(p, "%u heads of %u in %u groups of %u", heads, dim, groups, n);
    if (in != (uint64_t)heads * dim + 2 * (uint64_t)groups * n || step != heads)
        return prog_fail(p, "%u columns and %u steps for %u heads of %u and %u groups of %u", in, step, heads, dim, groups, n);
    for (unsigned k = 0; k < 3; k++)
        if (bundle_weight_at(prog_bundle(p), i->w[k])->out != heads)
            return prog_fail(p, "weight %u has not one number for each of %u heads", k, heads);
    const struct state *s = bundle_state_at(prog_bundle(p), i->s);
    if (s->kind != STATE_SEQUENCE || s->width != (uint64_t)heads * dim * n)
        return prog_fail(p, "a state of %u numbers for %u heads of %u by %u", s->width, heads, dim, n);
    if (!(i->scan.step_max > i->scan.step_min))
        return prog_fail(p, "steps from %g to %g", (double)i->scan.step_min, (double)i->scan.step_max);
    if (prog_value(p, i->in[0])->rows != ROWS_TOKEN || prog_value(p, i->in[0])->per != 1)
        return prog_fail(p, "only rows of tokens follow each other");
    out->width = heads * dim;
    return true;
}

static void params(const struct instr *i, struct buf *out)
{
    buf_printf(out, " %u heads of %u, %u groups of %u, steps from %g to %g", i->scan.heads, i->scan.head_dim, i->scan.groups,
               i->scan.state_dim, (double)i->scan.step_min, (double)i->scan.step_max);
}

#define HEADS(n) .w = {{.part_out = {n}, .in = 1}, {.part_out = {n}, .in = 1}, {.part_out = {n}, .in = 1}}
static const struct op_case cases[] = {
    {.name = "one token", .instr.scan = {.heads = 2, .groups = 1, .head_dim = 16, .state_dim = 16, .step_max = 100},
     .in = {64, 2}, HEADS(2), .state = 512, .seq = {1}},
    {.name = "groups", .instr.scan = {.heads = 8, .groups = 2, .head_dim = 16, .state_dim = 32, .step_max = 100},
     .in = {256, 8}, .views = true, HEADS(8), .state = 4096, .seq = {40, 3, 11}},
    {.name = "odd", .instr.scan = {.heads = 3, .groups = 3, .head_dim = 21, .state_dim = 7, .step_max = 100},
     .in = {105, 3}, HEADS(3), .state = 441, .seq = {30, 8}, .chunk = 7},
    {.name = "clipped steps", .instr.scan = {.heads = 4, .groups = 1, .head_dim = 8, .state_dim = 8, .step_min = 0.5f,
     .step_max = 0.9f}, .in = {48, 4}, HEADS(4), .state = 256, .seq = {20}},
    {.name = "one at a time", .instr.scan = {.heads = 2, .groups = 2, .head_dim = 64, .state_dim = 128, .step_max = 100},
     .in = {640, 2}, HEADS(2), .state = 16384, .seq = {9, 14}, .chunk = 1},
    {.name = "long", .instr.scan = {.heads = 2, .groups = 1, .head_dim = 32, .state_dim = 16, .step_max = 100},
     .in = {96, 2}, HEADS(2), .state = 1024, .seq = {300}, .chunk = 64},
    {.name = "long at once", .instr.scan = {.heads = 2, .groups = 2, .head_dim = 8, .state_dim = 16, .step_max = 100},
     .in = {80, 2}, HEADS(2), .state = 256, .seq = {150, 3, 150}},
    {0},
};

const struct op_type op_scan = {
    .n_in = 2, .n_w = 3, .n_w_max = 3, .state = true, .shape = shape, .params = params, .cases = cases};
