/* nemotron_h.c -- Nemotron-H and Nemotron 3 (NVIDIA 2025): every layer is one thing alone, a Mamba 2 scan, attention without
 * positions, a feed-forward network, or experts; what it gives is added to the row. */
#include "model/config.h"
#include "model/models.h"
#include "model/sigmoid_moe.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIXER "backbone.layers.#.mixer."

enum { LAYERS_MAX = 1024, COUNT_MAX = 1 << 20 };

struct nemotron {
    struct writer w;
    struct moe    moe;
    uint32_t      heads, head_dim, groups, state_dim, taps, shared_ff;      /* of scans; of the network beside experts */
    float         step_min, step_max;
    bool          conv_bias, mamba_bias, attention_bias, mlp_bias, tied;
    char          kind[LAYERS_MAX];         /* M, *, -, E */
};

/* ---- the configuration -------------------------------------------------------------------------------------------- */

static bool kind_named(json name, char *out)
{
    static const struct {
        const char *name;
        char        kind;
    } kinds[] = {{"mamba", 'M'}, {"attention", '*'}, {"mlp", '-'}, {"moe", 'E'}};
    for (unsigned i = 0; i < 4; i++)
        if (json_is(name, kinds[i].name)) {
            *out = kinds[i].kind;
            return true;
        }
    return false;
}

/* A string of letters, or a list of words. */
static bool read_layers(struct nemotron *x, struct model_info *i, json config, struct err *e)
{
    json       list = json_get(config, "layers_block_type");
    struct str text = json_str(json_get(config, "hybrid_override_pattern"));
    size_t     n = text.p ? text.n : json_len(list);
    if (n == 0 || n > LAYERS_MAX)
        return err_set(e, ERR_CORRUPT, "configuration: hybrid_override_pattern does not say what the layers are");
    for (size_t l = 0; l < n; l++) {
        bool known = text.p ? strchr("M*-E", text.p[l]) != NULL : kind_named(json_at(list, l), &x->kind[l]);
        if (!known)
            return err_set(e, ERR_UNSUPPORTED, "configuration: layer %zu of hybrid_override_pattern is not supported", l);
        if (text.p)
            x->kind[l] = text.p[l];
    }
    i->n_layer = (uint32_t)n;
    uint32_t said;
    if (!config_count(config, "num_hidden_layers", LAYERS_MAX, i->n_layer, &said, e))
        return false;
    return said == i->n_layer || err_set(e, ERR_CORRUPT, "configuration: num_hidden_layers is %u, but %u are described", said,
                                         i->n_layer);
}

static bool read_sizes(struct model_info *i, json config, struct err *e)
{
    return config_count(config, "hidden_size", COUNT_MAX, 0, &i->width, e) &&
           config_count(config, "num_attention_heads", 4096, 0, &i->n_head, e) &&
           config_count(config, "num_key_value_heads", 4096, i->n_head, &i->n_kv_head, e) &&
           config_count(config, "head_dim", 4096, i->width / i->n_head ? i->width / i->n_head : 1, &i->head_dim, e) &&
           config_count(config, "intermediate_size", COUNT_MAX, 0, &i->ff, e) &&
           config_count(config, "vocab_size", 1 << 23, 0, &i->n_vocab, e) &&
           config_count(config, "max_position_embeddings", 1 << 28, 4096, &i->context, e);
}

static bool read_scan(struct nemotron *x, json config, struct err *e)
{
    json limit = json_get(config, "time_step_limit");
    x->step_max = INFINITY;
    if (json_type(limit) == JSON_ARRAY) {
        x->step_min = (float)json_num_or(json_at(limit, 0), 0);
        x->step_max = (float)json_num_or(json_at(limit, 1), INFINITY);
    }
    x->conv_bias = true;
    return config_count(config, "mamba_num_heads", 1 << 16, 0, &x->heads, e) &&
           config_count(config, "mamba_head_dim", 1 << 16, 0, &x->head_dim, e) &&
           config_count(config, "n_groups", 1 << 16, 1, &x->groups, e) &&
           config_count(config, "ssm_state_size", 1 << 16, 0, &x->state_dim, e) &&
           config_count(config, "conv_kernel", 8, 4, &x->taps, e) &&
           config_flag(config, "use_conv_bias", &x->conv_bias, e) && config_flag(config, "use_bias", &x->mamba_bias, e) &&
           config_flag(config, "mamba_proj_bias", &x->mamba_bias, e);
}

