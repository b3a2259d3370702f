/* parse_expr.c -- expressions, loosest binding first, each level as Jinja2 has it. */
#include "chat/parse.h"

#include "chat/run.h"

#include <string.h>

enum { NAMED_MAX = 255 };

static struct node *unexpected(struct parser *p)
{
    parse_unexpected(p);
    return NULL;
}

static struct node *node_of(struct parser *p, enum node_kind kind, struct node *a, struct node *b)
{
    struct node *n = a && b ? parse_node(p, kind) : NULL;
    if (n) {
        n->a = a;
        n->b = b;
    }
    return n;
}

static struct node *parse_unary(struct parser *p, bool with_filter);

static bool op_here(struct parser *p, const char *const *text, const enum op *ops, enum op *out)
{
    for (size_t i = 0; text[i]; i++)
        if (parse_skip(p, T_OP, text[i])) {
            *out = ops[i];
            return true;
        }
    return false;
}

static struct node *parse_pow(struct parser *p)
{
    struct node *n = parse_unary(p, true);
    while (n && parse_skip(p, T_OP, "**")) {
        n = node_of(p, N_BINARY, n, parse_unary(p, true));
        if (n)
            n->op = OP_POW;
    }
    return n;
}

static struct node *parse_product(struct parser *p)
{
    static const char *const text[] = {"*", "/", "//", "%", NULL};
    static const enum op     ops[] = {OP_MUL, OP_DIV, OP_FLOORDIV, OP_MOD};
    struct node             *n = parse_pow(p);
    enum op                  op;
    while (n && op_here(p, text, ops, &op)) {
        n = node_of(p, N_BINARY, n, parse_pow(p));
        if (n)
            n->op = op;
    }
    return n;
}

static struct node *parse_concat(struct parser *p)
{
    struct node *first = parse_product(p);
    if (!first || !parse_is(p, 0, T_OP, "~"))
        return first;
    struct node   *n = parse_node(p, N_CONCAT);
    struct growing g = {0};
    if (!n || !growing_add(p, &g, first))
        return NULL;
    while (parse_skip(p, T_OP, "~"))
        if (!growing_add(p, &g, parse_product(p)))
            return NULL;
    n->list = g.list;
    return n;
}

static struct node *parse_sum(struct parser *p)
{
    static const char *const text[] = {"+", "-", NULL};
    static const enum op     ops[] = {OP_ADD, OP_SUB};
    struct node             *n = parse_concat(p);
    enum op                  op;
    while (n && op_here(p, text, ops, &op)) {
        n = node_of(p, N_BINARY, n, parse_concat(p));
        if (n)
            n->op = op;
    }
    return n;
}

static bool comparison_here(struct parser *p, enum op *out)
{
    static const char *const text[] = {"==", "!=", "<=", ">=", "<", ">", NULL};
    static const enum op     ops[] = {OP_EQ, OP_NE, OP_LE, OP_GE, OP_LT, OP_GT};
    if (op_here(p, text, ops, out))
        return true;
    *out = OP_IN;
    if (parse_skip(p, T_NAME, "in"))
        return true;
    *out = OP_NOT_IN;
    if (!parse_is(p, 0, T_NAME, "not") || !parse_is(p, 1, T_NAME, "in"))
        return false;
    p->at += 2;
    return true;
}

static struct node *parse_comparison(struct parser *p)
{
    struct node   *first = parse_sum(p), *n = NULL;
    struct growing g = {0};
    enum op        op;
    while (first && comparison_here(p, &op)) {
        struct node *right = parse_node(p, N_OPERAND);
        if (!right || !(right->a = parse_sum(p)) || !growing_add(p, &g, right))
            return NULL;
        right->op = op;
        if (!n && !(n = parse_node(p, N_COMPARE)))
            return NULL;
    }
    if (!n)
        return first;
    n->a = first;
    n->list = g.list;
    return n;
}

static struct node *parse_not(struct parser *p)
{
    if (!parse_is(p, 0, T_NAME, "not"))
        return parse_comparison(p);
    struct node *n = parse_node(p, N_NOT);
    if (!n || !parse_enter(p))
        return NULL;
    p->at++;
    n->a = parse_not(p);
    p->depth--;
    return n->a ? n : NULL;
}

