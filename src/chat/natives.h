/* natives.h -- the functions behind the tables globals.def, filters.def, tests.def and methods.def. */
#ifndef CHAT_NATIVES_H
#define CHAT_NATIVES_H

#include "chat/run.h"
#include "chat/unicode.h"

#define GLOBAL(name, params, function) native_fn function;
#define FILTER(name, params, function) native_fn function;
#define TEST(name, params, function)   native_fn function;
#define METHOD(type, name, params, function) native_fn function;
#include "chat/globals.def"
#include "chat/filters.def"
#include "chat/tests.def"
#include "chat/methods.def"

/* How they read their arguments: absent (or None) ones are the fallback. */
MUST_USE bool arg_int(struct run *r, const struct value *v, int64_t fallback, int64_t *out);
MUST_USE bool arg_text(struct run *r, const struct value *v, const char *fallback, struct text **out);
static inline bool arg_bool(const struct value *v, bool fallback)
{
    return v->type == V_MISSING ? fallback : value_true(v);
}
static inline bool arg_given(const struct value *v)
{
    return v->type != V_MISSING && v->type != V_NONE;
}

/* str methods that filters share.  No `chars` (NULL): white space. */
MUST_USE bool native_strip(struct run *r, struct text *t, const struct text *chars, int sides, struct value *out);
enum { STRIP_LEFT = 1, STRIP_RIGHT = 2 };
MUST_USE bool native_replace(struct run *r, const struct text *t, const struct text *old, const struct text *new_,
                             int64_t count, struct value *out);
MUST_USE bool native_pad(struct run *r, struct text *t, int64_t width, const struct text *fill, int align,
                         struct value *out);       /* align: '<', '>', '^' */
MUST_USE bool native_split_lines(struct run *r, const struct text *t, bool keep_ends, struct value *out);
MUST_USE bool native_case(struct run *r, const struct text *t, int how, struct value *out);
/* The character cp, which is at t->p[at], in another case. */
MUST_USE bool native_case_char(struct run *r, const struct text *t, size_t at, uint32_t cp, enum unicode_case c);
enum { CASE_LOWER, CASE_UPPER, CASE_CAPITAL, CASE_TITLE, CASE_SWAP };
MUST_USE bool native_dict(struct run *r, const struct args *a, struct value *out);     /* dict(x, **named) */

/* Sorted by the keys, stable. */
MUST_USE bool native_sort(struct run *r, struct value *at, const struct value *key, size_t n, bool reverse);

#endif
