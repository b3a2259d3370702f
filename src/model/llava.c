/* llava.c -- LLaVA 1.5 and 1.6 (Liu et al. 2023, 2024): CLIP's tower, taken before its last layers, and a llama or a mistral.
 * What CLIP has of its own before the patches has a row there, and no feature. */
#include "model/config.h"
#include "model/decoder.h"
#include "model/models.h"
#include "model/siglip.h"

#define CLIP "vision."

/* Layers to run: hidden state k from the end lies behind so many. */
static bool read_layers(json config, uint32_t n_layer, uint32_t *out, struct err *e)
{
    int64_t at = json_int_or(json_get(config, "vision_feature_layer"), -2), n = at < 0 ? n_layer + 1 + at : at;
    json    how = json_get(config, "vision_feature_select_strategy");
    if (json_type(json_get(config, "vision_feature_layer")) == JSON_ARRAY || (json_str(how).p && !json_is(how, "default")))
        return err_set(e, ERR_UNSUPPORTED, "configuration: features of several layers, or of CLIP's own row, are not supported");
    if (n < 1 || n > n_layer)
        return err_set(e, ERR_CORRUPT, "configuration: vision_feature_layer %lld of %u layers", (long long)at, n_layer);
    *out = (uint32_t)n;
    return true;
}

static bool write_vision(struct model *m, json root, struct err *e)
{
    struct vision *v = &m->vision;
    struct siglip  s;
    uint8_t        act;
    json           config = json_get(root, "vision_config");
    if (!siglip_read(&s, m, config, 1e-5, "quick_gelu", e) || !read_layers(root, s.t.n_layer, &m->tower_layers, e))
        return false;
    json how = json_get(root, "projector_hidden_act");
    if (json_str(how).p && !json_is(how, "gelu"))
        return err_set(e, ERR_UNSUPPORTED, "configuration: projector_hidden_act '%.*s' is not supported", (int)json_str(how).n,
                       json_str(how).p);
    act = ACT_GELU;
    v->merge = v->lead = 1;
    v->n_place = 2;
    v->newline = str_is(str_of(m->info.arch), "LlavaNextForConditionalGeneration");
    struct writer w = tower_writer(m, s.eps);
    val x = tower_patches(&w, CLIP "embeddings.patch_embedding", s.t.width, false);
    x = tower_places(&w, x, CLIP "embeddings.position_embedding.weight", v->grid * v->grid + 1, CLIP "embeddings.class_embedding");
    x = siglip_layers(&w, &s, tower_norm(&w, x, CLIP "pre_layrnorm", true), m->tower_layers);
    x = tower_linear(&w, x, "projector.linear_1", m->info.width, true);
    x = tower_linear(&w, EMIT(w.p, act, .in = {x}, .act = {.act = act}), "projector.linear_2", m->info.width, true);
    prog_out(w.p, "features", x);
    v->prog = w.p;
    return prog_end(w.p, e);
}

bool model_llava(struct model *m, struct err *e)
{
    static const struct model_info llama = {.n_vocab = 32000, .n_layer = 32, .width = 4096, .n_head = 32, .n_kv_head = 32, .ff = 11008},
                                   mistral = {.n_vocab = 32000, .n_layer = 32, .width = 4096, .n_head = 32, .n_kv_head = 8, .ff = 14336};
    json           root = checkpoint_config(m->checkpoint), kind = json_get(m->config, "model_type");
    bool           is_mistral = json_is(kind, "mistral");
    struct decoder d = {.defaults = is_mistral ? &mistral : &llama};
    if (json_str(kind).p && !is_mistral && !json_is(kind, "llama"))
        return err_set(e, ERR_UNSUPPORTED, "configuration: text of type '%.*s' is not supported", (int)json_str(kind).n, json_str(kind).p);
    if (!decoder_read(&d, m, e) || !config_flag(m->config, "attention_bias", &d.qkv_bias, e) ||
        !config_flag(m->config, "mlp_bias", &d.mlp_bias, e) || !decoder_window(&d, m, is_mistral ? 4096 : 0, e))
        return false;
    d.o_bias = d.qkv_bias;
    if (!is_mistral)
        d.window_from = m->info.n_layer;
    if (model_sees(m, CLIP "embeddings.patch_embedding.weight")) {
        if (!write_vision(m, root, e))
            return err_in(e, "vision_config");
        d.n_level = 1;
    }
    return decoder_write(&d, m, e);
}
