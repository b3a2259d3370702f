/* safetensors.c -- see safetensors.h. */
#include "store/safetensors.h"

#include "store/tensors.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

/* The specification's own limit: nobody needs a longer header, and a random number is nearly always over it. */
#define HEADER_BYTES_MAX 100000000u

struct safetensors {
    struct json_doc *header;        /* owns the names */
    struct tensors   tensors;
};

/* bytes holds block_values values: float4 and float6 pack several into a byte or three. */
static const struct dtype { const char *name; uint8_t block_values, bytes; int format; } dtypes[] = {
    {"F32", 1, 4, FORMAT_F32}, {"F16", 1, 2, FORMAT_F16}, {"BF16", 1, 2, FORMAT_BF16},
    {"F64", 1, 8, -1},         {"I64", 1, 8, -1},         {"U64", 1, 8, -1},
    {"I16", 1, 2, -1},         {"U16", 1, 2, -1},         {"I8", 1, 1, -1},
    {"BOOL", 1, 1, -1},        {"F8_E4M3", 1, 1, -1},     {"F8_E5M2", 1, 1, -1},
    {"F8_E8M0", 1, 1, -1},     {"C64", 1, 8, -1},         {"F4", 2, 1, -1},
    {"F6_E2M3", 4, 3, -1},     {"F6_E3M2", 4, 3, -1},
    {"U32", 1, 4, SAFETENSORS_U32}, {"I32", 1, 4, SAFETENSORS_I32}, {"U8", 1, 1, SAFETENSORS_U8},
};

static bool type_read(struct tensor_claim *c, json v, struct err *e)
{
    struct str want = json_str(json_get(v, "dtype"));
    if (!want.p)
        return err_set(e, ERR_CORRUPT, "its dtype is %s", json_type_name(json_get(v, "dtype")));
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        const struct dtype *d = &dtypes[i];
        if (!str_is(want, d->name))
            continue;
        if (d->format < 0 && str_ends(c->name, STR(".weight")))
            return err_set(e, ERR_UNSUPPORTED, "weights of type %s cannot be read (F32, F16, BF16 and MLX's quantised can)", d->name);
        c->type = d->name;
        c->block_values = d->block_values;
        c->block_bytes = d->bytes;
        c->format = d->format;
        return true;
    }
    return err_set(e, ERR_UNSUPPORTED, "unknown type \"%.*s\"", NAME_ARGS(want));
}

static bool shape_read(struct tensor_claim *c, json shape, struct err *e)
{
    if (json_type(shape) != JSON_ARRAY)
        return err_set(e, ERR_CORRUPT, "its shape is %s", json_type_name(shape));
    if (json_len(shape) > TENSOR_AXES_MAX)
        return err_set(e, ERR_UNSUPPORTED, "it has %zu axes; up to %d can be read", json_len(shape), TENSOR_AXES_MAX);
    for (struct json_iter it = json_iter(shape); json_next(&it);)
        if (!json_u64(it.value, &c->shape[c->n_dim++]))
            return err_set(e, ERR_CORRUPT, "axis %u of its shape is not a count", c->n_dim - 1u);
    return true;
}

static bool tensor_read(struct safetensors *s, struct str name, json v, struct err *e)
{
    if (json_type(v) != JSON_OBJECT)
        return err_set(e, ERR_CORRUPT, "it is %s, not an object", json_type_name(v));
    struct tensor_claim c = {.name = name};
    if (!type_read(&c, v, e) || !shape_read(&c, json_get(v, "shape"), e))
        return false;
    json     offsets = json_get(v, "data_offsets");
    uint64_t end;
    if (json_len(offsets) != 2 || !json_u64(json_at(offsets, 0), &c.begin) || !json_u64(json_at(offsets, 1), &end))
        return err_set(e, ERR_CORRUPT, "its data_offsets are not two counts");
    if (end < c.begin)
        return err_set(e, ERR_CORRUPT, "it ends (%" PRIu64 ") before it begins (%" PRIu64 ")", end, c.begin);
    c.bytes = end - c.begin;
    return tensors_add(&s->tensors, &c, e);
}