static struct node *parse_and(struct parser *p)
{
    struct node *n = parse_not(p);
    while (n && parse_skip(p, T_NAME, "and"))
        n = node_of(p, N_AND, n, parse_not(p));
    return n;
}

static struct node *parse_or(struct parser *p)
{
    struct node *n = parse_and(p);
    while (n && parse_skip(p, T_NAME, "or"))
        n = node_of(p, N_OR, n, parse_and(p));
    return n;
}

static struct node *parse_conditional(struct parser *p)
{
    const struct node *unknown = p->unknown;
    struct node       *n = parse_or(p);
    while (n && parse_skip(p, T_NAME, "if")) {
        struct node *cond = node_of(p, N_COND, parse_or(p), n);
        if (!cond)
            return NULL;
        if (parse_skip(p, T_NAME, "else") && !(cond->c = parse_expression(p, true)))
            return NULL;
        n = cond;
        p->unknown = unknown;
    }
    return n;
}

struct node *parse_expression(struct parser *p, bool with_if)
{
    if (!parse_enter(p))
        return NULL;
    struct node *n = with_if ? parse_conditional(p) : parse_or(p);
    p->depth--;
    return n;
}

/* Elements up to the closing bracket, a comma behind the last one being fine. */
static bool parse_elements(struct parser *p, const char *close, bool pairs, struct nodes *out)
{
    struct growing g = {0};
    p->at++;
    while (!parse_is(p, 0, T_OP, close)) {
        if (g.list.n && !parse_expect(p, T_OP, ","))
            return false;
        if (parse_is(p, 0, T_OP, close))
            break;
        if (!growing_add(p, &g, parse_expression(p, true)))
            return false;
        if (pairs && (!parse_expect(p, T_OP, ":") || !growing_add(p, &g, parse_expression(p, true))))
            return false;
    }
    *out = g.list;
    return parse_expect(p, T_OP, close);
}

static struct node *parse_brackets(struct parser *p, enum node_kind kind, const char *close)
{
    struct node *n = parse_node(p, kind);
    return n && parse_elements(p, close, kind == N_DICT, &n->list) ? n : NULL;
}

/* Jinja2 decides before rendering where a name comes from: one that the template's own level sets, in no branch, before
 * it reads it there, is the template's alone, also in the macros and loops above. */
void parse_note_set(struct parser *p, const struct node *target)
{
    if (target->kind == N_TUPLE)
        for (size_t i = 0; i < target->list.n; i++)
            parse_note_set(p, target->list.at[i]);
    if (target->kind != N_NAME || p->scopes)
        return;
    p->t->set_first[target->name] |= !p->met[target->name] && !p->branches;
    p->met[target->name] = true;
}

/* A read of some makes the macros around it take such arguments. */
static void note_read(struct parser *p, uint32_t name)
{
    p->t->read[name] = true;
    p->met[name] |= p->scopes == 0;
    for (struct around *a = p->around; a; a = a->outer) {
        a->params->caller |= name == NAME_CALLER;
        a->params->varargs |= name == NAME_VARARGS;
        a->params->kwargs |= name == NAME_KWARGS;
    }
}

static struct node *parse_word(struct parser *p)
{
    static const struct {
        const char  *word;
        struct value value;
    } words[] = {
        {"true", {.type = V_BOOL, .b = true}},   {"True", {.type = V_BOOL, .b = true}},
        {"false", {.type = V_BOOL, .b = false}}, {"False", {.type = V_BOOL, .b = false}},
        {"none", {.type = V_NONE}},              {"None", {.type = V_NONE}},
    };
    struct str   s = parse_token(p)->text;
    struct node *n = parse_node(p, N_NAME);
    if (!n)
        return NULL;
    p->at++;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_is(s, words[i].word)) {
            n->kind = N_CONST;
            n->value = words[i].value;
            return n;
        }
    if (!parse_name(p, s, &n->name))
        return NULL;
    note_read(p, n->name);
    return n;
}

