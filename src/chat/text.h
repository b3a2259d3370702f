/* text.h -- strings, and who wrote each byte of them.
 *
 * A string is UTF-8.  Each byte is the template's or the user's; most strings are all one or all the other, and only a
 * mixed one carries a mark for each byte.  Slices share bytes and marks with what they were cut from.
 *
 * New strings are written on top of the output: run_top() remembers the place, out_…() write, text_take() lifts what
 * was written off as a string. */
#ifndef CHAT_TEXT_H
#define CHAT_TEXT_H

#include "chat/value.h"

#include "base/arena.h"

enum { TEXT_UNCOUNTED = -1 };

/* Bytes with free space behind them, so that adding to a string which ends there copies only what is added. */
struct text_room {
    char    *p;
    uint8_t *mark;          /* NULL: all of it is as `user` of the texts in it */
    size_t   used, size;
};

struct text {
    const char       *p;
    const uint8_t    *mark;     /* 1: the user's; NULL: every byte is as `user` says */
    size_t            n;
    int64_t           chars;    /* code points, or TEXT_UNCOUNTED */
    struct text_room *room;
    bool              user;
    bool              markup;   /* escaped for HTML already (|safe, |e) */
};

/* A text of the template's own, of bytes that outlive the render. */
MUST_USE bool text_of(struct run *r, struct str s, struct value *out);
MUST_USE bool text_user(struct run *r, struct str s, struct value *out);
/* A constant, for the parser: counted already, so that rendering never writes to it.  NULL: the arena is full. */
struct text *text_constant(struct arena *a, struct str s);

static inline struct str text_str(const struct text *t)
{
    return (struct str){t->p, t->n};
}

static inline bool text_is(const struct value *v, const char *z)
{
    return v->type == V_STR && str_is(text_str(v->text), z);
}

MUST_USE bool text_slice(struct run *r, const struct text *t, size_t from, size_t n, struct value *out);
MUST_USE bool text_add(struct run *r, const struct text *a, const struct text *b, struct value *out);
MUST_USE bool text_repeat(struct run *r, const struct text *t, int64_t times, struct value *out);

/* Length in characters.  Charges the steps that counting costs. */
MUST_USE bool text_chars(struct run *r, struct text *t, size_t *out);
/* Where character number i begins. */
MUST_USE bool text_offset(struct run *r, struct text *t, size_t i, size_t *out);
/* First (or last) place of `what` in t[from..to), or STR_NONE. */
MUST_USE bool text_find(struct run *r, struct str t, struct str what, size_t *out);
MUST_USE bool text_find_last(struct run *r, struct str t, struct str what, size_t *out);

/* Length in bytes of the character at p[0..n), which is well-formed. */
size_t text_char_bytes(const char *p, size_t n);

/* Writing on top of the output.  False: a limit. */
MUST_USE bool out_bytes(struct run *r, const char *p, size_t n, bool user);
MUST_USE bool out_str(struct run *r, struct str s);                     /* the template's */
MUST_USE bool out_text(struct run *r, const struct text *t);
MUST_USE bool out_part(struct run *r, const struct text *t, size_t from, size_t n);
MUST_USE bool out_fill(struct run *r, const struct text *t, size_t times);
MUST_USE bool out_char(struct run *r, uint32_t cp, bool user);
MUST_USE bool out_printf(struct run *r, const char *fmt, ...) PRINTF(2, 3);

/* What is written since `from` becomes the user's if any byte of it is. */
void out_spread(struct run *r, size_t from);

/* Takes what was written since `from` off the output, as a string. */
MUST_USE bool text_take(struct run *r, size_t from, struct value *out);

#endif
