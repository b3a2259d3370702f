/* quant.c -- see quant.h. */
#include "store/quant.h"

#include "store/safetensors.h"

#include "base/buf.h"
#include "base/hash.h"

#include <inttypes.h>

struct joining {
    struct tensor_entry *entry;
    struct names         names;
    json                 config;    /* "quantization" */
    struct buf           room;      /* for names that are looked up */
};

/* What the configuration says of one weight. */
struct scheme {
    enum scale_kind scale;
    uint64_t        bits, group;
};

static const struct mode { const char *name; struct scheme scheme; } modes[] = {
    {"affine", {SCALE_AFFINE, 4, 64}},
    {"mxfp4", {SCALE_E8M0, 4, 32}},
    {"mxfp8", {SCALE_E8M0, 8, 32}},
    {"nvfp4", {SCALE_E4M3, 4, 16}},
};

static bool is_of(const struct tensor *t, int type)
{
    return (int)t->format == type;
}

static bool is_integer(const struct tensor *t)
{
    return t->format >= FORMAT_COUNT;
}

static const char *type_name(const struct tensor *t)
{
    return is_of(t, SAFETENSORS_U32) ? "U32" : is_of(t, SAFETENSORS_I32) ? "I32"
           : is_of(t, SAFETENSORS_U8) ? "U8" : format_info(t->format)->name;
}

/* The name without `tail`, with another one. */
static struct str other_name(struct joining *j, struct str name, struct str tail, const char *other)
{
    buf_clear(&j->room);
    buf_printf(&j->room, "%.*s%s", (int)(name.n - tail.n), name.p, other);
    return buf_view(&j->room);
}

static struct tensor_entry *find(struct joining *j, struct str name)
{
    size_t i = names_find(&j->names, name);
    return i == NAMES_NONE ? NULL : &j->entry[i];
}

/* Takes a part out of the list. */
static void use_up(struct tensor_entry *x)
{
    x->name = (struct str){NULL, 0};
}

static bool scheme_read(json v, struct scheme *out, struct err *e)
{
    json   mode = json_get(v, "mode");
    size_t i = 0;
    while (i < sizeof modes / sizeof *modes && !json_is(mode, modes[i].name) && (mode || i > 0))
        i++;
    if (i == sizeof modes / sizeof *modes)
        return err_set(e, ERR_UNSUPPORTED, "configuration: quantization: mode is \"%.*s\"; affine, mxfp4, mxfp8 and nvfp4 are known",
                       NAME_ARGS(json_str(mode)));
    *out = modes[i].scheme;
    json bits = json_get(v, "bits"), group = json_get(v, "group_size");
    if ((bits && !json_u64(bits, &out->bits)) || (group && !json_u64(group, &out->group)))
        return err_set(e, ERR_CORRUPT, "configuration: quantization: bits and group_size are not both counts");
    return true;
}

/* What is said of the path, else of all. */
static bool scheme_of(const struct joining *j, struct str path, struct scheme *out, struct err *e)
{
    json own = json_find(j->config, path);
    if (json_type(j->config) != JSON_OBJECT)
        return err_set(e, ERR_CORRUPT, "it is quantised, but the configuration has no quantization");
    if (json_type(own) == JSON_OBJECT)
        return scheme_read(own, out, e);
    if (own && !json_bool(own, true))
        return err_set(e, ERR_CORRUPT, "it is quantised, but quantization says that it is not");
    return scheme_read(j->config, out, e);
}

static bool format_find(const struct scheme *s, enum format *out, struct err *e)
{
    for (int f = 0; f < FORMAT_COUNT; f++) {
        const struct format_info *i = format_info((enum format)f);
        if (i->scale == s->scale && i->scale != SCALE_INSIDE && i->bits == s->bits && s->group >= i->group_min
            && s->group <= i->group_max && (s->group & (s->group - 1)) == 0) {
            *out = (enum format)f;
            return true;
        }
    }
    const char *mode = modes[0].name;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (modes[i].scheme.scale == s->scale && (s->scale != SCALE_E8M0 || modes[i].scheme.bits == s->bits))
            mode = modes[i].name;
    return err_set(e, ERR_UNSUPPORTED, "quantization %s with %" PRIu64 " bits in groups of %" PRIu64 " is not known here", mode,
                   s->bits, s->group);
}

