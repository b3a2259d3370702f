/* value.c -- see value.h. */
#include "chat/value.h"

#include "chat/run.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *value_type_name(const struct value *v)
{
    static const char *const names[] = {
#define TYPE(name, python, object) python,
#include "chat/types.def"
#undef TYPE
    };
    return v->type == V_STR && v->text->markup ? "Markup" : names[v->type];
}

const char *value_object_name(const struct value *v)
{
    static const char *const names[] = {
#define TYPE(name, python, object) object,
#include "chat/types.def"
#undef TYPE
    };
    return v->type == V_STR && v->text->markup ? "markupsafe.Markup object" : names[v->type];
}

bool value_true(const struct value *v)
{
    switch (v->type) {
    case V_MISSING:
    case V_UNDEFINED:
    case V_NONE: return false;
    case V_BOOL: return v->b;
    case V_INT: return v->i != 0;
    case V_FLOAT: return v->f != 0.0;
    case V_STR: return v->text->n != 0;
    case V_LIST:
    case V_TUPLE: return v->seq->n != 0;
    case V_DICT:
    case V_KEYS:
    case V_VALUES:
    case V_ITEMS: return v->dict->n != 0;
    case V_RANGE: return v->range->n != 0;
    default: return true;
    }
}

bool value_is_number(const struct value *v)
{
    return v->type == V_BOOL || v->type == V_INT || v->type == V_FLOAT;
}

bool value_is_sequence(const struct value *v)
{
    return v->type == V_LIST || v->type == V_TUPLE;
}

bool value_is_dict_view(const struct value *v)
{
    return v->type == V_KEYS || v->type == V_VALUES || v->type == V_ITEMS;
}

bool value_is_iterable(const struct value *v)
{
    return v->type == V_UNDEFINED || v->type == V_STR || value_is_sequence(v) || v->type == V_DICT ||
           value_is_dict_view(v) || v->type == V_RANGE || v->type == V_GENERATOR;
}

bool value_int_of(const struct value *v, int64_t *out)
{
    if (v->type != V_INT && v->type != V_BOOL)
        return false;
    *out = v->type == V_INT ? v->i : v->b;
    return true;
}

double value_real(const struct value *v)
{
    return v->type == V_FLOAT ? v->f : v->type == V_INT ? (double)v->i : v->b;
}

bool value_undefined(struct run *r, struct value *out, const char *fmt, ...)
{
    char    text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t            n = strlen(text);
    struct undefined *u = run_new(r, 1, sizeof *u);
    char             *p = u ? run_new(r, n + 1, 1) : NULL;
    if (!p)
        return false;
    memcpy(p, text, n);
    u->why = (struct str){p, n};
    *out = (struct value){.type = V_UNDEFINED, .undefined = u};
    return true;
}

bool value_seq(struct run *r, enum value_type type, size_t n, struct value *out)
{
    struct seq *s = run_new(r, 1, sizeof *s);
    if (!s || !(s->at = run_new(r, n, sizeof *s->at)))
        return false;
    s->n = n;
    *out = (struct value){.type = type, .seq = s};
    return true;
}

bool value_pair(struct run *r, const struct value *a, const struct value *b, struct value *out)
{
    struct value pair;
    if (!value_seq(r, V_TUPLE, 2, &pair))
        return false;
    pair.seq->at[0] = *a;
    pair.seq->at[1] = *b;
    *out = pair;
    return true;
}

bool value_generator(struct run *r, const struct seq *items, struct value *out)
{
    struct generator *g = run_new(r, 1, sizeof *g);
    if (!g)
        return false;
    *g = (struct generator){items->at, items->n, 0};
    *out = (struct value){.type = V_GENERATOR, .generator = g};
    return true;
}

static bool text_items(struct run *r, const struct value *v, struct seq *out)
{
    size_t n, at = 0;
    if (!text_chars(r, v->text, &n) || !(out->at = run_new(r, n, sizeof *out->at)))
        return false;
    for (out->n = 0; out->n < n; out->n++) {
        size_t bytes = text_char_bytes(v->text->p + at, v->text->n - at);
        if (!text_slice(r, v->text, at, bytes, &out->at[out->n]))
            return false;
        out->at[out->n].text->markup = false;
        at += bytes;
    }
    return true;
}

