/* ast.h -- a template, parsed.  Lives in the arena of its template and never changes. */
#ifndef CHAT_AST_H
#define CHAT_AST_H

#include "chat/value.h"

#include "base/arena.h"

enum node_kind {
#define EXPR(name, function) N_##name,
#define STMT(name, function) N_##name,
#include "chat/nodes.def"
#undef EXPR
#undef STMT
    N_COUNT
};

enum op {
#define OP(name, text, kind) OP_##name,
#include "chat/ops.def"
#undef OP
    OP_COUNT
};

struct nodes {
    struct node **at;
    size_t        n;
};

/* f(positional, name=value, *star, **star_star) */
struct call {
    struct nodes list;
    struct call_named {
        struct str   name;
        struct node *value;
    } *named;
    size_t       n_named;
    struct node *star, *star_star;
};

/* Of a macro or a call block. */
struct params {
    struct param {
        uint32_t     name;
        struct node *fallback;      /* NULL: none */
    } *at;
    size_t n;
    bool   varargs, kwargs, caller; /* the body reads these names */
};

struct node {
    enum node_kind       kind;
    uint32_t             line;
    enum op              op;
    uint32_t             name;
    bool                 recursive;
    struct value         value;
    struct node         *a, *b, *c;
    struct nodes         list, more;
    struct call         *call;
    struct params       *params;
    const struct native *native;
};

/* Names that the language itself binds, first in the table of names. */
enum { NAME_LOOP, NAME_CALLER, NAME_VARARGS, NAME_KWARGS, NAME_FIXED };

struct template {
    struct arena arena;
    struct nodes body;
    struct str  *name;              /* by number */
    bool        *read;              /* the source reads this variable */
    bool        *set_first;         /* … only after setting it: what the caller gives is never seen */
    size_t       n_names;
};

#endif
