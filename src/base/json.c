/* json.c -- see json.h. */
#include "base/json.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <yyjson.h>

struct json_doc {
    yyjson_doc *doc;
};

static bool depth_fits(yyjson_val *v, unsigned left)
{
    if (!yyjson_is_ctn(v))
        return true;
    if (left == 0)
        return false;
    for (struct json_iter it = json_iter(v); json_next(&it);)
        if (!depth_fits(it.value, left - 1))
            return false;
    return true;
}

static bool parse(struct json_doc **out, struct str text, yyjson_read_flag flags, struct err *e)
{
    yyjson_read_err why;
    /* yyjson does not write to its input unless asked to work in place. */
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)text.p, text.n, flags, NULL, &why);
    if (!doc)
        return err_set(e, ERR_INVALID, "not valid JSON: %s at byte %zu", text.n ? why.msg : "it is empty", why.pos);
    if (!depth_fits(yyjson_doc_get_root(doc), JSON_DEPTH_MAX)) {
        yyjson_doc_free(doc);
        return err_set(e, ERR_INVALID, "JSON is nested deeper than %d", JSON_DEPTH_MAX);
    }
    *out = mem_new(sizeof **out);
    (*out)->doc = doc;
    return true;
}

bool json_parse(struct json_doc **out, struct str text, struct err *e)
{
    return parse(out, text, 0, e);
}

bool json_parse_python(struct json_doc **out, struct str text, struct err *e)
{
    return parse(out, text, YYJSON_READ_ALLOW_INF_AND_NAN, e);
}

void json_free(struct json_doc *d)
{
    if (!d)
        return;
    yyjson_doc_free(d->doc);
    free(d);
}

json json_root(const struct json_doc *d)
{
    return d ? yyjson_doc_get_root(d->doc) : NULL;
}

enum json_type json_type(json v)
{
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_NULL: return JSON_NULL;
    case YYJSON_TYPE_BOOL: return JSON_BOOL;
    case YYJSON_TYPE_NUM: return yyjson_is_real(v) ? JSON_REAL : JSON_INT;
    case YYJSON_TYPE_STR: return JSON_STRING;
    case YYJSON_TYPE_ARR: return JSON_ARRAY;
    case YYJSON_TYPE_OBJ: return JSON_OBJECT;
    default: return JSON_ABSENT;
    }
}

const char *json_type_name(json v)
{
    static const char *const names[] = {"absent",   "null",     "a boolean", "a whole number",
                                        "a number", "a string", "an array",  "an object"};
    return names[json_type(v)];
}

json json_find(json object, struct str key)
{
    json found = NULL;
    if (json_type(object) != JSON_OBJECT)
        return NULL;
    for (struct json_iter it = json_iter(object); json_next(&it);)
        if (str_eq(it.key, key))
            found = it.value;
    return found;
}

json json_get(json object, const char *key)
{
    return json_find(object, str_of(key));
}

json json_at(json array, size_t i)
{
    return yyjson_arr_get(array, i);
}

size_t json_len(json v)
{
    return yyjson_is_ctn(v) ? yyjson_get_len(v) : 0;
}

struct str json_str(json v)
{
    return (struct str){yyjson_get_str(v), yyjson_get_len(v) * (yyjson_is_str(v) ? 1 : 0)};
}

bool json_is(json v, const char *text)
{
    return yyjson_is_str(v) && str_is(json_str(v), text);
}

bool json_i64(json v, int64_t *out)
{
    if (yyjson_is_uint(v) && yyjson_get_uint(v) <= INT64_MAX) {
        *out = (int64_t)yyjson_get_uint(v);
        return true;
    }
    if (yyjson_is_sint(v)) {
        *out = yyjson_get_sint(v);
        return true;
    }
    double d = yyjson_get_real(v);
    if (!yyjson_is_real(v) || d != floor(d) || fabs(d) > 9007199254740992.0)
        return false;
    *out = (int64_t)d;
    return true;
}

bool json_u64(json v, uint64_t *out)
{
    if (yyjson_is_uint(v)) {
        *out = yyjson_get_uint(v);
        return true;
    }
    int64_t i;
    if (!json_i64(v, &i) || i < 0)
        return false;
    *out = (uint64_t)i;
    return true;
}

bool json_f64(json v, double *out)
{
    if (!yyjson_is_num(v))
        return false;
    *out = yyjson_get_num(v);
    return true;
}

bool json_bool(json v, bool fallback)
{
    return yyjson_is_bool(v) ? yyjson_get_bool(v) : fallback;
}

int64_t json_int_or(json v, int64_t fallback)
{
    int64_t i;
    return json_i64(v, &i) ? i : fallback;
}

