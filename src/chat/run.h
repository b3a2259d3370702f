/* run.h -- one rendering: its memory, limits, names and failures.
 *
 * Everything below returns false when the render is over: the reason is in *r->err then. */
#ifndef CHAT_RUN_H
#define CHAT_RUN_H

#include "chat/ast.h"
#include "chat/template.h"
#include "chat/text.h"
#include "chat/value.h"

#include "base/arena.h"

struct nodes;

/* Names set in one body (of a loop turn, a macro, a block), innermost first. */
struct scope {
    struct scope *outer;
    struct binding {
        uint32_t     name;
        struct value value;
    } *at;
    size_t n, room;
    bool   kept;            /* a macro refers to it: it cannot be used again for the next turn of the loop */
};

enum run_flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

struct run {
    const struct template *t;
    struct arena  arena;
    struct buf    out, mark;        /* what is written, and for each byte whether it is the user's */
    size_t        bytes_max;
    uint64_t      steps;            /* left */
    uint32_t      calls, nest;      /* calls left; how deep in expressions, statements and data */
    uint32_t      line;
    struct scope *scope;            /* NULL: the template's own level, whose names are in `global` */
    struct value *global;           /* by name; MISSING: not set */
    struct value  hole;             /* the text that a block's filter is at */
    enum run_flow flow;
    int64_t       now_s;
    struct err   *err;
};

/* The template is wrong for these values: "line N: …", ERR_INVALID. */
bool run_fail(struct run *r, const char *fmt, ...) PRINTF(2, 3);
/* A limit was hit: ERR_TOO_LARGE. */
bool run_limit(struct run *r, const char *what);

MUST_USE bool run_step(struct run *r);                          /* one step of the budget */
MUST_USE bool run_work(struct run *r, size_t bytes);            /* looking at so many bytes costs steps too */
MUST_USE bool run_enter(struct run *r);                         /* one level deeper; run_leave() when it was true */
void          run_leave(struct run *r);

/* Zeroed memory of the render; NULL: the limit. */
void *run_new(struct run *r, size_t n, size_t each);

static inline size_t run_top(const struct run *r)
{
    return r->out.n;
}
void run_cut(struct run *r, size_t from);                       /* forgets what was written since */

/* scope.c */
MUST_USE bool scope_push(struct run *r);
void          scope_pop(struct run *r);
MUST_USE bool scope_set(struct run *r, uint32_t name, const struct value *v);
MUST_USE bool scope_get(struct run *r, uint32_t name, struct value *out);

/* What a call gives, before it is matched to parameters. */
struct named {
    struct str   name;
    struct value value;
};
struct actuals {
    struct value *at;
    size_t        n;
    struct named *named;
    size_t        n_named;
};

/* What a function of ours gets.  Its parameters are a list of words: "value ?width *" means value must be given, width
 * may be, more positional ones come in `rest`; "**" lets named ones that match nothing come in `named`. */
enum { ARGS_MAX = 8 };
struct args {
    struct value   v[ARGS_MAX];     /* by place in the list; MISSING when left out */
    struct value  *rest;
    size_t         n_rest;
    struct named  *named;
    size_t         n_named;
};
typedef bool native_fn(struct run *r, const struct args *a, struct value *out);
struct native {
    const char *name, *params;
    native_fn  *fn;
};

struct method {
    struct value         self;
    const struct native *native;
};

/* A macro, or the body of a call block. */
struct macro {
    const struct node *node;
    struct scope      *scope;       /* where it was written */
};

struct loop {
    const struct node *node;
    struct seq         items;
    size_t             at;
    uint32_t           depth;       /* 0: outermost of a recursive loop */
    struct scope      *outer;
    struct value       last_change; /* what changed() saw last */
};

/* call.c */
MUST_USE bool call_value(struct run *r, const struct value *f, const struct actuals *a, struct value *out);
MUST_USE bool call_native(struct run *r, const struct native *f, const struct actuals *a, struct value *out);
const struct native *find_global(struct str name);              /* NULL: none */
const struct native *find_filter(struct str name);
const struct native *find_test(struct str name);
MUST_USE bool test_call(struct run *r, const struct native *f, const struct actuals *a, bool *out);

/* attr.c: x.name and x[key], Undefined when there is none */
MUST_USE bool attr_get(struct run *r, const struct value *v, struct str name, struct value *out);
MUST_USE bool attr_item(struct run *r, const struct value *v, const struct value *key, struct value *out);
struct attr_slice { const struct value *start, *stop, *step; };     /* NONE where left out */
MUST_USE bool attr_slice(struct run *r, const struct value *v, const struct attr_slice *s, struct value *out);
/* "a.b.0" from the outside in; MISSING: v itself.  An absent one is `*fallback` unless NULL. */
MUST_USE bool attr_path(struct run *r, const struct value *v, const struct value *path, const struct value *fallback,
                        struct value *out);
const struct native *find_method(enum value_type type, struct str name);

/* eval.c, exec.c */
MUST_USE bool eval(struct run *r, const struct node *n, struct value *out);
MUST_USE bool eval_call_with(struct run *r, const struct node *call, const struct named *more, struct value *out);
MUST_USE bool exec(struct run *r, const struct nodes *body);
MUST_USE bool exec_macro(struct run *r, const struct value *f, const struct actuals *a, struct value *out);
MUST_USE bool exec_loop_again(struct run *r, struct loop *l, const struct value *items, struct value *out);

/* arith.c */
MUST_USE bool arith(struct run *r, enum op op, const struct value *a, const struct value *b, struct value *out);

/* print.c: on top of the output */
MUST_USE bool print_str(struct run *r, const struct value *v);
MUST_USE bool print_repr(struct run *r, const struct value *v);
MUST_USE bool print_float(struct run *r, double f);             /* as Python's repr() */
MUST_USE bool print_text(struct run *r, const struct value *v, struct value *out);     /* str(v) */
MUST_USE bool print_escaped(struct run *r, const struct value *v);      /* for HTML, unless it is markup */

/* tojson.c */
struct tojson {
    bool         ascii, sort;
    struct value indent;                /* NONE, a number or a string */
    struct value item_sep, key_sep;     /* MISSING: Python's */
};
MUST_USE bool tojson(struct run *r, const struct value *v, const struct tojson *how);

/* format.c: "%s" % x and "{}".format(x) */
MUST_USE bool format_percent(struct run *r, const struct value *fmt, const struct value *v, struct value *out);
MUST_USE bool format_braces(struct run *r, const struct value *fmt, const struct args *a, struct value *out);

#endif
