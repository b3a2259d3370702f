/* qwen2.c -- Qwen2 and Qwen2.5 (Yang et al. 2024): queries, keys and values have biases. */
#include "model/decoder.h"
#include "model/models.h"

bool model_qwen2(struct model *m, struct err *e)
{
    struct decoder d = {.qkv_bias = true};
    return decoder_read(&d, m, e) && decoder_window_switch(&d, m, e) && decoder_write(&d, m, e);
}
