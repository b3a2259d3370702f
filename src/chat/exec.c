/* exec.c -- statements. */
#include "chat/ast.h"
#include "chat/run.h"

#include <string.h>

static bool exec_output(struct run *r, const struct node *n)
{
    for (size_t i = 0; i < n->list.n; i++) {
        struct value v;
        if (!eval(r, n->list.at[i], &v) || !print_str(r, &v))
            return false;
    }
    return true;
}

/* A chain of elif hangs in `more`, one by one; walked here, so that it costs no depth. */
static bool exec_if(struct run *r, const struct node *n)
{
    for (;;) {
        struct value test;
        if (!eval(r, n->a, &test))
            return false;
        if (value_true(&test))
            return exec(r, &n->list);
        if (n->more.n != 1 || n->more.at[0]->kind != N_IF)
            return exec(r, &n->more);
        n = n->more.at[0];
    }
}

static bool assign(struct run *r, const struct node *target, const struct value *v);

static bool unpack(struct run *r, const struct node *target, const struct value *v)
{
    struct seq items;
    if (!value_is_iterable(v))
        return run_fail(r, "cannot unpack non-iterable %s object", value_type_name(v));
    if (!run_enter(r) || !value_items(r, v, &items))
        return false;
    if (items.n < target->list.n)
        return run_fail(r, "not enough values to unpack (expected %zu, got %zu)", target->list.n, items.n);
    if (items.n > target->list.n)
        return run_fail(r, "too many values to unpack (expected %zu)", target->list.n);
    for (size_t i = 0; i < items.n; i++)
        if (!assign(r, target->list.at[i], &items.at[i]))
            return false;
    run_leave(r);
    return true;
}

static bool assign(struct run *r, const struct node *target, const struct value *v)
{
    struct value space;
    switch (target->kind) {
    case N_NAME: return scope_set(r, target->name, v);
    case N_TUPLE: return unpack(r, target, v);
    default: break;
    }
    if (!scope_get(r, target->name, &space))
        return false;
    if (space.type != V_NAMESPACE)
        return run_fail(r, "cannot assign attribute on non-namespace object");
    return dict_put(r, space.dict, &target->value, v);
}

static bool exec_set(struct run *r, const struct node *n)
{
    struct value v;
    return eval(r, n->b, &v) && assign(r, n->a, &v);
}

static bool exec_with(struct run *r, const struct node *n)
{
    struct scope *outer = r->scope;
    struct value *v = run_new(r, n->more.n, sizeof *v);
    if (!v)
        return false;
    for (size_t i = 0; i < n->more.n; i++)
        if (!eval(r, n->more.at[i]->b, &v[i]))
            return false;
    if (!scope_push(r))
        return false;
    for (size_t i = 0; i < n->more.n; i++)
        if (!assign(r, n->more.at[i]->a, &v[i]))
            return false;
    bool ok = exec(r, &n->list);
    r->scope = outer;
    return ok;
}

/* Runs a body in a scope of its own and takes what it wrote. */
static bool capture(struct run *r, const struct nodes *body, struct value *out)
{
    size_t from = run_top(r);
    if (!scope_push(r) || !exec(r, body))
        return false;
    scope_pop(r);
    return text_take(r, from, out);
}

static bool filtered(struct run *r, const struct node *filters, struct value *v)
{
    struct value outer = r->hole;
    r->hole = *v;
    bool ok = eval(r, filters, v);
    r->hole = outer;
    return ok;
}

static bool exec_set_block(struct run *r, const struct node *n)
{
    struct value v;
    if (!capture(r, &n->list, &v) || r->flow != FLOW_ON)
        return r->flow != FLOW_ON;
    return (!n->b || filtered(r, n->b, &v)) && assign(r, n->a, &v);
}

static bool exec_filter_block(struct run *r, const struct node *n)
{
    struct value v;
    if (!capture(r, &n->list, &v) || r->flow != FLOW_ON)
        return r->flow != FLOW_ON;
    if (!filtered(r, n->b, &v))
        return false;
    if (v.type != V_STR)
        return run_fail(r, "expected str instance, %s found", value_type_name(&v));
    return print_str(r, &v);
}

/* A macro refers to the scopes that it was written in. */
static bool macro_value(struct run *r, const struct node *n, struct value *out)
{
    struct macro *m = run_new(r, 1, sizeof *m);
    if (!m)
        return false;
    *m = (struct macro){n, r->scope};
    for (struct scope *s = r->scope; s && !s->kept; s = s->outer)
        s->kept = true;
    *out = (struct value){.type = V_MACRO, .macro = m};
    return true;
}

