/* gguf_names.c -- see gguf_names.h. */
#include "store/gguf_names.h"

#include "store/names.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct arch { const char *gguf, *hf, *type; bool interleaved, bias; } archs[] = {
#define ARCH(...) {__VA_ARGS__},
#include "store/gguf_names.def"
};

struct pair {
    const char *gguf, *hf;
};

static const struct pair tensors[] = {
#define TENSOR(...) {__VA_ARGS__},
#include "store/gguf_names.def"
};

static const struct pair layers[] = {
#define LAYER(...) {__VA_ARGS__},
#include "store/gguf_names.def"
};

struct key {
    const char *gguf, *hf;
    enum { WHOLE, REAL } kind;
    bool must;
};

static const struct key keys[] = {
#define KEY(...) {__VA_ARGS__},
#include "store/gguf_names.def"
};

static const struct key scaling[] = {
#define SCALING(gguf, hf, kind) {gguf, hf, kind, false},
#include "store/gguf_names.def"
};

static const struct { const char *arch, *hf; } flags[] = {
#define FLAG(...) {__VA_ARGS__},
#include "store/gguf_names.def"
};

static const struct { const char *gguf; double neutral; const char *but; } refused[] = {
#define REFUSE(...) {__VA_ARGS__},
#include "store/gguf_names.def"
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char *pair_find(const struct pair *p, size_t n, struct str gguf)
{
    for (size_t i = 0; i < n; i++)
        if (str_is(gguf, p[i].gguf))
            return p[i].hf;
    return NULL;
}

/* "blk.12.attn_q" -> "12" and "attn_q". */
static bool layer_split(struct str stem, struct str *number, struct str *rest)
{
    const size_t from = sizeof "blk." - 1;
    if (!str_starts(stem, STR("blk.")))
        return false;
    size_t at = from;
    while (at < stem.n && stem.p[at] >= '0' && stem.p[at] <= '9')
        at++;
    if (at == from || at == stem.n || stem.p[at] != '.')
        return false;
    *number = (struct str){stem.p + from, at - from};
    *rest = (struct str){stem.p + at + 1, stem.n - at - 1};
    return true;
}

void gguf_name(struct str name, struct buf *out)
{
    struct str tail = str_ends(name, STR(".weight")) ? STR(".weight") : STR(".bias"), number, rest;
    struct str stem = {name.p, name.n - (str_ends(name, tail) ? tail.n : 0)};
    const char *hf;
    if (stem.n < name.n && (hf = pair_find(tensors, COUNT(tensors), stem)) != NULL)
        buf_printf(out, "%s%s", hf, tail.p);
    else if (stem.n < name.n && layer_split(stem, &number, &rest) &&
             (hf = pair_find(layers, COUNT(layers), rest)) != NULL)
        buf_printf(out, "model.layers.%.*s.%s%s", (int)number.n, number.p, hf, tail.p);
    else
        buf_str(out, name);
}

/* A file being translated. */
struct config {
    const struct gguf *g;
    const struct arch *arch;
    struct json_out   *w;
};

struct full_key {
    char text[96];
};

static struct full_key full_key(const struct config *c, const char *key)
{
    struct full_key k;
    int             n = snprintf(k.text, sizeof k.text, "%s.%s", c->arch->gguf, key);
    CHECK(n > 0 && (size_t)n < sizeof k.text);
    return k;
}

/* The number behind ARCH.key, 0 when it is absent or says 0.  Everything here is a size, a factor or a base, so 0 can
 * only mean "none". */
static bool number_read(const struct config *c, const struct key *key, double *out, struct err *e)
{
    const struct full_key k = full_key(c, key->gguf);
    struct gguf_value     v;
    *out = 0;
    if (!gguf_find(c->g, k.text, &v))
        return !key->must || err_set(e, ERR_CORRUPT, "key %s is missing", k.text);
    if (v.array)
        return err_set(e, ERR_UNSUPPORTED, "key %s: one value per layer cannot be read", k.text);
    double d = key->kind == WHOLE ? (double)gguf_int(c->g, k.text, -1) : gguf_num(c->g, k.text, -1);
    bool   fits = key->kind == WHOLE ? d <= INT32_MAX : isfinite(d) != 0;
    if (!fits || d < 0 || (d == 0 && key->must))
        return err_set(e, ERR_CORRUPT, "key %s is not a positive %s number", k.text,
                       key->kind == WHOLE ? "whole 31-bit" : "finite");
    *out = d;
    return true;
}

static void number_put(const struct config *c, const struct key *key, double d)
{
    if (d == 0)
        return;
    if (key->kind == WHOLE)
        json_put_int(c->w, key->hf, (int64_t)d);
    else
        json_put_num(c->w, key->hf, d);
}

static bool numbers_put(const struct config *c, const struct key *list, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        double d;
        if (!number_read(c, &list[i], &d, e))
            return false;
        number_put(c, &list[i], d);
    }
    return true;
}

