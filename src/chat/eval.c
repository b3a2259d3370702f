/* eval.c -- expressions. */
#include "chat/ast.h"
#include "chat/run.h"

#include <string.h>

static bool eval_constant(struct run *r, const struct node *n, struct value *out)
{
    (void)r;
    *out = n->value;
    return true;
}

static bool eval_name(struct run *r, const struct node *n, struct value *out)
{
    return scope_get(r, n->name, out);
}

static bool eval_seq(struct run *r, const struct node *n, enum value_type type, struct value *out)
{
    struct value v;
    if (!value_seq(r, type, n->list.n, &v))
        return false;
    for (size_t i = 0; i < n->list.n; i++)
        if (!eval(r, n->list.at[i], &v.seq->at[i]))
            return false;
    *out = v;
    return true;
}

static bool eval_list(struct run *r, const struct node *n, struct value *out)
{
    return eval_seq(r, n, V_LIST, out);
}

static bool eval_tuple(struct run *r, const struct node *n, struct value *out)
{
    return eval_seq(r, n, V_TUPLE, out);
}

static bool eval_dict(struct run *r, const struct node *n, struct value *out)
{
    struct value d, key, value;
    if (!dict_new(r, n->list.n / 2, &d))
        return false;
    for (size_t i = 0; i < n->list.n; i += 2)
        if (!eval(r, n->list.at[i], &key) || !eval(r, n->list.at[i + 1], &value) || !dict_put(r, d.dict, &key, &value))
            return false;
    *out = d;
    return true;
}

/* What testing, printing or comparing an undefined value would hide is an error in arithmetic. */
static bool defined(struct run *r, const struct value *v)
{
    return v->type != V_UNDEFINED || run_fail(r, "%s", v->undefined->why.p);
}

static bool eval_not(struct run *r, const struct node *n, struct value *out)
{
    if (!eval(r, n->a, out))
        return false;
    *out = value_bool(!value_true(out));
    return true;
}

static bool eval_sign(struct run *r, const struct node *n, struct value *out)
{
    struct value v;
    int64_t      i;
    if (!eval(r, n->a, &v) || !defined(r, &v))
        return false;
    if (v.type == V_FLOAT) {
        *out = value_float(n->op == OP_SUB ? -v.f : v.f);
        return true;
    }
    if (!value_int_of(&v, &i))
        return run_fail(r, "bad operand type for unary %s: '%s'", n->op == OP_SUB ? "-" : "+", value_type_name(&v));
    if (n->op == OP_SUB && __builtin_sub_overflow((int64_t)0, i, &i))
        return run_fail(r, "a whole number of more than 64 bits");
    *out = value_int(i);
    return true;
}

static bool eval_and(struct run *r, const struct node *n, struct value *out)
{
    return eval(r, n->a, out) && (!value_true(out) || eval(r, n->b, out));
}

static bool eval_or(struct run *r, const struct node *n, struct value *out)
{
    return eval(r, n->a, out) && (value_true(out) || eval(r, n->b, out));
}

static bool eval_cond(struct run *r, const struct node *n, struct value *out)
{
    struct value test;
    if (!eval(r, n->a, &test))
        return false;
    if (value_true(&test))
        return eval(r, n->b, out);
    if (n->c)
        return eval(r, n->c, out);
    return value_undefined(r, out, "the inline if-expression on line %u evaluated to false and no else section was "
                           "defined.", n->line);
}

static bool eval_binary(struct run *r, const struct node *n, struct value *out)
{
    struct value a, b;
    if (!eval(r, n->a, &a) || !eval(r, n->b, &b))
        return false;
    r->line = n->line;
    if (n->op == OP_MOD && a.type == V_STR)
        return format_percent(r, &a, &b, out);
    return defined(r, &a) && defined(r, &b) && arith(r, n->op, &a, &b, out);
}

