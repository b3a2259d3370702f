/* attr.c -- x.name, x[key] and x[a:b:c]. */
#include "chat/ast.h"
#include "chat/natives.h"
#include "chat/run.h"

#include "base/utf8.h"

/* What is shown of a name in a message. */
static int shown(struct str s)
{
    return (int)(s.n < 200 ? s.n : 200);
}

static bool absent(struct run *r, const struct value *v, struct str name, struct value *out)
{
    return value_undefined(r, out, "'%s' has no attribute '%.*s'", value_object_name(v), shown(name), name.p);
}

static bool loop_attr(struct run *r, const struct loop *l, struct str name, struct value *out)
{
    int64_t at = (int64_t)l->at, n = (int64_t)l->items.n, depth = l->depth;
    const struct {
        const char  *name;
        struct value value;
    } rows[] = {
        {"index", value_int(at + 1)},      {"index0", value_int(at)},           {"first", value_bool(at == 0)},
        {"last", value_bool(at + 1 == n)}, {"length", value_int(n)},            {"revindex", value_int(n - at)},
        {"depth", value_int(depth + 1)},   {"revindex0", value_int(n - at - 1)}, {"depth0", value_int(depth)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (str_is(name, rows[i].name)) {
            *out = rows[i].value;
            return true;
        }
    if (str_is(name, "previtem")) {
        if (at == 0)
            return value_undefined(r, out, "there is no previous item");
        *out = l->items.at[at - 1];
    } else if (str_is(name, "nextitem")) {
        if (at + 1 >= n)
            return value_undefined(r, out, "there is no next item");
        *out = l->items.at[at + 1];
    } else
        *out = VALUE_MISSING;
    return true;
}

static bool macro_attr(struct run *r, const struct macro *m, struct str name, struct value *out)
{
    const struct params *p = m->node->params;
    *out = VALUE_MISSING;
    if (str_is(name, "name")) {
        *out = VALUE_NONE;
        return m->node->kind == N_CALL_BLOCK || text_of(r, r->t->name[m->node->name], out);
    }
    if (str_is(name, "caller") || str_is(name, "catch_kwargs") || str_is(name, "catch_varargs"))
        *out = value_bool(name.n == 6 ? p->caller : name.n == 12 ? p->kwargs : p->varargs);
    else if (str_is(name, "arguments")) {
        if (!value_seq(r, V_TUPLE, p->n, out))
            return false;
        for (size_t i = 0; i < p->n; i++)
            if (!text_of(r, r->t->name[p->at[i].name], &out->seq->at[i]))
                return false;
    }
    return true;
}

/* Python's attributes; MISSING where there is none. */
static bool python_attr(struct run *r, const struct value *v, struct str name, struct value *out)
{
    struct value *found = NULL;
    *out = VALUE_MISSING;
    if (v->type == V_NAMESPACE) {
        if (!dict_find_name(r, v->dict, name, &found))
            return false;
        if (found)
            *out = *found;
        return true;
    }
    if (v->type == V_LOOP && !loop_attr(r, v->loop, name, out))
        return false;
    if (out->type != V_MISSING)
        return true;
    if (v->type == V_MACRO)
        return macro_attr(r, v->macro, name, out);
    if (v->type == V_CYCLER && str_is(name, "current")) {
        *out = v->generator->at[v->generator->taken];
        return true;
    }
    if (v->type == V_TUPLE && v->seq->group && (str_is(name, "grouper") || str_is(name, "list"))) {
        *out = v->seq->at[name.n == 4];
        return true;
    }
    const struct native *f = find_method(v->type, name);
    if (!f)
        return true;
    if (f->fn == method_refused)
        return value_undefined(r, out, "access to attribute '%.*s' of '%s' object is unsafe.", shown(name), name.p,
                               value_type_name(v));
    struct method *m = run_new(r, 1, sizeof *m);
    if (!m)
        return false;
    *m = (struct method){*v, f};
    *out = (struct value){.type = V_METHOD, .method = m};
    return true;
}

bool attr_get(struct run *r, const struct value *v, struct str name, struct value *out)
{
    struct value *found = NULL;
    if (v->type == V_UNDEFINED)
        return run_fail(r, "%s", v->undefined->why.p);
    if (!python_attr(r, v, name, out))
        return false;
    if (out->type != V_MISSING)
        return true;
    if (v->type == V_DICT && !dict_find_name(r, v->dict, name, &found))
        return false;
    if (!found)
        return absent(r, v, name, out);
    *out = *found;
    return true;
}

/* The element at a whole number, from the end when negative; MISSING when there is none. */
static bool index_item(struct run *r, const struct value *v, int64_t i, struct value *out)
{
    size_t n;
    *out = VALUE_MISSING;
    if (v->type != V_STR && !value_is_sequence(v) && v->type != V_RANGE)
        return true;
    if (!value_len(r, v, &n))
        return false;
    if (i < 0)
        i += (int64_t)n;
    if (i < 0 || (uint64_t)i >= n)
        return true;
    if (v->type == V_RANGE)
        *out = value_int(v->range->start + i * v->range->step);
    else if (v->type != V_STR)
        *out = v->seq->at[i];
    else {
        size_t at;
        return text_offset(r, v->text, (size_t)i, &at) &&
               text_slice(r, v->text, at, text_char_bytes(v->text->p + at, v->text->n - at), out);
    }
    return true;
}

static bool hashable(const struct value *key)
{
    if (key->type == V_TUPLE)
        for (size_t i = 0; i < key->seq->n; i++)
            if (key->seq->at[i].type == V_LIST || key->seq->at[i].type == V_DICT || key->seq->at[i].type == V_TUPLE)
                return false;
    return key->type != V_LIST && key->type != V_DICT && key->type != V_KEYS && key->type != V_ITEMS;
}

bool attr_item(struct run *r, const struct value *v, const struct value *key, struct value *out)
{
    struct value *found = NULL;
    int64_t       i;
    *out = VALUE_MISSING;
    if (v->type == V_UNDEFINED)
        return run_fail(r, "%s", v->undefined->why.p);
    if (v->type == V_DICT) {
        if (hashable(key) && !dict_find(r, v->dict, key, &found))
            return false;
        if (found) {
            *out = *found;
            return true;
        }
    } else if (value_int_of(key, &i)) {
        if (!index_item(r, v, i, out))
            return false;
        if (out->type != V_MISSING)
            return true;
    }
    if (key->type == V_STR) {
        if (!python_attr(r, v, text_str(key->text), out))
            return false;
        return out->type != V_MISSING || absent(r, v, text_str(key->text), out);
    }
    size_t       from = run_top(r);
    struct value text;
    if (!print_repr(r, key) || !text_take(r, from, &text))
        return false;
    return value_undefined(r, out, "%s has no element %.*s", value_object_name(v), shown(text_str(text.text)),
                           text.text->p);
}

/* Python's reading of start, stop and step for n elements: the first one, where to stop, and how many. */
struct cut {
    int64_t first, stop, step;
    size_t  n;
};

static bool slice_part(struct run *r, const struct value *v, int64_t fallback, int64_t *out)
{
    *out = fallback;
    if (v->type == V_NONE || value_int_of(v, out))
        return true;
    return run_fail(r, "slice indices must be integers or None or have an __index__ method");
}

static int64_t clamp(int64_t i, int64_t n, int64_t low, int64_t high)
{
    if (i < 0)
        i += n;
    return i < low ? low : i > high ? high : i;
}

static bool cut_of(struct run *r, const struct attr_slice *s, size_t count, struct cut *out)
{
    int64_t n = (int64_t)count, step, start, stop;
    if (!slice_part(r, s->step, 1, &step))
        return false;
    if (step == 0)
        return run_fail(r, "slice step cannot be zero");
    bool back = step < 0;
    if (!slice_part(r, s->start, back ? INT64_MAX : 0, &start) || !slice_part(r, s->stop, INT64_MAX, &stop))
        return false;
    start = clamp(start, n, back ? -1 : 0, back ? n - 1 : n);
    stop = s->stop->type == V_NONE ? (back ? -1 : n) : clamp(stop, n, back ? -1 : 0, back ? n - 1 : n);
    *out = (struct cut){start, stop, step, 0};
    if (back && start > stop)
        out->n = (size_t)((start - stop - 1) / (step == INT64_MIN ? INT64_MAX : -step)) + 1;
    else if (!back && stop > start)
        out->n = (size_t)((stop - start - 1) / step) + 1;
    return true;
}

static bool slice_text(struct run *r, struct text *t, const struct cut *c, struct value *out)
{
    size_t from, to, top = run_top(r);
    if (c->n == 0)
        return text_slice(r, t, 0, 0, out);
    if (c->step == 1)
        return text_offset(r, t, (size_t)c->first, &from) && text_offset(r, t, (size_t)c->first + c->n, &to) &&
               text_slice(r, t, from, to - from, out);
    struct value whole = value_text(t);
    struct seq   chars;
    if (!value_items(r, &whole, &chars))
        return false;
    for (size_t i = 0; i < c->n; i++)
        if (!out_text(r, chars.at[c->first + (int64_t)i * c->step].text))
            return false;
    if (!text_take(r, top, out))
        return false;
    out->text->markup = t->markup;
    return true;
}

static bool slice_range(struct run *r, const struct range *g, const struct cut *c, struct value *out)
{
    struct range *to = run_new(r, 1, sizeof *to);
    if (!to)
        return false;
    *to = (struct range){g->start + c->first * g->step, g->start + c->stop * g->step, 0, c->n};
    if (__builtin_mul_overflow(g->step, c->step, &to->step))
        return run_fail(r, "a whole number of more than 64 bits");
    *out = (struct value){.type = V_RANGE, .range = to};
    return true;
}

bool attr_slice(struct run *r, const struct value *v, const struct attr_slice *s, struct value *out)
{
    struct cut   c = {0};
    struct value part;
    size_t       n;
    if (v->type == V_UNDEFINED)
        return run_fail(r, "%s", v->undefined->why.p);
    if (v->type == V_DICT)
        return run_fail(r, "unhashable type: 'slice'");
    if (v->type != V_STR && !value_is_sequence(v) && v->type != V_RANGE)
        return run_fail(r, "'%s' object is not subscriptable", value_type_name(v));
    if (!value_len(r, v, &n) || !cut_of(r, s, n, &c))
        return false;
    if (v->type == V_STR)
        return slice_text(r, v->text, &c, out);
    if (v->type == V_RANGE)
        return slice_range(r, v->range, &c, out);
    if (!value_seq(r, v->type, c.n, &part))
        return false;
    for (size_t i = 0; i < c.n; i++)
        if (!index_item(r, v, c.first + (int64_t)i * c.step, &part.seq->at[i]))
            return false;
    *out = part;
    return true;
}

bool attr_path(struct run *r, const struct value *v, const struct value *path, const struct value *fallback,
               struct value *out)
{
    *out = *v;
    if (!arg_given(path))
        return true;
    if (path->type != V_STR) {
        struct value from = *out;
        if (!attr_item(r, &from, path, out))
            return false;
        if (fallback && out->type == V_UNDEFINED)
            *out = *fallback;
        return true;
    }
    struct str rest = text_str(path->text);
    for (bool more = true; more;) {
        size_t       dot = str_find(rest, STR("."));
        struct str   part = {rest.p, dot == STR_NONE ? rest.n : dot};
        struct value key, from = *out;
        int64_t      i;
        more = dot != STR_NONE;
        if (more)
            rest = (struct str){rest.p + dot + 1, rest.n - dot - 1};
        if (part.n && part.p[0] >= '0' && part.p[0] <= '9' && str_i64(part, &i))
            key = value_int(i);
        else if (!text_of(r, part, &key))
            return false;
        if (!attr_item(r, &from, &key, out))
            return false;
        if (fallback && out->type == V_UNDEFINED)
            *out = *fallback;
    }
    return true;
}
