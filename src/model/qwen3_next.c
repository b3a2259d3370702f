/* qwen3_next.c -- Qwen3-Next (Qwen Team 2025): three layers of a gated delta rule (Yang et al. 2024) to each one of attention,
 * whose output is gated and of whose heads a quarter is turned; experts as Qwen3's, beside a gated network for every row. */
#include "model/config.h"
#include "model/models.h"
#include "model/qwen3_moe.h"

#include "base/mem.h"

#define LINEAR "model.layers.#.linear_attn."
#define SELF   "model.layers.#.self_attn."
#define MLP    "model.layers.#.mlp.shared_expert."

struct next {
    uint32_t            heads, key_heads, key_dim, value_dim, taps, shared_ff, period;
    json                types;
    struct qwen3_sparse sparse;
    struct moe          moe;
};

static wt vector(const struct writer *w, const char *name, uint32_t n, bool flat)
{
    const struct weight v = {.part = {name}, .part_out = {n}, .in = 1, .flat = flat};
    return bundle_weight(w->b, w->layer, &v);
}

/* The checkpoint has for every key head [q | k | its v | its z]; wanted are all q, all k, all v, all z. */
static float *qkvz_order(const struct next *x)
{
    uint32_t share = x->heads / x->key_heads * x->value_dim, each = 2 * x->key_dim + 2 * share;
    uint32_t begin[4] = {0, x->key_dim, 2 * x->key_dim, 2 * x->key_dim + share}, n[4] = {x->key_dim, x->key_dim, share, share};
    float   *list = mem_array((size_t)x->key_heads * each, sizeof *list), *to = list;
    for (unsigned part = 0; part < 4; part++)
        for (uint32_t g = 0; g < x->key_heads; g++)
            for (uint32_t i = 0; i < n[part]; i++)
                *to++ = (float)(g * each + begin[part] + i);
    return list;
}

/* For every key head [its b | its a]: all b, all a. */
static float *ba_order(const struct next *x)
{
    uint32_t share = x->heads / x->key_heads;
    float   *list = mem_array(2 * (size_t)x->heads, sizeof *list), *to = list;
    for (unsigned part = 0; part < 2; part++)
        for (uint32_t h = 0; h < x->heads; h++)
            *to++ = (float)(h / share * 2 * share + part * share + h % share);
    return list;
}

static val delta_rule(const struct next *x, const struct writer *w, val h)
{
    struct writer     plain = *w;           /* this norm's weights do not count from 1 */
    uint32_t          keys = x->key_heads * x->key_dim, values = x->heads * x->value_dim, mixed = 2 * keys + values;
    const struct part in[4] = {PART(LINEAR "in_proj_qkvz", mixed + values)}, ba[4] = {PART(LINEAR "in_proj_ba", 2 * x->heads)};
    const struct part out[4] = {PART(LINEAR "out_proj", w->m->info.width)};
    val raw = write_linear(w, h, SPLIT_NONE, in, false), steps = write_linear(w, h, SPLIT_NONE, ba, false);
    val all = write_order(w, raw, raw, qkvz_order(x), mixed + values);
    val qkv = EMIT(w->p, conv, .in = {prog_cols(w->p, all, 0, mixed)},
                   .w = {vector(w, LINEAR "conv1d.weight", mixed * x->taps, true)},
                   .s = bundle_state(w->b, w->layer, STATE_SEQUENCE, mixed * (x->taps - 1)),
                   .conv = {.taps = x->taps, .act = ACT_SILU});
    val y = EMIT(w->p, delta, .in = {qkv, write_order(w, steps, steps, ba_order(x), 2 * x->heads)},
                 .w = {vector(w, LINEAR "dt_bias", x->heads, false), vector(w, LINEAR "A_log", x->heads, false)},
                 .s = bundle_state(w->b, w->layer, STATE_SEQUENCE, values * x->key_dim),
                 .delta = {.heads = x->heads, .key_heads = x->key_heads, .key_dim = x->key_dim, .value_dim = x->value_dim});
    plain.one = false;
    val gate = EMIT(w->p, act, .in = {prog_cols(w->p, all, mixed, values)}, .act = {.act = ACT_SILU});
    val z = EMIT(w->p, mul, .in = {write_norm(&plain, y, LINEAR "norm.weight", x->value_dim), gate});
    return write_linear(w, z, SPLIT_NONE, out, false);
}

/* For every head [q | gate]: all q, all gates. */
static float *q_order(uint32_t heads, uint32_t dim)
{
    float *list = mem_array(2 * (size_t)heads * dim, sizeof *list);
    for (uint32_t i = 0; i < heads * dim; i++) {
        list[i] = (float)(i / dim * 2 * dim + i % dim);
        list[heads * dim + i] = list[i] + (float)dim;
    }
    return list;
}

static val turn(const struct decoder *d, const struct writer *w, val x)
{
    return EMIT(w->p, rope, .in = {x}, .w = {d->rope.w},
                .rope = {.head_dim = w->m->info.head_dim, .n_rot = d->rope.n_rot, .factor = d->rope.factor});
}

