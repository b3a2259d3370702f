/* call.c -- calling whatever can be called; the tables of what is built in. */
#include "chat/natives.h"
#include "chat/run.h"

#include <stdio.h>
#include <string.h>

#define ROW(name, params, function) {name, params, function},
static const struct native globals[] = {
#define GLOBAL ROW
#include "chat/globals.def"
};
static const struct native filters[] = {
#define FILTER ROW
#include "chat/filters.def"
};
static const struct native tests[] = {
#define TEST ROW
#include "chat/tests.def"
};
static const struct {
    enum value_type type;
    struct native   native;
} methods[] = {
#define METHOD(type, name, params, function) {V_##type, {name, params, function}},
#include "chat/methods.def"
};

static const struct native *find(const struct native *table, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_is(name, table[i].name))
            return &table[i];
    return NULL;
}

const struct native *find_global(struct str name)
{
    return find(globals, sizeof globals / sizeof *globals, name);
}

const struct native *find_filter(struct str name)
{
    return find(filters, sizeof filters / sizeof *filters, name);
}

const struct native *find_test(struct str name)
{
    return find(tests, sizeof tests / sizeof *tests, name);
}

const struct native *find_method(enum value_type type, struct str name)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (methods[i].type == type && str_is(name, methods[i].native.name))
            return &methods[i].native;
    return NULL;
}

/* The list of parameters, taken apart. */
struct signature {
    struct str name[ARGS_MAX];
    size_t     n, n_needed;
    bool       rest, named;
};

static struct signature signature_of(const char *params)
{
    struct signature s = {0};
    while (*params) {
        size_t n = strcspn(params, " ");
        if (n == 1 && params[0] == '*')
            s.rest = true;
        else if (n == 2 && params[0] == '*')
            s.named = true;
        else {
            bool optional = params[0] == '?';
            CHECK(s.n < ARGS_MAX);
            s.name[s.n++] = (struct str){params + optional, n - optional};
            s.n_needed += !optional;
        }
        params += n;
        params += *params == ' ';
    }
    return s;
}

static bool bind_named(struct run *r, const struct native *f, const struct signature *s, const struct named *x,
                       struct args *to)
{
    int n = (int)(x->name.n < 100 ? x->name.n : 100);
    for (size_t i = 0; i < s->n; i++)
        if (str_eq(s->name[i], x->name)) {
            if (to->v[i].type != V_MISSING)
                return run_fail(r, "%s() got multiple values for argument '%.*s'", f->name, n, x->name.p);
            to->v[i] = x->value;
            return true;
        }
    if (!s->named)
        return run_fail(r, "%s() got an unexpected keyword argument '%.*s'", f->name, n, x->name.p);
    to->named[to->n_named++] = *x;
    return true;
}

bool call_native(struct run *r, const struct native *f, const struct actuals *a, struct value *out)
{
    struct signature s = signature_of(f->params);
    struct args      to = {0};
    if (a->n > s.n && !s.rest)
        return run_fail(r, "%s() takes at most %zu arguments (%zu given)", f->name, s.n, a->n);
    for (size_t i = 0; i < s.n && i < a->n; i++)
        to.v[i] = a->at[i];
    if (a->n > s.n) {
        to.rest = a->at + s.n;
        to.n_rest = a->n - s.n;
    }
    if (a->n_named && !(to.named = run_new(r, a->n_named, sizeof *to.named)))
        return false;
    for (size_t i = 0; i < a->n_named; i++)
        if (!bind_named(r, f, &s, &a->named[i], &to))
            return false;
    for (size_t i = 0; i < s.n_needed; i++)
        if (to.v[i].type == V_MISSING)
            return run_fail(r, "%s() missing required argument '%.*s'", f->name, (int)s.name[i].n, s.name[i].p);
    return f->fn(r, &to, out);
}

bool test_call(struct run *r, const struct native *f, const struct actuals *a, bool *out)
{
    struct value v;
    if (!call_native(r, f, a, &v))
        return false;
    *out = value_true(&v);
    return true;
}

/* The value a method belongs to goes before the arguments. */
static bool call_method(struct run *r, const struct method *m, const struct actuals *a, struct value *out)
{
    struct actuals with = *a;
    with.at = run_new(r, a->n + 1, sizeof *with.at);
    if (!with.at)
        return false;
    with.at[0] = m->self;
    if (a->n)
        memcpy(with.at + 1, a->at, a->n * sizeof *with.at);
    with.n = a->n + 1;
    return call_native(r, m->native, &with, out);
}

static bool call_self(struct run *r, const struct value *f, const struct actuals *a, struct value *out)
{
    switch (f->type) {
    case V_MACRO: return exec_macro(r, f, a, out);
    case V_FUNCTION: return call_native(r, f->native, a, out);
    case V_METHOD: return call_method(r, f->method, a, out);
    case V_LOOP:
        if (a->n != 1 || a->n_named)
            return run_fail(r, "loop() takes one argument");
        return exec_loop_again(r, f->loop, &a->at[0], out);
    case V_JOINER:
        if (f->joiner->used)
            *out = f->joiner->sep;
        else
            f->joiner->used = true;
        return out->type != V_MISSING || text_of(r, STR(""), out);
    case V_UNDEFINED: return run_fail(r, "%s", f->undefined->why.p);
    default: return run_fail(r, "'%s' object is not callable", value_type_name(f));
    }
}

bool call_value(struct run *r, const struct value *f, const struct actuals *a, struct value *out)
{
    *out = VALUE_MISSING;
    return call_self(r, f, a, out);
}