static bool eval_concat(struct run *r, const struct node *n, struct value *out)
{
    struct value sum, part;
    for (size_t i = 0; i < n->list.n; i++) {
        if (!eval(r, n->list.at[i], &part) || !print_text(r, &part, &part))
            return false;
        if (i == 0)
            sum = part;
        else if (!text_add(r, sum.text, part.text, &sum))
            return false;
    }
    if (!text_slice(r, sum.text, 0, sum.text->n, out))
        return false;
    out->text->markup = false;
    return true;
}

static bool compare(struct run *r, enum op op, const struct value *a, const struct value *b, bool *out)
{
    static const char *const names[] = {
#define OP(name, text, kind) text,
#include "chat/ops.def"
#undef OP
    };
    int order = 0;
    switch (op) {
    case OP_EQ:
    case OP_NE:
        if (!value_eq(r, a, b, out))
            return false;
        *out ^= op == OP_NE;
        return true;
    case OP_IN:
    case OP_NOT_IN:
        if (!value_in(r, a, b, out))
            return false;
        *out ^= op == OP_NOT_IN;
        return true;
    default: break;
    }
    if (!value_order(r, a, b, names[op], &order))
        return false;
    *out = op == OP_LT ? order == -1 : op == OP_LE ? order <= 0 : op == OP_GT ? order == 1 : order == 0 || order == 1;
    return true;
}

static bool eval_compare(struct run *r, const struct node *n, struct value *out)
{
    struct value a, b;
    bool         holds = true;
    if (!eval(r, n->a, &a))
        return false;
    for (size_t i = 0; holds && i < n->list.n; i++) {
        const struct node *right = n->list.at[i];
        if (!eval(r, right->a, &b) || !compare(r, right->op, &a, &b, &holds))
            return false;
        a = b;
    }
    *out = value_bool(holds);
    return true;
}

/* Read by the nodes that hold them, never evaluated by themselves. */
static bool eval_part(struct run *r, const struct node *n, struct value *out)
{
    (void)r, (void)out;
    CHECK(n->kind != N_OPERAND && n->kind != N_MEMBER);
    return false;
}

/* The text of the block, put there by exec.c. */
static bool eval_hole(struct run *r, const struct node *n, struct value *out)
{
    (void)n;
    *out = r->hole;
    return true;
}

static bool eval_attr(struct run *r, const struct node *n, struct value *out)
{
    struct value v;
    if (!eval(r, n->a, &v))
        return false;
    r->line = n->line;
    return attr_get(r, &v, text_str(n->value.text), out);
}

static bool eval_item(struct run *r, const struct node *n, struct value *out)
{
    struct value v, key;
    if (!eval(r, n->a, &v) || !eval(r, n->b, &key))
        return false;
    r->line = n->line;
    return attr_item(r, &v, &key, out);
}

static bool eval_slice(struct run *r, const struct node *n, struct value *out)
{
    struct value v, part[3] = {VALUE_NONE, VALUE_NONE, VALUE_NONE};
    if (!eval(r, n->a, &v))
        return false;
    for (size_t i = 0; i < 3; i++)
        if (n->list.at[i] && !eval(r, n->list.at[i], &part[i]))
            return false;
    r->line = n->line;
    return attr_slice(r, &v, &(struct attr_slice){&part[0], &part[1], &part[2]}, out);
}

/* f(…, *star) */
static bool spread(struct run *r, const struct node *star, struct seq *out)
{
    struct value v;
    *out = (struct seq){0};
    if (!star)
        return true;
    if (!eval(r, star, &v))
        return false;
    if (v.type == V_NONE || value_is_number(&v))
        return run_fail(r, "argument after * must be an iterable, not %s", value_type_name(&v));
    return value_items(r, &v, out);
}

/* f(…, **star_star) */
static bool spread_named(struct run *r, const struct node *star_star, struct dict **out)
{
    struct value v;
    *out = NULL;
    if (!star_star)
        return true;
    if (!eval(r, star_star, &v))
        return false;
    if (v.type != V_DICT)
        return run_fail(r, "argument after ** must be a mapping, not %s", value_type_name(&v));
    for (size_t i = 0; i < v.dict->n; i++)
        if (v.dict->at[i].key.type != V_STR)
            return run_fail(r, "keywords must be strings");
    *out = v.dict;
    return true;
}

