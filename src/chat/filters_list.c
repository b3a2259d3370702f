/* filters_list.c -- filters over lists and dicts. */
#include "chat/natives.h"

#include <string.h>

bool filter_default(struct run *r, const struct args *a, struct value *out)
{
    *out = a->v[0];
    if (a->v[0].type != V_UNDEFINED && !(arg_bool(&a->v[2], false) && !value_true(&a->v[0])))
        return true;
    *out = a->v[1];
    return a->v[1].type != V_MISSING || text_of(r, STR(""), out);
}

bool filter_attr(struct run *r, const struct args *a, struct value *out)
{
    struct text *name;
    if (!arg_text(r, &a->v[1], "", &name))
        return false;
    struct value self = a->v[0], found;
    if (self.type != V_DICT)
        return attr_get(r, &self, text_str(name), out);
    /* Attributes only, never keys. */
    struct value empty;
    if (!dict_new(r, 0, &empty) || !attr_get(r, &empty, text_str(name), &found))
        return false;
    if (found.type == V_METHOD)
        found.method->self = self;
    *out = found;
    return true;
}

bool filter_list(struct run *r, const struct args *a, struct value *out)
{
    struct seq items;
    if (!value_items(r, &a->v[0], &items) || !value_seq(r, V_LIST, items.n, out))
        return false;
    if (items.n)
        memcpy(out->seq->at, items.at, items.n * sizeof *items.at);
    return true;
}

bool filter_items(struct run *r, const struct args *a, struct value *out)
{
    struct value v = a->v[0];
    struct seq   items = {0};
    if (v.type != V_DICT && v.type != V_UNDEFINED)
        return run_fail(r, "Can only get item pairs from a mapping.");
    if (v.type == V_DICT) {
        v.type = V_ITEMS;
        if (!value_items(r, &v, &items))
            return false;
    }
    return value_generator(r, &items, out);
}

bool filter_first(struct run *r, const struct args *a, struct value *out)
{
    struct generator *g = a->v[0].type == V_GENERATOR ? a->v[0].generator : NULL;
    size_t            taken = g ? g->taken : 0;
    struct seq        items;
    if (!value_items(r, &a->v[0], &items))
        return false;
    if (items.n == 0)
        return value_undefined(r, out, "No first item, sequence was empty.");
    if (g)
        g->taken = taken + 1;
    *out = items.at[0];
    return true;
}

bool filter_last(struct run *r, const struct args *a, struct value *out)
{
    struct seq items;
    if (a->v[0].type == V_GENERATOR)
        return run_fail(r, "'%s' object is not reversible", value_type_name(&a->v[0]));
    if (!value_items(r, &a->v[0], &items))
        return false;
    if (items.n == 0)
        return value_undefined(r, out, "No last item, sequence was empty.");
    *out = items.at[items.n - 1];
    return true;
}

bool filter_reverse(struct run *r, const struct args *a, struct value *out)
{
    struct value none = VALUE_NONE, back = value_int(-1), list;
    struct seq   items;
    if (a->v[0].type == V_STR)
        return attr_slice(r, &a->v[0], &(struct attr_slice){&none, &none, &back}, out);
    if (!value_items(r, &a->v[0], &items) || !value_seq(r, V_LIST, items.n, &list))
        return false;
    for (size_t i = 0; i < items.n; i++)
        list.seq->at[i] = items.at[items.n - 1 - i];
    if (a->v[0].type != V_GENERATOR)
        return value_generator(r, list.seq, out);
    *out = list;
    return true;
}

/* A list of items[from..to), then `more` times `fill`. */
static bool piece(struct run *r, const struct seq *items, size_t from, size_t to, struct value *out)
{
    if (!value_seq(r, V_LIST, to - from, out))
        return false;
    for (size_t i = from; i < to; i++)
        out->seq->at[i - from] = items->at[i];
    return true;
}

