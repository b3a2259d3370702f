/* gguf.c -- see gguf.h.
 *
 * One pass: magic, counts, keys, tensor places; then the data begins at the next multiple of the alignment.  Counts are
 * claims: tables grow as entries are really read, so a wild count ends at the end of the file and not in memory. */
#include "store/gguf.h"

#include "store/tensors.h"

#include "base/hash.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

enum { GGUF_AXES_MAX = 4 };

struct gguf {
    struct names       names;       /* of keys */
    struct gguf_entry *entry;
    size_t             n, room;
    struct tensors     tensors;
};

struct gguf_entry {
    struct str        key;
    struct gguf_value value;
};

/* What is left to read, and where that is in the file.  Numbers are little-endian, as every host here. */
struct reader {
    const uint8_t *p;
    size_t         left, at;
};

static const uint8_t *take(struct reader *r, uint64_t n, struct err *e)
{
    if (n > r->left) {
        err_set(e, ERR_CORRUPT, "%" PRIu64 " bytes at offset %zu pass the end of the file; is it cut short?", n, r->at);
        return NULL;
    }
    const uint8_t *p = r->p;
    r->p += n;
    r->left -= (size_t)n;
    r->at += (size_t)n;
    return p;
}

static bool take_u32(struct reader *r, uint32_t *out, struct err *e)
{
    const uint8_t *p = take(r, sizeof *out, e);
    if (p)
        memcpy(out, p, sizeof *out);
    return p;
}

static bool take_u64(struct reader *r, uint64_t *out, struct err *e)
{
    const uint8_t *p = take(r, sizeof *out, e);
    if (p)
        memcpy(out, p, sizeof *out);
    return p;
}

static bool take_str(struct reader *r, struct str *out, struct err *e)
{
    uint64_t n;
    if (!take_u64(r, &n, e))
        return false;
    const uint8_t *p = take(r, n, e);
    *out = (struct str){(const char *)p, (size_t)n};
    return p;
}

