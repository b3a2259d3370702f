/* parse.c -- statements, and what both halves of the parser stand on. */
#include "chat/parse.h"

#include "chat/run.h"
#include "chat/template.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Brackets, signs and blocks inside each other: what the C stack has to hold.  And what a source of 1 MiB may become. */
enum { DEPTH_MAX = 200, TREE_BYTES_MAX = 512 << 20 };

bool parse_fail(struct parser *p, const char *fmt, ...)
{
    char    text[sizeof p->err->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(p->err, ERR_INVALID, "line %u: %s", parse_token(p)->line, text);
}

void *parse_new(struct parser *p, size_t n, size_t each)
{
    size_t bytes;
    void  *m = __builtin_mul_overflow(n, each, &bytes) ? NULL : arena_new(&p->t->arena, bytes);
    if (!m)
        parse_fail(p, "the template is too large");
    return m;
}

struct node *parse_node(struct parser *p, enum node_kind kind)
{
    struct node *n = parse_new(p, 1, sizeof *n);
    if (n) {
        n->kind = kind;
        n->line = parse_token(p)->line;
    }
    return n;
}

bool growing_add(struct parser *p, struct growing *g, struct node *n)
{
    if (!n)
        return false;
    if (g->list.n == g->room) {
        size_t        room = g->room ? g->room * 2 : 4;
        struct node **at = parse_new(p, room, sizeof *at);
        if (!at)
            return false;
        if (g->list.n)
            memcpy(at, g->list.at, g->list.n * sizeof *at);
        g->list.at = at;
        g->room = room;
    }
    g->list.at[g->list.n++] = n;
    return true;
}

bool parse_enter(struct parser *p)
{
    if (p->depth >= DEPTH_MAX)
        return parse_fail(p, "nested deeper than %d", DEPTH_MAX);
    p->depth++;
    return true;
}

static bool more_names(struct parser *p)
{
    size_t      room = p->name_room ? p->name_room * 2 : 64;
    struct str *name = parse_new(p, room, sizeof *name);
    bool       *read = parse_new(p, room, sizeof *read);
    bool       *set_first = parse_new(p, room, sizeof *set_first), *met = parse_new(p, room, sizeof *met);
    uint32_t   *slot = parse_new(p, room * 2, sizeof *slot);
    if (!name || !read || !set_first || !met || !slot)
        return false;
    p->n_slot = room * 2;
    for (size_t i = 0; i < p->t->n_names; i++) {
        name[i] = p->t->name[i];
        read[i] = p->t->read[i];
        set_first[i] = p->t->set_first[i];
        met[i] = p->met[i];
        size_t s = hash64(name[i].p, name[i].n, 0) & (p->n_slot - 1);
        while (slot[s])
            s = (s + 1) & (p->n_slot - 1);
        slot[s] = (uint32_t)i + 1;
    }
    p->t->name = name;
    p->t->read = read;
    p->t->set_first = set_first;
    p->met = met;
    p->slot = slot;
    p->name_room = room;
    return true;
}

bool parse_name(struct parser *p, struct str s, uint32_t *out)
{
    if (p->t->n_names == p->name_room && !more_names(p))
        return false;
    size_t at = hash64(s.p, s.n, 0) & (p->n_slot - 1);
    for (; p->slot[at]; at = (at + 1) & (p->n_slot - 1))
        if (str_eq(p->t->name[p->slot[at] - 1], s)) {
            *out = p->slot[at] - 1;
            return true;
        }
    *out = (uint32_t)p->t->n_names;
    p->t->name[p->t->n_names++] = s;
    p->slot[at] = *out + 1;
    return true;
}

bool parse_is(const struct parser *p, size_t ahead, enum token_type type, const char *text)
{
    if (ahead >= p->tokens.n - p->at)
        return false;
    const struct token *t = &p->tokens.at[p->at + ahead];
    return t->type == type && (!text || str_is(t->text, text));
}

bool parse_skip(struct parser *p, enum token_type type, const char *text)
{
    if (!parse_is(p, 0, type, text))
        return false;
    p->at++;
    return true;
}

bool parse_unexpected(struct parser *p)
{
    const struct token *t = parse_token(p);
    if (t->type == T_END)
        return parse_fail(p, "unexpected end of template");
    return parse_fail(p, "unexpected '%.*s'", (int)(t->text.n < 100 ? t->text.n : 100), t->text.p);
}

bool parse_expect(struct parser *p, enum token_type type, const char *text)
{
    if (parse_skip(p, type, text))
        return true;
    const struct token *t = parse_token(p);
    const char         *what = text ? text : type == T_NAME ? "a name" : "the end of the tag";
    if (t->type == T_END)
        return parse_fail(p, "unexpected end of template, expected %s", what);
    return parse_fail(p, "expected %s, got '%.*s'", what, (int)(t->text.n < 100 ? t->text.n : 100), t->text.p);
}

/* A filter or test that does not exist, met where it would be reached for sure. */
static bool all_known(struct parser *p)
{
    const struct node *n = p->unknown;
    if (!n)
        return true;
    return err_set(p->err, ERR_INVALID, "line %u: No %s named '%s'.", n->line, n->kind == N_TEST ? "test" : "filter",
                   n->value.text->p);
}

static bool parse_body(struct parser *p, const char *const *ends, struct nodes *out);

/* A body with a scope of its own: branches around it do not matter in it. */
static bool parse_scope(struct parser *p, const char *const *ends, struct nodes *out)
{
    const struct node *unknown = p->unknown;
    p->unknown = NULL;
    p->scopes++;
    if (!parse_body(p, ends, out) || !all_known(p))
        return false;
    p->scopes--;
    p->unknown = unknown;
    return true;
}

/* The body up to the one word that ends it, that word and the end of its tag. */
static bool parse_to(struct parser *p, const char *end, struct nodes *out)
{
    const char *const ends[] = {end, NULL};
    if (!parse_expect(p, T_BLOCK_END, NULL) || !parse_scope(p, ends, out))
        return false;
    p->at++;
    return true;
}

static struct node *parse_if(struct parser *p)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    const struct node       *unknown = p->unknown;
    struct node             *first = parse_node(p, N_IF), *n = first;
    p->branches++;
    while (n) {
        struct growing next = {0};
        p->at++;
        if (!(n->a = parse_tuple(p, false, TUPLE_PLAIN, NULL)) || !parse_expect(p, T_BLOCK_END, NULL) ||
            !parse_body(p, ends, &n->list))
            return NULL;
        if (!parse_is(p, 0, T_NAME, "elif"))
            break;
        struct node *elif = parse_node(p, N_IF);
        if (!growing_add(p, &next, elif))
            return NULL;
        n->more = next.list;
        n = elif;
    }
    if (n && parse_skip(p, T_NAME, "else") && (!parse_expect(p, T_BLOCK_END, NULL) || !parse_body(p, ends + 2, &n->more)))
        return NULL;
    p->at++;
    p->branches--;
    p->unknown = unknown;
    return n ? first : NULL;
}