static struct node *parse_primary(struct parser *p)
{
    struct node *n;
    switch (parse_token(p)->type) {
    case T_NAME: return parse_word(p);
    case T_STRING: return parse_string(p);
    case T_INT:
    case T_FLOAT: return parse_number(p);
    default: break;
    }
    if (parse_is(p, 0, T_OP, "["))
        return parse_brackets(p, N_LIST, "]");
    if (parse_is(p, 0, T_OP, "{"))
        return parse_brackets(p, N_DICT, "}");
    if (!parse_skip(p, T_OP, "("))
        return unexpected(p);
    n = parse_tuple(p, true, TUPLE_IN_PARENS, NULL);
    return n && parse_expect(p, T_OP, ")") ? n : NULL;
}

static bool tuple_end(const struct parser *p, const char *end_word)
{
    enum token_type type = parse_token(p)->type;
    return type == T_PRINT_END || type == T_BLOCK_END || parse_is(p, 0, T_OP, ")") ||
           (end_word && parse_is(p, 0, T_NAME, end_word));
}

struct node *parse_tuple(struct parser *p, bool with_if, enum tuple_ends ends, const char *end_word)
{
    struct node   *n = NULL;
    struct growing g = {0};
    bool           comma = false;
    while (!tuple_end(p, end_word)) {
        if (!growing_add(p, &g, parse_expression(p, with_if)))
            return NULL;
        if (!parse_skip(p, T_OP, ","))
            break;
        comma = true;
    }
    if (!comma && g.list.n)
        return g.list.at[0];
    if (!comma && ends != TUPLE_IN_PARENS)
        return unexpected(p);
    if ((n = parse_node(p, N_TUPLE)))
        n->list = g.list;
    return n;
}

/* x.name, x.3 */
static struct node *parse_dot(struct parser *p, struct node *of)
{
    bool         name = parse_is(p, 1, T_NAME, NULL);
    struct node *n = parse_node(p, name ? N_ATTR : N_ITEM);
    if (!n)
        return NULL;
    p->at++;
    n->a = of;
    if (!name) {
        if (parse_token(p)->type != T_INT)
            return unexpected(p);
        n->b = parse_number(p);
        return n->b ? n : NULL;
    }
    struct text *t = text_constant(&p->t->arena, parse_token(p)->text);
    if (!t) {
        parse_fail(p, "the template is too large");
        return NULL;
    }
    n->value = value_text(t);
    p->at++;
    return n;
}

/* One part of a slice: NULL with *ok kept when it is left out. */
static struct node *slice_part(struct parser *p, bool *ok)
{
    if (parse_is(p, 0, T_OP, ":") || parse_is(p, 0, T_OP, "]") || parse_is(p, 0, T_OP, ","))
        return NULL;
    struct node *n = parse_expression(p, true);
    *ok &= n != NULL;
    return n;
}

static struct node *parse_bracket(struct parser *p, struct node *of)
{
    bool         ok = true;
    struct node *n = parse_node(p, N_ITEM), **part = parse_new(p, 3, sizeof *part);
    if (!n || !part)
        return NULL;
    p->at++;
    n->a = of;
    n->b = slice_part(p, &ok);
    if (parse_skip(p, T_OP, ":")) {
        n->kind = N_SLICE;
        n->list = (struct nodes){part, 3};
        part[0] = n->b;
        n->b = NULL;
        part[1] = ok ? slice_part(p, &ok) : NULL;
        if (ok && parse_skip(p, T_OP, ":"))
            part[2] = slice_part(p, &ok);
    } else if (ok && n->b && parse_is(p, 0, T_OP, ",")) {
        struct node   *tuple = parse_node(p, N_TUPLE);
        struct growing g = {0};
        ok = tuple && growing_add(p, &g, n->b);
        while (ok && parse_skip(p, T_OP, ",") && !parse_is(p, 0, T_OP, "]"))
            ok = growing_add(p, &g, parse_expression(p, true));
        if (ok)
            tuple->list = g.list;
        n->b = tuple;
    } else if (ok && !n->b)
        return unexpected(p);
    return ok && parse_expect(p, T_OP, "]") ? n : NULL;
}

