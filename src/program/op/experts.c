/* experts -- a mixture of feed-forward networks (Shazeer et al. 2017): in0 through the k of n that its row of logits, in1,
 * chooses, added up by weight.
 *
 * w0 is [n experts][2 ff or ff, width]: gate over up (or, `pairs`, their rows by turns), or for RELU2 up alone; w1 is [n
 * experts][out, ff]; w2 and w3 are their biases.
 * SOFTMAX: the k largest logits; a weight is the softmax over all.  SIGMOID: a weight is the logistic function of the logit,
 * and chosen are the k largest after w4 was added; with groups only from those groups_kept whose two best are most together
 * (DeepSeek-AI 2024).  `normalise` divides the chosen weights by their sum; then `scaling` multiplies them.  Among equals
 * the first is chosen. */
#include "program/op.h"

static bool choice_fits(struct prog *p, const struct instr *i)
{
    uint32_t n = i->experts.n, k = i->experts.k, groups = i->experts.groups, logits = prog_value(p, i->in[1])->width;
    if (n == 0 || n > EXPERTS_MAX || k == 0 || k > n || logits != n)
        return prog_fail(p, "%u of %u experts by %u logits", k, n, logits);
    if (groups > 1 && (n % groups || i->experts.groups_kept == 0 || i->experts.groups_kept > groups ||
                       k > n / groups * i->experts.groups_kept))
        return prog_fail(p, "%u of %u experts from %u of %u groups", k, n, i->experts.groups_kept, groups);
    if (i->w[4].id) {
        const struct weight *bias = bundle_weight_at(prog_bundle(p), i->w[4]);
        if (i->experts.router != ROUTER_SIGMOID || bias->n_expert || bias->in != 1 || bias->out != n)
            return prog_fail(p, "a bias of [%u, %u] for the choice of %u", bias->out, bias->in, n);
    }
    return true;
}

static bool bias_fits(struct prog *p, wt w, uint32_t n, uint32_t out)
{
    const struct weight *bias = w.id ? bundle_weight_at(prog_bundle(p), w) : NULL;
    return !bias || (bias->n_expert == n && bias->in == 1 && bias->out == out) ||
           prog_fail(p, "biases of %u experts, [%u, %u], for %u outputs", bias->n_expert, bias->out, bias->in, out);
}

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    const struct weight *up = bundle_weight_at(prog_bundle(p), i->w[0]), *down = bundle_weight_at(prog_bundle(p), i->w[1]);
    uint32_t             width = prog_value(p, i->in[0])->width, n = i->experts.n;
    uint8_t              act = i->experts.act;
    bool                 gated = act == ACT_SILU || act == ACT_GELU_TANH || act == ACT_CLIPPED;
    if (!choice_fits(p, i))
        return false;
    if (up->n_expert != n || down->n_expert != n || up->in != width)
        return prog_fail(p, "weights of %u and %u experts over %u columns for %u over %u", up->n_expert, down->n_expert,
                         up->in, n, width);
    if ((!gated && act != ACT_RELU2) || (act == ACT_CLIPPED) != (i->experts.limit > 0) || (i->experts.pairs && !gated))
        return prog_fail(p, "activation %u with limit %g", act, (double)i->experts.limit);
    if (up->out != (gated ? 2 : 1) * (uint64_t)down->in)
        return prog_fail(p, "matrices of %u outputs before ones of %u inputs", up->out, down->in);
    if (!bias_fits(p, i->w[2], n, up->out) || !bias_fits(p, i->w[3], n, down->out))
        return false;
    if (down->split == SPLIT_IN && i->w[3].id && bundle_rank(prog_bundle(p)) > 0)
        return prog_fail(p, "biases on every rank would be added %d times", bundle_world(prog_bundle(p)));
    out->width = down->out;
    out->partial = down->split == SPLIT_IN;
    return true;
}

static void params(const struct instr *i, struct buf *out)
{
    static const char *const acts[] = {"silu", "gelu_tanh", "relu2", "sigmoid", "softcap", "clipped"};
    buf_printf(out, " %u of %u by %s%s %s%s", i->experts.k, i->experts.n,
               i->experts.router == ROUTER_SOFTMAX ? "softmax" : "sigmoid", i->experts.normalise ? " normalised" : "",
               acts[i->experts.act], i->experts.pairs ? " in pairs" : "");
    if (i->experts.groups > 1)
        buf_printf(out, " from %u of %u groups", i->experts.groups_kept, i->experts.groups);
    if (i->experts.scaling != 1)
        buf_printf(out, " times %g", (double)i->experts.scaling);
    if (i->experts.limit > 0)
        buf_printf(out, " limit %g", (double)i->experts.limit);
}

#define UP(rows, cols, n)   {.part_out = {rows, rows}, .in = cols, .n_expert = n}
#define ONE(rows, cols, n)  {.part_out = {rows}, .in = cols, .n_expert = n}
static const struct op_case cases[] = {
    {.name = "one row", .instr.experts = {.n = 3, .k = 2, .act = ACT_SILU, .normalise = 1, .scaling = 1}, .in = {256, 3},
     .w = {UP(256, 256, 3), ONE(40, 256, 3)}, .seq = {1}},
    {.name = "many rows", .instr.experts = {.n = 4, .k = 3, .act = ACT_SILU, .scaling = 1}, .in = {256, 4},
     .w = {UP(256, 256, 4), ONE(70, 256, 4)}, .seq = {90, 11}},
    {.name = "more rows than a block at one", .instr.experts = {.n = 2, .k = 2, .act = ACT_GELU_TANH, .scaling = 1},
     .in = {64, 2}, .w = {UP(32, 64, 2), ONE(33, 32, 2)}, .seq = {150}},
    {.name = "few rows, many experts", .instr.experts = {.n = 40, .k = 4, .act = ACT_SILU, .normalise = 1, .scaling = 1},
     .in = {96, 40}, .views = true, .w = {UP(32, 96, 40), ONE(40, 32, 40)}, .seq = {3, 2}},
    {.name = "sigmoid, bias, groups",
     .instr.experts = {.n = 16, .k = 3, .groups = 4, .groups_kept = 2, .router = ROUTER_SIGMOID, .act = ACT_SILU,
                       .normalise = 1, .scaling = 2.5f},
     .in = {64, 16}, .w = {UP(96, 64, 16), ONE(48, 96, 16), [4] = {.part_out = {16}, .in = 1}}, .seq = {33, 7}},
    {.name = "relu2", .instr.experts = {.n = 5, .k = 2, .router = ROUTER_SIGMOID, .act = ACT_RELU2, .scaling = 1.5f},
     .in = {256, 5}, .w = {ONE(256, 256, 5), ONE(34, 256, 5)}, .seq = {20}},
    {.name = "biases, pairs, clipped",
     .instr.experts = {.n = 4, .k = 2, .act = ACT_CLIPPED, .normalise = 1, .pairs = 1, .scaling = 1, .limit = 7},
     .in = {64, 4}, .w = {ONE(128, 64, 4), ONE(64, 64, 4), {.part_out = {128}, .in = 1, .n_expert = 4},
                          {.part_out = {64}, .in = 1, .n_expert = 4}}, .seq = {40, 1}},
    {.name = "odd shapes", .instr.experts = {.n = 3, .k = 1, .act = ACT_SILU, .normalise = 1, .scaling = 1}, .in = {37, 3},
     .w = {UP(19, 37, 3), ONE(21, 19, 3)}, .seq = {9, 9}},
    {0},
};

const struct op_type op_experts = {.n_in = 2, .n_w = 2, .n_w_max = 5, .shape = shape, .params = params, .cases = cases};