double json_num_or(json v, double fallback)
{
    double d;
    return json_f64(v, &d) ? d : fallback;
}

struct json_iter json_iter(json v)
{
    struct json_iter it = {.left_ = json_len(v), .object_ = yyjson_is_obj(v)};
    if (it.left_)
        it.next_ = unsafe_yyjson_get_first(v);
    return it;
}

bool json_next(struct json_iter *it)
{
    if (it->left_ == 0)
        return false;
    it->left_--;
    it->value = it->next_;
    if (it->object_) {
        it->key = json_str(it->next_);
        it->value = it->next_ + 1;
    }
    it->next_ = unsafe_yyjson_get_next(it->value);
    return true;
}

bool json_print(json v, struct buf *out)
{
    size_t n;
    char  *text = yyjson_val_write_opts(v, YYJSON_WRITE_INF_AND_NAN_AS_NULL, NULL, &n, NULL);
    CHECK(text);
    bool ok = buf_append(out, text, n);
    free(text);
    return ok;
}

struct json_out {
    yyjson_mut_doc *doc;
    yyjson_mut_val *open[JSON_DEPTH_MAX];
    unsigned        depth;
};

struct json_out *json_out_new(void)
{
    struct json_out *w = mem_new(sizeof *w);
    w->doc = yyjson_mut_doc_new(NULL);
    CHECK(w->doc);
    return w;
}

void json_out_free(struct json_out *w)
{
    if (!w)
        return;
    yyjson_mut_doc_free(w->doc);
    free(w);
}

/* A copy of s owned by the document, made valid UTF-8. */
static yyjson_mut_val *text_value(struct json_out *w, struct str s)
{
    if (utf8_valid(s))
        return yyjson_mut_strncpy(w->doc, s.p ? s.p : "", s.n);
    struct buf clean;
    buf_init(&clean, 0);
    utf8_clean(s, &clean);
    yyjson_mut_val *v = yyjson_mut_strncpy(w->doc, clean.p, clean.n);
    buf_drop(&clean);
    return v;
}

static void put(struct json_out *w, const char *key, yyjson_mut_val *v)
{
    CHECK(v);
    if (w->depth == 0) {
        CHECK(!key && !yyjson_mut_doc_get_root(w->doc));
        yyjson_mut_doc_set_root(w->doc, v);
        return;
    }
    yyjson_mut_val *in = w->open[w->depth - 1];
    CHECK(yyjson_mut_is_obj(in) == (key != NULL));
    if (key)
        yyjson_mut_obj_add(in, text_value(w, str_of(key)), v);
    else
        yyjson_mut_arr_append(in, v);
}

void json_open(struct json_out *w, const char *key, char bracket)
{
    CHECK(w->depth < JSON_DEPTH_MAX && (bracket == '{' || bracket == '['));
    yyjson_mut_val *v = bracket == '{' ? yyjson_mut_obj(w->doc) : yyjson_mut_arr(w->doc);
    put(w, key, v);
    w->open[w->depth++] = v;
}

void json_close(struct json_out *w)
{
    CHECK(w->depth > 0);
    w->depth--;
}

void json_put_str(struct json_out *w, const char *key, struct str s)
{
    put(w, key, text_value(w, s));
}

void json_put_text(struct json_out *w, const char *key, const char *z)
{
    put(w, key, z ? text_value(w, str_of(z)) : yyjson_mut_null(w->doc));
}

void json_put_int(struct json_out *w, const char *key, int64_t v)
{
    put(w, key, yyjson_mut_sint(w->doc, v));
}

void json_put_num(struct json_out *w, const char *key, double v)
{
    put(w, key, isfinite(v) ? yyjson_mut_real(w->doc, v) : yyjson_mut_null(w->doc));
}

void json_put_bool(struct json_out *w, const char *key, bool v)
{
    put(w, key, yyjson_mut_bool(w->doc, v));
}

void json_put_null(struct json_out *w, const char *key)
{
    put(w, key, yyjson_mut_null(w->doc));
}

void json_put(struct json_out *w, const char *key, json v)
{
    put(w, key, v ? yyjson_val_mut_copy(w->doc, v) : yyjson_mut_null(w->doc));
}

bool json_out_write(struct json_out *w, struct buf *out)
{
    CHECK(w->depth == 0 && yyjson_mut_doc_get_root(w->doc));
    size_t n;
    char  *text = yyjson_mut_write_opts(w->doc, 0, NULL, &n, NULL);
    CHECK(text);
    bool ok = buf_append(out, text, n);
    free(text);
    yyjson_mut_doc_free(w->doc);
    w->doc = yyjson_mut_doc_new(NULL);
    CHECK(w->doc);
    return ok;
}
