/* gemma.c -- Gemma 2 and 3, text (Gemma Team 2024, 2025): norms before and behind, with weights that count from 1; layers
 * with a window between those without.  Gemma 2 caps scores and logits; Gemma 3 normalises queries and keys instead, and
 * its layers with a window are turned by frequencies of their own. */
#include "model/config.h"
#include "model/decoder.h"
#include "model/models.h"

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
    json   config = checkpoint_config(m->checkpoint);
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
    json           config = checkpoint_config(m->checkpoint);
    double         attend = 0, logit = 0;
    if (!gemma_read(&d, m, e) || !config_number(config, "attn_logit_softcapping", 1e-3, 1e6, &attend, e) ||
        !config_number(config, "final_logit_softcapping", 1e-3, 1e6, &logit, e) || !decoder_window(&d, m, 4096, e))
        return false;
    d.attend_softcap = (float)attend;
    d.logit_softcap = (float)logit;
    return decoder_write(&d, m, e);
}

static bool gemma3(struct model *m, struct err *e)
{
    struct decoder    d = {.qk_norm = true, .rope_ask.kind = "full_attention"};
    struct rope_ask   local = {.kind = "sliding_attention", .base = "rope_local_base_freq"};
    struct rope_freqs freqs;
    json              config = checkpoint_config(m->checkpoint);
    if (!gemma_read(&d, m, e) || !config_count(config, "sliding_window_pattern", 1024, 6, &d.window_period, e) ||
        !decoder_window(&d, m, 4096, e))
        return false;
    local.head_dim = m->info.head_dim;
    if (!rope_read(m, &local, &freqs, e))
        return false;
    d.window_rope = &freqs;
    return decoder_write(&d, m, e);
}

bool model_gemma(struct model *m, struct err *e)
{
    return str_is(str_of(m->info.arch), "Gemma2ForCausalLM") ? gemma2(m, e) : gemma3(m, e);
}