static bool dict_items(struct run *r, const struct value *v, struct seq *out)
{
    const struct dict *d = v->dict;
    if (!(out->at = run_new(r, d->n, sizeof *out->at)))
        return false;
    out->n = d->n;
    for (size_t i = 0; i < d->n; i++) {
        out->at[i] = v->type == V_VALUES ? d->at[i].value : d->at[i].key;
        if (v->type == V_ITEMS && !value_pair(r, &d->at[i].key, &d->at[i].value, &out->at[i]))
            return false;
    }
    return true;
}

static bool range_items(struct run *r, const struct range *g, struct seq *out)
{
    if (!(out->at = run_new(r, g->n, sizeof *out->at)))
        return false;
    out->n = g->n;
    for (size_t i = 0; i < g->n; i++)
        out->at[i] = value_int(g->start + (int64_t)i * g->step);
    return true;
}

bool value_items(struct run *r, const struct value *v, struct seq *out)
{
    *out = (struct seq){0};
    switch (v->type) {
    case V_UNDEFINED: return true;
    case V_STR: return text_items(r, v, out);
    case V_LIST:
    case V_TUPLE: *out = *v->seq; return true;
    case V_DICT:
    case V_KEYS:
    case V_VALUES:
    case V_ITEMS: return dict_items(r, v, out);
    case V_RANGE: return range_items(r, v->range, out);
    case V_GENERATOR:
        if (v->generator->taken < v->generator->n) {
            out->at = v->generator->at + v->generator->taken;
            out->n = v->generator->n - v->generator->taken;
        }
        v->generator->taken = v->generator->n;
        return true;
    default: return run_fail(r, "'%s' object is not iterable", value_type_name(v));
    }
}

bool value_len(struct run *r, const struct value *v, size_t *out)
{
    switch (v->type) {
    case V_UNDEFINED: *out = 0; return true;
    case V_STR: return text_chars(r, v->text, out);
    case V_LIST:
    case V_TUPLE: *out = v->seq->n; return true;
    case V_DICT:
    case V_KEYS:
    case V_VALUES:
    case V_ITEMS: *out = v->dict->n; return true;
    case V_RANGE: *out = v->range->n; return true;
    case V_LOOP: *out = v->loop->items.n; return true;
    default: return run_fail(r, "object of type '%s' has no len()", value_type_name(v));
    }
}

/* -1, 0, 1, or 2 when a NaN has no place in the order.  Doubles hold all of 53 bits only, so two ints meet as ints. */
static int number_order(const struct value *a, const struct value *b)
{
    int64_t i, k;
    if (value_int_of(a, &i) && value_int_of(b, &k))
        return i < k ? -1 : i > k;
    double x = value_real(a), y = value_real(b);
    return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
}

static bool seq_eq(struct run *r, const struct seq *a, const struct seq *b, bool *out)
{
    *out = a->n == b->n;
    for (size_t i = 0; *out && i < a->n; i++)
        if (!value_eq(r, &a->at[i], &b->at[i], out))
            return false;
    return true;
}

static bool dict_eq(struct run *r, const struct dict *a, const struct dict *b, bool *out)
{
    *out = a->n == b->n;
    for (size_t i = 0; *out && i < a->n; i++) {
        struct value *other;
        if (!dict_find(r, b, &a->at[i].key, &other))
            return false;
        *out = other != NULL;
        if (other && !value_eq(r, &a->at[i].value, other, out))
            return false;
    }
    return true;
}

static bool same_kind_eq(struct run *r, const struct value *a, const struct value *b, bool *out)
{
    switch (a->type) {
    case V_NONE:
    case V_MISSING:
    case V_UNDEFINED: *out = true; return true;
    case V_STR:
        *out = str_eq(text_str(a->text), text_str(b->text));
        return a->text->n != b->text->n || run_work(r, a->text->n);
    case V_LIST:
    case V_TUPLE: return seq_eq(r, a->seq, b->seq, out);
    case V_DICT: return dict_eq(r, a->dict, b->dict, out);
    case V_RANGE:
        *out = a->range->n == b->range->n && (a->range->n == 0 || (a->range->start == b->range->start &&
               (a->range->n == 1 || a->range->step == b->range->step)));
        return true;
    default: *out = a->dict == b->dict; return true;
    }
}