static bool exec_macro_node(struct run *r, const struct node *n)
{
    struct value m;
    return macro_value(r, n, &m) && scope_set(r, n->name, &m);
}

static bool exec_call_block(struct run *r, const struct node *n)
{
    struct named caller = {.name = STR("caller")};
    struct value v;
    return macro_value(r, n, &caller.value) && eval_call_with(r, n->a, &caller, &v) && print_str(r, &v);
}

static bool exec_break(struct run *r, const struct node *n)
{
    (void)n;
    r->flow = FLOW_BREAK;
    return true;
}

static bool exec_continue(struct run *r, const struct node *n)
{
    (void)n;
    r->flow = FLOW_CONTINUE;
    return true;
}

/* Only what the loop's own "if" lets through counts for loop.index and loop.last. */
static bool let_through(struct run *r, const struct node *n, struct seq *items)
{
    struct value *at = run_new(r, items->n, sizeof *at);
    struct scope *outer = r->scope;
    size_t        kept = 0;
    if (!at)
        return false;
    for (size_t i = 0; i < items->n; i++) {
        struct value test;
        if ((i == 0 || r->scope->kept) && (r->scope = outer, !scope_push(r)))
            return false;
        r->scope->n = 0;
        if (!assign(r, n->a, &items->at[i]) || !eval(r, n->c, &test))
            return false;
        if (value_true(&test))
            at[kept++] = items->at[i];
    }
    r->scope = outer;
    *items = (struct seq){.at = at, .n = kept};
    return true;
}

/* *whole: some turn went through to its end. */
static bool run_loop(struct run *r, struct loop *l, bool *whole)
{
    const struct node *n = l->node;
    struct value       self = {.type = V_LOOP, .loop = l};
    struct scope      *outer = r->scope;
    bool               ok = true;
    for (l->at = 0; ok && l->at < l->items.n; l->at++) {
        if ((l->at == 0 || r->scope->kept) && (r->scope = outer, !scope_push(r)))
            return false;
        r->scope->n = 0;
        ok = run_step(r) && scope_set(r, NAME_LOOP, &self) && assign(r, n->a, &l->items.at[l->at]) &&
             exec(r, &n->list);
        *whole |= r->flow == FLOW_ON;
        if (r->flow == FLOW_BREAK)
            break;
        r->flow = FLOW_ON;
    }
    r->flow = FLOW_ON;
    r->scope = outer;
    return ok;
}

/* The loop over these items; `depth` counts how often a recursive loop was called from itself. */
static bool exec_loop(struct run *r, const struct node *n, const struct value *over, uint32_t depth)
{
    struct loop *l = run_new(r, 1, sizeof *l);
    if (!l || !value_items(r, over, &l->items) || (n->c && !let_through(r, n, &l->items)))
        return false;
    l->node = n;
    l->depth = depth;
    l->outer = r->scope;
    l->last_change = VALUE_MISSING;
    bool whole = false;
    if (!run_loop(r, l, &whole))
        return false;
    /* Jinja2 takes the else branch also when every turn was left by continue or break. */
    if (whole || n->more.n == 0)
        return true;
    if (!scope_push(r))
        return false;
    bool ok = exec(r, &n->more);
    scope_pop(r);
    return ok;
}

static bool exec_for(struct run *r, const struct node *n)
{
    struct value over;
    return eval(r, n->b, &over) && exec_loop(r, n, &over, 0);
}

static bool enter_call(struct run *r)
{
    if (r->calls == 0)
        return run_limit(r, "calls itself too often");
    r->calls--;
    return true;
}

bool exec_loop_again(struct run *r, struct loop *l, const struct value *items, struct value *out)
{
    struct scope *scope = r->scope;
    size_t        from = run_top(r);
    if (!l->node->recursive)
        return run_fail(r, "The loop must have the 'recursive' marker to be called recursively.");
    if (!enter_call(r))
        return false;
    r->scope = l->outer;
    if (!exec_loop(r, l->node, items, l->depth + 1))
        return false;
    r->scope = scope;
    r->calls++;
    return text_take(r, from, out);
}

static const char *macro_name(const struct run *r, const struct node *n)
{
    static const char none[] = "None";
    return n->kind == N_CALL_BLOCK ? none : r->t->name[n->name].p;
}