static struct node *parse_for(struct parser *p)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    struct node             *n = parse_node(p, N_FOR);
    p->at++;
    if (!n || !(n->a = parse_target(p, true, "in")) || !parse_expect(p, T_NAME, "in") ||
        !(n->b = parse_tuple(p, false, TUPLE_PLAIN, "recursive")))
        return NULL;
    p->scopes++;
    if (parse_skip(p, T_NAME, "if") && !(n->c = parse_expression(p, true)))
        return NULL;
    p->scopes--;
    n->recursive = parse_skip(p, T_NAME, "recursive");
    p->loops++;
    bool ok = parse_expect(p, T_BLOCK_END, NULL) && parse_scope(p, ends, &n->list);
    p->loops--;
    if (!ok)
        return NULL;
    if (parse_skip(p, T_NAME, "else"))
        return parse_to(p, "endfor", &n->more) ? n : NULL;
    p->at++;
    return n;
}

static struct node *parse_set(struct parser *p)
{
    struct node *n = parse_node(p, N_SET);
    p->at++;
    if (!n || !(n->a = parse_target(p, true, "=")))
        return NULL;
    if (parse_skip(p, T_OP, "=")) {
        n->b = parse_tuple(p, true, TUPLE_PLAIN, NULL);
        parse_note_set(p, n->a);
        return n->b ? n : NULL;
    }
    n->kind = N_SET_BLOCK;
    parse_note_set(p, n->a);
    if (parse_is(p, 0, T_OP, "|") && !(n->b = parse_filters(p, parse_node(p, N_HOLE), true)))
        return NULL;
    return parse_to(p, "endset", &n->list) ? n : NULL;
}

