/* llama.c -- Llama 2 and 3.x, SmolLM2 (Touvron et al. 2023), and Mistral, which is the same with a window. */
#include "model/config.h"
#include "model/decoder.h"
#include "model/models.h"

/* Where the configuration is silent (GGUF files have no such key) the checkpoint says whether a bias is there. */
static bool has(const struct model *m, const char *name)
{
    struct tensor t;
    return model_find(m, name, &t, NULL);
}

bool model_llama(struct model *m, struct err *e)
{
    struct decoder d = {0};
    json           config = m->config;
    bool           mistral = str_is(str_of(m->info.arch), "MistralForCausalLM");
    bool           bias = has(m, "model.layers.0.self_attn.q_proj.bias");
    if (!decoder_read(&d, m, e))
        return false;
    d.mlp_bias = has(m, "model.layers.0.mlp.gate_proj.bias");
    if (!config_flag(config, "attention_bias", &bias, e) || !config_flag(config, "mlp_bias", &d.mlp_bias, e))
        return false;
    d.qkv_bias = d.o_bias = bias;
    /* A Llama reads sliding_window only where layer_types asks for it; a Mistral always, and 4096 is its default. */
    if (!decoder_window(&d, m, mistral ? 4096 : 0, e))
        return false;
    if (!mistral)
        d.window_from = m->info.n_layer;
    return decoder_write(&d, m, e);
}
