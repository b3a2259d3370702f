/* gguf_names.c -- see gguf_names.h. */
#include "store/gguf_names.h"

#include "store/names.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct arch { const char *gguf, *hf, *type, *act, *family; bool permuted, bias, layers; } archs[] = {
#define ARCH(...) {__VA_ARGS__},
#include "store/gguf_names.def"
};

/* family NULL: any. */
struct pair {
    const char *family, *gguf, *hf;
};

static const struct pair tensors[] = {
#define TENSOR_OF(...) {__VA_ARGS__},
#include "store/gguf_names.def"
#define TENSOR(...) {NULL, __VA_ARGS__},
#include "store/gguf_names.def"
};

static const struct pair layers[] = {
#define LAYER_OF(...) {__VA_ARGS__},
#include "store/gguf_names.def"
#define LAYER(...) {NULL, __VA_ARGS__},
#include "store/gguf_names.def"
};

struct key {
    const char *gguf, *hf;
    enum { WHOLE, REAL, TRUTH } kind;
    bool        must;
    const char *family;
};

static const struct key keys[] = {
#define KEY_OF(family, ...) {__VA_ARGS__, family},
#include "store/gguf_names.def"
#define KEY(...) {__VA_ARGS__, NULL},
#include "store/gguf_names.def"
};

static const struct key scaling[] = {
#define SCALING(gguf, hf, kind) {gguf, hf, kind, false, NULL},
#include "store/gguf_names.def"
};

static const struct { const char *family, *hf; } flags[] = {
#define FLAG(...) {__VA_ARGS__},
#include "store/gguf_names.def"
}, scaling_false[] = {
#define SCALING_FALSE(...) {__VA_ARGS__},
#include "store/gguf_names.def"
};

static const struct { const char *family, *end, *hf; } has[] = {
#define HAS(...) {__VA_ARGS__},
#include "store/gguf_names.def"
};