static bool read_experts(struct nemotron *x, json config, struct err *e)
{
    x->moe = (struct moe){.at = "backbone.layers.#.mixer", .act = ACT_RELU2};
    if (!memchr(x->kind, 'E', sizeof x->kind))
        return true;
    if (config_says(config, "moe_latent_size"))
        return err_set(e, ERR_UNSUPPORTED, "configuration: moe_latent_size is not supported");
    bool shares = json_int_or(json_get(config, "n_shared_experts"), 0) > 0;
    return sigmoid_router_read(&x->moe, config, e) &&
           (!shares || config_count(config, "moe_shared_expert_intermediate_size", COUNT_MAX, 0, &x->shared_ff, e));
}

static bool act_is(json config, const char *key, const char *name, struct err *e)
{
    struct str act = json_str(json_get(config, key));
    return !act.p || str_is(act, name) ||
           err_set(e, ERR_UNSUPPORTED, "configuration: %s '%.*s' is not supported", key, (int)act.n, act.p);
}

static bool read_all(struct nemotron *x, struct model *m, struct err *e)
{
    json          config = m->config;
    double        eps = 1e-5;
    struct tensor head;
    x->tied = !checkpoint_find(m->checkpoint, "lm_head.weight", &head);
    if (!read_layers(x, &m->info, config, e) || !read_sizes(&m->info, config, e) || !read_scan(x, config, e) ||
        !read_experts(x, config, e) || !config_number(config, "layer_norm_epsilon", 0, 1, &eps, e) ||
        !config_flag(config, "attention_bias", &x->attention_bias, e) || !config_flag(config, "mlp_bias", &x->mlp_bias, e) ||
        !config_flag(config, "tie_word_embeddings", &x->tied, e) || !act_is(config, "mlp_hidden_act", "relu2", e) ||
        !act_is(config, "mamba_hidden_act", "silu", e))
        return false;
    if (config_says(config, "sliding_window"))
        return err_set(e, ERR_UNSUPPORTED, "configuration: sliding_window is not supported");
    x->w.eps = (float)eps;
    return true;
}

/* ---- the program -------------------------------------------------------------------------------------------------- */

static wt vector(const struct nemotron *x, const char *name, uint32_t n, bool flat)
{
    const struct weight v = {.part = {name}, .part_out = {n}, .in = 1, .flat = flat};
    return bundle_weight(x->w.b, x->w.layer, &v);
}

/* The logarithm of how fast a head forgets.  GGUF files have minus the speed itself, one axis more. */
static wt decay(const struct nemotron *x)
{
    const struct writer *w = &x->w;
    struct tensor        t;
    float               *log_a = mem_array(x->heads, sizeof *log_a);
    char                 name[64];
    snprintf(name, sizeof name, "backbone.layers.%d.mixer.A", w->layer);
    bool given = checkpoint_find(w->m->checkpoint, name, &t) && t.format == FORMAT_F32 && t.bytes == x->heads * sizeof *log_a;
    for (uint32_t i = 0; given && i < x->heads; i++) {
        memcpy(&log_a[i], (const char *)t.data + i * sizeof *log_a, sizeof *log_a);
        log_a[i] = logf(-log_a[i]);
    }
    wt a = given ? bundle_const(w->b, log_a, x->heads) : vector(x, MIXER "A_log", x->heads, false);
    free(log_a);
    return a;
}

/* The gate works on what the scan gives, before the norm of each group. */
static val mamba(const struct nemotron *x, val h)
{
    const struct writer *w = &x->w;
    uint32_t inner = x->heads * x->head_dim, bc = x->groups * x->state_dim, mixed = inner + 2 * bc;
    const struct part in[4] = {PART(MIXER "in_proj", inner + mixed + x->heads)};
    val all = write_linear(w, h, SPLIT_NONE, in, x->mamba_bias);
    val xbc = EMIT(w->p, conv, .in = {prog_cols(w->p, all, inner, mixed)},
                   .w = {vector(x, MIXER "conv1d.weight", mixed * x->taps, true),
                         x->conv_bias ? vector(x, MIXER "conv1d.bias", mixed, false) : (wt){0}},
                   .s = bundle_state(w->b, w->layer, STATE_SEQUENCE, mixed * (x->taps - 1)),
                   .conv = {.taps = x->taps, .act = ACT_SILU});
    val y = EMIT(w->p, scan, .in = {xbc, prog_cols(w->p, all, inner + mixed, x->heads)},
                 .w = {vector(x, MIXER "dt_bias", x->heads, false), decay(x), vector(x, MIXER "D", x->heads, true)},
                 .s = bundle_state(w->b, w->layer, STATE_SEQUENCE, inner * x->state_dim),
                 .scan = {.heads = x->heads, .groups = x->groups, .head_dim = x->head_dim, .state_dim = x->state_dim,
                          .step_min = x->step_min, .step_max = x->step_max});
    val gate = EMIT(w->p, act, .in = {prog_cols(w->p, all, 0, inner)}, .act = {.act = ACT_SILU});
    val z = EMIT(w->p, norm, .in = {EMIT(w->p, mul, .in = {y, gate})}, .w = {vector(x, MIXER "norm.weight", inner, true)},
                 .norm = {.eps = w->eps, .group = inner / x->groups});
    const struct part out[4] = {PART(MIXER "out_proj", w->m->info.width)};
    return write_linear(w, z, SPLIT_NONE, out, x->mamba_bias);
}

