/* sigmoid_moe.c -- see sigmoid_moe.h. */
#include "model/sigmoid_moe.h"

#include "model/config.h"

#define MLP "model.layers.#.mlp.shared_experts."

static bool is_sparse(const struct decoder *d, uint32_t layer)
{
    const struct sigmoid_moe *x = d->more;
    return layer >= x->dense_first;
}

static val with_shared(const struct decoder *d, const struct writer *w, val h)
{
    const struct sigmoid_moe *x = d->more;
    uint32_t                  ff = bundle_share(w->b, x->shared_ff);
    const struct part         up[4] = {PART(MLP "gate_proj", ff), PART(MLP "up_proj", ff)};
    val chosen = write_moe(w, h, &x->moe);
    if (!x->shared_ff)
        return chosen;
    val g = EMIT(w->p, glu, .in = {write_linear(w, h, SPLIT_OUT, up, false)}, .glu = {.act = d->act});
    return EMIT(w->p, add, .in = {chosen, write_down(w, g, (struct part)PART(MLP "down_proj", w->m->info.width), false)});
}

bool sigmoid_router_read(struct moe *e, json config, struct err *err)
{
    double scaling = 1;
    e->router = ROUTER_SIGMOID;
    e->choice_bias = e->normalise = true;
    if (!config_count(config, "n_routed_experts", EXPERTS_MAX, 0, &e->n, err) ||
        !config_count(config, "num_experts_per_tok", EXPERTS_MAX, 0, &e->k, err) ||
        !config_count(config, "moe_intermediate_size", 1 << 20, 0, &e->ff, err) ||
        !config_count(config, "n_group", EXPERTS_MAX, 1, &e->groups, err) ||
        !config_count(config, "topk_group", EXPERTS_MAX, 1, &e->groups_kept, err) ||
        !config_number(config, "routed_scaling_factor", 1e-6, 1e6, &scaling, err) ||
        !config_flag(config, "norm_topk_prob", &e->normalise, err))
        return false;
    e->scaling = (float)scaling;
    return true;
}

bool sigmoid_moe_read(struct decoder *d, const struct model *m, struct sigmoid_moe *x, struct err *e)
{
    json     config = m->config;
    uint32_t shared = 0;
    *x = (struct sigmoid_moe){.moe = {.at = "model.layers.#.mlp", .act = d->act}};
    x->dense_first = (uint32_t)json_int_or(json_get(config, "first_k_dense_replace"), 0);
    shared = (uint32_t)json_int_or(json_get(config, "n_shared_experts"), 0);
    if (!sigmoid_router_read(&x->moe, config, e))
        return false;
    if (x->dense_first > m->info.n_layer || shared > 64)
        return err_set(e, ERR_CORRUPT, "configuration: first_k_dense_replace or n_shared_experts makes no sense");
    x->shared_ff = shared * x->moe.ff;
    d->more = x;
    d->moe = &x->moe;
    d->moe_layer = is_sparse;
    d->moe_write = with_shared;
    return true;
}
