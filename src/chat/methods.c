/* methods.c -- methods of lists, dicts and the rest; those of strings are in methods_str.c. */
#include "chat/natives.h"

#include <math.h>

/* Stands in the table only; attr.c refuses it by name. */
bool method_refused(struct run *r, const struct args *a, struct value *out)
{
    (void)a, (void)out;
    return run_fail(r, "this would change a value");
}

bool method_seq_count(struct run *r, const struct args *a, struct value *out)
{
    const struct seq *s = a->v[0].seq;
    int64_t           n = 0;
    for (size_t i = 0; i < s->n; i++) {
        bool same;
        if (!value_eq(r, &s->at[i], &a->v[1], &same))
            return false;
        n += same;
    }
    *out = value_int(n);
    return true;
}

/* A place counted from the end, and kept inside. */
static size_t place(int64_t i, size_t n)
{
    if (i < 0)
        i = i < -(int64_t)n ? 0 : i + (int64_t)n;
    return (uint64_t)i < n ? (size_t)i : n;
}

bool method_seq_index(struct run *r, const struct args *a, struct value *out)
{
    const struct seq *s = a->v[0].seq;
    int64_t           start, end;
    if (!arg_int(r, &a->v[2], 0, &start) || !arg_int(r, &a->v[3], INT64_MAX, &end))
        return false;
    for (size_t i = place(start, s->n); i < place(end, s->n); i++) {
        bool same;
        if (!value_eq(r, &s->at[i], &a->v[1], &same))
            return false;
        *out = value_int((int64_t)i);
        if (same)
            return true;
    }
    return run_fail(r, "the value is not in the %s", value_type_name(&a->v[0]));
}

/* Nothing can change it, so it is its own copy. */
bool method_copy(struct run *r, const struct args *a, struct value *out)
{
    (void)r;
    *out = a->v[0];
    return true;
}

bool method_get(struct run *r, const struct args *a, struct value *out)
{
    struct value *found;
    if (!dict_find(r, a->v[0].dict, &a->v[1], &found))
        return false;
    *out = found ? *found : a->v[2].type != V_MISSING ? a->v[2] : VALUE_NONE;
    return true;
}

static bool view(const struct args *a, enum value_type type, struct value *out)
{
    *out = a->v[0];
    out->type = type;
    return true;
}

bool method_items(struct run *r, const struct args *a, struct value *out)
{
    (void)r;
    return view(a, V_ITEMS, out);
}

bool method_keys(struct run *r, const struct args *a, struct value *out)
{
    (void)r;
    return view(a, V_KEYS, out);
}

bool method_values(struct run *r, const struct args *a, struct value *out)
{
    (void)r;
    return view(a, V_VALUES, out);
}

bool method_is_integer(struct run *r, const struct args *a, struct value *out)
{
    (void)r;
    *out = value_bool(isfinite(a->v[0].f) && a->v[0].f == floor(a->v[0].f));
    return true;
}

bool method_changed(struct run *r, const struct args *a, struct value *out)
{
    struct loop *l = a->v[0].loop;
    struct value now;
    bool         same = false;
    if (!value_seq(r, V_TUPLE, a->n_rest, &now))
        return false;
    for (size_t i = 0; i < a->n_rest; i++)
        now.seq->at[i] = a->rest[i];
    if (!value_eq(r, &now, &l->last_change, &same))
        return false;
    l->last_change = now;
    *out = value_bool(!same);
    return true;
}

bool method_cycle(struct run *r, const struct args *a, struct value *out)
{
    if (a->n_rest == 0)
        return run_fail(r, "no items for cycling given");
    *out = a->rest[a->v[0].loop->at % a->n_rest];
    return true;
}

bool method_next(struct run *r, const struct args *a, struct value *out)
{
    struct generator *g = a->v[0].generator;
    (void)r;
    *out = g->at[g->taken];
    g->taken = (g->taken + 1) % g->n;
    return true;
}

bool method_reset(struct run *r, const struct args *a, struct value *out)
{
    (void)r;
    a->v[0].generator->taken = 0;
    *out = VALUE_NONE;
    return true;
}