static val attention(const struct nemotron *x, val h)
{
    const struct writer     *w = &x->w;
    const struct model_info *i = &w->m->info;
    uint32_t q = bundle_share(w->b, i->n_head) * i->head_dim, kv = bundle_share(w->b, i->n_kv_head) * i->head_dim;
    const struct part part[4] = {PART(MIXER "q_proj", q), PART(MIXER "k_proj", kv), PART(MIXER "v_proj", kv)};
    val qkv = write_linear(w, h, SPLIT_OUT, part, x->attention_bias);
    val a = EMIT(w->p, attend, .in = {prog_cols(w->p, qkv, 0, q), prog_cols(w->p, qkv, q, kv), prog_cols(w->p, qkv, q + kv, kv)},
                 .s = bundle_state(w->b, w->layer, STATE_TOKEN, 2 * kv),
                 .attend = {.head_dim = i->head_dim, .scale = (float)(1 / sqrt((double)i->head_dim))});
    return write_down(w, a, (struct part)PART(MIXER "o_proj", i->width), x->attention_bias);
}

/* No gate: up, the square of what is positive, down. */
static val mlp(const struct nemotron *x, val h, uint32_t ff, struct part up, struct part down)
{
    const struct part part[4] = {{up.weight, up.bias, bundle_share(x->w.b, ff)}};
    val u = EMIT(x->w.p, act, .in = {write_linear(&x->w, h, SPLIT_OUT, part, x->mlp_bias)}, .act = {.act = ACT_RELU2});
    return write_down(&x->w, u, down, x->mlp_bias);
}

static val experts(const struct nemotron *x, val h)
{
    uint32_t width = x->w.m->info.width;
    val      chosen = write_moe(&x->w, h, &x->moe);
    if (!x->shared_ff)
        return chosen;
    val all = mlp(x, h, x->shared_ff, (struct part)PART(MIXER "shared_experts.up_proj", 0),
                  (struct part)PART(MIXER "shared_experts.down_proj", width));
    return EMIT(x->w.p, add, .in = {chosen, all});
}

static val mixer(const struct nemotron *x, val h)
{
    switch (x->kind[x->w.layer]) {
    case 'M': return mamba(x, h);
    case '*': return attention(x, h);
    case 'E': return experts(x, h);
    default: return mlp(x, h, x->w.m->info.ff, (struct part)PART(MIXER "up_proj", 0),
                        (struct part)PART(MIXER "down_proj", x->w.m->info.width));
    }
}

bool model_nemotron_h(struct model *m, struct err *e)
{
    struct nemotron x = {.w = {.m = m, .p = bundle_prog(m->bundle, "text"), .b = m->bundle, .layer = -1}};
    if (!read_all(&x, m, e))
        return false;
    const struct writer *w = &x.w;
    const struct weight  table = {.part = {"backbone.embeddings.weight"}, .part_out = {m->info.n_vocab}, .in = m->info.width};
    const struct weight  head = {.part = {"lm_head.weight"}, .part_out = {m->info.n_vocab}, .in = m->info.width};
    wt  embed = bundle_weight(m->bundle, -1, &table);
    val row = EMIT(w->p, embed, .in = {prog_tokens(w->p)}, .w = {embed}, .embed = {.scale = 1});
    for (x.w.layer = 0; x.w.layer < (int)m->info.n_layer; x.w.layer++) {
        prog_layer(w->p, x.w.layer);
        row = EMIT(w->p, add, .in = {row, mixer(&x, write_norm(w, row, "backbone.layers.#.norm.weight", 0))});
    }
    x.w.layer = -1;
    prog_layer(w->p, -1);
    val last = write_norm(w, EMIT(w->p, pick, .in = {row}), "backbone.norm_f.weight", 0);
    prog_out(w->p, "logits", EMIT(w->p, linear, .in = {last}, .w = {x.tied ? embed : bundle_weight(m->bundle, -1, &head)}));
    m->text = w->p;
    return prog_end(w->p, e);
}