/* Whether b has a's axes but for the last. */
static bool same_rows(const struct tensor *a, const struct tensor *b, unsigned n_dim)
{
    bool same = a->n_dim >= n_dim && b->n_dim == n_dim && n_dim >= 2;
    for (unsigned i = 0; same && i + 1 < n_dim; i++)
        same = a->shape[i] == b->shape[i];
    return same;
}

/* t, the tensor of codes, gets its scales; `in` is the length of its rows. */
static void put_scales(struct tensor *t, uint32_t in, const struct tensor *scale, const struct tensor *bias, uint32_t group)
{
    uint64_t ids[] = {scale->source_id, bias ? bias->source_id : 0};
    t->shape[t->n_dim - 1] = in;
    t->bytes += scale->bytes + (bias ? bias->bytes : 0);
    t->scales = (struct scales){.scale = scale->data, .bias = bias ? bias->data : NULL, .group = group};
    if (bias)
        t->scales.as = scale->format;
    t->source_id = hash64(ids, sizeof ids, t->source_id);
}

/* Whether the rows of w and of its scales are as long as s says; *in: how many numbers that is. */
static bool lengths_fit(const struct tensor *w, const struct tensor *scale, const struct scheme *s, uint32_t *in, struct err *e)
{
    uint64_t words = w->shape[w->n_dim - 1], n = scale->shape[scale->n_dim - 1], values = n * s->group;
    if (!same_rows(w, scale, w->n_dim) || values * s->bits != words * 32)
        return err_set(e, ERR_CORRUPT, "%" PRIu64 " words and %" PRIu64 " scales a row do not make groups of %" PRIu64
                       " numbers of %" PRIu64 " bits, as quantization says", words, n, s->group, s->bits);
    if (values > UINT32_MAX || values % 32 != 0)
        return err_set(e, ERR_UNSUPPORTED, "rows of %" PRIu64 " numbers of %" PRIu64 " bits", values, s->bits);
    *in = (uint32_t)values;
    return true;
}

static bool scale_types_fit(struct joining *j, const struct tensor_entry *w, const struct tensor_entry *scale,
                            const struct tensor_entry *bias, bool affine, struct err *e)
{
    if (affine ? is_integer(&scale->tensor) : !is_of(&scale->tensor, SAFETENSORS_U8))
        return err_set(e, ERR_UNSUPPORTED, "its scales are %s, but quantization says %s", type_name(&scale->tensor),
                       affine ? "affine" : "floats of 4 or 8 bits");
    if (affine && !bias)
        return err_set(e, ERR_CORRUPT, "there is no %s", other_name(j, w->name, STR(".weight"), ".biases").p);
    if (!affine && bias)
        return err_set(e, ERR_UNSUPPORTED, "it has biases, but quantization says floats of 4 or 8 bits");
    if (bias && (bias->tensor.format != scale->tensor.format || bias->tensor.bytes != scale->tensor.bytes
                 || !same_rows(&bias->tensor, &scale->tensor, scale->tensor.n_dim)))
        return err_set(e, ERR_CORRUPT, "its biases are not of the type and shape of its scales");
    return true;
}

/* X.weight, of words. */
static bool join_words(struct joining *j, struct tensor_entry *w, struct err *e)
{
    struct str           tail = STR(".weight"), path = {w->name.p, w->name.n - tail.n};
    struct tensor_entry *scale = find(j, other_name(j, w->name, tail, ".scales"));
    struct tensor_entry *bias = find(j, other_name(j, w->name, tail, ".biases"));
    struct scheme        s = {SCALE_INSIDE, 0, 0};
    enum format          f = FORMAT_COUNT;
    uint32_t             in = 0;
    if (!scale)
        return err_set(e, ERR_UNSUPPORTED, "it is U32, but there is no %s", other_name(j, w->name, tail, ".scales").p);
    if (!scheme_of(j, path, &s, e) || !format_find(&s, &f, e)
        || !scale_types_fit(j, w, scale, bias, s.scale == SCALE_AFFINE, e)
        || !lengths_fit(&w->tensor, &scale->tensor, &s, &in, e))
        return false;
    w->tensor.format = f;
    put_scales(&w->tensor, in, &scale->tensor, bias ? &bias->tensor : NULL, (uint32_t)s.group);
    use_up(scale);
    if (bias)
        use_up(bias);
    return true;
}