static val gated_attention(const struct decoder *d, const struct writer *w, val h)
{
    const struct model_info *i = &w->m->info;
    uint32_t                 dim = i->head_dim, n_q = bundle_share(w->b, i->n_head), q = n_q * dim;
    uint32_t                 kv = bundle_share(w->b, i->n_kv_head) * dim;
    const struct part part[4] = {PART(SELF "q_proj", 2 * q), PART(SELF "k_proj", kv), PART(SELF "v_proj", kv)};
    val qkv = write_linear(w, h, SPLIT_OUT, part, d->qkv_bias), raw = prog_cols(w->p, qkv, 0, 2 * q);
    val both = write_order(w, raw, raw, q_order(n_q, dim), 2 * q);
    val k = turn(d, w, write_norm(w, prog_cols(w->p, qkv, 2 * q, kv), SELF "k_norm.weight", dim));
    val y = EMIT(w->p, attend,
                 .in = {turn(d, w, write_norm(w, prog_cols(w->p, both, 0, q), SELF "q_norm.weight", dim)), k,
                        prog_cols(w->p, qkv, 2 * q + kv, kv)},
                 .s = bundle_state(w->b, w->layer, STATE_TOKEN, 2 * kv), .attend = {.head_dim = dim, .scale = d->scale});
    val gate = EMIT(w->p, act, .in = {prog_cols(w->p, both, q, q)}, .act = {.act = ACT_SIGMOID});
    return write_down(w, EMIT(w->p, mul, .in = {y, gate}), (struct part)PART(SELF "o_proj", i->width), d->o_bias);
}

static val either(const struct decoder *d, const struct writer *w, val h)
{
    const struct next *x = d->own;
    bool full = x->types ? json_is(json_at(x->types, (size_t)w->layer), "full_attention")
                         : ((uint32_t)w->layer + 1) % x->period == 0;
    return full ? gated_attention(d, w, h) : delta_rule(x, w, h);
}

static val with_shared(const struct decoder *d, const struct writer *w, val h)
{
    const struct next *x = d->own;
    uint32_t           ff = bundle_share(w->b, x->shared_ff);
    const struct part  up[4] = {PART(MLP "gate_proj", ff), PART(MLP "up_proj", ff)};
    const struct part  gate[4] = {{"model.layers.#.mlp.shared_expert_gate.weight", NULL, 1}};
    val chosen = write_moe(w, h, &x->moe);
    val g = EMIT(w->p, glu, .in = {write_linear(w, h, SPLIT_OUT, up, false)}, .glu = {.act = d->act});
    val open = EMIT(w->p, act, .in = {write_linear(w, h, SPLIT_NONE, gate, false)}, .act = {.act = ACT_SIGMOID});
    val all = EMIT(w->p, mul, .in = {write_down(w, g, (struct part)PART(MLP "down_proj", w->m->info.width), false), open});
    return EMIT(w->p, add, .in = {chosen, all});
}

/* Who converts for MLX adds the 1 to the norms' weights; its convolutions tell. */
static bool converted(const struct model *m)
{
    struct tensor t;
    return checkpoint_find(m->checkpoint, "model.layers.0.linear_attn.conv1d.weight", &t) && t.n_dim == 3 && t.shape[2] == 1;
}

bool model_qwen3_next(struct model *m, struct err *e)
{
    static const char *const honours[] = {"num_experts", "partial_rotary_factor", NULL};
    struct next    x = {0};
    struct decoder d = {.honours = honours, .rope_ask.partial = true, .attention = either, .own = &x};
    json           config = m->config, types = json_get(config, "layer_types");
    if (!decoder_read(&d, m, e) || !config_flag(config, "attention_bias", &d.qkv_bias, e) ||
        !config_count(config, "linear_num_value_heads", 1 << 12, 0, &x.heads, e) ||
        !config_count(config, "linear_num_key_heads", 1 << 12, 0, &x.key_heads, e) ||
        !config_count(config, "linear_key_head_dim", 1 << 10, 0, &x.key_dim, e) ||
        !config_count(config, "linear_value_head_dim", 1 << 12, 0, &x.value_dim, e) ||
        !config_count(config, "linear_conv_kernel_dim", 8, 4, &x.taps, e) ||
        !config_count(config, "full_attention_interval", 1024, 4, &x.period, e) ||
        !config_count(config, "shared_expert_intermediate_size", 1 << 20, 0, &x.shared_ff, e) ||
        !qwen3_moe_read(&d, m, &x.sparse, &x.moe, e))
        return false;
    if (x.heads % x.key_heads)
        return err_set(e, ERR_CORRUPT, "configuration: %u heads of values cannot share %u of keys", x.heads, x.key_heads);
    if (json_type(types) == JSON_ARRAY && json_len(types) != m->info.n_layer)
        return err_set(e, ERR_CORRUPT, "configuration: layer_types does not name %u layers", m->info.n_layer);
    x.types = json_type(types) == JSON_ARRAY ? types : NULL;
    d.o_bias = d.qkv_bias;
    d.norm_one = !converted(m);
    d.moe_write = with_shared;
    return decoder_write(&d, m, e);
}
