/* fields.c -- see fields.h. */
#include "api/fields.h"

#include <stdio.h>

enum { BOOL = 1, INT = 2, NUM = 4, STRING = 8, LIST = 16, OBJ = 32, ANY = 63 };
enum use { HONOURED, NO_EFFECT, REFUSED };
enum { CHAT = FIELDS_CHAT, TEXT = FIELDS_TEXT, BOTH = FIELDS_CHAT | FIELDS_TEXT };
enum { NAME_BYTES_MAX = 64, MEMBERS_MAX = 256 };

struct field {
    const char *name;
    unsigned    where, types;
    enum use    use;
    const char *neutral;
};

static const struct field table[] = {
#define FIELD(where, name, types, use, neutral) {#name, where, types, use, neutral},
#include "api/fields.def"
#undef FIELD
};

enum { N_FIELD = sizeof table / sizeof table[0] };

/* The field of that name under `under`: "", or a field's name and a dot. */
static const struct field *find(const char *under, struct str name, unsigned where)
{
    size_t n = strlen(under);
    if (name.n && memchr(name.p, '.', name.n))
        return NULL;
    for (size_t i = 0; i < N_FIELD; i++)
        if ((table[i].where & where) && strncmp(table[i].name, under, n) == 0 && str_is(name, table[i].name + n))
            return &table[i];
    return NULL;
}

static bool lists_members(const char *under)
{
    for (size_t i = 0; i < N_FIELD; i++)
        if (strncmp(table[i].name, under, strlen(under)) == 0)
            return true;
    return false;
}

json fields_get(json request, const char *name)
{
    json v = json_get(request, name);
    return json_type(v) == JSON_NULL ? NULL : v;
}

json fields_at(const struct fields *q, const char *name)
{
    return find("", str_of(name), q->where) ? fields_get(q->request, name) : NULL;
}

static bool fits(json v, unsigned types)
{
    int64_t whole;
    switch (json_type(v)) {
    case JSON_BOOL: return types & BOOL;
    case JSON_INT: return types & (INT | NUM);
    case JSON_REAL: return (types & NUM) || ((types & INT) && json_i64(v, &whole));
    case JSON_STRING: return types & STRING;
    case JSON_ARRAY: return types & LIST;
    case JSON_OBJECT: return types & OBJ;
    default: return false;
    }
}

static bool wrong_type(const struct field *f, json v, struct err *e)
{
    static const char *const names[] = {"a boolean", "a whole number", "a number", "a string", "an array", "an object"};
    struct buf wanted;
    buf_init(&wanted, 0);
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (f->types & (1u << i))
            buf_printf(&wanted, "%s%s", wanted.n ? " or " : "", names[i]);
    err_param(e, f->name, "%s must be %s, not %s", f->name, wanted.p, json_type_name(v));
    buf_drop(&wanted);
    return false;
}

/* Equal as JSON values; 1 and 1.0 are. */
static bool same(json a, json b)
{
    double x, y;
    if (json_f64(a, &x) && json_f64(b, &y))
        return !(x < y) && !(x > y);
    if (json_type(a) != json_type(b) || json_len(a) != json_len(b))
        return false;
    if (json_type(a) == JSON_BOOL)
        return json_bool(a, false) == json_bool(b, false);
    if (json_type(a) == JSON_STRING)
        return str_eq(json_str(a), json_str(b));
    size_t i = 0;
    for (struct json_iter it = json_iter(a); json_next(&it); i++)
        if (!same(it.value, json_type(b) == JSON_ARRAY ? json_at(b, i) : json_find(b, it.key)))
            return false;
    return true;
}

static bool refuse(const struct field *f, json v, struct err *e)
{
    struct json_doc *neutral;
    CHECK(json_parse(&neutral, str_of(f->neutral), e));
    bool asks_nothing = false;
    for (struct json_iter it = json_iter(json_root(neutral)); json_next(&it);)
        asks_nothing |= same(it.value, v);
    json first = json_at(json_root(neutral), 0);
    if (!asks_nothing) {
        struct buf way_out;
        buf_init(&way_out, 0);
        if (first) {
            buf_str(&way_out, STR(" or send "));
            json_print(first, &way_out);
        }
        err_set(e, ERR_UNSUPPORTED, "%s is not supported yet; leave it out%s", f->name, way_out.p ? way_out.p : "");
        snprintf(e->param, sizeof e->param, "%s", f->name);
        snprintf(e->code, sizeof e->code, "unsupported_parameter");
        buf_drop(&way_out);
    }
    json_free(neutral);
    return asks_nothing;
}

static bool fits_a_header(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '_' && c != '-' &&
            c != '.')
            return false;
    }
    return name.n > 0 && name.n <= NAME_BYTES_MAX;
}

void fields_ignore(struct buf *ignored, const char *under, struct str name)
{
    if (fits_a_header(name))
        buf_printf(ignored, "%s%s%.*s", ignored->n ? ", " : "", under, (int)name.n, name.p);
}

static bool check_members(json object, const char *under, unsigned where, struct buf *ignored, struct err *e);

static bool check(const struct field *f, json v, unsigned where, struct buf *ignored, struct err *e)
{
    char under[NAME_BYTES_MAX];
    if (json_type(v) == JSON_NULL || f->use == NO_EFFECT)
        return true;
    if (!fits(v, f->types))
        return wrong_type(f, v, e);
    if (f->use == REFUSED)
        return refuse(f, v, e);
    snprintf(under, sizeof under, "%s.", f->name);
    return !lists_members(under) || check_members(v, under, where, ignored, e);
}

static bool check_members(json object, const char *under, unsigned where, struct buf *ignored, struct err *e)
{
    if (json_len(object) > MEMBERS_MAX)
        return err_set(e, ERR_INVALID, "%.*s has %zu fields; at most %d make sense",
                       *under ? (int)strlen(under) - 1 : 11, *under ? under : "the request", json_len(object), MEMBERS_MAX);
    for (struct json_iter it = json_iter(object); json_next(&it);) {
        const struct field *f = find(under, it.key, where);
        if (!f)
            fields_ignore(ignored, under, it.key);
        else if (!check(f, it.value, where, ignored, e))
            return false;
    }
    return true;
}

bool fields_check(json request, enum fields_where where, struct buf *ignored, struct err *e)
{
    if (json_type(request) != JSON_OBJECT)
        return err_set(e, ERR_INVALID, "the request must be a JSON object, not %s", json_type_name(request));
    return check_members(request, "", where, ignored, e);
}