static int macro_name_bytes(const struct run *r, const struct node *n)
{
    size_t bytes = n->kind == N_CALL_BLOCK ? 4 : r->t->name[n->name].n;
    return (int)(bytes < 100 ? bytes : 100);
}

/* Named arguments: to their parameters, the rest to kwargs and caller. */
static bool bind_named(struct run *r, const struct node *n, const struct actuals *a, bool *given)
{
    const struct params *p = n->params;
    struct value         kwargs, caller = VALUE_MISSING;
    if (!dict_new(r, 0, &kwargs))
        return false;
    for (size_t i = 0; i < a->n_named; i++) {
        const struct named *x = &a->named[i];
        size_t              k = 0;
        while (k < p->n && !str_eq(r->t->name[p->at[k].name], x->name))
            k++;
        if (k < p->n) {
            if (given[k])
                return run_fail(r, "macro '%.*s' got multiple values for argument '%.*s'", macro_name_bytes(r, n),
                                macro_name(r, n), (int)(x->name.n < 100 ? x->name.n : 100), x->name.p);
            given[k] = true;
            if (!scope_set(r, p->at[k].name, &x->value))
                return false;
        } else if (p->caller && str_is(x->name, "caller"))
            caller = x->value;
        else {
            struct value key;
            if (!p->kwargs)
                return run_fail(r, "macro '%.*s' takes no keyword argument '%.*s'", macro_name_bytes(r, n),
                                macro_name(r, n), (int)(x->name.n < 100 ? x->name.n : 100), x->name.p);
            if (!text_of(r, x->name, &key) || !dict_put(r, kwargs.dict, &key, &x->value))
                return false;
        }
    }
    if (p->caller && caller.type == V_MISSING && !value_undefined(r, &caller, "No caller defined"))
        return false;
    return (!p->caller || scope_set(r, NAME_CALLER, &caller)) && (!p->kwargs || scope_set(r, NAME_KWARGS, &kwargs));
}

static bool bind(struct run *r, const struct node *n, const struct actuals *a)
{
    const struct params *p = n->params;
    size_t               n_rest = a->n > p->n ? a->n - p->n : 0;
    struct value         rest;
    bool                *given = run_new(r, p->n, sizeof *given);
    if (!given)
        return false;
    if (n_rest && !p->varargs)
        return run_fail(r, "macro '%.*s' takes not more than %zu argument(s)", macro_name_bytes(r, n),
                        macro_name(r, n), p->n);
    for (size_t i = 0; i < p->n && i < a->n; i++) {
        given[i] = true;
        if (!scope_set(r, p->at[i].name, &a->at[i]))
            return false;
    }
    if (!value_seq(r, V_TUPLE, n_rest, &rest))
        return false;
    if (n_rest)
        memcpy(rest.seq->at, a->at + p->n, n_rest * sizeof *rest.seq->at);
    if ((p->varargs && !scope_set(r, NAME_VARARGS, &rest)) || !bind_named(r, n, a, given))
        return false;
    for (size_t i = 0; i < p->n; i++) {
        struct str   name = r->t->name[p->at[i].name];
        struct value v;
        if (given[i])
            continue;
        bool ok = p->at[i].fallback ? eval(r, p->at[i].fallback, &v)
                                    : value_undefined(r, &v, "parameter '%.*s' was not provided",
                                                      (int)(name.n < 100 ? name.n : 100), name.p);
        if (!ok || !scope_set(r, p->at[i].name, &v))
            return false;
    }
    return true;
}

bool exec_macro(struct run *r, const struct value *f, const struct actuals *a, struct value *out)
{
    struct scope *scope = r->scope;
    size_t        from = run_top(r);
    if (!enter_call(r))
        return false;
    r->scope = f->macro->scope;
    if (!scope_push(r) || !bind(r, f->macro->node, a) || !exec(r, &f->macro->node->list))
        return false;
    r->scope = scope;
    r->calls++;
    return text_take(r, from, out);
}

bool exec(struct run *r, const struct nodes *body)
{
    static bool (*const functions[N_COUNT])(struct run *, const struct node *) = {
#define EXPR(name, function)
#define STMT(name, function) [N_##name] = exec_##function,
#include "chat/nodes.def"
#undef EXPR
#undef STMT
    };
    if (!run_enter(r))
        return false;
    for (size_t i = 0; i < body->n && r->flow == FLOW_ON; i++) {
        r->line = body->at[i]->line;
        if (!run_step(r) || !functions[body->at[i]->kind](r, body->at[i]))
            return false;
    }
    run_leave(r);
    return true;
}
