/* wish.c -- see wish.h. */
#include "api/wish.h"

#include "base/random.h"

#include <float.h>
#include <stdio.h>

enum { TIMEOUT_S_MAX = 7 * 24 * 3600, BIAS_MAX = 1024, STOP_ID_MAX = 256 };

struct range {
    const char *name;
    double      lo, hi;
    const char *words;
};

/* Leaves *out alone where the field is absent. */
static bool read_num(const struct fields *q, const struct range *r, double *out, struct err *e)
{
    json v = fields_at(q, r->name);
    if (!v)
        return true;
    double d = json_num_or(v, 0);
    if (!(d >= r->lo && d <= r->hi))
        return err_param(e, r->name, "%s must be %s, not %g", r->name, r->words, d);
    *out = d;
    return true;
}

static bool read_float(const struct fields *q, const struct range *r, float *out, struct err *e)
{
    double d = (double)*out;
    if (!read_num(q, r, &d, e))
        return false;
    *out = (float)d;
    return true;
}

/* A whole number that does not fit 64 bits is out of any range. */
static bool read_u32(const struct fields *q, const struct range *r, uint32_t *out, struct err *e)
{
    json v = fields_at(q, r->name);
    if (!v)
        return true;
    int64_t i;
    if (!json_i64(v, &i))
        return err_param(e, r->name, "%s must be %s", r->name, r->words);
    if ((double)i < r->lo || (double)i > r->hi)
        return err_param(e, r->name, "%s must be %s, not %lld", r->name, r->words, (long long)i);
    *out = (uint32_t)i;
    return true;
}

static bool read_draw(struct draw *d, const struct fields *q, struct err *e)
{
    static const struct range temperature = {"temperature", 0, 100, "between 0 and 100"};
    static const struct range top_p = {"top_p", FLT_MIN, 1, "above 0 and at most 1"};
    static const struct range min_p = {"min_p", 0, 1, "between 0 and 1"};
    static const struct range presence = {"presence_penalty", -2, 2, "between -2 and 2"};
    static const struct range frequency = {"frequency_penalty", -2, 2, "between -2 and 2"};
    static const struct range repeat = {"repetition_penalty", 0.001, 100, "between 0.001 and 100"};
    json    v = fields_at(q, "top_k");
    int64_t k = d->top_k;
    if (v && (!json_i64(v, &k) || k < -1 || k > INT32_MAX))
        return err_param(e, "top_k", "top_k must be between 0 and %d, or -1 for all", INT32_MAX);
    d->top_k = k < 0 ? 0 : (int32_t)k;
    return read_float(q, &temperature, &d->temperature, e) && read_float(q, &top_p, &d->top_p, e) &&
           read_float(q, &min_p, &d->min_p, e) && read_float(q, &presence, &d->presence, e) &&
           read_float(q, &frequency, &d->frequency, e) && read_float(q, &repeat, &d->repeat, e);
}

/* Any 64-bit number is a seed, signed or not. */
static bool read_seed(struct draw *d, const struct fields *q, struct err *e)
{
    json     v = fields_at(q, "seed");
    int64_t  i;
    uint64_t u;
    if (!v)
        d->seed = random_u64();
    else if (json_i64(v, &i))
        d->seed = (uint64_t)i;
    else if (json_u64(v, &u))
        d->seed = u;
    else
        return err_param(e, "seed", "seed must be a whole number of at most 64 bits");
    return true;
}

static bool read_bias(struct draw *d, const struct fields *q, const struct wish_limits *l, struct arena *a,
                      struct err *e)
{
    static const struct range add = {"", -100, 100, "between -100 and 100"};
    json   map = fields_at(q, "logit_bias");
    size_t n = json_len(map);
    if (n == 0)
        return true;
    if (n > BIAS_MAX)
        return err_param(e, "logit_bias", "logit_bias has %zu members; at most %d may be sent", n, BIAS_MAX);
    struct draw_bias *bias = arena_new(a, n * sizeof *bias);
    for (struct json_iter it = json_iter(map); json_next(&it);) {
        uint64_t id;
        double   value;
        if (!str_u64(it.key, &id) || id >= l->n_vocab)
            return err_param(e, "logit_bias", "logit_bias: \"%.*s\" is not a token id of this model (0 to %u)",
                             it.key.n < 40 ? (int)it.key.n : 40, it.key.p, l->n_vocab - 1);
        if (!json_f64(it.value, &value) || !(value >= add.lo && value <= add.hi))
            return err_param(e, "logit_bias", "logit_bias of token %u must be a number %s", (unsigned)id, add.words);
        bias[d->n_bias++] = (struct draw_bias){(int32_t)id, (float)value};
    }
    d->bias = bias;
    return true;
}

static bool add_stop(struct wish *w, json v, struct arena *a, struct err *e)
{
    struct str s = json_str(v);
    if (!s.p)
        return err_param(e, "stop", "stop must hold strings, not %s", json_type_name(v));
    if (s.n == 0 || s.n > STOP_BYTES_MAX)
        return err_param(e, "stop", "a stop string must have 1 to %d bytes, not %zu", STOP_BYTES_MAX, s.n);
    if (w->n_stop == STOP_MAX)
        return err_param(e, "stop", "stop may hold at most %d strings", STOP_MAX);
    w->stop[w->n_stop++] = (struct str){arena_copy(a, s.p, s.n), s.n};
    return true;
}

