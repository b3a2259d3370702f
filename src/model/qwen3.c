/* qwen3.c -- Qwen3, dense (Yang et al. 2025): queries and keys are normalised head by head; biases if asked for. */
#include "model/config.h"
#include "model/decoder.h"
#include "model/models.h"

bool model_qwen3(struct model *m, struct err *e)
{
    struct decoder d = {.qk_norm = true};
    if (!decoder_read(&d, m, e) || !decoder_window_switch(&d, m, e) ||
        !config_flag(m->config, "attention_bias", &d.qkv_bias, e))
        return false;
    d.o_bias = d.qkv_bias;
    return decoder_write(&d, m, e);
}
