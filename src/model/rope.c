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
    uint32_t dim;                   /* columns of a head that are turned */
    bool     partial, axes;
    double   context;               /* max_position_embeddings */
    json     config;
    float   *freq, *freq_long;      /* [dim / 2]; freq_long NULL: the same */
    uint32_t from;                  /* tokens beyond which freq_long holds */
    double   factor;                /* on cosines and sines */
};

static float rope_period(const struct rope *r, uint32_t i)
{
    return (float)pow(r->base, (double)((float)(2 * i) / (float)r->dim));
}

/* Every key of a scaling must be understood: what is left out changes every answer a little. */
static bool keys_known(json scaling, bool partial, bool axes, struct err *e)
{
    static const char *const known[] = {
        "rope_type", "type", "rope_theta", "factor", "original_max_position_embeddings", "low_freq_factor",
        "high_freq_factor", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate",
        "partial_rotary_factor", "finetuned", "short_factor", "long_factor",
    };
    for (struct json_iter it = json_iter(scaling); json_next(&it);) {
        bool found = json_type(it.value) == JSON_NULL || (axes && (str_is(it.key, "mrope_section") || str_is(it.key, "mrope_interleaved")));
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            found = found || str_is(it.key, known[i]);
        if (!found)
            return err_set(e, ERR_UNSUPPORTED, "configuration: rope scaling by '%.*s' is not supported", (int)it.key.n,
                           it.key.p);
    }
    if (!partial && config_says(scaling, "partial_rotary_factor"))
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

static bool read_divisors(const struct rope *r, const char *key, float *freq, struct err *e)
{
    json list = json_get(r->scaling, key);
    if (json_type(list) != JSON_ARRAY || json_len(list) != r->dim / 2)
        return err_set(e, ERR_CORRUPT, "configuration: %s has not %u numbers", key, r->dim / 2);
    for (uint32_t i = 0; i < r->dim / 2; i++) {
        double by;
        if (!json_f64(json_at(list, i), &by) || !(by > 0) || by > 1e6)
            return err_set(e, ERR_CORRUPT, "configuration: number %u of %s makes no sense", i, key);
        freq[i] = 1.0f / ((float)by * rope_period(r, i));
    }
    return true;
}

/* LongRoPE: divisors for every pair, others for sequences longer than the old context; all of a sequence has those of
 * its length. */
static bool scale_long(struct rope *r, struct err *e)
{
    double old = 0, by = 0;
    if (!config_number(r->config, "original_max_position_embeddings", 2, 1e9, &old, e) ||
        !config_number(r->scaling, "original_max_position_embeddings", 2, 1e9, &old, e))
        return false;
    if (old == 0)
        return err_set(e, ERR_CORRUPT, "configuration: longrope without original_max_position_embeddings");
    by = r->context / old;
    if (!config_number(r->scaling, "factor", 1e-3, 1e6, &by, e))
        return false;
    r->factor = by <= 1 ? 1 : sqrt(1 + log(by) / log(old));
    if (!config_number(r->scaling, "attention_factor", 1e-3, 1e6, &r->factor, e))
        return false;
    r->from = (uint32_t)old;
    r->freq_long = mem_array(r->dim / 2, sizeof *r->freq_long);
    return read_divisors(r, "short_factor", r->freq, e) && read_divisors(r, "long_factor", r->freq_long, e);
}

static bool scale(struct rope *r, struct err *e)
{
    static const struct {
        const char *name;
        bool (*scale)(struct rope *, struct err *);
    } kinds[] = {{"default", NULL},          {"mrope", NULL}, {"linear", scale_linear},   {"llama3", scale_llama3},
                 {"yarn", scale_yarn},       {"longrope", scale_long},   {"su", scale_long}};

    if (!r->scaling)
        return true;
    if (json_type(r->scaling) != JSON_OBJECT)
        return err_set(e, ERR_CORRUPT, "configuration: rope_scaling is %s; an object is wanted",
                       json_type_name(r->scaling));
    if (!keys_known(r->scaling, r->partial, r->axes, e))
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

/* Where there is a set for each kind of layer, that of the kind asked for. */
static json scaling_of(json config, const char *kind)
{
    json all = config_rope(config), one = kind ? json_get(all, kind) : NULL;
    return json_type(one) == JSON_OBJECT ? one : all;
}

static bool rope_base(struct rope *r, const struct rope_ask *ask, struct err *e)
{
    if (ask->base && r->scaling == config_rope(r->config)) {
        r->scaling = NULL;
        return config_number(r->config, ask->base, 1e-3, 1e12, &r->base, e);
    }
    return config_number(r->scaling, "rope_theta", 1e-3, 1e12, &r->base, e) &&
           config_number(r->config, "rope_theta", 1e-3, 1e12, &r->base, e);
}

static bool rope_columns(struct rope *r, const struct rope_ask *ask, struct err *e)
{
    double part = 1;
    if (ask->partial && (!config_number(r->config, "partial_rotary_factor", 0, 1, &part, e) ||
                         !config_number(r->scaling, "partial_rotary_factor", 0, 1, &part, e)))
        return false;
    r->dim = ask->turned ? ask->turned : (uint32_t)(ask->head_dim * part);
    return (r->dim > 0 && r->dim % 2 == 0) ||
           err_set(e, ERR_CORRUPT, "configuration: head_dim %u is odd, or the part of it that is turned", ask->head_dim);
}

/* Which axis each frequency follows: sections of time, row and column one after the other, or, interleaved, row and column
 * every third as far as they go, and time all else. */
static bool rope_axes(const struct rope *r, const struct model *m, wt *out, struct err *e)
{
    json     list = json_get(r->scaling, "mrope_section");
    uint32_t n = r->dim / 2, section[3] = {0}, all = 0;
    bool     interleaved = false;
    for (unsigned k = 0; k < 3; k++) {
        int64_t x = json_int_or(json_at(list, k), -1);
        if (json_len(list) != 3 || x < 0 || x > n)
            return err_set(e, ERR_CORRUPT, "configuration: mrope_section is not three counts of %u frequencies", n);
        all += section[k] = (uint32_t)x;
    }
    if (all != n)
        return err_set(e, ERR_CORRUPT, "configuration: mrope_section counts %u of %u frequencies", all, n);
    if (!config_flag(r->scaling, "mrope_interleaved", &interleaved, e))
        return false;
    float *axis = mem_array(n, sizeof *axis);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t third = i % 3;
        if (interleaved)
            axis[i] = third && i < 3 * section[third] ? (float)third : 0;
        else
            axis[i] = i < section[0] ? 0 : i < section[0] + section[1] ? 1 : 2;
    }
    *out = bundle_const(m->bundle, axis, n);
    free(axis);
    return true;
}

bool rope_read(const struct model *m, const struct rope_ask *ask, struct rope_freqs *out, struct err *e)
{
    json        config = m->config;
    struct rope r = {.config = config, .scaling = scaling_of(config, ask->kind), .base = 10000, .factor = 1,
                     .context = m->info.context, .partial = ask->partial, .axes = ask->axes};
    if (!rope_base(&r, ask, e) || !rope_columns(&r, ask, e))
        return false;
    r.freq = mem_array(r.dim / 2, sizeof *r.freq);
    for (uint32_t i = 0; i < r.dim / 2; i++)
        r.freq[i] = 1.0f / rope_period(&r, i);
    wt   axes = {0};
    bool ok = scale(&r, e) && divide(&r, m->checkpoint, e) && (!ask->axes || rope_axes(&r, m, &axes, e));
    if (ok)
        *out = (struct rope_freqs){
            .axes = axes,
            .w = bundle_const(m->bundle, r.freq, r.dim / 2),
            .w_long = r.freq_long ? bundle_const(m->bundle, r.freq_long, r.dim / 2) : (wt){0},
            .n_rot = r.dim < ask->head_dim ? r.dim : 0, .from = r.from, .factor = (float)r.factor};
    free(r.freq);
    free(r.freq_long);
    return ok;
}