static bool named_argument(struct parser *p, struct call *c, size_t *room)
{
    if (c->n_named == NAMED_MAX)
        return parse_fail(p, "a call with more than %d named arguments", NAMED_MAX);
    if (c->n_named == *room) {
        size_t             more = *room ? *room * 2 : 4;
        struct call_named *named = parse_new(p, more, sizeof *named);
        if (!named)
            return false;
        if (c->n_named)
            memcpy(named, c->named, c->n_named * sizeof *named);
        c->named = named;
        *room = more;
    }
    struct call_named *to = &c->named[c->n_named++];
    to->name = parse_token(p)->text;
    for (size_t i = 0; i + 1 < c->n_named; i++)
        if (str_eq(c->named[i].name, to->name))
            return parse_fail(p, "keyword argument repeated: %.*s", (int)(to->name.n < 100 ? to->name.n : 100),
                              to->name.p);
    p->at += 2;
    return (to->value = parse_expression(p, true)) != NULL;
}

static bool argument(struct parser *p, struct call *c, struct growing *list, size_t *room)
{
    bool star = parse_is(p, 0, T_OP, "*"), star_star = parse_is(p, 0, T_OP, "**");
    bool named = parse_is(p, 0, T_NAME, NULL) && parse_is(p, 1, T_OP, "=");
    if (c->star_star || (c->star && !named && !star_star) || (c->n_named && !named && !star && !star_star))
        return parse_fail(p, "invalid syntax for function call expression");
    if (named)
        return named_argument(p, c, room);
    if (!star && !star_star)
        return growing_add(p, list, parse_expression(p, true));
    p->at++;
    struct node *n = parse_expression(p, true);
    if (star)
        c->star = n;
    else
        c->star_star = n;
    return n != NULL;
}

/* "(…)", or nothing where `optional`. */
static struct call *parse_arguments(struct parser *p, bool optional)
{
    struct call   *c = parse_new(p, 1, sizeof *c);
    struct growing list = {0};
    size_t         room = 0;
    if (!c || (optional && !parse_is(p, 0, T_OP, "(")))
        return c;
    if (!parse_expect(p, T_OP, "("))
        return NULL;
    for (bool first = true; !parse_is(p, 0, T_OP, ")"); first = false) {
        if (!first && !parse_expect(p, T_OP, ","))
            return NULL;
        if (!first && parse_is(p, 0, T_OP, ")"))
            break;
        if (!argument(p, c, &list, &room))
            return NULL;
    }
    c->list = list.list;
    return parse_expect(p, T_OP, ")") ? c : NULL;
}

static struct node *parse_call(struct parser *p, struct node *of)
{
    struct node *n = parse_node(p, N_CALL);
    if (!n)
        return NULL;
    n->a = of;
    n->call = parse_arguments(p, false);
    return n->call ? n : NULL;
}

