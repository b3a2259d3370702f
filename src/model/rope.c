/* rope.c -- see rope.h. */
#include "model/rope.h"

#include "base/mem.h"
#include "model/config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double two_pi = 6.283185307179586;

struct rope {
    json     scaling;               /* NULL: none */
    double   base;
    uint32_t dim;
    double   context;               /* max_position_embeddings */
    float   *freq;                  /* [dim / 2] */
    double   factor;                /* on cosines and sines */
};

/* Every key of a scaling must be understood: what is left out changes every answer a little. */
static bool keys_known(json scaling, struct err *e)
{
    static const char *const known[] = {
        "rope_type", "type", "rope_theta", "factor", "original_max_position_embeddings", "low_freq_factor",
        "high_freq_factor", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate",
        "partial_rotary_factor", "finetuned",
    };
    for (struct json_iter it = json_iter(scaling); json_next(&it);) {
        bool found = json_type(it.value) == JSON_NULL;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            found = found || str_is(it.key, known[i]);
        if (!found)
            return err_set(e, ERR_UNSUPPORTED, "configuration: rope scaling by '%.*s' is not supported", (int)it.key.n,
                           it.key.p);
    }
    if (config_says(scaling, "partial_rotary_factor"))
        return err_set(e, ERR_UNSUPPORTED, "configuration: partial_rotary_factor other than 1 is not supported");
    return true;
}

static bool scale_linear(struct rope *r, struct err *e)
{
    double by = 1;
    if (!config_number(r->scaling, "factor", 1e-3, 1e6, &by, e))
        return false;
    for (uint32_t i = 0; i < r->dim / 2; i++)
        r->freq[i] = (float)((double)r->freq[i] / by);
    return true;
}

/* Llama 3.1: slow turns (long waves) are slowed by factor, fast ones stay, between them a ramp. */
static bool scale_llama3(struct rope *r, struct err *e)
{
    double by = 8, low = 1, high = 4, old = 8192;
    if (!config_number(r->scaling, "factor", 1e-3, 1e6, &by, e) ||
        !config_number(r->scaling, "low_freq_factor", 1e-3, 1e6, &low, e) ||
        !config_number(r->scaling, "high_freq_factor", 1e-3, 1e6, &high, e) ||
        !config_number(r->scaling, "original_max_position_embeddings", 1, 1e9, &old, e))
        return false;
    if (!(high > low))
        return err_set(e, ERR_CORRUPT, "configuration: high_freq_factor is not above low_freq_factor");
    for (uint32_t i = 0; i < r->dim / 2; i++) {
        double f = (double)r->freq[i], wave = two_pi / f, ramp = (old / wave - low) / (high - low);
        if (wave > old / low)
            r->freq[i] = (float)(f / by);
        else if (wave >= old / high)
            r->freq[i] = (float)((1 - ramp) * f / by + ramp * f);
    }
    return true;
}

static double yarn_mscale(double factor, double m)
{
    return factor <= 1 ? 1 : 0.1 * m * log(factor) + 1;
}

/* The pair that turns `turns` times over the old context. */
static double yarn_pair(const struct rope *r, double old, double turns)
{
    return r->dim * log(old / (turns * two_pi)) / (2 * log(r->base));
}

