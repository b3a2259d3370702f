/* decoder.c -- see decoder.h. */
#include "model/decoder.h"

#include "model/config.h"
#include "model/rope.h"

#include <math.h>

enum {
    LAYERS_MAX = 1024,
    HEADS_MAX = 4096,
    HEAD_MAX = 4096,
    WIDTH_MAX = 1 << 20,
    VOCAB_MAX = 1 << 23,
    CONTEXT_MAX = 1 << 28,
};

/* Settings that change what is computed, and that nothing here computes. */
static bool refuse(json config, struct err *e)
{
    static const char *const keys[] = {
        "partial_rotary_factor", "rope_traditional", "no_rope_layers", "num_local_experts", "num_experts",
        "attn_logit_softcapping", "final_logit_softcapping", "logit_scale", "logits_scaling", "embedding_multiplier",
        "attention_multiplier", "residual_multiplier", "attention_sinks", "use_qk_norm", "clip_qkv",
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (config_says(config, keys[i]))
            return err_set(e, ERR_UNSUPPORTED, "configuration: %s is not supported", keys[i]);
    return true;
}

static bool read_act(struct decoder *d, json config, struct err *e)
{
    json act = json_get(config, "hidden_act");
    if (!json_str(act).p || json_is(act, "silu") || json_is(act, "swish"))
        d->act = ACT_SILU;
    else if (json_is(act, "gelu_pytorch_tanh") || json_is(act, "gelu_new"))
        d->act = ACT_GELU_TANH;
    else
        return err_set(e, ERR_UNSUPPORTED, "configuration: hidden_act '%.*s' is not supported", (int)json_str(act).n,
                       json_str(act).p);
    return true;
}

static bool read_sizes(struct model_info *i, json config, struct err *e)
{
    if (!config_count(config, "hidden_size", WIDTH_MAX, 0, &i->width, e) ||
        !config_count(config, "num_hidden_layers", LAYERS_MAX, 0, &i->n_layer, e) ||
        !config_count(config, "num_attention_heads", HEADS_MAX, 0, &i->n_head, e) ||
        !config_count(config, "num_key_value_heads", HEADS_MAX, i->n_head, &i->n_kv_head, e) ||
        !config_count(config, "intermediate_size", WIDTH_MAX, 0, &i->ff, e) ||
        !config_count(config, "vocab_size", VOCAB_MAX, 0, &i->n_vocab, e) ||
        !config_count(config, "max_position_embeddings", CONTEXT_MAX, 2048, &i->context, e))
        return false;
    uint32_t head_dim = i->width / i->n_head;
    if (!config_count(config, "head_dim", HEAD_MAX, head_dim, &i->head_dim, e))
        return false;
    if (i->n_head % i->n_kv_head)
        return err_set(e, ERR_CORRUPT, "configuration: %u attention heads cannot share %u key-value heads", i->n_head,
                       i->n_kv_head);
    return true;
}

bool decoder_read(struct decoder *d, struct model *m, struct err *e)
{
    const struct checkpoint *c = m->checkpoint;
    json                     config = checkpoint_config(c);
    double                   eps = 1e-6;
    struct tensor            head;
    d->tied = !checkpoint_find(c, "lm_head.weight", &head);
    if (!refuse(config, e) || !read_act(d, config, e) || !read_sizes(&m->info, config, e) ||
        !config_number(config, "rms_norm_eps", 0, 1, &eps, e) ||
        !config_flag(config, "tie_word_embeddings", &d->tied, e) ||
        !config_flag(config, "hearth_rope_interleaved", &d->interleaved, e))
        return false;
    d->eps = (float)eps;
    return rope_read(m, m->info.head_dim, &d->freqs, &d->rope_factor, e);
}

static bool read_layer_types(struct decoder *d, const struct model *m, struct err *e)
{
    json types = json_get(checkpoint_config(m->checkpoint), "layer_types");
    if (json_type(types) == JSON_ABSENT || json_type(types) == JSON_NULL)
        return true;
    if (json_type(types) != JSON_ARRAY || json_len(types) != m->info.n_layer)
        return err_set(e, ERR_CORRUPT, "configuration: layer_types does not name %u layers", m->info.n_layer);
    for (struct json_iter it = json_iter(types); json_next(&it);) {
        bool sliding = json_is(it.value, "sliding_attention");
        if (!sliding && !json_is(it.value, "full_attention"))
            return err_set(e, ERR_UNSUPPORTED, "configuration: a layer of type '%.*s' is not supported",
                           (int)json_str(it.value).n, json_str(it.value).p ? json_str(it.value).p : "");
        if (sliding && d->window == 0)
            return err_set(e, ERR_CORRUPT, "configuration: layer_types has sliding_attention, but no window is set");
    }
    d->layer_types = types;
    return true;
}

bool decoder_window(struct decoder *d, const struct model *m, uint32_t fallback, struct err *e)
{
    json config = checkpoint_config(m->checkpoint), window = json_get(config, "sliding_window");
    if (json_type(window) == JSON_ABSENT)
        d->window = fallback;
    else if (json_type(window) != JSON_NULL && !config_count(config, "sliding_window", UINT32_MAX, 0, &d->window, e))
        return false;
    return read_layer_types(d, m, e);
}

bool decoder_window_switch(struct decoder *d, const struct model *m, struct err *e)
{
    json    config = checkpoint_config(m->checkpoint);
    bool    on = false;
    int64_t from = json_int_or(json_get(config, "max_window_layers"), 28);
    if (!config_flag(config, "use_sliding_window", &on, e))
        return false;
    if (!on)
        return read_layer_types(d, m, e);
    if (from < 0)
        return err_set(e, ERR_CORRUPT, "configuration: max_window_layers is %lld", (long long)from);
    d->window_from = from < UINT32_MAX ? (uint32_t)from : UINT32_MAX;
    return decoder_window(d, m, 4096, e);
}

/* What the writing functions pass on. */
struct writer {
    const struct decoder    *d;
    const struct model_info *i;
    struct prog             *p;
    struct bundle           *b;
    int                      layer;
    uint32_t                 q, kv, ff;     /* this rank's columns */
};

/* A module of the checkpoint that gives `out` columns. */
struct part {
    const char *weight, *bias;
    uint32_t    out;
};
#define LAYER "model.layers.#."
#define PART(module, out) {module ".weight", module ".bias", out}

static val norm(const struct writer *w, val x, const char *name, uint32_t group)
{
    const struct weight v = {.part = {name}, .part_out = {group ? group : w->i->width}, .in = 1};
    return EMIT(w->p, norm, .in = {x}, .w = {bundle_weight(w->b, w->layer, &v)},
                .norm = {.eps = w->d->eps, .group = group});
}

/* n modules side by side.  Cut along their inputs they give parts of a sum, to which one rank adds the bias. */
static val linear(const struct writer *w, val x, struct weight m, const struct part part[], bool biased)
{
    struct weight bias = {.in = 1, .split = m.split == SPLIT_IN ? SPLIT_NONE : m.split};
    for (unsigned i = 0; i < 4 && part[i].out; i++) {
        m.part[i] = part[i].weight;
        bias.part[i] = part[i].bias;
        m.part_out[i] = bias.part_out[i] = part[i].out;
    }
    bool here = biased && (m.split != SPLIT_IN || bundle_rank(w->b) == 0);
    return EMIT(w->p, linear, .in = {x},
                .w = {bundle_weight(w->b, w->layer, &m), here ? bundle_weight(w->b, w->layer, &bias) : (wt){0}});
}

static val turn(const struct writer *w, val x)
{
    return EMIT(w->p, rope, .in = {x}, .w = {w->d->freqs},
                .rope = {.head_dim = w->i->head_dim, .interleaved = w->d->interleaved, .factor = w->d->rope_factor});
}

static uint32_t window_of(const struct decoder *d, uint32_t layer)
{
    if (d->layer_types)
        return json_is(json_at(d->layer_types, layer), "sliding_attention") ? d->window : 0;
    return layer >= d->window_from ? d->window : 0;
}

static val attention(const struct writer *w, val h)
{
    const struct decoder *d = w->d;
    const struct part     qkv_part[4] = {PART(LAYER "self_attn.q_proj", w->q), PART(LAYER "self_attn.k_proj", w->kv),
                                         PART(LAYER "self_attn.v_proj", w->kv)};
    const struct part     o_part[4] = {PART(LAYER "self_attn.o_proj", w->i->width)};
    val qkv = linear(w, h, (struct weight){.in = w->i->width, .split = SPLIT_OUT}, qkv_part, d->qkv_bias), q, k;
    if (d->qk_norm) {
        q = turn(w, norm(w, prog_cols(w->p, qkv, 0, w->q), LAYER "self_attn.q_norm.weight", w->i->head_dim));
        k = turn(w, norm(w, prog_cols(w->p, qkv, w->q, w->kv), LAYER "self_attn.k_norm.weight", w->i->head_dim));
    } else {
        val qk = turn(w, prog_cols(w->p, qkv, 0, w->q + w->kv));
        q = prog_cols(w->p, qk, 0, w->q);
        k = prog_cols(w->p, qk, w->q, w->kv);
    }
    val a = EMIT(w->p, attend, .in = {q, k, prog_cols(w->p, qkv, w->q + w->kv, w->kv)},
                 .s = bundle_state(w->b, w->layer, STATE_TOKEN, 2 * w->kv),
                 .attend = {.head_dim = w->i->head_dim, .window = window_of(d, (uint32_t)w->layer),
                            .scale = (float)(1 / sqrt((double)w->i->head_dim))});
    val o = linear(w, a, (struct weight){.in = w->q, .split = SPLIT_IN}, o_part, d->o_bias);
    return EMIT(w->p, sum, .in = {o});
}

static val feed_forward(const struct writer *w, val h)
{
    const struct part up_part[4] = {PART(LAYER "mlp.gate_proj", w->ff), PART(LAYER "mlp.up_proj", w->ff)};
    const struct part down_part[4] = {PART(LAYER "mlp.down_proj", w->i->width)};
    val up = linear(w, h, (struct weight){.in = w->i->width, .split = SPLIT_OUT}, up_part, w->d->mlp_bias);
    val g = EMIT(w->p, glu, .in = {up}, .glu = {.act = w->d->act});
    val down = linear(w, g, (struct weight){.in = w->ff, .split = SPLIT_IN}, down_part, w->d->mlp_bias);
    return EMIT(w->p, sum, .in = {down});
}

bool decoder_write(const struct decoder *d, struct model *m, struct err *e)
{
    const struct model_info *i = &m->info;
    struct prog             *p = bundle_prog(m->bundle, "text");
    struct writer w = {.d = d, .i = i, .p = p, .b = m->bundle, .layer = -1,
                       .q = bundle_share(m->bundle, i->n_head) * i->head_dim,
                       .kv = bundle_share(m->bundle, i->n_kv_head) * i->head_dim,
                       .ff = bundle_share(m->bundle, i->ff)};
    const struct weight table = {.part = {"model.embed_tokens.weight"}, .part_out = {i->n_vocab}, .in = i->width};
    const struct weight head = {.part = {"lm_head.weight"}, .part_out = {i->n_vocab}, .in = i->width};
    wt  embed = bundle_weight(w.b, -1, &table);
    val x = EMIT(p, embed, .in = {prog_tokens(p)}, .w = {embed}, .embed = {.scale = 1});
    for (uint32_t l = 0; l < i->n_layer; l++) {
        w.layer = (int)l;
        prog_layer(p, w.layer);
        x = EMIT(p, add, .in = {x, attention(&w, norm(&w, x, LAYER "input_layernorm.weight", 0))});
        x = EMIT(p, add, .in = {x, feed_forward(&w, norm(&w, x, LAYER "post_attention_layernorm.weight", 0))});
    }
    w.layer = -1;
    prog_layer(p, -1);
    val last = norm(&w, EMIT(p, pick, .in = {x}), "model.norm.weight", 0);
    val logits = EMIT(p, linear, .in = {last}, .w = {d->tied ? embed : bundle_weight(w.b, -1, &head)});
    prog_out(p, "logits", logits);
    m->text = p;
    return prog_end(p, e);
}
