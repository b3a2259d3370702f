/* gpt_oss.c -- gpt-oss (OpenAI 2025): every other layer has a window; heads have sinks; experts with biases and a clipped
 * gate, chosen by the softmax over the chosen alone, which is that over all, normalised. */
#include "model/config.h"
#include "model/decoder.h"
#include "model/models.h"

#include <math.h>

static bool every_layer(const struct decoder *d, uint32_t layer)
{
    (void)d;
    (void)layer;
    return true;
}

bool model_gpt_oss(struct model *m, struct err *e)
{
    static const char *const honours[] = {"num_local_experts", "num_experts", NULL};
    struct decoder d = {.honours = honours, .qkv_bias = true, .sinks = true, .window_period = 2, .moe_layer = every_layer};
    struct moe     moe = {.at = "model.layers.#.mlp", .router = ROUTER_SOFTMAX, .act = ACT_CLIPPED, .normalise = true,
                          .pairs = true, .biased = true, .scaling = 1};
    json           config = m->config;
    double         limit = 7, alpha = 1.702;
    if (!decoder_read(&d, m, e) || !config_flag(config, "attention_bias", &d.qkv_bias, e) ||
        !decoder_window(&d, m, 128, e) || !config_number(config, "swiglu_limit", 1e-3, 1e6, &limit, e) ||
        !config_number(config, "swiglu_alpha", 0, 1e3, &alpha, e) ||
        !config_count(config, "num_local_experts", EXPERTS_MAX, 0, &moe.n, e) ||
        !config_count(config, "num_experts_per_tok", EXPERTS_MAX, 0, &moe.k, e))
        return false;
    if (fabs(alpha - 1.702) > 1e-6)
        return err_set(e, ERR_UNSUPPORTED, "configuration: a swiglu_alpha other than 1.702 is not supported");
    d.o_bias = d.qkv_bias;
    moe.ff = m->info.ff;
    moe.limit = (float)limit;
    d.moe = &moe;
    return decoder_write(&d, m, e);
}