/* YaRN: pairs that turn often keep their speed, slow ones are slowed by factor, between them a ramp over the pairs. */
static bool scale_yarn(struct rope *r, struct err *e)
{
    double old = r->context, by = 0, fast = 32, slow = 1, attention = 0, m = 0, m_all = 0;
    bool   whole = true;
    if (!config_number(r->scaling, "original_max_position_embeddings", 1, 1e9, &old, e))
        return false;
    by = r->context / old;
    if (!config_number(r->scaling, "factor", 1e-3, 1e6, &by, e) ||
        !config_number(r->scaling, "beta_fast", 1e-3, 1e6, &fast, e) ||
        !config_number(r->scaling, "beta_slow", 1e-3, 1e6, &slow, e) ||
        !config_number(r->scaling, "attention_factor", 1e-3, 1e6, &attention, e) ||
        !config_number(r->scaling, "mscale", 0, 1e6, &m, e) ||
        !config_number(r->scaling, "mscale_all_dim", 0, 1e6, &m_all, e) ||
        !config_flag(r->scaling, "truncate", &whole, e))
        return false;
    if (!(r->base > 1))
        return err_set(e, ERR_CORRUPT, "configuration: yarn needs a rope_theta above 1");
    r->factor = attention > 0 ? attention
                : m > 0 && m_all > 0 ? yarn_mscale(by, m) / yarn_mscale(by, m_all) : yarn_mscale(by, 1);
    double from = yarn_pair(r, old, fast), to = yarn_pair(r, old, slow);
    from = fmax(whole ? floor(from) : from, 0);
    to = fmin(whole ? ceil(to) : to, r->dim - 1);
    if (from == to)
        to += 0.001;
    for (uint32_t i = 0; i < r->dim / 2; i++) {
        double slowed = fmin(fmax((i - from) / (to - from), 0), 1), f = (double)r->freq[i];
        r->freq[i] = (float)(f / by * slowed + f * (1 - slowed));
    }
    return true;
}

static bool scale(struct rope *r, struct err *e)
{
    static const struct {
        const char *name;
        bool (*scale)(struct rope *, struct err *);
    } kinds[] = {{"default", NULL}, {"linear", scale_linear}, {"llama3", scale_llama3}, {"yarn", scale_yarn}};

    if (!r->scaling)
        return true;
    if (json_type(r->scaling) != JSON_OBJECT)
        return err_set(e, ERR_CORRUPT, "configuration: rope_scaling is %s; an object is wanted",
                       json_type_name(r->scaling));
    if (!keys_known(r->scaling, e))
        return false;
    json kind = json_get(r->scaling, "rope_type");
    if (!json_str(kind).p)
        kind = json_get(r->scaling, "type");
    struct str name = json_str(kind).p ? json_str(kind) : STR("default");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (str_is(name, kinds[i].name))
            return !kinds[i].scale || kinds[i].scale(r, e);
    return err_set(e, ERR_UNSUPPORTED, "configuration: rope scaling of type '%.*s' is not supported", (int)name.n,
                   name.p);
}

/* GGUF files bring the result of Llama 3's scaling as a tensor of divisors instead. */
static bool divide(struct rope *r, const struct checkpoint *c, struct err *e)
{
    struct tensor t;
    if (!checkpoint_find(c, "rope_freqs.weight", &t))
        return true;
    if (t.format != FORMAT_F32 || t.n_dim != 1 || t.shape[0] != r->dim / 2)
        return err_set(e, ERR_CORRUPT, "tensor 'rope_freqs.weight' is not %u F32 numbers", r->dim / 2);
    for (uint32_t i = 0; i < r->dim / 2; i++) {
        float by;
        memcpy(&by, (const char *)t.data + i * sizeof by, sizeof by);
        if (!(by > 0) || !isfinite(by))
            return err_set(e, ERR_CORRUPT, "tensor 'rope_freqs.weight' holds %g", (double)by);
        r->freq[i] /= by;
    }
    return true;
}

bool rope_read(const struct model *m, uint32_t head_dim, wt *freqs, float *factor, struct err *e)
{
    json        config = checkpoint_config(m->checkpoint);
    struct rope r = {
        .scaling = config_rope(config), .base = 10000, .dim = head_dim, .factor = 1, .context = m->info.context};
    if (head_dim % 2)
        return err_set(e, ERR_CORRUPT, "configuration: head_dim %u is odd", head_dim);
    if (!config_number(r.scaling, "rope_theta", 1e-3, 1e12, &r.base, e) ||
        !config_number(config, "rope_theta", 1e-3, 1e12, &r.base, e))
        return false;
    r.freq = mem_array(head_dim / 2, sizeof *r.freq);
    for (uint32_t i = 0; i < head_dim / 2; i++)
        r.freq[i] = 1.0f / (float)pow(r.base, (double)((float)(2 * i) / (float)head_dim));
    bool ok = scale(&r, e) && divide(&r, m->checkpoint, e);
    if (ok) {
        *freqs = bundle_const(m->bundle, r.freq, head_dim / 2);
        *factor = (float)r.factor;
    }
    free(r.freq);
    return ok;
}
