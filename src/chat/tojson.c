/* tojson.c -- what json.dumps() writes, as Hugging Face calls it: no HTML escapes. */
#include "chat/run.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* How it is written, and how deep in it we are. */
struct writer {
    const struct tojson *how;
    struct value         indent;            /* one level of it; MISSING: all on one line */
    struct value         item_sep, key_sep;
    size_t               depth;
};

static bool value_json(struct run *r, struct writer *w, const struct value *v);

static bool unicode_escape(struct run *r, uint32_t cp, bool user)
{
    char text[16];
    int  n;
    if (cp >= 0x10000)
        n = snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xD7C0 + (cp >> 10), 0xDC00 + (cp & 0x3FF));
    else
        n = snprintf(text, sizeof text, "\\u%04x", cp);
    return out_bytes(r, text, (size_t)n, user);
}

static bool escaped_char(struct run *r, uint32_t cp, bool user)
{
    static const char short_ones[] = "\"\"\\\\\nn\rr\tt\ff\bb";
    for (const char *p = short_ones; *p; p += 2)
        if ((uint32_t)*p == cp)
            return out_bytes(r, "\\", 1, user) && out_bytes(r, p + 1, 1, user);
    return unicode_escape(r, cp, user);
}

static bool string_json(struct run *r, const struct writer *w, const struct text *t)
{
    size_t done = 0, n;
    if (!out_str(r, STR("\"")))
        return false;
    for (size_t at = 0; at < t->n; at += n) {
        uint8_t c = (uint8_t)t->p[at];
        n = 1;
        if (c >= 0x20 && c != '"' && c != '\\' && (c < 0x7F || !w->how->ascii || c == 0x7F))
            continue;
        uint32_t cp = c;
        if (c >= 0x80)
            n = utf8_decode((struct str){t->p + at, t->n - at}, &cp);
        CHECK(n > 0);
        if (!out_part(r, t, done, at - done) || !escaped_char(r, cp, t->mark ? t->mark[at] : t->user))
            return false;
        done = at + n;
    }
    return out_part(r, t, done, t->n - done) && out_str(r, STR("\""));
}

static bool real_json(struct run *r, double f)
{
    if (isnan(f) || isinf(f))
        return out_str(r, isnan(f) ? STR("NaN") : f > 0 ? STR("Infinity") : STR("-Infinity"));
    return print_float(r, f);
}

static bool new_line(struct run *r, const struct writer *w)
{
    if (w->indent.type == V_MISSING)
        return true;
    if (!out_str(r, STR("\n")))
        return false;
    return out_fill(r, w->indent.text, w->depth);
}

/* What stands before element number i. */
static bool before(struct run *r, const struct writer *w, size_t i)
{
    return (i == 0 || out_text(r, w->item_sep.text)) && new_line(r, w);
}

static bool array_json(struct run *r, struct writer *w, const struct seq *s)
{
    if (s->n == 0)
        return out_str(r, STR("[]"));
    w->depth++;
    if (!out_str(r, STR("[")))
        return false;
    for (size_t i = 0; i < s->n; i++)
        if (!before(r, w, i) || !value_json(r, w, &s->at[i]))
            return false;
    w->depth--;
    return new_line(r, w) && out_str(r, STR("]"));
}

static bool key_json(struct run *r, struct writer *w, const struct value *key)
{
    switch (key->type) {
    case V_STR: return value_json(r, w, key);
    case V_NONE:
    case V_BOOL:
    case V_INT:
    case V_FLOAT: return out_str(r, STR("\"")) && value_json(r, w, key) && out_str(r, STR("\""));
    default: return run_fail(r, "keys must be str, int, float, bool or None, not %s", value_type_name(key));
    }
}

static bool sorted(struct run *r, const struct dict *d, struct dict_entry **out)
{
    struct dict_entry *at = run_new(r, d->n, sizeof *at);
    if (!at)
        return false;
    for (size_t n = 0; n < d->n; n++) {
        size_t low = 0, high = n;
        while (low < high) {
            size_t mid = (low + high) / 2;
            int    order;
            if (!value_order(r, &d->at[n].key, &at[mid].key, "<", &order))
                return false;
            if (order == -1)
                high = mid;
            else
                low = mid + 1;
        }
        if (!run_work(r, (n - low) * sizeof *at))
            return false;
        memmove(at + low + 1, at + low, (n - low) * sizeof *at);
        at[low] = d->at[n];
    }
    *out = at;
    return true;
}

static bool object_json(struct run *r, struct writer *w, const struct dict *d)
{
    struct dict_entry *at = d->at;
    if (d->n == 0)
        return out_str(r, STR("{}"));
    if (w->how->sort && !sorted(r, d, &at))
        return false;
    w->depth++;
    if (!out_str(r, STR("{")))
        return false;
    for (size_t i = 0; i < d->n; i++)
        if (!before(r, w, i) || !key_json(r, w, &at[i].key) || !out_text(r, w->key_sep.text) ||
            !value_json(r, w, &at[i].value))
            return false;
    w->depth--;
    return new_line(r, w) && out_str(r, STR("}"));
}

static bool any_json(struct run *r, struct writer *w, const struct value *v)
{
    switch (v->type) {
    case V_NONE: return out_str(r, STR("null"));
    case V_BOOL: return out_str(r, v->b ? STR("true") : STR("false"));
    case V_INT: return out_printf(r, "%lld", (long long)v->i);
    case V_FLOAT: return real_json(r, v->f);
    case V_STR: return string_json(r, w, v->text);
    case V_LIST:
    case V_TUPLE: return array_json(r, w, v->seq);
    case V_DICT: return object_json(r, w, v->dict);
    default: return run_fail(r, "Object of type %s is not JSON serializable", value_type_name(v));
    }
}

static bool value_json(struct run *r, struct writer *w, const struct value *v)
{
    if (!run_step(r) || !run_enter(r))
        return false;
    bool ok = any_json(r, w, v);
    run_leave(r);
    return ok;
}

bool tojson(struct run *r, const struct value *v, const struct tojson *how)
{
    struct writer w = {.how = how, .item_sep = how->item_sep, .key_sep = how->key_sep};
    struct value  space;
    size_t        from = run_top(r);
    int64_t       n;
    if (how->indent.type == V_STR)
        w.indent = how->indent;
    else if (value_int_of(&how->indent, &n)) {
        if (!text_of(r, STR(" "), &space) || !text_repeat(r, space.text, n, &w.indent))
            return false;
    } else if (how->indent.type != V_NONE)
        return run_fail(r, "can't multiply sequence by non-int of type '%s'", value_type_name(&how->indent));
    if (w.item_sep.type == V_MISSING &&
        !text_of(r, w.indent.type == V_MISSING ? STR(", ") : STR(","), &w.item_sep))
        return false;
    if (w.key_sep.type == V_MISSING && !text_of(r, STR(": "), &w.key_sep))
        return false;
    if (!value_json(r, &w, v))
        return false;
    out_spread(r, from);
    return true;
}