static bool parse_params(struct parser *p, struct params *params)
{
    size_t room = 0;
    if (!parse_expect(p, T_OP, "("))
        return false;
    p->scopes++;
    while (!parse_is(p, 0, T_OP, ")")) {
        if (params->n && !parse_expect(p, T_OP, ","))
            return false;
        if (params->n == room) {
            struct param *at = parse_new(p, room = room ? room * 2 : 4, sizeof *at);
            if (!at)
                return false;
            if (params->n)
                memcpy(at, params->at, params->n * sizeof *at);
            params->at = at;
        }
        struct param *to = &params->at[params->n];
        struct node  *name = parse_target(p, false, NULL);
        if (!name)
            return false;
        if (name->kind != N_NAME)
            return parse_unexpected(p);
        to->name = name->name;
        params->n++;
        if (parse_skip(p, T_OP, "=")) {
            if (!(to->fallback = parse_expression(p, true)))
                return false;
        } else if (params->n > 1 && to[-1].fallback)
            return parse_fail(p, "non-default argument follows default argument");
    }
    p->scopes--;
    p->at++;
    return true;
}

/* The body of a macro or call block: it cannot break out of a loop around it. */
static bool parse_callable(struct parser *p, struct node *n, const char *end)
{
    struct around around = {n->params, p->around};
    unsigned      loops = p->loops;
    p->around = &around;
    p->loops = 0;
    bool ok = parse_to(p, end, &n->list);
    p->around = around.outer;
    p->loops = loops;
    return ok;
}

static struct node *parse_macro(struct parser *p)
{
    struct node *n = parse_node(p, N_MACRO), *name;
    p->at++;
    if (!n || !(name = parse_target(p, false, NULL)) || !(n->params = parse_new(p, 1, sizeof *n->params)))
        return NULL;
    n->name = name->name;
    parse_note_set(p, name);
    return parse_params(p, n->params) && parse_callable(p, n, "endmacro") ? n : NULL;
}

static struct node *parse_call_block(struct parser *p)
{
    struct node *n = parse_node(p, N_CALL_BLOCK);
    p->at++;
    if (!n || !(n->params = parse_new(p, 1, sizeof *n->params)))
        return NULL;
    n->name = NAME_CALLER;
    if (parse_is(p, 0, T_OP, "(") && !parse_params(p, n->params))
        return NULL;
    if (!(n->a = parse_expression(p, true)))
        return NULL;
    if (n->a->kind != N_CALL) {
        parse_fail(p, "expected call");
        return NULL;
    }
    return parse_callable(p, n, "endcall") ? n : NULL;
}

static struct node *parse_filter_block(struct parser *p)
{
    struct node *n = parse_node(p, N_FILTER_BLOCK);
    p->at++;
    if (!n || !(n->b = parse_filters(p, parse_node(p, N_HOLE), false)))
        return NULL;
    return parse_to(p, "endfilter", &n->list) ? n : NULL;
}

static struct node *parse_with(struct parser *p)
{
    struct node   *n = parse_node(p, N_WITH);
    struct growing sets = {0};
    p->at++;
    while (n && parse_token(p)->type != T_BLOCK_END) {
        struct node *set = parse_node(p, N_SET);
        if (!set || (sets.list.n && !parse_expect(p, T_OP, ",")) || !(set->a = parse_target(p, false, NULL)) ||
            !parse_expect(p, T_OP, "=") || !(set->b = parse_expression(p, true)) || !growing_add(p, &sets, set))
            return NULL;
    }
    if (!n)
        return NULL;
    n->more = sets.list;
    return parse_to(p, "endwith", &n->list) ? n : NULL;
}

static struct node *parse_generation(struct parser *p)
{
    struct node *n = parse_node(p, N_WITH);
    unsigned     loops = p->loops;
    p->at++;
    p->loops = 0;
    bool ok = n && parse_to(p, "endgeneration", &n->list);
    p->loops = loops;
    return ok ? n : NULL;
}