/* Bytes of a plain number; 0 for strings and arrays. */
static const uint8_t number_bytes[GGUF_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

static bool bools_check(const uint8_t *p, uint64_t n, struct err *e)
{
    for (uint64_t i = 0; i < n; i++)
        if (p[i] > 1)
            return err_set(e, ERR_CORRUPT, "a truth value is %u", p[i]);
    return true;
}

/* v->n values of type v->type. */
static bool values_take(struct reader *r, struct gguf_value *v, struct err *e)
{
    v->p = r->p;
    if (v->type == GGUF_STRING) {
        struct str s;
        for (uint64_t i = 0; i < v->n; i++)
            if (!take_str(r, &s, e))
                return err_in(e, "string %" PRIu64 " of %" PRIu64, i, v->n);
        return true;
    }
    uint64_t each = number_bytes[v->type];
    if (v->n > r->left / each)
        return err_set(e, ERR_CORRUPT, "%" PRIu64 " values pass the end of the file", v->n);
    return take(r, v->n * each, e) && (v->type != GGUF_BOOL || bools_check(v->p, v->n, e));
}

static bool type_take(struct reader *r, enum gguf_type *out, struct err *e)
{
    uint32_t type;
    if (!take_u32(r, &type, e))
        return false;
    if (type >= GGUF_TYPE_COUNT)
        return err_set(e, ERR_CORRUPT, "unknown value type %" PRIu32, type);
    *out = (enum gguf_type)type;
    return true;
}

static bool value_take(struct reader *r, struct gguf_value *v, struct err *e)
{
    *v = (struct gguf_value){.n = 1};
    if (!type_take(r, &v->type, e))
        return false;
    if (v->type == GGUF_ARRAY) {
        v->array = true;
        if (!type_take(r, &v->type, e) || !take_u64(r, &v->n, e))
            return false;
        if (v->type == GGUF_ARRAY)
            return err_set(e, ERR_UNSUPPORTED, "arrays of arrays cannot be read");
    }
    return values_take(r, v, e);
}

static bool key_take(struct gguf *g, struct reader *r, struct err *e)
{
    struct gguf_entry x;
    if (!take_str(r, &x.key, e) || !names_check(x.key, e))
        return err_in(e, "key %zu", g->n);
    if (!value_take(r, &x.value, e))
        return err_in(e, "key %.*s", NAME_ARGS(x.key));
    if (g->n == g->room) {
        g->room = g->room ? g->room * 2 : 64;
        g->entry = mem_grow(g->entry, g->room, sizeof *g->entry);
    }
    names_push(&g->names, x.key, g->n);
    g->entry[g->n++] = x;
    return true;
}

/* ggml's names of the types that formats.def does not have, for the message. */
static const char *foreign_type(uint32_t type)
{
    static const char *const names[] = {
        [9] = "Q8_1",     [10] = "Q2_K",   [11] = "Q3_K",    [15] = "Q8_K",    [16] = "IQ2_XXS", [17] = "IQ2_XS",
        [18] = "IQ3_XXS", [19] = "IQ1_S",  [20] = "IQ4_NL",  [21] = "IQ3_S",   [22] = "IQ2_S",   [23] = "IQ4_XS",
        [24] = "I8",      [25] = "I16",    [26] = "I32",     [27] = "I64",     [28] = "F64",     [29] = "IQ1_M",
        [34] = "TQ1_0",   [35] = "TQ2_0",  [39] = "MXFP4",   [40] = "NVFP4",
    };
    const char *name = type < sizeof names / sizeof *names ? names[type] : NULL;
    return name ? name : "unknown";
}

static bool format_set(struct tensor_claim *c, uint32_t type, struct err *e)
{
    for (int f = 0; f < FORMAT_COUNT; f++) {
        const struct format_info *i = format_info((enum format)f);
        if (i->gguf_type < 0 || (uint32_t)i->gguf_type != type)
            continue;
        c->type = i->name;
        c->block_values = i->block_values;
        c->block_bytes = i->block_bytes;
        c->format = f;
        return true;
    }
    return err_set(e, ERR_UNSUPPORTED, "type %" PRIu32 " (%s) cannot be read", type, foreign_type(type));
}

/* Everything behind the name: axes (innermost first in the file), type, offset. */
static bool place_take(struct reader *r, struct tensor_claim *c, uint64_t alignment, struct err *e)
{
    uint32_t n_dim, type;
    if (!take_u32(r, &n_dim, e))
        return false;
    if (n_dim > GGUF_AXES_MAX)
        return err_set(e, ERR_CORRUPT, "it claims %" PRIu32 " axes; GGUF has at most %d", n_dim, GGUF_AXES_MAX);
    c->n_dim = (uint8_t)n_dim;
    for (uint32_t i = n_dim; i-- > 0;)
        if (!take_u64(r, &c->shape[i], e))
            return false;
    if (!take_u32(r, &type, e) || !take_u64(r, &c->begin, e) || !format_set(c, type, e))
        return false;
    if (c->begin % alignment != 0)
        return err_set(e, ERR_CORRUPT, "its offset %" PRIu64 " is not a multiple of %" PRIu64, c->begin, alignment);
    return true;
}

static bool header_take(struct reader *r, uint64_t *n_tensor, uint64_t *n_key, struct err *e)
{
    uint32_t version;
    if (r->left < 4 || memcmp(r->p, "GGUF", 4) != 0)
        return err_set(e, ERR_CORRUPT, "not a GGUF file (its first bytes are not \"GGUF\")");
    if (!take(r, 4, e) || !take_u32(r, &version, e))
        return false;
    if ((version & 0xFFFF) == 0 && version != 0)
        return err_set(e, ERR_UNSUPPORTED, "a big-endian GGUF file");
    if (version != 2 && version != 3)
        return err_set(e, ERR_UNSUPPORTED, "GGUF version %" PRIu32 " (2 and 3 can be read)", version);
    return take_u64(r, n_tensor, e) && take_u64(r, n_key, e);
}

static bool alignment_read(const struct gguf *g, uint64_t *out, struct err *e)
{
    struct gguf_value v;
    int64_t           a = gguf_int(g, "general.alignment", gguf_find(g, "general.alignment", &v) ? 0 : 32);
    if (a <= 0 || (a & (a - 1)) != 0)
        return err_set(e, ERR_CORRUPT, "general.alignment is no power of two");
    *out = (uint64_t)a;
    return true;
}

/* Tensor places as the file claims them; what they may reach is known only when the last one has been read. */
struct claims {
    struct tensor_claim *at;
    size_t               n, room;
};

static bool claims_take(struct claims *x, struct reader *r, uint64_t n, uint64_t alignment, struct err *e)
{
    while (x->n < n) {
        struct tensor_claim c = {.bytes = TENSOR_BYTES_UNSAID};
        if (!take_str(r, &c.name, e) || !names_check(c.name, e))
            return err_in(e, "tensor %zu", x->n);
        if (!place_take(r, &c, alignment, e))
            return err_in(e, "tensor %.*s", NAME_ARGS(c.name));
        if (x->n == x->room) {
            x->room = x->room ? x->room * 2 : 64;
            x->at = mem_grow(x->at, x->room, sizeof *x->at);
        }
        x->at[x->n++] = c;
    }
    return true;
}

/* With the reader behind the last place: the data begins at the next multiple of the alignment. */
static bool claims_check(struct gguf *g, const struct claims *x, const struct reader *r, uint64_t alignment,
                         struct err *e)
{
    uint64_t gap = (alignment - r->at % alignment) % alignment;
    size_t   skip = gap < r->left ? (size_t)gap : r->left;
    tensors_init(&g->tensors, r->p + skip, r->left - skip, g->tensors.source);
    for (size_t i = 0; i < x->n; i++)
        if (!tensors_add(&g->tensors, &x->at[i], e))
            return err_in(e, "tensor %.*s", NAME_ARGS(x->at[i].name));
    return tensors_end(&g->tensors, false, e);
}

static bool file_take(struct gguf *g, struct reader *r, struct err *e)
{
    uint64_t n_tensor = 0, n_key = 0, alignment = 0;
    if (!header_take(r, &n_tensor, &n_key, e))
        return false;
    while (g->n < n_key)
        if (!key_take(g, r, e))
            return false;
    if (!names_sort(&g->names, e))
        return err_in(e, "keys");
    if (!alignment_read(g, &alignment, e))
        return false;
    struct claims x = {0};
    bool          ok = claims_take(&x, r, n_tensor, alignment, e) && claims_check(g, &x, r, alignment, e);
    free(x.at);
    return ok;
}

bool gguf_parse(struct gguf **out, const uint8_t *p, size_t n, const char *name, struct err *e)
{
    struct gguf  *g = mem_new(sizeof *g);
    struct reader r = {p, n, 0};
    tensors_init(&g->tensors, NULL, 0, hash64(name, strlen(name), n));
    if (!file_take(g, &r, e)) {
        gguf_free(g);
        return err_in(e, "%s", name);
    }
    *out = g;
    return true;
}

void gguf_free(struct gguf *g)
{
    if (!g)
        return;
    tensors_drop(&g->tensors);
    names_drop(&g->names);
    free(g->entry);
    free(g);
}

bool gguf_join(struct gguf *g, const struct gguf *more, struct err *e)
{
    return tensors_join(&g->tensors, &more->tensors, e);
}

size_t gguf_n_keys(const struct gguf *g)
{
    return g->n;
}

struct str gguf_key_at(const struct gguf *g, size_t i, struct gguf_value *out)
{
    CHECK(i < g->n);
    *out = g->entry[i].value;
    return g->entry[i].key;
}

bool gguf_find(const struct gguf *g, const char *key, struct gguf_value *out)
{
    size_t i = names_find(&g->names, str_of(key));
    if (i == NAMES_NONE)
        return false;
    *out = g->entry[i].value;
    return true;
}

/* The whole number at p; false: not one, or over 63 bits. */
static bool whole_at(enum gguf_type type, const uint8_t *p, int64_t *out)
{
    uint64_t x = 0;
    memcpy(&x, p, number_bytes[type]);
    switch (type) {
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32:
    case GGUF_U64: *out = (int64_t)x; return x <= INT64_MAX;
    case GGUF_I8: *out = (int8_t)x; return true;
    case GGUF_I16: *out = (int16_t)x; return true;
    case GGUF_I32: *out = (int32_t)x; return true;
    case GGUF_I64: *out = (int64_t)x; return true;
    default: return false;
    }
}

static bool number_at(enum gguf_type type, const uint8_t *p, double *out)
{
    int64_t  i;
    uint64_t u;
    float    f;
    if (whole_at(type, p, &i)) {
        *out = (double)i;
    } else if (type == GGUF_U64) {
        memcpy(&u, p, sizeof u);
        *out = (double)u;
    } else if (type == GGUF_F32) {
        memcpy(&f, p, sizeof f);
        *out = (double)f;
    } else if (type == GGUF_F64) {
        memcpy(out, p, sizeof *out);
    } else {
        return false;
    }
    return true;
}

struct str gguf_str(const struct gguf *g, const char *key)
{
    struct gguf_value v;
    if (!gguf_find(g, key, &v) || v.array || v.type != GGUF_STRING)
        return (struct str){0};
    return gguf_array_str(&v.p);
}

int64_t gguf_int(const struct gguf *g, const char *key, int64_t fallback)
{
    struct gguf_value v;
    int64_t           i;
    return gguf_find(g, key, &v) && !v.array && whole_at(v.type, v.p, &i) ? i : fallback;
}

double gguf_num(const struct gguf *g, const char *key, double fallback)
{
    struct gguf_value v;
    double            d;
    return gguf_find(g, key, &v) && !v.array && number_at(v.type, v.p, &d) ? d : fallback;
}

bool gguf_bool(const struct gguf *g, const char *key, bool fallback)
{
    struct gguf_value v;
    return gguf_find(g, key, &v) && !v.array && v.type == GGUF_BOOL ? *v.p == 1 : fallback;
}

struct str gguf_array_str(const uint8_t **at)
{
    uint64_t n;
    memcpy(&n, *at, sizeof n);
    struct str s = {(const char *)*at + sizeof n, (size_t)n};
    *at += sizeof n + n;
    return s;
}

double gguf_array_num(const struct gguf_value *v, uint64_t i)
{
    CHECK(i < v->n);
    double d;
    return number_at(v->type, v->p + i * number_bytes[v->type], &d) ? d : 0;
}

size_t gguf_n_tensors(const struct gguf *g)
{
    return g->tensors.n;
}

struct str gguf_tensor_at(const struct gguf *g, size_t i, struct tensor *out)
{
    CHECK(i < g->tensors.n);
    *out = g->tensors.entry[i].tensor;
    return g->tensors.entry[i].name;
}

bool gguf_tensor_find(const struct gguf *g, const char *name, struct tensor *out)
{
    return tensors_find(&g->tensors, str_of(name), out);
}