static bool filled(struct run *r, const struct value *v, const struct value *fill, size_t more, struct value *out)
{
    struct value list;
    if (!value_seq(r, V_LIST, v->seq->n + more, &list))
        return false;
    for (size_t i = 0; i < list.seq->n; i++)
        list.seq->at[i] = i < v->seq->n ? v->seq->at[i] : *fill;
    *out = list;
    return true;
}

bool filter_batch(struct run *r, const struct args *a, struct value *out)
{
    struct seq   items, rows = {0};
    struct value row;
    int64_t      size;
    if (!arg_int(r, &a->v[1], 0, &size) || !value_items(r, &a->v[0], &items))
        return false;
    /* What Python makes of a size that no batch ever has: one batch of all (or an empty one first). */
    size_t each = size > 0 ? (size_t)size : items.n ? items.n : 1;
    if (size == 0 && items.n)
        return run_fail(r, "batch() wants a number above 0");
    if (!(rows.at = run_new(r, items.n / each + 1, sizeof *rows.at)))
        return false;
    for (size_t at = 0; at < items.n; at += each) {
        size_t n = items.n - at < each ? items.n - at : each;
        if (!piece(r, &items, at, at + n, &row) ||
            (n < each && arg_given(&a->v[2]) && !filled(r, &row, &a->v[2], each - n, &row)))
            return false;
        rows.at[rows.n++] = row;
    }
    return value_generator(r, &rows, out);
}

