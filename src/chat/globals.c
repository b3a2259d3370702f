/* globals.c -- functions that templates call by name. */
#include "chat/natives.h"

#include <string.h>
#include <time.h>

enum { RANGE_MAX = 100000 };    /* Jinja2's sandbox has this limit too */

bool arg_int(struct run *r, const struct value *v, int64_t fallback, int64_t *out)
{
    *out = fallback;
    if (v->type == V_MISSING || value_int_of(v, out))
        return true;
    if (v->type == V_UNDEFINED)
        return run_fail(r, "%s", v->undefined->why.p);
    return run_fail(r, "'%s' object cannot be interpreted as an integer", value_type_name(v));
}

bool arg_text(struct run *r, const struct value *v, const char *fallback, struct text **out)
{
    struct value t = *v;
    if (v->type == V_MISSING && !text_of(r, str_of(fallback), &t))
        return false;
    if (t.type == V_UNDEFINED)
        return run_fail(r, "%s", t.undefined->why.p);
    if (t.type != V_STR)
        return run_fail(r, "a string is required, not '%s'", value_type_name(&t));
    *out = t.text;
    return true;
}

/* The template's own words to the person who called it: they are the whole message. */
bool global_raise(struct run *r, const struct args *a, struct value *out)
{
    struct value text;
    char         words[sizeof r->err->text];
    (void)out;
    if (!print_text(r, &a->v[0], &text))
        return false;
    size_t n = text.text->n < sizeof words - 1 ? text.text->n : sizeof words - 1;
    for (size_t i = 0; i < n; i++)
        words[i] = (uint8_t)text.text->p[i] < ' ' ? ' ' : text.text->p[i];
    return err_set(r->err, ERR_INVALID, "%.*s", (int)n, words);
}

/* One "%x" of a format; what is not known stays as it is. */
static bool directive(struct run *r, const struct tm *t, struct str s, size_t *at, bool user)
{
    char   shape[4] = "%", text[128];
    size_t n = 1, i = *at + 1;
    if (i < s.n && strchr("-_0^#", s.p[i]) && s.p[i])
        shape[n++] = s.p[i++];
    char c = i < s.n ? s.p[i] : '\0';
    if (c && strchr("aAbBcdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%", c)) {
        shape[n] = c;
        *at = i + 1;
        return out_bytes(r, text, strftime(text, sizeof text, shape, t), user);
    }
    if (c == 'f' && n == 1) {
        *at = i + 1;
        return out_bytes(r, "000000", 6, user);
    }
    *at += 1;
    return out_bytes(r, "%", 1, user);
}

bool global_strftime(struct run *r, const struct args *a, struct value *out)
{
    struct text *format;
    struct tm    t = {0};
    time_t       now = (time_t)r->now_s;
    size_t       top = run_top(r);
    if (!arg_text(r, &a->v[0], "", &format))
        return false;
    if (!gmtime_r(&now, &t))
        return run_fail(r, "the time is out of range");
    for (size_t at = 0; at < format->n;) {
        bool user = format->mark ? format->mark[at] : format->user;
        if (format->p[at] == '%') {
            if (!directive(r, &t, text_str(format), &at, user))
                return false;
        } else if (!out_part(r, format, at++, 1))
            return false;
    }
    return text_take(r, top, out);
}

static bool put_named(struct run *r, struct dict *d, const struct args *a)
{
    for (size_t i = 0; i < a->n_named; i++) {
        struct value key;
        if (!text_of(r, a->named[i].name, &key) || !dict_put(r, d, &key, &a->named[i].value))
            return false;
    }
    return true;
}

/* A dict, or pairs. */
static bool put_values(struct run *r, struct dict *d, const struct value *from)
{
    struct seq items, pair;
    if (from->type == V_MISSING)
        return true;
    if (from->type == V_DICT) {
        for (size_t i = 0; i < from->dict->n; i++)
            if (!dict_put(r, d, &from->dict->at[i].key, &from->dict->at[i].value))
                return false;
        return true;
    }
    if (!value_items(r, from, &items))
        return false;
    for (size_t i = 0; i < items.n; i++) {
        if (!value_items(r, &items.at[i], &pair))
            return false;
        if (pair.n != 2)
            return run_fail(r, "dictionary update sequence element #%zu has length %zu; 2 is required", i, pair.n);
        if (!dict_put(r, d, &pair.at[0], &pair.at[1]))
            return false;
    }
    return true;
}

bool native_dict(struct run *r, const struct args *a, struct value *out)
{
    return dict_new(r, 0, out) && put_values(r, out->dict, &a->v[0]) && put_named(r, out->dict, a);
}

bool global_dict(struct run *r, const struct args *a, struct value *out)
{
    return native_dict(r, a, out);
}

bool global_namespace(struct run *r, const struct args *a, struct value *out)
{
    if (!native_dict(r, a, out))
        return false;
    out->type = V_NAMESPACE;
    return true;
}

bool global_range(struct run *r, const struct args *a, struct value *out)
{
    struct range g = {.step = 1};
    if (!arg_int(r, &a->v[0], 0, &g.start) || !arg_int(r, &a->v[1], 0, &g.stop) || !arg_int(r, &a->v[2], 1, &g.step))
        return false;
    if (a->v[1].type == V_MISSING) {
        g.stop = g.start;
        g.start = 0;
    }
    if (g.step == 0)
        return run_fail(r, "range() arg 3 must not be zero");
    bool     up = g.step > 0;
    uint64_t span = up ? (uint64_t)g.stop - (uint64_t)g.start : (uint64_t)g.start - (uint64_t)g.stop;
    uint64_t step = up ? (uint64_t)g.step : 0 - (uint64_t)g.step;
    uint64_t n = (up ? g.start < g.stop : g.start > g.stop) ? (span - 1) / step + 1 : 0;
    if (n > RANGE_MAX)
        return run_limit(r, "makes a range of more than 100000");
    g.n = (size_t)n;
    struct range *to = run_new(r, 1, sizeof *to);
    if (!to)
        return false;
    *to = g;
    *out = (struct value){.type = V_RANGE, .range = to};
    return true;
}

bool global_cycler(struct run *r, const struct args *a, struct value *out)
{
    struct seq items = {.at = a->rest, .n = a->n_rest};
    if (items.n == 0)
        return run_fail(r, "at least one item has to be provided");
    if (!value_generator(r, &items, out))
        return false;
    out->type = V_CYCLER;
    return true;
}

bool global_joiner(struct run *r, const struct args *a, struct value *out)
{
    struct joiner *j = run_new(r, 1, sizeof *j);
    if (!j || (a->v[0].type == V_MISSING && !text_of(r, STR(", "), &j->sep)))
        return false;
    if (a->v[0].type != V_MISSING)
        j->sep = a->v[0];
    *out = (struct value){.type = V_JOINER, .joiner = j};
    return true;
}