static bool metadata_check(json v, struct err *e)
{
    if (json_type(v) != JSON_OBJECT)
        return err_set(e, ERR_CORRUPT, "__metadata__ is %s, not an object", json_type_name(v));
    for (struct json_iter it = json_iter(v); json_next(&it);)
        if (json_type(it.value) != JSON_STRING)
            return err_set(e, ERR_CORRUPT, "__metadata__ holds %s; only strings may be there",
                           json_type_name(it.value));
    return true;
}

static bool header_read(struct safetensors *s, struct str text, struct err *e)
{
    struct err why;
    if (!json_parse(&s->header, text, &why))
        return err_set(e, ERR_CORRUPT, "its header is %s", why.text);
    json root = json_root(s->header);
    if (json_type(root) != JSON_OBJECT)
        return err_set(e, ERR_CORRUPT, "its header is %s, not an object", json_type_name(root));
    for (struct json_iter it = json_iter(root); json_next(&it);) {
        bool ok = str_is(it.key, "__metadata__")
                      ? metadata_check(it.value, e)
                      : names_check(it.key, e) && (tensor_read(s, it.key, it.value, e) ||
                                                   err_in(e, "tensor %.*s", NAME_ARGS(it.key)));
        if (!ok)
            return false;
    }
    return tensors_end(&s->tensors, true, e);
}

static bool file_read_header(struct safetensors *s, const uint8_t *p, size_t n, uint64_t source, struct err *e)
{
    uint64_t header;
    if (n < sizeof header)
        return err_set(e, ERR_CORRUPT, "%zu bytes are too few for a safetensors file", n);
    if (memcmp(p, "version ", sizeof header) == 0)
        return err_set(e, ERR_CORRUPT, "it is a Git LFS pointer, not the weights; fetch them with git lfs pull");
    memcpy(&header, p, sizeof header);      /* little-endian, as every host here */
    p += sizeof header;
    n -= sizeof header;
    if (header > n)
        return err_set(e, ERR_CORRUPT, "its header claims %" PRIu64 " bytes, the file has %zu", header, n);
    if (header > HEADER_BYTES_MAX)
        return err_set(e, ERR_CORRUPT, "its header of %" PRIu64 " bytes is over the limit of %u", header,
                       HEADER_BYTES_MAX);
    tensors_init(&s->tensors, p + header, n - header, source);
    return header_read(s, (struct str){(const char *)p, (size_t)header}, e);
}

bool safetensors_parse(struct safetensors **out, const uint8_t *p, size_t n, const char *name, struct err *e)
{
    struct safetensors *s = mem_new(sizeof *s);
    if (!file_read_header(s, p, n, hash64(name, strlen(name), n), e)) {
        safetensors_free(s);
        return err_in(e, "%s", name);
    }
    *out = s;
    return true;
}

void safetensors_free(struct safetensors *s)
{
    if (!s)
        return;
    tensors_drop(&s->tensors);
    json_free(s->header);
    free(s);
}

size_t safetensors_len(const struct safetensors *s)
{
    return s->tensors.n;
}

struct str safetensors_at(const struct safetensors *s, size_t i, struct tensor *out)
{
    CHECK(i < s->tensors.n);
    *out = s->tensors.entry[i].tensor;
    return s->tensors.entry[i].name;
}

bool safetensors_find(const struct safetensors *s, struct str name, struct tensor *out)
{
    return tensors_find(&s->tensors, name, out);
}

bool safetensors_has(const struct safetensors *s, struct str name)
{
    return names_has(&s->tensors.names, name);
}

struct str safetensors_metadata(const struct safetensors *s, const char *key)
{
    return json_str(json_get(json_get(json_root(s->header), "__metadata__"), key));
}
