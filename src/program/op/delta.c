/* delta -- the gated delta rule (Yang et al. 2024), head by head: in0 is [q | k | v], q and k of key_heads * key_dim columns, v of
 * heads * value_dim; in1 is [b | a], a number a head each.  Head h reads q and k of head h / (heads / key_heads), each divided
 * by its length (the square of which counts 1e-6 more), q by the root of key_dim, too.
 *
 * memory = e^(-e^w1 softplus(a + w0)) memory; memory += k ((v - memory^T k) / (1 + e^-b))^T; out = memory^T q.  Memory is [key_dim,
 * value_dim] a head, single precision, zero before the first token; how it lies in the state is a backend's secret. */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    uint32_t heads = i->delta.heads, keys = i->delta.key_heads, dk = i->delta.key_dim, dv = i->delta.value_dim;
    uint32_t in = prog_value(p, i->in[0])->width, ba = prog_value(p, i->in[1])->width;
    if (heads == 0 || keys == 0 || dk == 0 || dv == 0 || heads % keys || dk > 1024)
        return prog_fail(p, "%u heads of %u, %u of keys of %u", heads, dv, keys, dk);
    if (in != 2 * (uint64_t)keys * dk + (uint64_t)heads * dv || ba != 2 * (uint64_t)heads)
        return prog_fail(p, "%u columns and %u for %u heads of %u, %u of keys of %u", in, ba, heads, dv, keys, dk);
    for (unsigned k = 0; k < 2; k++)
        if (bundle_weight_at(prog_bundle(p), i->w[k])->out != heads)
            return prog_fail(p, "weight %u has not one number for each of %u heads", k, heads);
    const struct state *s = bundle_state_at(prog_bundle(p), i->s);
    if (s->kind != STATE_SEQUENCE || s->width != (uint64_t)heads * dk * dv)
        return prog_fail(p, "a state of %u numbers for %u heads of %u by %u", s->width, heads, dk, dv);
    if (prog_value(p, i->in[0])->rows != ROWS_TOKEN || prog_value(p, i->in[0])->per != 1)
        return prog_fail(p, "only rows of tokens follow each other");
    out->width = heads * dv;
    return true;
}

static void params(const struct instr *i, struct buf *out)
{
    buf_printf(out, " %u heads of %u, %u of keys of %u", i->delta.heads, i->delta.value_dim, i->delta.key_heads, i->delta.key_dim);
}

#define HEADS(n) .w = {{.part_out = {n}, .in = 1}, {.part_out = {n}, .in = 1}}
static const struct op_case cases[] = {
    {.name = "one token", .instr.delta = {.heads = 2, .key_heads = 2, .key_dim = 16, .value_dim = 16}, .in = {96, 4}, HEADS(2),
     .state = 512, .seq = {1}},
    {.name = "shared keys", .instr.delta = {.heads = 4, .key_heads = 2, .key_dim = 16, .value_dim = 32}, .in = {192, 8},
     .views = true, HEADS(4), .state = 2048, .seq = {40, 3, 11}},
    {.name = "odd", .instr.delta = {.heads = 3, .key_heads = 1, .key_dim = 7, .value_dim = 21}, .in = {77, 6}, HEADS(3),
     .state = 441, .seq = {30, 8}, .chunk = 7},
    {.name = "one at a time", .instr.delta = {.heads = 2, .key_heads = 1, .key_dim = 128, .value_dim = 128}, .in = {512, 4},
     HEADS(2), .state = 32768, .seq = {9, 14}, .chunk = 1},
    {.name = "long at once", .instr.delta = {.heads = 2, .key_heads = 1, .key_dim = 16, .value_dim = 8}, .in = {48, 4},
     HEADS(2), .state = 256, .seq = {150, 3, 150}},
    {0},
};

const struct op_type op_delta = {
    .n_in = 2, .n_w = 2, .n_w_max = 2, .state = true, .shape = shape, .params = params, .cases = cases};
