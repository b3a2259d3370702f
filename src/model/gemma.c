/* gemma.c -- Gemma 2 and 3 (Gemma Team 2024, 2025): norms before and behind, with weights that count from 1; layers
 * with a window between those without.  Gemma 2 caps scores and logits; Gemma 3 normalises queries and keys instead, and
 * its layers with a window are turned by frequencies of their own, and it may see, through SigLIP's tower. */
#include "model/config.h"
#include "model/decoder.h"
#include "model/models.h"
#include "model/siglip.h"

#include <math.h>
#include <string.h>

/* The scale of embeddings has the precision of the weights it was trained with. */
static float to_bf16(double x)
{
    float    f = (float)x;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static bool gemma_read(struct decoder *d, struct model *m, struct err *e)
{
    json   config = m->config;
    double scale_as = 0;
    bool   whole = false;           /* a GGUF file's norms have the 1 added already */
    if (!decoder_read(d, m, e) || !config_number(config, "query_pre_attn_scalar", 1e-3, 1e6, &scale_as, e) ||
        !config_flag(config, "attention_bias", &d->qkv_bias, e) || !config_flag(config, "hearth_norm_whole", &whole, e))
        return false;
    if (config_says(config, "use_bidirectional_attention"))
        return err_set(e, ERR_UNSUPPORTED, "configuration: use_bidirectional_attention is not supported");
    d->o_bias = d->qkv_bias;
    d->norm_one = !whole;
    d->norm_after = true;
    d->embed_scale = to_bf16(sqrt((double)m->info.width));
    d->scale = (float)(1 / sqrt(scale_as > 0 ? scale_as : 256));
    return true;
}

static bool gemma2(struct model *m, struct err *e)
{
    static const char *const honours[] = {"attn_logit_softcapping", "final_logit_softcapping", NULL};
    struct decoder d = {.honours = honours, .window_period = 2};
    json           config = m->config;
    double         attend = 0, logit = 0;
    if (!gemma_read(&d, m, e) || !config_number(config, "attn_logit_softcapping", 1e-3, 1e6, &attend, e) ||
        !config_number(config, "final_logit_softcapping", 1e-3, 1e6, &logit, e) || !decoder_window(&d, m, 4096, e))
        return false;
    d.attend_softcap = (float)attend;
    d.logit_softcap = (float)logit;
    return decoder_write(&d, m, e);
}

/* Features are means of neighbouring patches, as many as make up what one image has among text. */
static bool write_vision(struct model *m, json root, struct err *e)
{
    struct vision *v = &m->vision;
    struct siglip  s;
    uint32_t       n;
    if (!siglip_read(&s, m, json_get(root, "vision_config"), 1e-6, "gelu_pytorch_tanh", e) ||
        !config_count(root, "mm_tokens_per_image", 1 << 20, 256, &n, e))
        return false;
    uint32_t side = (uint32_t)lround(sqrt((double)n));
    if (side * side != n || side > v->side || v->side % side)
        return err_set(e, ERR_CORRUPT, "configuration: %u tokens of %u by %u patches", n, v->side, v->side);
    v->merge = v->side / side;
    v->n_place = 1;
    v->sees = true;
    struct writer w = tower_writer(m, s.eps);
    val x = tower_patches(&w, "vision.embeddings.patch_embedding", s.t.width, true);
    x = tower_places(&w, x, "vision.embeddings.position_embedding.weight", v->side * v->side, NULL);
    x = tower_norm(&w, siglip_layers(&w, &s, x, s.t.n_layer), "vision.post_layernorm", true);
    x = EMIT(w.p, pool, .in = {x}, .pool = {.n = v->merge * v->merge});
    w.one = true;
    w.eps = 1e-6f;
    x = write_norm(&w, x, "projector.mm_soft_emb_norm.weight", 0);
    const struct weight turned = {.part = {"projector.mm_input_projection_weight"}, .part_out = {m->info.width}, .in = s.t.width,
                                  .turned = true};
    prog_out(w.p, "features", EMIT(w.p, linear, .in = {x}, .w = {bundle_weight(m->bundle, -1, &turned)}));
    v->prog = w.p;
    return prog_end(w.p, e);
}

static bool gemma3(struct model *m, struct err *e)
{
    static const struct model_info sizes = {.n_vocab = 262208, .n_layer = 26, .width = 2304, .n_head = 8, .n_kv_head = 4,
                                            .head_dim = 256, .ff = 9216};
    bool              sees = str_is(str_of(m->info.arch), "Gemma3ForConditionalGeneration");
    struct decoder    d = {.qk_norm = true, .rope_ask.kind = "full_attention", .defaults = sees ? &sizes : NULL};
    struct rope_ask   local = {.kind = "sliding_attention", .base = "rope_local_base_freq"};
    struct rope_freqs freqs;
    json              config = m->config;
    if (!gemma_read(&d, m, e) || !config_count(config, "sliding_window_pattern", 1024, 6, &d.window_period, e) ||
        !decoder_window(&d, m, 4096, e))
        return false;
    local.head_dim = m->info.head_dim;
    if (!rope_read(m, &local, &freqs, e))
        return false;
    d.window_rope = &freqs;
    if (sees && model_sees(m, "vision.embeddings.patch_embedding.weight")) {
        if (!write_vision(m, checkpoint_config(m->checkpoint), e))
            return err_in(e, "vision_config");
        d.n_level = 1;
    }
    return decoder_write(&d, m, e);
}

bool model_gemma(struct model *m, struct err *e)
{
    return str_is(str_of(m->info.arch), "Gemma2ForCausalLM") ? gemma2(m, e) : gemma3(m, e);
}
