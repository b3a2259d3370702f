/* qwen3_moe.c -- Qwen3 with experts (Yang et al. 2025): a Qwen3 in most of whose layers k of n networks are chosen by softmax. */
#include "model/qwen3_moe.h"

#include "model/config.h"
#include "model/models.h"

static bool is_sparse(const struct decoder *d, uint32_t layer)
{
    const struct qwen3_sparse *s = d->more;
    for (struct json_iter it = json_iter(s->dense_only); json_next(&it);)
        if (json_int_or(it.value, -1) == layer)
            return false;
    return (layer + 1) % s->step == 0;
}

bool qwen3_moe_read(struct decoder *d, const struct model *m, struct qwen3_sparse *s, struct moe *e, struct err *err)
{
    json config = m->config, only = json_get(config, "mlp_only_layers");
    *e = (struct moe){.router = ROUTER_SOFTMAX, .act = d->act, .scaling = 1, .at = "model.layers.#.mlp"};
    if (!config_count(config, "num_experts", EXPERTS_MAX, 0, &e->n, err) ||
        !config_count(config, "num_experts_per_tok", EXPERTS_MAX, 0, &e->k, err) ||
        !config_count(config, "moe_intermediate_size", 1 << 20, 0, &e->ff, err) ||
        !config_count(config, "decoder_sparse_step", 1024, 1, &s->step, err) ||
        !config_flag(config, "norm_topk_prob", &e->normalise, err))
        return false;
    s->dense_only = json_type(only) == JSON_ARRAY ? only : NULL;
    d->more = s;
    d->moe = e;
    d->moe_layer = is_sparse;
    return true;
}

bool model_qwen3_moe(struct model *m, struct err *e)
{
    static const char *const honours[] = {"num_experts", NULL};
    struct decoder      d = {.qk_norm = true, .honours = honours};
    struct qwen3_sparse s;
    struct moe          moe;
    if (!decoder_read(&d, m, e) || !decoder_window_switch(&d, m, e) ||
        !config_flag(m->config, "attention_bias", &d.qkv_bias, e))
        return false;
    d.o_bias = d.qkv_bias;
    return qwen3_moe_read(&d, m, &s, &moe, e) && decoder_write(&d, m, e);
}
