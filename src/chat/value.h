/* value.h -- what a template computes with: Python's values, as far as templates can see them.
 *
 * A value is two words, copied freely; what it points to lies in the arena of the render (constants: of the template).
 * Lists and dicts never change once a template can see them, as in Hugging Face's sandbox; only namespaces, loops,
 * generators, cyclers and joiners do. */
#ifndef CHAT_VALUE_H
#define CHAT_VALUE_H

#include "base/err.h"
#include "base/str.h"

struct run;
struct node;

enum value_type {
#define TYPE(name, python, object) V_##name,
#include "chat/types.def"
#undef TYPE
    V_COUNT
};

struct value {
    enum value_type type;
    union {
        bool                 b;
        int64_t              i;
        double               f;
        struct text         *text;
        struct seq          *seq;           /* LIST, TUPLE */
        struct dict         *dict;          /* DICT, KEYS, VALUES, ITEMS, NAMESPACE */
        struct range        *range;
        struct generator    *generator;     /* GENERATOR, CYCLER */
        struct undefined    *undefined;
        struct macro        *macro;
        struct method       *method;
        struct loop         *loop;
        struct joiner       *joiner;
        const struct native *native;        /* FUNCTION */
    };
};

struct seq {
    struct value *at;
    size_t        n;
    bool          group;            /* of |groupby: its two elements are also called grouper and list */
};

struct range {
    int64_t start, stop, step;
    size_t  n;
};

/* Python's iterators are read once: what was taken is gone. */
struct generator {
    struct value *at;
    size_t        n, taken;
};

struct joiner {
    struct value sep;
    bool         used;
};

struct undefined {
    struct str why;         /* the message of the error that any use of it is */
};

struct dict {
    struct dict_entry {
        struct value key, value;
        uint64_t     hash;
    } *at;
    size_t    n, room;
    uint32_t *slot;         /* open addressing, entry number + 1; NULL while the dict is small */
    size_t    n_slot;       /* a power of two */
};

#define VALUE_MISSING ((struct value){.type = V_MISSING})
#define VALUE_NONE    ((struct value){.type = V_NONE})

static inline struct value value_bool(bool b)
{
    return (struct value){.type = V_BOOL, .b = b};
}

static inline struct value value_int(int64_t i)
{
    return (struct value){.type = V_INT, .i = i};
}

static inline struct value value_float(double f)
{
    return (struct value){.type = V_FLOAT, .f = f};
}

static inline struct value value_text(struct text *t)
{
    return (struct value){.type = V_STR, .text = t};
}

const char *value_type_name(const struct value *v);     /* "str" */
const char *value_object_name(const struct value *v);   /* "str object" */

bool value_true(const struct value *v);
bool value_is_number(const struct value *v);            /* bool counts, as in Python */
bool value_is_sequence(const struct value *v);          /* list or tuple */
bool value_is_dict_view(const struct value *v);
bool value_is_iterable(const struct value *v);
bool value_int_of(const struct value *v, int64_t *out); /* an int or a bool */
double value_real(const struct value *v);               /* of a number */

/* An undefined value; using it fails with this message. */
MUST_USE bool value_undefined(struct run *r, struct value *out, const char *fmt, ...) PRINTF(3, 4);

/* A list or tuple with room for n values, all MISSING until filled. */
MUST_USE bool value_seq(struct run *r, enum value_type type, size_t n, struct value *out);
MUST_USE bool value_pair(struct run *r, const struct value *a, const struct value *b, struct value *out);
MUST_USE bool value_generator(struct run *r, const struct seq *items, struct value *out);

/* Everything that v gives when iterated, borrowed where v holds it already.  Takes what is left of a generator. */
MUST_USE bool value_items(struct run *r, const struct value *v, struct seq *out);
MUST_USE bool value_len(struct run *r, const struct value *v, size_t *out);

MUST_USE bool value_eq(struct run *r, const struct value *a, const struct value *b, bool *out);
/* -1, 0, 1; `op` is named when the two cannot be put in an order. */
MUST_USE bool value_order(struct run *r, const struct value *a, const struct value *b, const char *op, int *out);
MUST_USE bool value_in(struct run *r, const struct value *what, const struct value *where, bool *out);

MUST_USE bool dict_new(struct run *r, size_t n, struct value *out);
MUST_USE bool dict_put(struct run *r, struct dict *d, const struct value *key, const struct value *value);
/* *out is NULL when the key is absent; false when the key cannot be one. */
MUST_USE bool dict_find(struct run *r, const struct dict *d, const struct value *key, struct value **out);
MUST_USE bool dict_find_name(struct run *r, const struct dict *d, struct str name, struct value **out);

#endif
