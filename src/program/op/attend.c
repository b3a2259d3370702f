/* attend -- causal attention over everything the sequence holds, this run's tokens included (they are appended first).
 *
 * Query head h reads key and value head h / (query heads / key heads).  A token sees itself and those before it: all of
 * them, or the last `window` (itself counted).  The run may let it see further (struct batch: see).  A score x becomes softcap tanh(x / softcap) where that is not 0.  Sinks are
 * a score for each query head that takes part in the softmax and has no value. */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    uint32_t q = prog_value(p, i->in[0])->width, k = prog_value(p, i->in[1])->width, v = prog_value(p, i->in[2])->width;
    uint32_t dim = i->attend.head_dim;
    if (dim == 0 || q % dim || k % dim || k != v || q % k)
        return prog_fail(p, "queries of %u, keys of %u and values of %u columns as heads of %u", q, k, v, dim);
    if (i->w[0].id) {
        const struct weight *sinks = bundle_weight_at(prog_bundle(p), i->w[0]);
        if (sinks->in != 1 || sinks->out != q / dim)
            return prog_fail(p, "sinks of [%u, %u] for %u heads", sinks->out, sinks->in, q / dim);
    }
    const struct state *s = bundle_state_at(prog_bundle(p), i->s);
    if (s->kind != STATE_TOKEN || s->width != k + v)
        return prog_fail(p, "a state of %u numbers a token for keys and values of %u", s->width, k + v);
    if (!bundle_heads(prog_bundle(p), i->s, dim))
        return prog_fail(p, "a state for heads of %u, not of %u", s->head_dim, dim);
    if (prog_value(p, i->in[0])->rows != ROWS_TOKEN || prog_value(p, i->in[0])->per != 1)
        return prog_fail(p, "only rows of tokens can be appended");
    out->width = q;
    return true;
}

static void params(const struct instr *i, struct buf *out)
{
    buf_printf(out, " heads of %u scale %g", i->attend.head_dim, (double)i->attend.scale);
    if (i->attend.window)
        buf_printf(out, " window %u", i->attend.window);
    if (i->attend.softcap > 0)
        buf_printf(out, " softcap %g", (double)i->attend.softcap);
}

static const struct op_case cases[] = {
    {.name = "one token", .instr.attend = {.head_dim = 64, .scale = 0.125f}, .in = {64, 64, 64}, .seq = {1}},
    {.name = "grouped heads", .instr.attend = {.head_dim = 64, .scale = 0.125f}, .in = {576, 192, 192}, .views = true,
     .seq = {40}},
    {.name = "odd head", .instr.attend = {.head_dim = 7, .scale = 0.4f}, .in = {21, 7, 7}, .seq = {19, 33}},
    {.name = "whole blocks", .instr.attend = {.head_dim = 16, .scale = 0.25f}, .in = {64, 32, 32},
     .seq = {16, 32, 48}},
    {.name = "many sequences", .instr.attend = {.head_dim = 32, .scale = 0.17677669f}, .in = {128, 64, 64},
     .views = true, .seq = {1, 50, 17, 3, 16, 90, 2, 31}},
    {.name = "in chunks", .instr.attend = {.head_dim = 32, .scale = 0.17677669f}, .in = {128, 32, 32},
     .seq = {130, 75, 20}, .chunk = 27},
    {.name = "one at a time", .instr.attend = {.head_dim = 16, .scale = 0.25f}, .in = {32, 16, 16}, .views = true,
     .seq = {37, 5, 18}, .chunk = 1},
    {.name = "window", .instr.attend = {.head_dim = 16, .scale = 0.25f, .window = 8}, .in = {32, 16, 16},
     .seq = {70, 9}},
    {.name = "odd window, chunks", .instr.attend = {.head_dim = 16, .scale = 0.25f, .window = 21}, .in = {48, 48, 48},
     .views = true, .seq = {100, 41}, .chunk = 13},
    {.name = "window of one", .instr.attend = {.head_dim = 8, .scale = 1, .window = 1}, .in = {16, 8, 8}, .seq = {12}},
    {.name = "softcap", .instr.attend = {.head_dim = 16, .scale = 2, .softcap = 5}, .in = {64, 32, 32}, .views = true,
     .seq = {50, 20}, .chunk = 33},
    {.name = "sinks", .instr.attend = {.head_dim = 16, .scale = 0.25f}, .in = {64, 32, 32},
     .w[0] = {.part_out = {4}, .in = 1}, .seq = {60, 1, 17}},
    {.name = "sinks, window, softcap", .instr.attend = {.head_dim = 8, .scale = 1, .window = 5, .softcap = 3},
     .in = {48, 16, 16}, .w[0] = {.part_out = {6}, .in = 1}, .seq = {40}, .chunk = 3},
    {.name = "sees ahead", .instr.attend = {.head_dim = 16, .scale = 0.25f}, .in = {64, 32, 32}, .seq = {60, 24, 7},
     .ahead = 12},
    {.name = "sees ahead, window, chunks", .instr.attend = {.head_dim = 16, .scale = 0.25f, .window = 9}, .in = {32, 16, 16},
     .views = true, .seq = {100, 40}, .chunk = 40, .ahead = 20},
    {.name = "sharp", .instr.attend = {.head_dim = 32, .scale = 6}, .in = {64, 32, 32}, .seq = {60}},
    {.name = "long", .instr.attend = {.head_dim = 128, .scale = 0.088388348f}, .in = {256, 128, 128}, .seq = {600, 10},
     .chunk = 200},
    {0},
};

const struct op_type op_attend = {.n_in = 3, .n_w_max = 1, .state = true, .shape = shape, .params = params, .cases = cases};