static struct node *parse_jump(struct parser *p)
{
    if (p->loops == 0) {
        parse_fail(p, "'%.*s' outside a loop", (int)parse_token(p)->text.n, parse_token(p)->text.p);
        return NULL;
    }
    struct node *n = parse_node(p, parse_is(p, 0, T_NAME, "break") ? N_BREAK : N_CONTINUE);
    p->at++;
    return n;
}

static struct node *parse_statement(struct parser *p)
{
    static const struct {
        const char *word;
        struct node *(*parse)(struct parser *);
    } tags[] = {
#define TAG(word, function) {#word, function},
#include "chat/tags.def"
#undef TAG
    };
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (parse_is(p, 0, T_NAME, tags[i].word)) {
            struct node *n = tags[i].parse(p);
            return n && parse_expect(p, T_BLOCK_END, NULL) ? n : NULL;
        }
    if (parse_expect(p, T_NAME, NULL)) {
        struct str word = p->tokens.at[--p->at].text;
        parse_fail(p, "unknown tag '%.*s'", (int)(word.n < 100 ? word.n : 100), word.p);
    }
    return NULL;
}

/* Text or {{ … }}; neighbours share one OUTPUT. */
static bool parse_output(struct parser *p, struct growing *body)
{
    struct node   *n = parse_node(p, N_OUTPUT), *part;
    struct growing g = {0};
    if (!n)
        return false;
    while (parse_token(p)->type == T_DATA || parse_token(p)->type == T_PRINT) {
        if (parse_token(p)->type == T_DATA) {
            if (!(part = parse_node(p, N_CONST)))
                return false;
            struct text *t = text_constant(&p->t->arena, parse_token(p)->text);
            if (!t)
                return parse_fail(p, "the template is too large");
            part->value = value_text(t);
            p->at++;
        } else {
            p->at++;
            part = parse_tuple(p, true, TUPLE_PLAIN, NULL);
            if (!part || !parse_expect(p, T_PRINT_END, NULL))
                return false;
        }
        if (!growing_add(p, &g, part))
            return false;
    }
    n->list = g.list;
    return growing_add(p, body, n);
}

/* Statements up to a tag that begins with one of the words, which is left for the caller; no words: to the end. */
static bool parse_body(struct parser *p, const char *const *ends, struct nodes *out)
{
    struct growing body = {0};
    if (!parse_enter(p))
        return false;
    for (;;) {
        enum token_type type = parse_token(p)->type;
        if (type == T_END) {
            if (ends)
                return parse_fail(p, "unexpected end of template, expected '%s'", ends[0]);
            break;
        }
        if (type != T_BLOCK) {
            if (!parse_output(p, &body))
                return false;
            continue;
        }
        p->at++;
        bool end = false;
        for (size_t i = 0; ends && ends[i]; i++)
            end |= parse_is(p, 0, T_NAME, ends[i]);
        if (end)
            break;
        if (!growing_add(p, &body, parse_statement(p)))
            return false;
    }
    *out = body.list;
    p->depth--;
    return true;
}

static bool parse(struct template *t, struct str source, struct err *e)
{
    static const char *const fixed[NAME_FIXED] = {"loop", "caller", "varargs", "kwargs"};
    struct parser            p = {.t = t, .err = e};
    uint32_t                 number;
    if (!lex(source, &t->arena, &p.tokens, e))
        return false;
    for (size_t i = 0; i < NAME_FIXED; i++)
        if (!parse_name(&p, str_of(fixed[i]), &number))
            return false;
    return parse_body(&p, NULL, &t->body) && all_known(&p);
}

bool template_new(struct template **out, struct str source, struct err *e)
{
    struct template *t = mem_new(sizeof *t);
    arena_init(&t->arena, TREE_BYTES_MAX);
    if (!parse(t, source, e)) {
        template_free(t);
        return false;
    }
    *out = t;
    return true;
}

void template_free(struct template *t)
{
    if (!t)
        return;
    arena_drop(&t->arena);
    free(t);
}

bool template_uses(const struct template *t, const char *name)
{
    for (size_t i = 0; i < t->n_names; i++)
        if (t->read[i] && str_is(t->name[i], name))
            return true;
    return false;
}