bool value_eq(struct run *r, const struct value *a, const struct value *b, bool *out)
{
    if (!run_step(r) || !run_enter(r))
        return false;
    bool ok = true;
    *out = false;
    if (value_is_number(a) && value_is_number(b))
        *out = number_order(a, b) == 0;
    else if (a->type == b->type)
        ok = same_kind_eq(r, a, b, out);
    run_leave(r);
    return ok;
}

static bool seq_order(struct run *r, const struct value *a, const struct value *b, const char *op, int *out)
{
    size_t n = a->seq->n < b->seq->n ? a->seq->n : b->seq->n;
    for (size_t i = 0; i < n; i++) {
        bool same;
        if (!value_eq(r, &a->seq->at[i], &b->seq->at[i], &same))
            return false;
        if (!same)
            return value_order(r, &a->seq->at[i], &b->seq->at[i], op, out);
    }
    *out = a->seq->n < b->seq->n ? -1 : a->seq->n > b->seq->n;
    return true;
}

bool value_order(struct run *r, const struct value *a, const struct value *b, const char *op, int *out)
{
    const struct value *undefined = a->type == V_UNDEFINED ? a : b;
    if (undefined->type == V_UNDEFINED)
        return run_fail(r, "%s", undefined->undefined->why.p);
    if (!run_step(r) || !run_enter(r))
        return false;
    bool ok = true;
    if (value_is_number(a) && value_is_number(b))
        *out = number_order(a, b);
    else if (a->type == V_STR && b->type == V_STR) {
        size_t n = a->text->n < b->text->n ? a->text->n : b->text->n;
        int    c = n ? memcmp(a->text->p, b->text->p, n) : 0;
        *out = c < 0 || (c == 0 && a->text->n < b->text->n) ? -1 : c > 0 || a->text->n > b->text->n;
        ok = run_work(r, n);
    } else if (value_is_sequence(a) && a->type == b->type)
        ok = seq_order(r, a, b, op, out);
    else
        ok = run_fail(r, "'%s' not supported between instances of '%s' and '%s'", op, value_type_name(a),
                      value_type_name(b));
    run_leave(r);
    return ok;
}

static bool in_range(const struct range *g, const struct value *what)
{
    if (!value_is_number(what) || g->n == 0)
        return false;
    double x = value_real(what), first = (double)g->start, last = (double)(g->start + (int64_t)(g->n - 1) * g->step);
    return fmod(x - first, (double)g->step) == 0.0 && x >= fmin(first, last) && x <= fmax(first, last);
}

bool value_in(struct run *r, const struct value *what, const struct value *where, bool *out)
{
    struct value *found;
    size_t        at;
    switch (where->type) {
    case V_STR:
        if (what->type != V_STR)
            return run_fail(r, "'in <string>' requires string as left operand, not %s", value_type_name(what));
        if (!text_find(r, text_str(where->text), text_str(what->text), &at))
            return false;
        *out = at != STR_NONE;
        return true;
    case V_DICT:
    case V_KEYS:
        if (!dict_find(r, where->dict, what, &found))
            return false;
        *out = found != NULL;
        return true;
    case V_RANGE: *out = in_range(where->range, what); return true;
    case V_UNDEFINED:
    case V_LIST:
    case V_TUPLE:
    case V_VALUES:
    case V_ITEMS:
    case V_GENERATOR: break;
    default: return run_fail(r, "argument of type '%s' is not iterable", value_type_name(where));
    }
    struct seq items;
    if (!value_items(r, where, &items))
        return false;
    *out = false;
    for (size_t i = 0; !*out && i < items.n; i++)
        if (!value_eq(r, what, &items.at[i], out))
            return false;
    return true;
}