static struct node *parse_postfix(struct parser *p, struct node *n)
{
    while (n) {
        if (parse_is(p, 0, T_OP, "."))
            n = parse_dot(p, n);
        else if (parse_is(p, 0, T_OP, "["))
            n = parse_bracket(p, n);
        else if (parse_is(p, 0, T_OP, "("))
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}

/* The name of a filter or test: what is not known fails later, unless it stands in a branch (as Jinja2 has it). */
static bool native_name(struct parser *p, struct node *n, const struct native *(*find)(struct str))
{
    const struct token *first = parse_token(p);
    if (!parse_expect(p, T_NAME, NULL))
        return false;
    while (parse_skip(p, T_OP, "."))
        if (!parse_expect(p, T_NAME, NULL))
            return false;
    const struct token *last = &p->tokens.at[p->at - 1];
    struct str          s = {first->text.p, (size_t)(last->text.p + last->text.n - first->text.p)};
    struct text        *t = text_constant(&p->t->arena, s);
    if (!t)
        return parse_fail(p, "the template is too large");
    n->value = value_text(t);
    n->native = find(s);
    if (!n->native && !p->unknown)
        p->unknown = n;
    return true;
}

static struct node *parse_test(struct parser *p, struct node *of)
{
    struct node *n = parse_node(p, N_TEST), *negated = n;
    if (!n)
        return NULL;
    p->at++;
    if (parse_is(p, 0, T_NAME, "not")) {
        if (!(negated = parse_node(p, N_NOT)))
            return NULL;
        negated->a = n;
        p->at++;
    }
    n->a = of;
    if (!native_name(p, n, find_test))
        return NULL;
    bool word = parse_is(p, 0, T_NAME, NULL) && !parse_is(p, 0, T_NAME, "else") && !parse_is(p, 0, T_NAME, "or") &&
                !parse_is(p, 0, T_NAME, "and");
    enum token_type type = parse_token(p)->type;
    if (parse_is(p, 0, T_NAME, "is")) {
        parse_fail(p, "You cannot chain multiple tests with is");
        return NULL;
    }
    if (word || type == T_STRING || type == T_INT || type == T_FLOAT || parse_is(p, 0, T_OP, "[") ||
        parse_is(p, 0, T_OP, "{")) {
        struct growing g = {0};
        n->call = parse_new(p, 1, sizeof *n->call);
        if (!n->call || !growing_add(p, &g, parse_postfix(p, parse_primary(p))))
            return NULL;
        n->call->list = g.list;
    } else if (!(n->call = parse_arguments(p, true)))
        return NULL;
    return negated;
}

/* "|name(…)|name…"; the first may come without its bar, behind {% filter %}. */
struct node *parse_filters(struct parser *p, struct node *of, bool bar_first)
{
    while (of && (!bar_first || parse_skip(p, T_OP, "|"))) {
        struct node *n = parse_node(p, N_FILTER);
        if (!n || !native_name(p, n, find_filter) || !(n->call = parse_arguments(p, true)))
            return NULL;
        n->a = of;
        of = n;
        bar_first = true;
    }
    return of;
}

static struct node *parse_unary(struct parser *p, bool with_filter)
{
    struct node *n;
    if (!parse_enter(p))
        return NULL;
    bool minus = parse_is(p, 0, T_OP, "-");
    if (minus || parse_is(p, 0, T_OP, "+")) {
        if ((n = parse_node(p, N_SIGN))) {
            p->at++;
            n->op = minus ? OP_SUB : OP_ADD;
            n->a = parse_unary(p, false);
        }
        n = n && n->a ? n : NULL;
    } else
        n = parse_primary(p);
    n = parse_postfix(p, n);
    while (with_filter && n) {
        if (parse_is(p, 0, T_OP, "|"))
            n = parse_filters(p, n, true);
        else if (parse_is(p, 0, T_NAME, "is"))
            n = parse_test(p, n);
        else if (parse_is(p, 0, T_OP, "("))
            n = parse_call(p, n);
        else
            break;
    }
    p->depth--;
    return n;
}

/* name, name.attribute */
static struct node *parse_target_one(struct parser *p)
{
    struct node *n = parse_node(p, N_NAME);
    struct str   s = parse_token(p)->text;
    if (!n || !parse_expect(p, T_NAME, NULL))
        return NULL;
    static const char *const constants[] = {"true", "True", "false", "False", "none", "None"};
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (str_is(s, constants[i])) {
            parse_fail(p, "can't assign to '%s'", constants[i]);
            return NULL;
        }
    if (!parse_name(p, s, &n->name))
        return NULL;
    if (!parse_skip(p, T_OP, "."))
        return n;
    n->kind = N_MEMBER;
    note_read(p, n->name);
    struct text *t = text_constant(&p->t->arena, parse_token(p)->text);
    if (!parse_expect(p, T_NAME, NULL))
        return NULL;
    if (!t) {
        parse_fail(p, "the template is too large");
        return NULL;
    }
    n->value = value_text(t);
    return n;
}

struct node *parse_target(struct parser *p, bool tuples, const char *end_word)
{
    struct growing g = {0};
    bool           tuple = false;
    if (!parse_enter(p))
        return NULL;
    do {
        struct node *one;
        bool end = end_word && (parse_is(p, 0, T_NAME, end_word) || parse_is(p, 0, T_OP, end_word));
        if (tuple && (end || tuple_end(p, NULL)))
            break;
        if (tuples && parse_skip(p, T_OP, "(")) {
            one = parse_target(p, true, NULL);
            if (!one || !parse_expect(p, T_OP, ")"))
                return NULL;
        } else
            one = parse_target_one(p);
        if (!growing_add(p, &g, one))
            return NULL;
        tuple |= tuples && parse_is(p, 0, T_OP, ",");
    } while (tuples && parse_skip(p, T_OP, ","));
    p->depth--;
    if (!tuple)
        return g.list.at[0];
    struct node *n = parse_node(p, N_TUPLE);
    if (n)
        n->list = g.list;
    return n;
}