static bool whole_read(const struct config *c, const char *key, int64_t *out, struct err *e)
{
    double d;
    if (!number_read(c, &(struct key){key, NULL, WHOLE, false}, &d, e))
        return false;
    *out = (int64_t)d;
    return true;
}

/* A rotation over part of a head is partial_rotary_factor there, and a count of values here. */
static bool head_put(const struct config *c, struct err *e)
{
    int64_t width, heads, key, value, rotary;
    if (!whole_read(c, "embedding_length", &width, e) || !whole_read(c, "attention.head_count", &heads, e) ||
        !whole_read(c, "attention.key_length", &key, e) || !whole_read(c, "attention.value_length", &value, e) ||
        !whole_read(c, "rope.dimension_count", &rotary, e))
        return false;
    int64_t head = key ? key : width / heads;
    if (value && value != head)
        return err_set(e, ERR_UNSUPPORTED, "%s.attention.value_length is %" PRId64 ", but keys are %" PRId64 " long",
                       c->arch->gguf, value, head);
    if (rotary > head)
        return err_set(e, ERR_CORRUPT, "%s.rope.dimension_count is %" PRId64 ", but heads are %" PRId64 " long",
                       c->arch->gguf, rotary, head);
    if (rotary && rotary != head)
        json_put_num(c->w, "partial_rotary_factor", (double)rotary / (double)head);
    return true;
}

/* GGUF's attention factor stands beside YaRN's own 0.1 ln(factor) + 1; Hugging Face's is their product. */
static bool attention_factor_put(const struct config *c, struct err *e)
{
    double attn, yarn, factor;
    if (!number_read(c, &(struct key){"rope.scaling.attn_factor", NULL, REAL, false}, &attn, e) ||
        !number_read(c, &(struct key){"rope.scaling.yarn_attn_factor", NULL, REAL, false}, &yarn, e) ||
        !number_read(c, &(struct key){"rope.scaling.factor", NULL, REAL, false}, &factor, e))
        return false;
    double given = (attn != 0 ? attn : 1) * (yarn != 0 ? yarn : 1);
    if (given != 1)
        json_put_num(c->w, "attention_factor", given * (factor > 1 ? 0.1 * log(factor) + 1 : 1));
    return true;
}

static bool rope_scaling_put(const struct config *c, struct err *e)
{
    struct str type = gguf_str(c->g, full_key(c, "rope.scaling.type").text);
    double     linear;
    if (!number_read(c, &(struct key){"rope.scale_linear", NULL, REAL, false}, &linear, e))
        return false;
    bool old = !type.p && linear != 0 && linear != 1;   /* the older way to say "linear" */
    if ((!type.p && !old) || str_is(type, "none")) {
        json_put_null(c->w, "rope_scaling");
        return true;
    }
    json_open(c->w, "rope_scaling", '{');
    json_put_str(c->w, "rope_type", old ? STR("linear") : type);
    if (old)
        json_put_num(c->w, "factor", linear);
    bool ok = old || (numbers_put(c, scaling, COUNT(scaling), e) &&
                      (!str_is(type, "yarn") || attention_factor_put(c, e)));
    json_close(c->w);
    return ok;
}

/* Rows of the embedding are what ids may index; a list of tokens may be shorter (padding), never longer. */
static bool vocab_read(const struct config *c, int64_t *out, struct err *e)
{
    struct gguf_value tokens;
    struct tensor     embed;
    bool listed = gguf_find(c->g, "tokenizer.ggml.tokens", &tokens) && tokens.array && tokens.type == GGUF_STRING;
    if (gguf_tensor_find(c->g, "token_embd.weight", &embed) && embed.n_dim == 2) {
        if (listed && tokens.n > embed.shape[0])
            return err_set(e, ERR_CORRUPT, "tensor token_embd.weight has %" PRIu32 " rows for %" PRIu64 " tokens",
                           embed.shape[0], tokens.n);
        *out = embed.shape[0];
        return true;
    }
    if (!listed)
        return whole_read(c, "vocab_size", out, e);
    *out = (int64_t)tokens.n;
    return true;
}

