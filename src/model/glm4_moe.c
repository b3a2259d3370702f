/* glm4_moe.c -- GLM-4.5 and 4.6 (GLM-4.5 Team 2025): half of each head is turned; behind the first layers experts chosen by
 * sigmoid and a bias, beside one network that every row goes through. */
#include "model/config.h"
#include "model/decoder.h"
#include "model/models.h"
#include "model/sigmoid_moe.h"

bool model_glm4_moe(struct model *m, struct err *e)
{
    static const char *const honours[] = {"partial_rotary_factor", "use_qk_norm", NULL};
    struct decoder     d = {.honours = honours, .rope_ask.partial = true};
    struct sigmoid_moe moe;
    json               config = m->config;
    return decoder_read(&d, m, e) && config_flag(config, "attention_bias", &d.qkv_bias, e) &&
           config_flag(config, "use_qk_norm", &d.qk_norm, e) && sigmoid_moe_read(&d, m, &moe, e) && decoder_write(&d, m, e);
}