/* X_blocks: [.., in / 32, 16] bytes of two codes, the lower half first, as in words of MLX's. */
static bool join_blocks(struct joining *j, struct tensor_entry *w, struct err *e)
{
    struct str           tail = STR("_blocks");
    struct tensor       *t = &w->tensor;
    struct tensor_entry *scale = find(j, other_name(j, w->name, tail, "_scales"));
    if (!scale)
        return err_set(e, ERR_UNSUPPORTED, "it is U8, but there is no %s", other_name(j, w->name, tail, "_scales").p);
    if (!is_of(&scale->tensor, SAFETENSORS_U8) || t->n_dim < 3 || t->shape[t->n_dim - 1] != 16
        || !same_rows(t, &scale->tensor, t->n_dim - 1u)
        || t->shape[t->n_dim - 2] != scale->tensor.shape[scale->tensor.n_dim - 1] || t->shape[t->n_dim - 2] > UINT32_MAX / 32)
        return err_set(e, ERR_CORRUPT, "it and its scales do not have the shapes of mxfp4");
    t->n_dim--;
    t->format = FORMAT_MXFP4;
    put_scales(t, t->shape[t->n_dim - 1] * 32, &scale->tensor, NULL, 32);
    w->name.n -= tail.n;
    use_up(scale);
    return true;
}

/* The schemes of others come as integers too: they are refused by the first of these. */
static bool method_check(const struct joining *j, size_t n, json config, struct err *e)
{
    json method = json_get(json_get(config, "quantization_config"), "quant_method");
    if (!method || json_type(method) == JSON_NULL || json_is(method, "mxfp4"))
        return true;
    for (size_t i = 0; i < n; i++)
        if (is_integer(&j->entry[i].tensor))
            return err_set(e, ERR_UNSUPPORTED, "tensor %.*s: it is %s, quantised by \"%.*s\" (quantization_config), which is "
                           "not known here", NAME_ARGS(j->entry[i].name), type_name(&j->entry[i].tensor),
                           NAME_ARGS(json_str(method)));
    return err_set(e, ERR_UNSUPPORTED, "configuration: quantization_config: quant_method \"%.*s\" is not known here",
                   NAME_ARGS(json_str(method)));
}

static bool join_all(struct joining *j, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct tensor_entry *x = &j->entry[i];
        bool                 ok = true;
        if (!x->name.p)
            continue;
        if (is_of(&x->tensor, SAFETENSORS_U32) && str_ends(x->name, STR(".weight")))
            ok = join_words(j, x, e);
        else if (is_of(&x->tensor, SAFETENSORS_U8) && str_ends(x->name, STR("_blocks")))
            ok = join_blocks(j, x, e);
        else if (is_integer(&x->tensor) && str_ends(x->name, STR(".weight")))
            ok = err_set(e, ERR_UNSUPPORTED, "weights of type %s cannot be read (F32, F16, BF16 and MLX's quantised can)",
                         type_name(&x->tensor));
        if (!ok)
            return err_in(e, "tensor %.*s", NAME_ARGS(x->name));
    }
    return true;
}

bool quant_join(struct tensor_entry *entry, size_t *n, json config, struct err *e)
{
    struct joining j = {.entry = entry, .config = json_get(config, "quantization")};
    if (!j.config)
        j.config = json_get(config, "quantization_config");
    buf_init(&j.room, 0);
    for (size_t i = 0; i < *n; i++)
        names_push(&j.names, entry[i].name, i);
    bool ok = names_sort(&j.names, e) || err_in(e, "tensor names");
    ok = ok && method_check(&j, *n, config, e) && join_all(&j, *n, e);
    size_t kept = 0;
    for (size_t i = 0; ok && i < *n; i++)
        if (entry[i].name.p && !is_integer(&entry[i].tensor))
            entry[kept++] = entry[i];
    *n = ok ? kept : *n;
    names_drop(&j.names);
    buf_drop(&j.room);
    return ok;
}