static bool read_stop(struct wish *w, const struct fields *q, struct arena *a, struct err *e)
{
    json v = fields_at(q, "stop");
    if (json_type(v) == JSON_STRING)
        return add_stop(w, v, a, e);
    for (struct json_iter it = json_iter(v); json_next(&it);)
        if (!add_stop(w, it.value, a, e))
            return false;
    return true;
}

static bool read_stop_ids(struct wish *w, const struct fields *q, const struct wish_limits *l, struct arena *a,
                          struct err *e)
{
    json   list = fields_at(q, "stop_token_ids");
    size_t n = json_len(list);
    if (n > STOP_ID_MAX)
        return err_param(e, "stop_token_ids", "stop_token_ids may hold at most %d ids", STOP_ID_MAX);
    w->stop_id = arena_new(a, (n + 1) * sizeof *w->stop_id);
    for (struct json_iter it = json_iter(list); json_next(&it);) {
        uint64_t id;
        if (!json_u64(it.value, &id) || id >= l->n_vocab)
            return err_param(e, "stop_token_ids", "stop_token_ids must hold token ids of this model (0 to %u)",
                             l->n_vocab - 1);
        w->stop_id[w->n_stop_id++] = (int32_t)id;
    }
    return true;
}

/* Chat sends logprobs: true and top_logprobs: k; /v1/completions sends logprobs: k. */
static bool read_logprobs(struct wish *w, const struct fields *q, struct err *e)
{
    static const struct range chat = {"top_logprobs", 0, DRAW_TOP_MAX, "between 0 and 20"};
    static const struct range text = {"logprobs", 0, DRAW_TOP_MAX, "between 0 and 20"};
    json     v = fields_at(q, "logprobs");
    uint32_t top = 0;
    if (json_type(v) == JSON_BOOL || !v) {
        w->logprobs = json_bool(v, false);
        if (!read_u32(q, &chat, &top, e))
            return false;
        if (top > 0 && !w->logprobs)
            return err_param(e, "top_logprobs", "top_logprobs needs logprobs to be true");
    } else {
        w->logprobs = true;
        if (!read_u32(q, &text, &top, e))
            return false;
    }
    w->draw.n_logprob = w->logprobs ? (uint8_t)(top + 1) : 0;
    return true;
}

static bool read_stream(struct wish *w, const struct fields *q, struct err *e)
{
    json options = fields_at(q, "stream_options");
    w->stream = json_bool(fields_at(q, "stream"), false);
    if (options && !w->stream)
        return err_param(e, "stream_options", "stream_options may only be sent with stream: true");
    w->include_usage = json_bool(fields_get(options, "include_usage"), false);
    return true;
}

/* max_completion_tokens is the newer name and wins.  0 makes sense only where the prompt itself may be sent back. */
static bool read_lengths(struct wish *w, const struct fields *q, const struct wish_limits *l, struct err *e)
{
    const char  *name = fields_at(q, "max_completion_tokens") ? "max_completion_tokens" : "max_tokens";
    struct range length = {name, 1, UINT32_MAX, "a whole number of at least 1"};
    struct range answers = {"n", 1, l->n_max, "at least 1"};
    struct range timeout = {"timeout", 0.001, TIMEOUT_S_MAX, "a number of seconds between 0.001 and 604800"};
    char         words[64];
    double       seconds = l->timeout_s;
    if (q->where == FIELDS_TEXT)
        length.lo = 0;
    snprintf(words, sizeof words, "between 1 and %u here", l->n_max);
    answers.words = words;
    w->n = 1;
    w->has_max = fields_at(q, name) != NULL;
    if (!read_u32(q, &length, &w->tokens_max, e) || !read_u32(q, &answers, &w->n, e) ||
        !read_num(q, &timeout, &seconds, e))
        return false;
    w->timeout_ns = (uint64_t)(seconds * 1e9);
    return true;
}

bool wish_read(struct wish *out, const struct fields *q, const struct wish_limits *l, struct arena *a, struct err *e)
{
    *out = (struct wish){.draw = l->draw};
    struct str salt = json_str(fields_at(q, "cache_salt"));
    if (salt.n)
        out->salt = (struct str){arena_copy(a, salt.p, salt.n), salt.n};
    out->ignore_eos = json_bool(fields_at(q, "ignore_eos"), false);
    out->return_ids = json_bool(fields_at(q, "return_token_ids"), false);
    return read_stream(out, q, e) && read_lengths(out, q, l, e) && read_draw(&out->draw, q, e) &&
           read_seed(&out->draw, q, e) && read_bias(&out->draw, q, l, a, e) && read_stop(out, q, a, e) &&
           read_stop_ids(out, q, l, a, e) && read_logprobs(out, q, e);
}