/* Some converters write an id outside the vocabulary for "none". */
static void token_put(const struct config *c, const char *gguf, const char *hf, int64_t vocab)
{
    int64_t id = gguf_int(c->g, gguf, -1);
    if (id >= 0 && id < vocab)
        json_put_int(c->w, hf, id);
}

static bool has_tensor(const struct config *c, const char *name)
{
    struct tensor t;
    return gguf_tensor_find(c->g, name, &t);
}

static bool config_put(const struct config *c, struct err *e)
{
    int64_t vocab = 0;
    json_open(c->w, "architectures", '[');
    json_put_text(c->w, NULL, c->arch->hf);
    json_close(c->w);
    json_put_text(c->w, "model_type", c->arch->type);
    json_put_text(c->w, "hidden_act", "silu");
    if (!numbers_put(c, keys, COUNT(keys), e) || !head_put(c, e) || !rope_scaling_put(c, e) ||
        !vocab_read(c, &vocab, e))
        return false;
    if (vocab)
        json_put_int(c->w, "vocab_size", vocab);
    token_put(c, "tokenizer.ggml.bos_token_id", "bos_token_id", vocab);
    token_put(c, "tokenizer.ggml.eos_token_id", "eos_token_id", vocab);
    token_put(c, "tokenizer.ggml.padding_token_id", "pad_token_id", vocab);
    json_put_bool(c->w, "tie_word_embeddings", !has_tensor(c, "output.weight"));
    if (c->arch->bias) {
        json_put_bool(c->w, "attention_bias", has_tensor(c, "blk.0.attn_q.bias"));
        json_put_bool(c->w, "mlp_bias", has_tensor(c, "blk.0.ffn_up.bias"));
    }
    for (size_t i = 0; i < COUNT(flags); i++)
        if (strcmp(flags[i].arch, c->arch->gguf) == 0)
            json_put_bool(c->w, flags[i].hf, true);
    json_put_bool(c->w, "hearth_rope_interleaved", c->arch->interleaved);
    return true;
}

static bool arch_find(const struct gguf *g, const struct arch **out, struct err *e)
{
    struct str type = gguf_str(g, "general.type"), name = gguf_str(g, "general.architecture");
    int64_t    parts = gguf_int(g, "split.count", 1);
    if (type.p && !str_is(type, "model"))
        return err_set(e, ERR_UNSUPPORTED, "general.type is \"%.*s\"; only \"model\" can be opened", NAME_ARGS(type));
    if (parts > 1)
        return err_set(e, ERR_UNSUPPORTED, "it is one part of %" PRId64 "; join them to one file first", parts);
    if (!name.p)
        return err_set(e, ERR_CORRUPT, "key general.architecture is missing");
    for (size_t i = 0; i < COUNT(archs); i++)
        if (str_is(name, archs[i].gguf)) {
            *out = &archs[i];
            return true;
        }
    return err_set(e, ERR_UNSUPPORTED, "architecture \"%.*s\" is not known here", NAME_ARGS(name));
}

static bool settings_check(const struct config *c, struct err *e)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        const struct full_key k = full_key(c, refused[i].gguf);
        struct gguf_value     v;
        double                d = gguf_num(c->g, k.text, NAN);
        bool                  known = refused[i].but && strcmp(refused[i].but, c->arch->gguf) == 0;
        if (!known && gguf_find(c->g, k.text, &v) && d != refused[i].neutral)
            return err_set(e, ERR_UNSUPPORTED, "key %s: a value of %g is not known here", k.text, d);
    }
    return true;
}

bool gguf_config(const struct gguf *g, struct json_doc **out, struct err *e)
{
    struct config c = {.g = g};
    if (!arch_find(g, &c.arch, e) || !settings_check(&c, e))
        return false;
    c.w = json_out_new();
    json_open(c.w, NULL, '{');
    bool ok = config_put(&c, e);
    if (ok) {
        struct buf text;
        buf_init(&text, 0);
        json_close(c.w);
        CHECK(json_out_write(c.w, &text));
        ok = json_parse(out, buf_view(&text), e);
        buf_drop(&text);
    }
    json_out_free(c.w);
    return ok;
}
