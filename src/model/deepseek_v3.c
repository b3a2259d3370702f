/* deepseek_v3.c -- DeepSeek-V3 and R1 (DeepSeek-AI 2024): queries, and keys with values, come out of low ranks; part of each head
 * is turned, and of the keys that part is one for all heads.
 *
 * Attention runs over the heads' own keys and values (values as wide as keys, the rest of them idle): right, but what is
 * remembered of a token is not the low rank alone, which is what this attention was made for. */
#include "model/config.h"
#include "model/models.h"
#include "model/sigmoid_moe.h"

#include "base/mem.h"

#include <math.h>

#define SELF "model.layers.#.self_attn."

struct latent {
    uint32_t q_rank, kv_rank, nope, turned, value;      /* q_rank 0: queries come from the row at once */
    float    eps;
};

/* Heads with their last `turned` columns first: OP_rope turns what a head begins with. */
static float *turned_first(uint32_t heads, uint32_t nope, uint32_t turned)
{
    uint32_t dim = nope + turned;
    float   *list = mem_array((size_t)heads * dim, sizeof *list);
    for (uint32_t i = 0; i < heads * dim; i++)
        list[i] = (float)(i / dim * dim + (i % dim < turned ? nope + i % dim : i % dim - turned));
    return list;
}

/* Heads of keys: the part that all have, which lies behind the heads' own [nope | value]; then each one's. */
static float *keys_of(uint32_t heads, const struct latent *l)
{
    uint32_t dim = l->turned + l->nope, own = l->nope + l->value;
    float   *list = mem_array((size_t)heads * dim, sizeof *list);
    for (uint32_t i = 0; i < heads * dim; i++)
        list[i] = (float)(i % dim < l->turned ? heads * own + i % dim : i / dim * own + i % dim - l->turned);
    return list;
}

/* Values, each followed by as many columns as make it as wide as a key: any will do, as what comes of them is dropped. */
static float *values_of(uint32_t heads, const struct latent *l)
{
    uint32_t dim = l->turned + l->nope, own = l->nope + l->value;
    float   *list = mem_array((size_t)heads * dim, sizeof *list);
    for (uint32_t i = 0; i < heads * dim; i++)
        list[i] = (float)(i / dim * own + l->nope + i % dim % l->value);
    return list;
}

static float *values_alone(uint32_t heads, const struct latent *l)
{
    float *list = mem_array((size_t)heads * l->value, sizeof *list);
    for (uint32_t i = 0; i < heads * l->value; i++)
        list[i] = (float)(i / l->value * (l->turned + l->nope) + i % l->value);
    return list;
}

static val norm(const struct writer *w, val x, const char *name, float eps)
{
    struct writer own = *w;
    own.eps = eps;
    return write_norm(&own, x, name, 0);
}

static val turn(const struct decoder *d, const struct writer *w, val x, uint32_t head_dim, uint32_t turned)
{
    return EMIT(w->p, rope, .in = {x}, .w = {d->rope.w},
                .rope = {.head_dim = head_dim, .n_rot = turned < head_dim ? turned : 0, .interleaved = d->interleaved,
                         .factor = d->rope.factor});
}

static val queries(const struct decoder *d, const struct writer *w, val h, uint32_t heads)
{
    const struct latent *l = d->own;
    uint32_t             dim = l->nope + l->turned;
    const struct part    a[4] = {PART(SELF "q_a_proj", l->q_rank)};
    const struct part    b[4] = {PART(SELF "q_b_proj", heads * dim)}, direct[4] = {PART(SELF "q_proj", heads * dim)};
    if (l->q_rank)
        h = norm(w, write_linear(w, h, SPLIT_NONE, a, d->qkv_bias), SELF "q_a_layernorm.weight", l->eps);
    val q = write_linear(w, h, SPLIT_OUT, l->q_rank ? b : direct, false);
    return turn(d, w, write_order(w, q, q, turned_first(heads, l->nope, l->turned), heads * dim), dim, l->turned);
}

static val latent_attention(const struct decoder *d, const struct writer *w, val h)
{
    const struct latent *l = d->own;
    uint32_t             heads = bundle_share(w->b, w->m->info.n_head), dim = l->nope + l->turned, own = l->nope + l->value;
    const struct part    a[4] = {PART(SELF "kv_a_proj_with_mqa", l->kv_rank + l->turned)};
    const struct part    b[4] = {PART(SELF "kv_b_proj", heads * own)};
    val q = queries(d, w, h, heads);
    val low = write_linear(w, h, SPLIT_NONE, a, d->qkv_bias);
    val kv = write_linear(w, norm(w, prog_cols(w->p, low, 0, l->kv_rank), SELF "kv_a_layernorm.weight", l->eps), SPLIT_OUT, b, false);
    val shared = turn(d, w, prog_cols(w->p, low, l->kv_rank, l->turned), l->turned, l->turned);
    val k = write_order(w, kv, shared, keys_of(heads, l), heads * dim);
    val v = write_order(w, kv, shared, values_of(heads, l), heads * dim);
    val y = EMIT(w->p, attend, .in = {q, k, v}, .s = bundle_state(w->b, w->layer, STATE_TOKEN, 2 * heads * dim),
                 .attend = {.head_dim = dim, .scale = d->scale});
    return write_down(w, write_order(w, y, y, values_alone(heads, l), heads * l->value),
                      (struct part)PART(SELF "o_proj", w->m->info.width), d->o_bias);
}

/* YaRN's scale of scores goes with the square of what mscale_all_dim gives. */
static bool read_scale(struct decoder *d, json config, uint32_t dim, struct err *e)
{
    json   scaling = config_rope(config);
    double factor = 1, all = 0;
    if (!config_number(scaling, "factor", 1e-3, 1e6, &factor, e) || !config_number(scaling, "mscale_all_dim", 0, 1e6, &all, e))
        return false;
    double m = factor > 1 && all > 0 ? 0.1 * all * log(factor) + 1 : 1;
    d->scale = (float)(m * m / sqrt((double)dim));
    return true;
}

bool model_deepseek_v3(struct model *m, struct err *e)
{
    struct latent      l = {.eps = 1e-6f};
    struct decoder     d = {.attention = latent_attention, .own = &l};
    struct sigmoid_moe moe;
    json               config = m->config;
    bool               pairs = true;
    if (!config_count(config, "qk_rope_head_dim", 4096, 0, &l.turned, e) || !config_count(config, "qk_nope_head_dim", 4096, 0, &l.nope, e) ||
        !config_count(config, "v_head_dim", 4096, 0, &l.value, e) || !config_count(config, "kv_lora_rank", 1 << 16, 0, &l.kv_rank, e))
        return false;
    d.rope_ask.turned = l.turned;
    if (json_type(json_get(config, "q_lora_rank")) > JSON_NULL && !config_count(config, "q_lora_rank", 1 << 16, 0, &l.q_rank, e))
        return false;
    if (!decoder_read(&d, m, e) || !config_flag(config, "attention_bias", &d.qkv_bias, e) ||
        !config_flag(config, "rope_interleave", &pairs, e) || !read_scale(&d, config, l.nope + l.turned, e) ||
        !sigmoid_moe_read(&d, m, &moe, e))
        return false;
    if (l.value > l.nope + l.turned)
        return err_set(e, ERR_UNSUPPORTED, "configuration: a v_head_dim above that of keys is not supported");
    d.interleaved = pairs;
    d.o_bias = d.qkv_bias;
    return decoder_write(&d, m, e);
}