/* `self` (of a filter or test) goes before the others; NULL: none. */
static bool eval_arguments(struct run *r, const struct call *c, const struct value *self, struct actuals *out)
{
    struct seq   star;
    struct dict *named;
    *out = (struct actuals){0};
    if (!c->star && !c->star_star && c->n_named == 0 && c->list.n + (self != NULL) == 0)
        return true;
    if (!spread(r, c->star, &star) || !spread_named(r, c->star_star, &named))
        return false;
    size_t n = c->list.n + star.n + (self != NULL), n_named = c->n_named + (named ? named->n : 0);
    out->at = run_new(r, n, sizeof *out->at);
    out->named = out->at ? run_new(r, n_named, sizeof *out->named) : NULL;
    if (!out->named)
        return false;
    if (self)
        out->at[out->n++] = *self;
    for (size_t i = 0; i < c->list.n; i++)
        if (!eval(r, c->list.at[i], &out->at[out->n++]))
            return false;
    for (size_t i = 0; i < star.n; i++)
        out->at[out->n++] = star.at[i];
    for (size_t i = 0; i < c->n_named; i++) {
        struct named *to = &out->named[out->n_named++];
        to->name = c->named[i].name;
        if (!eval(r, c->named[i].value, &to->value))
            return false;
    }
    for (size_t i = 0; named && i < named->n; i++)
        out->named[out->n_named++] = (struct named){text_str(named->at[i].key.text), named->at[i].value};
    return true;
}

static bool eval_call(struct run *r, const struct node *n, struct value *out)
{
    struct value   f;
    struct actuals a;
    if (!eval(r, n->a, &f) || !eval_arguments(r, n->call, NULL, &a))
        return false;
    r->line = n->line;
    return call_value(r, &f, &a, out);
}

bool eval_call_with(struct run *r, const struct node *n, const struct named *more, struct value *out)
{
    struct value   f;
    struct actuals a;
    if (!eval(r, n->a, &f) || !eval_arguments(r, n->call, NULL, &a))
        return false;
    struct named *named = run_new(r, a.n_named + 1, sizeof *named);
    if (!named)
        return false;
    if (a.n_named)
        memcpy(named, a.named, a.n_named * sizeof *named);
    named[a.n_named++] = *more;
    a.named = named;
    r->line = n->line;
    return call_value(r, &f, &a, out);
}

/* The value to be filtered or tested, and the arguments behind it. */
static bool eval_piped(struct run *r, const struct node *n, struct actuals *a)
{
    struct value self;
    if (!n->native) {
        r->line = n->line;
        return run_fail(r, "No %s named '%s' found.", n->kind == N_TEST ? "test" : "filter", n->value.text->p);
    }
    if (!eval(r, n->a, &self) || !eval_arguments(r, n->call, &self, a))
        return false;
    r->line = n->line;
    return true;
}

static bool eval_filter(struct run *r, const struct node *n, struct value *out)
{
    struct actuals a;
    return eval_piped(r, n, &a) && call_native(r, n->native, &a, out);
}

static bool eval_test(struct run *r, const struct node *n, struct value *out)
{
    struct actuals a;
    bool           holds;
    if (!eval_piped(r, n, &a) || !test_call(r, n->native, &a, &holds))
        return false;
    *out = value_bool(holds);
    return true;
}

bool eval(struct run *r, const struct node *n, struct value *out)
{
    static bool (*const functions[N_COUNT])(struct run *, const struct node *, struct value *) = {
#define EXPR(name, function) [N_##name] = eval_##function,
#define STMT(name, function)
#include "chat/nodes.def"
#undef EXPR
#undef STMT
    };
    if (!run_step(r) || !run_enter(r))
        return false;
    r->line = n->line;
    bool ok = functions[n->kind](r, n, out);
    run_leave(r);
    return ok;
}
