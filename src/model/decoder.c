/* decoder.c -- see decoder.h. */
#include "model/decoder.h"

#include "model/config.h"

#include <math.h>
#include <string.h>

enum {
    LAYERS_MAX = 1024,
    HEADS_MAX = 4096,
    HEAD_MAX = 4096,
    WIDTH_MAX = 1 << 20,
    VOCAB_MAX = 1 << 23,
    CONTEXT_MAX = 1 << 28,
};

static bool is_honoured(const struct decoder *d, const char *key)
{
    for (const char *const *k = d->honours; k && *k; k++)
        if (strcmp(*k, key) == 0)
            return true;
    return false;
}

/* Settings that change what is computed, and that this model's file does not compute. */
static bool refuse(const struct decoder *d, json config, struct err *e)
{
    static const char *const keys[] = {
        "partial_rotary_factor", "rope_traditional", "no_rope_layers", "num_local_experts", "num_experts",
        "attn_logit_softcapping", "final_logit_softcapping", "logit_scale", "logits_scaling", "embedding_multiplier",
        "attention_multiplier", "residual_multiplier", "attention_sinks", "use_qk_norm", "clip_qkv",
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (config_says(config, keys[i]) && !is_honoured(d, keys[i]))
            return err_set(e, ERR_UNSUPPORTED, "configuration: %s is not supported", keys[i]);
    return true;
}

static bool read_act(struct decoder *d, json config, struct err *e)
{
    json act = json_get(config, "hidden_activation");
    if (!json_str(act).p)
        act = json_get(config, "hidden_act");
    if (!json_str(act).p || json_is(act, "silu") || json_is(act, "swish"))
        d->act = ACT_SILU;
    else if (json_is(act, "gelu_pytorch_tanh") || json_is(act, "gelu_new"))
        d->act = ACT_GELU_TANH;
    else
        return err_set(e, ERR_UNSUPPORTED, "configuration: hidden_act '%.*s' is not supported", (int)json_str(act).n,
                       json_str(act).p);
    return true;
}

static bool read_sizes(struct model_info *i, const struct model_info *if_silent, json config, struct err *e)
{
    static const struct model_info none = {0};
    const struct model_info       *f = if_silent ? if_silent : &none;
    if (!config_count(config, "hidden_size", WIDTH_MAX, f->width, &i->width, e) ||
        !config_count(config, "num_hidden_layers", LAYERS_MAX, f->n_layer, &i->n_layer, e) ||
        !config_count(config, "num_attention_heads", HEADS_MAX, f->n_head, &i->n_head, e) ||
        !config_count(config, "num_key_value_heads", HEADS_MAX, f->n_kv_head ? f->n_kv_head : i->n_head, &i->n_kv_head, e) ||
        !config_count(config, "intermediate_size", WIDTH_MAX, f->ff, &i->ff, e) ||
        !config_count(config, "vocab_size", VOCAB_MAX, f->n_vocab, &i->n_vocab, e) ||
        !config_count(config, "max_position_embeddings", CONTEXT_MAX, 2048, &i->context, e))
        return false;
    uint32_t head_dim = f->head_dim ? f->head_dim : i->width / i->n_head;
    if (!config_count(config, "head_dim", HEAD_MAX, head_dim, &i->head_dim, e))
        return false;
    if (i->n_head % i->n_kv_head)
        return err_set(e, ERR_CORRUPT, "configuration: %u attention heads cannot share %u key-value heads", i->n_head,
                       i->n_kv_head);
    return true;
}

bool decoder_read(struct decoder *d, struct model *m, struct err *e)
{
    json          config = m->config, root = checkpoint_config(m->checkpoint);
    double        eps = 1e-6;
    struct tensor head;
    d->tied = !model_find(m, "lm_head.weight", &head, NULL);
    if (!refuse(d, config, e) || !read_act(d, config, e) || !read_sizes(&m->info, d->defaults, config, e) ||
        !config_number(config, "rms_norm_eps", 0, 1, &eps, e) ||
        !config_flag(config, "tie_word_embeddings", &d->tied, e) || !config_flag(root, "tie_word_embeddings", &d->tied, e) ||
        !config_flag(config, "hearth_rope_interleaved", &d->interleaved, e))
        return false;
    d->eps = (float)eps;
    d->scale = (float)(1 / sqrt((double)m->info.head_dim));
    d->rope_ask.head_dim = m->info.head_dim;
    return rope_read(m, &d->rope_ask, &d->rope, e);
}

static bool read_layer_types(struct decoder *d, const struct model *m, struct err *e)
{
    json types = json_get(m->config, "layer_types");
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
    json config = m->config, window = json_get(config, "sliding_window");
    if (json_type(window) == JSON_ABSENT)
        d->window = fallback;
    else if (json_type(window) != JSON_NULL && !config_count(config, "sliding_window", UINT32_MAX, 0, &d->window, e))
        return false;
    return read_layer_types(d, m, e);
}

bool decoder_window_switch(struct decoder *d, const struct model *m, struct err *e)
{
    json    config = m->config;
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
struct inside {
    struct writer            w;
    const struct decoder    *d;
    const struct model_info *i;
    uint32_t                 q, kv, ff;     /* this rank's columns */
};

#define LAYER "model.layers.#."

static uint32_t window_of(const struct decoder *d, uint32_t layer)
{
    if (d->window_period && !d->layer_types)
        return (layer + 1) % d->window_period ? d->window : 0;
    if (d->layer_types)
        return json_is(json_at(d->layer_types, layer), "sliding_attention") ? d->window : 0;
    return layer >= d->window_from ? d->window : 0;
}

static val turn(const struct inside *x, val v)
{
    const struct decoder    *d = x->d;
    const struct rope_freqs *f = d->window_rope && window_of(d, (uint32_t)x->w.layer) ? d->window_rope : &d->rope;
    return EMIT(x->w.p, rope, .in = {v}, .w = {f->w, f->w_long, f->axes},
                .rope = {.head_dim = x->i->head_dim, .n_rot = f->n_rot, .from = f->from, .interleaved = d->interleaved,
                         .factor = f->factor});
}

static wt sinks(const struct inside *x)
{
    const struct weight s = {.part = {LAYER "self_attn.sinks"}, .part_out = {x->q / x->i->head_dim}, .in = 1};
    return x->d->sinks ? bundle_weight(x->w.b, x->w.layer, &s) : (wt){0};
}

static val attention(const struct inside *x, val h)
{
    const struct writer  *w = &x->w;
    const struct decoder *d = x->d;
    const struct part     split[4] = {PART(LAYER "self_attn.q_proj", x->q), PART(LAYER "self_attn.k_proj", x->kv),
                                      PART(LAYER "self_attn.v_proj", x->kv)};
    const struct part     fused[4] = {PART(LAYER "self_attn.qkv_proj", x->q + 2 * x->kv)};
    val qkv = write_linear(w, h, SPLIT_OUT, d->fused ? fused : split, d->qkv_bias), q, k;
    if (d->qk_norm) {
        q = turn(x, write_norm(w, prog_cols(w->p, qkv, 0, x->q), LAYER "self_attn.q_norm.weight", x->i->head_dim));
        k = turn(x, write_norm(w, prog_cols(w->p, qkv, x->q, x->kv), LAYER "self_attn.k_norm.weight", x->i->head_dim));
    } else {
        val qk = turn(x, prog_cols(w->p, qkv, 0, x->q + x->kv));
        q = prog_cols(w->p, qk, 0, x->q);
        k = prog_cols(w->p, qk, x->q, x->kv);
    }
    val a = EMIT(w->p, attend, .in = {q, k, prog_cols(w->p, qkv, x->q + x->kv, x->kv)}, .w = {sinks(x)},
                 .s = bundle_state(w->b, w->layer, STATE_TOKEN, 2 * x->kv),
                 .attend = {.head_dim = x->i->head_dim, .window = window_of(d, (uint32_t)w->layer), .scale = d->scale,
                            .softcap = d->attend_softcap});
    return write_down(w, a, (struct part)PART(LAYER "self_attn.o_proj", x->i->width), d->o_bias);
}

static val mlp(const struct inside *x, val h)
{
    const struct writer *w = &x->w;
    const struct part    split[4] = {PART(LAYER "mlp.gate_proj", x->ff), PART(LAYER "mlp.up_proj", x->ff)};
    const struct part    fused[4] = {PART(LAYER "mlp.gate_up_proj", 2 * x->ff)};
    val up = write_linear(w, h, SPLIT_OUT, x->d->fused ? fused : split, x->d->mlp_bias);
    val g = EMIT(w->p, glu, .in = {up}, .glu = {.act = x->d->act});
    return write_down(w, g, (struct part)PART(LAYER "mlp.down_proj", x->i->width), x->d->mlp_bias);
}

static val feed_forward(const struct inside *x, val h)
{
    const struct decoder *d = x->d;
    if (!d->moe || !d->moe_layer(d, (uint32_t)x->w.layer))
        return mlp(x, h);
    return d->moe_write ? d->moe_write(d, &x->w, h) : write_moe(&x->w, h, d->moe);
}

/* One layer's two halves, each added to the row. */
static val layer(const struct inside *x, val row)
{
    const struct writer *w = &x->w;
    bool                 after = x->d->norm_after;
    val h = write_norm(w, row, LAYER "input_layernorm.weight", 0), a = x->d->attention ? x->d->attention(x->d, w, h) : attention(x, h);
    if (after)
        a = write_norm(w, a, LAYER "post_attention_layernorm.weight", 0);
    row = EMIT(w->p, add, .in = {row, a});
    h = write_norm(w, row, after ? LAYER "pre_feedforward_layernorm.weight" : LAYER "post_attention_layernorm.weight", 0);
    val f = feed_forward(x, h);
    if (after)
        f = write_norm(w, f, LAYER "post_feedforward_layernorm.weight", 0);
    return EMIT(w->p, add, .in = {row, f});
}

bool decoder_write(const struct decoder *d, struct model *m, struct err *e)
{
    const struct model_info *i = &m->info;
    struct prog             *p = bundle_prog(m->bundle, "text");
    struct inside x = {.w = {.m = m, .p = p, .b = m->bundle, .layer = -1, .eps = d->eps, .one = d->norm_one}, .d = d, .i = i,
                       .q = bundle_share(m->bundle, i->n_head) * i->head_dim,
                       .kv = bundle_share(m->bundle, i->n_kv_head) * i->head_dim, .ff = bundle_share(m->bundle, i->ff)};
    const struct weight table = {.part = {"model.embed_tokens.weight"}, .part_out = {i->n_vocab}, .in = i->width};
    const struct weight head = {.part = {"lm_head.weight"}, .part_out = {i->n_vocab}, .in = i->width};
    wt  embed = bundle_weight(m->bundle, -1, &table);
    val row = EMIT(p, embed, .in = {prog_tokens(p)}, .w = {embed}, .embed = {.scale = d->embed_scale > 0 ? d->embed_scale : 1});
    if (d->n_level)
        row = EMIT(p, place, .in = {row}, .place = {.level = 0});
    for (uint32_t l = 0; l < i->n_layer; l++) {
        x.w.layer = (int)l;
        prog_layer(p, x.w.layer);
        row = layer(&x, row);
        if (l + 1 < d->n_level)
            row = EMIT(p, place, .in = {row}, .place = {.level = (uint8_t)(l + 1), .add = 1});
    }
    x.w.layer = -1;
    prog_layer(p, -1);
    val last = write_norm(&x.w, EMIT(p, pick, .in = {row}), "model.norm.weight", 0);
    val logits = EMIT(p, linear, .in = {last}, .w = {d->tied ? embed : bundle_weight(m->bundle, -1, &head)});
    if (d->logit_softcap > 0)
        logits = EMIT(p, act, .in = {logits}, .act = {.act = ACT_SOFTCAP, .limit = d->logit_softcap});
    prog_out(p, "logits", logits);
    m->text = p;
    return prog_end(p, e);
}