static const struct { const char *gguf; double neutral; } refused[] = {
#define REFUSE(...) {__VA_ARGS__},
#include "store/gguf_names.def"
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const struct arch *arch_at(const struct gguf *g)
{
    struct str name = g ? gguf_str(g, "general.architecture") : (struct str){0};
    for (size_t i = 0; name.p && i < COUNT(archs); i++)
        if (str_is(name, archs[i].gguf))
            return &archs[i];
    return NULL;
}

static bool is_of(const struct arch *a, const char *family)
{
    return !family || (a && (strcmp(a->family, family) == 0 || strcmp(a->gguf, family) == 0));
}

static const char *pair_find(const struct pair *p, size_t n, const struct arch *a, struct str gguf)
{
    for (size_t i = 0; i < n; i++)
        if (is_of(a, p[i].family) && str_is(gguf, p[i].gguf))
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

/* The layer's name: '#' stands for its number, without one it lies below model.layers. */
static void layer_put(struct str number, const char *hf, const char *tail, struct buf *out)
{
    const char *mark = strchr(hf, '#');
    if (mark)
        buf_printf(out, "%.*s%.*s%s%s", (int)(mark - hf), hf, (int)number.n, number.p, mark + 1, tail);
    else
        buf_printf(out, "model.layers.%.*s.%s%s", (int)number.n, number.p, hf, tail);
}

void gguf_name(const struct gguf *g, struct str name, struct buf *out)
{
    const struct arch *a = arch_at(g);
    struct str tail = str_ends(name, STR(".weight")) ? STR(".weight") : STR(".bias"), number, rest;
    bool       ended = str_ends(name, tail);
    struct str stem = {name.p, name.n - (ended ? tail.n : 0)};
    const char *hf;
    if (ended && (hf = pair_find(tensors, COUNT(tensors), a, stem)) != NULL)
        buf_printf(out, "%s%s", hf, tail.p);
    else if (layer_split(name, &number, &rest) && (hf = pair_find(layers, COUNT(layers), a, rest)) != NULL &&
             (memchr(rest.p, '.', rest.n) || strchr(hf, '#')))
        layer_put(number, hf, "", out);
    else if (ended && layer_split(stem, &number, &rest) && (hf = pair_find(layers, COUNT(layers), a, rest)) != NULL)
        layer_put(number, hf, tail.p, out);
    else
        buf_str(out, name);
}

/* A file being translated. */
struct config {
    const struct gguf *g;
    const struct arch *arch;
    struct json_out   *w;
};

static bool has_tensor(const struct config *c, const char *name)
{
    struct tensor t;
    return gguf_tensor_find(c->g, name, &t);
}

/* In any layer. */
static bool has_end(const struct config *c, const char *end)
{
    struct tensor t;
    for (size_t i = 0; i < gguf_n_tensors(c->g); i++)
        if (str_ends(gguf_tensor_at(c->g, i, &t), str_of(end)))
            return true;
    return false;
}

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

/* Of a list of one number a layer the largest: those that are not 0 are all the same, or it is infinite. */
static double list_read(const struct gguf_value *v)
{
    double d = 0;
    for (uint64_t i = 0; i < v->n; i++) {
        double x = gguf_array_num(v, i);
        if (x != 0 && d != 0 && x != d)
            return INFINITY;
        d = x != 0 ? x : d;
    }
    return d;
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
    double d = v.array ? list_read(&v) : key->kind == WHOLE ? (double)gguf_int(c->g, k.text, -1) : gguf_num(c->g, k.text, -1);
    if (v.array && (!c->arch->layers || isinf(d)))
        return err_set(e, ERR_UNSUPPORTED, "key %s: one value per layer cannot be read", k.text);
    bool fits = key->kind == WHOLE ? d <= INT32_MAX && d == floor(d) : isfinite(d) != 0;
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

/* Whether a line for this architecture alone stands in place of that one. */
static bool is_replaced(const struct config *c, const char *gguf, const char *family)
{
    for (size_t i = 0; !family && i < COUNT(keys); i++)
        if (keys[i].family && is_of(c->arch, keys[i].family) && strcmp(keys[i].gguf, gguf) == 0)
            return true;
    return false;
}

static bool truth_put(const struct config *c, const struct key *key)
{
    const struct full_key k = full_key(c, key->gguf);
    struct gguf_value     v;
    if (gguf_find(c->g, k.text, &v))
        json_put_bool(c->w, key->hf, gguf_bool(c->g, k.text, true));
    return true;
}

static bool numbers_put(const struct config *c, const struct key *list, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        double d = 0;
        if (!is_of(c->arch, list[i].family) || is_replaced(c, list[i].gguf, list[i].family))
            continue;
        if (list[i].kind == TRUTH ? !truth_put(c, &list[i]) : !number_read(c, &list[i], &d, e))
            return false;
        number_put(c, &list[i], d);
    }
    return true;
}

static bool whole_read(const struct config *c, const char *key, int64_t *out, struct err *e)
{
    double d;
    if (!number_read(c, &(struct key){key, NULL, WHOLE, false, NULL}, &d, e))
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
    if (!number_read(c, &(struct key){"rope.scaling.attn_factor", NULL, REAL, false, NULL}, &attn, e) ||
        !number_read(c, &(struct key){"rope.scaling.yarn_attn_factor", NULL, REAL, false, NULL}, &yarn, e) ||
        !number_read(c, &(struct key){"rope.scaling.factor", NULL, REAL, false, NULL}, &factor, e))
        return false;
    double given = (attn != 0 ? attn : 1) * (yarn != 0 ? yarn : 1);
    if (given != 1)
        json_put_num(c->w, "attention_factor", given * (factor > 1 ? 0.1 * log(factor) + 1 : 1));
    return true;
}

/* LongRoPE's divisors are tensors here. */
static bool divisors_put(const struct config *c, const char *tensor, const char *hf, struct err *e)
{
    struct tensor t;
    if (!gguf_tensor_find(c->g, tensor, &t) || t.format != FORMAT_F32 || t.n_dim != 1)
        return err_set(e, ERR_CORRUPT, "tensor %s is not one row of F32 numbers", tensor);
    json_open(c->w, hf, '[');
    for (uint32_t i = 0; i < t.shape[0]; i++) {
        float f;
        memcpy(&f, (const char *)t.data + i * sizeof f, sizeof f);
        if (!isfinite(f))
            return err_set(e, ERR_CORRUPT, "tensor %s: number %" PRIu32 " is none", tensor, i);
        json_put_num(c->w, NULL, (double)f);
    }
    json_close(c->w);
    return true;
}

static bool long_rope_put(const struct config *c, struct err *e)
{
    double factor;
    json_open(c->w, "rope_scaling", '{');
    json_put_text(c->w, "rope_type", "longrope");
    if (!numbers_put(c, scaling, COUNT(scaling), e) ||
        !divisors_put(c, "rope_factors_short.weight", "short_factor", e) ||
        !divisors_put(c, "rope_factors_long.weight", "long_factor", e) ||
        !number_read(c, &(struct key){"rope.scaling.attn_factor", NULL, REAL, false, NULL}, &factor, e))
        return false;
    if (factor != 0)
        json_put_num(c->w, "attention_factor", factor);
    json_close(c->w);
    return true;
}

static bool rope_scaling_put(const struct config *c, struct err *e)
{
    struct str type = gguf_str(c->g, full_key(c, "rope.scaling.type").text);
    double     linear;
    if (has_tensor(c, "rope_factors_long.weight"))
        return long_rope_put(c, e);
    if (!number_read(c, &(struct key){"rope.scale_linear", NULL, REAL, false, NULL}, &linear, e))
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
    for (size_t i = 0; i < COUNT(scaling_false); i++)
        if (is_of(c->arch, scaling_false[i].family))
            json_put_bool(c->w, scaling_false[i].hf, false);
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

/* What the numbers of each layer say that it is (Nemotron-H: attention, a scan, experts or a feed-forward network). */
static bool layers_put(const struct config *c, int64_t n, struct err *e)
{
    struct gguf_value heads, ff;
    struct buf        kinds;
    int64_t           inner, rank;
    if (!gguf_find(c->g, full_key(c, "attention.head_count_kv").text, &heads) ||
        !gguf_find(c->g, full_key(c, "feed_forward_length").text, &ff) || !heads.array || !ff.array ||
        heads.n < (uint64_t)n || ff.n < (uint64_t)n)
        return err_set(e, ERR_CORRUPT, "%s.attention.head_count_kv or feed_forward_length does not describe %" PRId64 " layers",
                       c->arch->gguf, n);
    buf_init(&kinds, 0);
    for (int64_t i = 0; i < n; i++) {
        bool attends = gguf_array_num(&heads, (uint64_t)i) > 0, feeds = gguf_array_num(&ff, (uint64_t)i) > 0;
        buf_printf(&kinds, "%c", attends ? '*' : !feeds ? 'M' : gguf_int(c->g, full_key(c, "expert_count").text, 0) > 0 ? 'E' : '-');
    }
    json_put_str(c->w, "hybrid_override_pattern", buf_view(&kinds));
    buf_drop(&kinds);
    if (!whole_read(c, "ssm.inner_size", &inner, e) || !whole_read(c, "ssm.time_step_rank", &rank, e))
        return false;
    if (rank == 0 || inner < rank)
        return err_set(e, ERR_CORRUPT, "%s.ssm.inner_size makes no sense", c->arch->gguf);
    json_put_int(c->w, "mamba_head_dim", inner / rank);
    return true;
}

/* Layers at the end that guess tokens ahead are not run. */
static bool layer_count_put(const struct config *c, struct err *e)
{
    double  all;
    int64_t ahead;
    if (!number_read(c, &(struct key){"block_count", NULL, WHOLE, true, NULL}, &all, e) || !whole_read(c, "nextn_predict_layers", &ahead, e))
        return false;
    int64_t n = (int64_t)all - ahead;
    if (n <= 0)
        return err_set(e, ERR_CORRUPT, "key %s.nextn_predict_layers leaves no layer", c->arch->gguf);
    json_put_int(c->w, "num_hidden_layers", n);
    json_put_int(c->w, "num_nextn_predict_layers", ahead);
    return !c->arch->layers || layers_put(c, n, e);
}

/* Gemma's largest have another scale of scores than one over the root of a head's width; the files do not say so. */
static bool scale_put(const struct config *c, struct err *e)
{
    int64_t n, width, heads, key;
    if (!is_of(c->arch, "gemma"))
        return true;
    if (!whole_read(c, "block_count", &n, e) || !whole_read(c, "embedding_length", &width, e) ||
        !whole_read(c, "attention.head_count", &heads, e) || !whole_read(c, "attention.key_length", &key, e))
        return false;
    bool largest = n == (strcmp(c->arch->gguf, "gemma2") == 0 ? 46 : 62);
    json_put_num(c->w, "query_pre_attn_scalar", (double)(largest || !key ? width / heads : key));
    return true;
}

static void flags_put(const struct config *c)
{
    json_put_bool(c->w, "tie_word_embeddings", !has_tensor(c, "output.weight"));
    if (c->arch->bias) {
        json_put_bool(c->w, "attention_bias", has_end(c, ".attn_q.bias"));
        json_put_bool(c->w, "mlp_bias", has_end(c, ".ffn_up.bias"));
    }
    for (size_t i = 0; i < COUNT(flags); i++)
        if (is_of(c->arch, flags[i].family))
            json_put_bool(c->w, flags[i].hf, true);
    for (size_t i = 0; i < COUNT(has); i++)
        if (is_of(c->arch, has[i].family))
            json_put_bool(c->w, has[i].hf, has_end(c, has[i].end));
    json_put_bool(c->w, "hearth_rope_interleaved", c->arch->permuted);
}

static bool config_put(const struct config *c, struct err *e)
{
    int64_t vocab = 0;
    json_open(c->w, "architectures", '[');
    json_put_text(c->w, NULL, c->arch->hf);
    json_close(c->w);
    json_put_text(c->w, "model_type", c->arch->type);
    json_put_text(c->w, "hidden_act", c->arch->act);
    if (!layer_count_put(c, e) || !numbers_put(c, keys, COUNT(keys), e) || !head_put(c, e) || !scale_put(c, e) ||
        !rope_scaling_put(c, e) || !vocab_read(c, &vocab, e))
        return false;
    if (vocab)
        json_put_int(c->w, "vocab_size", vocab);
    token_put(c, "tokenizer.ggml.bos_token_id", "bos_token_id", vocab);
    token_put(c, "tokenizer.ggml.eos_token_id", "eos_token_id", vocab);
    token_put(c, "tokenizer.ggml.padding_token_id", "pad_token_id", vocab);
    flags_put(c);
    return true;
}

static bool arch_find(const struct gguf *g, const struct arch **out, struct err *e)
{
    struct str type = gguf_str(g, "general.type"), name = gguf_str(g, "general.architecture");
    if (type.p && !str_is(type, "model"))
        return err_set(e, ERR_UNSUPPORTED, "general.type is \"%.*s\"; only \"model\" can be opened", NAME_ARGS(type));
    if (!name.p)
        return err_set(e, ERR_CORRUPT, "key general.architecture is missing");
    *out = arch_at(g);
    return *out || err_set(e, ERR_UNSUPPORTED, "architecture \"%.*s\" is not known here", NAME_ARGS(name));
}

static bool settings_check(const struct config *c, struct err *e)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        const struct full_key k = full_key(c, refused[i].gguf);
        struct gguf_value     v;
        double                d = gguf_num(c->g, k.text, NAN);
        bool                  known = is_replaced(c, refused[i].gguf, NULL);
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