bool filter_slice(struct run *r, const struct args *a, struct value *out)
{
    struct seq items, rows = {0};
    int64_t    count;
    if (!arg_int(r, &a->v[1], 0, &count) || !value_items(r, &a->v[0], &items))
        return false;
    if (count == 0)
        return run_fail(r, "integer division or modulo by zero");
    size_t n = count > 0 ? (size_t)count : 0, at = 0;
    if (!(rows.at = run_new(r, n, sizeof *rows.at)))
        return false;
    for (; rows.n < n; rows.n++) {
        bool          extra = rows.n < items.n % n;
        size_t        each = items.n / n + extra;
        struct value *row = &rows.at[rows.n];
        if (!piece(r, &items, at, at + each, row) ||
            (!extra && arg_given(&a->v[2]) && !filled(r, row, &a->v[2], 1, row)))
            return false;
        at += each;
    }
    return value_generator(r, &rows, out);
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

/* What to compare by: an attribute, without regard to case unless asked. */
static bool key_of(struct run *r, const struct value *v, const struct value *path, bool with_case, struct value *out)
{
    if (!attr_path(r, v, path, NULL, out))
        return false;
    return with_case || out->type != V_STR || native_case(r, out->text, CASE_LOWER, out);
}

static bool single_keys(struct run *r, const struct seq *items, const struct value *path, bool with_case,
                        struct value **out)
{
    struct value *key = run_new(r, items->n, sizeof *key);
    for (size_t i = 0; key && i < items->n; i++)
        if (!key_of(r, &items->at[i], path, with_case, &key[i]))
            return false;
    *out = key;
    return key != NULL;
}

/* Of paths like "a,b": a list for each item, so that equal parts are not put in an order. */
static bool list_keys(struct run *r, const struct seq *items, const struct value *path, bool with_case,
                      struct value **out)
{
    struct value *key = run_new(r, items->n, sizeof *key), call[2] = {*path}, parts;
    struct seq    paths = {.at = call, .n = 1};
    if (!key)
        return false;
    if (path->type == V_STR) {
        if (!text_of(r, STR(","), &call[1]) ||
            !call_native(r, find_method(V_STR, STR("split")), &(struct actuals){.at = call, .n = 2}, &parts))
            return false;
        paths = *parts.seq;
    }
    for (size_t i = 0; i < items->n; i++) {
        if (!value_seq(r, V_LIST, paths.n, &key[i]))
            return false;
        for (size_t k = 0; k < paths.n; k++)
            if (!key_of(r, &items->at[i], &paths.at[k], with_case, &key[i].seq->at[k]))
                return false;
    }
    *out = key;
    return true;
}

struct sorting {
    struct run         *r;
    const struct value *key;
    size_t             *at, *spare;
    bool                reverse;
};

/* Stable: the left one goes first unless the right one is less. */
static bool merge(struct sorting *s, size_t from, size_t mid, size_t to)
{
    size_t i = from, k = mid, n = from;
    memcpy(s->spare + from, s->at + from, (to - from) * sizeof *s->at);
    while (i < mid && k < to) {
        const struct value *left = &s->key[s->spare[i]], *right = &s->key[s->spare[k]];
        int                 order;
        if (!(s->reverse ? value_order(s->r, left, right, "<", &order) : value_order(s->r, right, left, "<", &order)))
            return false;
        s->at[n++] = order == -1 ? s->spare[k++] : s->spare[i++];
    }
    while (i < mid)
        s->at[n++] = s->spare[i++];
    while (k < to)
        s->at[n++] = s->spare[k++];
    return true;
}

bool native_sort(struct run *r, struct value *at, const struct value *key, size_t n, bool reverse)
{
    struct sorting s = {r, key, run_new(r, n, sizeof(size_t)), NULL, reverse};
    struct value  *copy = run_new(r, n, sizeof *copy);
    if (!s.at || !copy || !(s.spare = run_new(r, n, sizeof(size_t))))
        return false;
    for (size_t i = 0; i < n; i++)
        s.at[i] = i;
    for (size_t width = 1; width < n; width *= 2)
        for (size_t from = 0; from + width < n; from += 2 * width)
            if (!merge(&s, from, from + width, n - from < 2 * width ? n : from + 2 * width))
                return false;
    if (n)
        memcpy(copy, at, n * sizeof *copy);
    for (size_t i = 0; i < n; i++)
        at[i] = copy[s.at[i]];
    return true;
}

bool filter_sort(struct run *r, const struct args *a, struct value *out)
{
    struct value *key;
    return filter_list(r, a, out) && list_keys(r, out->seq, &a->v[3], arg_bool(&a->v[2], false), &key) &&
           native_sort(r, out->seq->at, key, out->seq->n, arg_bool(&a->v[1], false));
}

bool filter_dictsort(struct run *r, const struct args *a, struct value *out)
{
    struct args  pairs = *a;
    struct text *by;
    struct value place, *key;
    if (a->v[0].type == V_UNDEFINED)
        return run_fail(r, "%s", a->v[0].undefined->why.p);
    if (a->v[0].type != V_DICT)
        return run_fail(r, "'%s' has no attribute 'items'", value_object_name(&a->v[0]));
    if (!arg_text(r, &a->v[2], "key", &by))
        return false;
    if (!str_is(text_str(by), "key") && !str_is(text_str(by), "value"))
        return run_fail(r, "You can only sort by either \"key\" or \"value\"");
    pairs.v[0].type = V_ITEMS;
    place = value_int(by->n == 5);
    return filter_list(r, &pairs, out) && single_keys(r, out->seq, &place, arg_bool(&a->v[1], false), &key) &&
           native_sort(r, out->seq->at, key, out->seq->n, arg_bool(&a->v[3], false));
}

static bool extreme(struct run *r, const struct args *a, int wanted, struct value *out)
{
    struct seq    items;
    struct value *key;
    size_t        best = 0;
    if (!value_items(r, &a->v[0], &items))
        return false;
    if (items.n == 0)
        return value_undefined(r, out, "No aggregated item, sequence was empty.");
    if (!single_keys(r, &items, &a->v[2], arg_bool(&a->v[1], false), &key))
        return false;
    for (size_t i = 1; i < items.n; i++) {
        int order;
        if (!value_order(r, &key[i], &key[best], wanted < 0 ? "<" : ">", &order))
            return false;
        best = order == wanted ? i : best;
    }
    *out = items.at[best];
    return true;
}

bool filter_min(struct run *r, const struct args *a, struct value *out)
{
    return extreme(r, a, -1, out);
}

bool filter_max(struct run *r, const struct args *a, struct value *out)
{
    return extreme(r, a, 1, out);
}

bool filter_unique(struct run *r, const struct args *a, struct value *out)
{
    struct seq    items, kept = {0};
    struct value *key, seen, *found;
    if (!value_items(r, &a->v[0], &items) || !single_keys(r, &items, &a->v[2], arg_bool(&a->v[1], false), &key) ||
        !dict_new(r, 0, &seen) || !(kept.at = run_new(r, items.n, sizeof *kept.at)))
        return false;
    for (size_t i = 0; i < items.n; i++) {
        if (!dict_find(r, seen.dict, &key[i], &found) || !dict_put(r, seen.dict, &key[i], &key[i]))
            return false;
        if (!found)
            kept.at[kept.n++] = items.at[i];
    }
    return value_generator(r, &kept, out);
}

/* (grouper, list) of the items [from, to), whose keys are equal. */
static bool group(struct run *r, const struct args *a, const struct seq *items, const size_t *range, struct value *out)
{
    struct value        grouper, list;
    const struct value *fallback = a->v[2].type == V_MISSING ? NULL : &a->v[2];
    if (!attr_path(r, &items->at[range[0]], &a->v[1], fallback, &grouper) ||
        !piece(r, items, range[0], range[1], &list) || !value_pair(r, &grouper, &list, out))
        return false;
    out->seq->group = true;
    return true;
}

bool filter_groupby(struct run *r, const struct args *a, struct value *out)
{
    const struct value *fallback = a->v[2].type == V_MISSING ? NULL : &a->v[2];
    bool                with_case = arg_bool(&a->v[3], false), same = false;
    struct value        sorted, *key, *keys;
    size_t              n = 0, range[2] = {0};
    if (!filter_list(r, a, &sorted) || !(key = run_new(r, sorted.seq->n, sizeof *key)))
        return false;
    for (size_t i = 0; i < sorted.seq->n; i++)
        if (!attr_path(r, &sorted.seq->at[i], &a->v[1], fallback, &key[i]) ||
            (!with_case && key[i].type == V_STR && !native_case(r, key[i].text, CASE_LOWER, &key[i])))
            return false;
    if (!value_seq(r, V_LIST, sorted.seq->n, out) || !(keys = run_new(r, sorted.seq->n, sizeof *keys)))
        return false;
    if (sorted.seq->n)
        memcpy(keys, key, sorted.seq->n * sizeof *keys);
    if (!native_sort(r, sorted.seq->at, key, sorted.seq->n, false) ||
        !native_sort(r, keys, key, sorted.seq->n, false))
        return false;
    for (size_t i = 1; i <= sorted.seq->n; i++) {
        if (i < sorted.seq->n && !value_eq(r, &keys[i], &keys[i - 1], &same))
            return false;
        if (i < sorted.seq->n && same)
            continue;
        range[1] = i;
        if (!group(r, a, sorted.seq, range, &out->seq->at[n++]))
            return false;
        range[0] = i;
    }
    out->seq->n = n;
    return true;
}

/* ---- one by one -------------------------------------------------------------------------------------------------- */

/* Another filter or test, named by a value, and what it gets behind the item. */
struct applied {
    const struct native *native;
    struct actuals       actuals;   /* actuals.at[0] is the item's place */
};

static bool apply_new(struct run *r, const struct args *a, size_t skip, bool test, struct applied *out)
{
    const char   *kind = test ? "test" : "filter";
    struct value *name = &a->rest[skip];
    if (name->type != V_STR)
        return run_fail(r, "No %s named '%s'.", kind, value_type_name(name));
    out->native = test ? find_test(text_str(name->text)) : find_filter(text_str(name->text));
    if (!out->native)
        return run_fail(r, "No %s named '%.*s'.", kind, (int)(name->text->n < 100 ? name->text->n : 100),
                        name->text->p);
    size_t n = a->n_rest - skip;
    out->actuals = (struct actuals){.n = n, .named = a->named, .n_named = a->n_named};
    if (!(out->actuals.at = run_new(r, n, sizeof *out->actuals.at)))
        return false;
    memcpy(out->actuals.at, name, n * sizeof *name);
    return true;
}

static const struct value *named_arg(const struct args *a, const char *name)
{
    for (size_t i = 0; i < a->n_named; i++)
        if (str_is(a->named[i].name, name))
            return &a->named[i].value;
    return NULL;
}

bool filter_map(struct run *r, const struct args *a, struct value *out)
{
    const struct value *path = named_arg(a, "attribute"), *fallback = named_arg(a, "default");
    struct seq          items = {0}, made = {0};
    struct applied      f = {0};
    bool                by_path = a->n_rest == 0 && path;
    if (value_true(&a->v[0]) && !value_items(r, &a->v[0], &items))
        return false;
    if (!by_path && a->n_rest == 0)
        return run_fail(r, "map requires a filter argument");
    if (by_path && a->n_named > 1U + (fallback != NULL))
        return run_fail(r, "map() got an unexpected keyword argument");
    if ((!by_path && items.n && !apply_new(r, a, 0, false, &f)) || !(made.at = run_new(r, items.n, sizeof *made.at)))
        return false;
    if (fallback && fallback->type == V_NONE)
        fallback = NULL;
    for (; made.n < items.n; made.n++) {
        struct value *to = &made.at[made.n];
        if (!run_step(r))
            return false;
        if (by_path) {
            if (!attr_path(r, &items.at[made.n], path, fallback, to))
                return false;
            continue;
        }
        f.actuals.at[0] = items.at[made.n];
        if (!run_enter(r) || !call_native(r, f.native, &f.actuals, to))
            return false;
        run_leave(r);
    }
    return value_generator(r, &made, out);
}

/* select, reject and their …attr: items for which the test holds (or not). */
static bool choose(struct run *r, const struct args *a, bool by_attr, bool wanted, struct value *out)
{
    struct seq     items = {0}, kept = {0};
    struct applied f = {0};
    size_t         skip = by_attr ? 1 : 0;
    if (value_true(&a->v[0]) && !value_items(r, &a->v[0], &items))
        return false;
    if (by_attr && a->n_rest == 0)
        return run_fail(r, "Missing parameter for attribute name");
    if ((a->n_rest > skip && items.n && !apply_new(r, a, skip, true, &f)) ||
        !(kept.at = run_new(r, items.n, sizeof *kept.at)))
        return false;
    for (size_t i = 0; i < items.n; i++) {
        struct value v;
        bool         holds;
        if (!run_step(r) || !attr_path(r, &items.at[i], by_attr ? &a->rest[0] : &(struct value){0}, NULL, &v))
            return false;
        if (f.native) {
            f.actuals.at[0] = v;
            if (!test_call(r, f.native, &f.actuals, &holds))
                return false;
        } else
            holds = value_true(&v);
        if (holds == wanted)
            kept.at[kept.n++] = items.at[i];
    }
    return value_generator(r, &kept, out);
}

bool filter_select(struct run *r, const struct args *a, struct value *out)
{
    return choose(r, a, false, true, out);
}

bool filter_reject(struct run *r, const struct args *a, struct value *out)
{
    return choose(r, a, false, false, out);
}

bool filter_selectattr(struct run *r, const struct args *a, struct value *out)
{
    return choose(r, a, true, true, out);
}

bool filter_rejectattr(struct run *r, const struct args *a, struct value *out)
{
    return choose(r, a, true, false, out);
}
