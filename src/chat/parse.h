/* parse.h -- tokens to a tree: what its two halves, expressions and statements, share.
 *
 * Every function returns NULL or false when it failed; the reason is in *p->err then. */
#ifndef CHAT_PARSE_H
#define CHAT_PARSE_H

#include "chat/ast.h"
#include "chat/lex.h"

/* The macros around this place, innermost first. */
struct around {
    struct params *params;
    struct around *outer;
};

struct parser {
    struct template *t;
    struct tokens    tokens;
    size_t           at;
    uint32_t        *slot;          /* names by hash: number + 1 */
    size_t           n_slot, name_room;
    unsigned         depth;
    unsigned         loops;         /* around this place, inside the innermost macro */
    unsigned         scopes;        /* around this place */
    unsigned         branches;
    bool            *met;           /* by name: read or set already on the template's own level */
    /* The first filter or test that nobody knows.  In a branch that is an error only when it is reached (so in Jinja2):
     * whoever ends a branch puts back what was here at its begin. */
    const struct node *unknown;
    struct around   *around;
    struct err      *err;
};

/* An array that grows in the template's arena. */
struct growing {
    struct nodes list;
    size_t       room;
};
MUST_USE bool growing_add(struct parser *p, struct growing *g, struct node *n);

bool  parse_fail(struct parser *p, const char *fmt, ...) PRINTF(2, 3);
void *parse_new(struct parser *p, size_t n, size_t each);
MUST_USE bool parse_enter(struct parser *p);    /* p->depth-- when it was true */
struct node  *parse_node(struct parser *p, enum node_kind kind);
MUST_USE bool parse_name(struct parser *p, struct str s, uint32_t *out);

static inline const struct token *parse_token(const struct parser *p)
{
    return &p->tokens.at[p->at];
}
bool parse_is(const struct parser *p, size_t ahead, enum token_type type, const char *text);
bool parse_skip(struct parser *p, enum token_type type, const char *text);          /* takes it when it is there */
MUST_USE bool parse_expect(struct parser *p, enum token_type type, const char *text);
bool parse_unexpected(struct parser *p);                                            /* fails: the token names itself */

/* parse_expr.c */
enum tuple_ends { TUPLE_PLAIN, TUPLE_IN_PARENS };
struct node  *parse_expression(struct parser *p, bool with_if);
struct node  *parse_tuple(struct parser *p, bool with_if, enum tuple_ends ends, const char *end_word);
struct node  *parse_target(struct parser *p, bool tuples, const char *end_word);    /* what can be assigned to */
void          parse_note_set(struct parser *p, const struct node *target);
struct node  *parse_filters(struct parser *p, struct node *n, bool bar_first);

/* parse_literal.c */
struct node  *parse_string(struct parser *p);
struct node  *parse_number(struct parser *p);

#endif
