/* text.c -- see text.h. */
#include "chat/text.h"

#include "chat/run.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Below this, room behind a string is not worth its bytes. */
enum { ROOM_MIN = 256 };

static struct text *text_new(struct run *r, struct text like, struct value *out)
{
    struct text *t = run_new(r, 1, sizeof *t);
    if (!t)
        return NULL;
    *t = like;
    *out = value_text(t);
    return t;
}

bool text_of(struct run *r, struct str s, struct value *out)
{
    return text_new(r, (struct text){.p = s.p, .n = s.n, .chars = TEXT_UNCOUNTED}, out) != NULL;
}

bool text_user(struct run *r, struct str s, struct value *out)
{
    return text_new(r, (struct text){.p = s.p, .n = s.n, .chars = TEXT_UNCOUNTED, .user = true}, out) != NULL;
}

/* Characters in s, by their first bytes. */
static int64_t count(struct str s)
{
    int64_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((uint8_t)s.p[i] & 0xC0) != 0x80;
    return n;
}

struct text *text_constant(struct arena *a, struct str s)
{
    struct text *t = arena_new(a, sizeof *t);
    char        *p = t ? arena_copy(a, s.p, s.n) : NULL;
    if (!p)
        return NULL;
    *t = (struct text){.p = p, .n = s.n, .chars = count(s)};
    return t;
}

bool text_slice(struct run *r, const struct text *t, size_t from, size_t n, struct value *out)
{
    CHECK(from <= t->n && n <= t->n - from);
    struct text part = *t;
    part.p += from;
    part.n = n;
    part.mark = t->mark ? t->mark + from : NULL;
    if (n != t->n)
        part.chars = t->chars == (int64_t)t->n ? (int64_t)n : TEXT_UNCOUNTED;
    return text_new(r, part, out) != NULL;
}

/* Bytes of a, with free space behind them. */
static struct text_room *room_new(struct run *r, const struct text *a, size_t more, bool marked)
{
    struct text_room *room = run_new(r, 1, sizeof *room);
    size_t            need = a->n + more;
    if (!room)
        return NULL;
    room->size = need >= ROOM_MIN ? need * 2 : need;
    room->p = run_new(r, room->size, 1);
    if (room->p && marked)
        room->mark = run_new(r, room->size, 1);
    if (!room->p || (marked && !room->mark))
        return NULL;
    if (a->n)
        memcpy(room->p, a->p, a->n);
    if (marked && a->mark)
        memcpy(room->mark, a->mark, a->n);
    else if (marked)
        memset(room->mark, a->user, a->n);
    room->used = a->n;
    return room;
}

bool text_add(struct run *r, const struct text *a, const struct text *b, struct value *out)
{
    struct text whole = b->n == 0 ? *a : *b;
    whole.markup = a->markup || b->markup;
    if (a->n == 0 || b->n == 0)
        return text_new(r, whole, out) != NULL;
    if (a->n > r->bytes_max || b->n > r->bytes_max)
        return run_limit(r, "makes too many bytes");
    bool              marked = a->mark || b->mark || a->user != b->user;
    struct text_room *room = a->room;
    if (!room || a->p + a->n != room->p + room->used || room->size - room->used < b->n || marked != (room->mark != NULL))
        room = room_new(r, a, b->n, marked);
    if (!room)
        return false;
    memcpy(room->p + room->used, b->p, b->n);
    if (marked && b->mark)
        memcpy(room->mark + room->used, b->mark, b->n);
    else if (marked)
        memset(room->mark + room->used, b->user, b->n);
    room->used += b->n;
    size_t      n = a->n + b->n;
    const char *p = room->p + room->used - n;
    whole = (struct text){.p = p, .n = n, .room = room, .user = a->user, .markup = whole.markup};
    whole.mark = marked ? room->mark + room->used - n : NULL;
    whole.chars = a->chars < 0 || b->chars < 0 ? TEXT_UNCOUNTED : a->chars + b->chars;
    return text_new(r, whole, out) != NULL;
}

bool text_repeat(struct run *r, const struct text *t, int64_t times, struct value *out)
{
    size_t from = run_top(r), bytes;
    if (times < 0 || t->n == 0)
        times = 0;
    if (__builtin_mul_overflow(t->n, (size_t)times, &bytes) || bytes > r->bytes_max)
        return run_limit(r, "makes too many bytes");
    if (!out_fill(r, t, (size_t)times) || !text_take(r, from, out))
        return false;
    out->text->markup = t->markup;
    return true;
}

bool text_chars(struct run *r, struct text *t, size_t *out)
{
    if (t->chars == TEXT_UNCOUNTED) {
        if (!run_work(r, t->n))
            return false;
        t->chars = count(text_str(t));
    }
    *out = (size_t)t->chars;
    return true;
}

bool text_offset(struct run *r, struct text *t, size_t i, size_t *out)
{
    size_t chars;
    if (!text_chars(r, t, &chars))
        return false;
    CHECK(i <= chars);
    *out = i;
    if (chars == t->n)
        return true;
    size_t at = 0;
    for (size_t k = 0; k < i; k++)
        at += text_char_bytes(t->p + at, t->n - at);
    *out = at;
    return run_work(r, at);
}

bool text_find(struct run *r, struct str t, struct str what, size_t *out)
{
    *out = str_find(t, what);
    return run_work(r, *out == STR_NONE ? t.n : *out);
}

bool text_find_last(struct run *r, struct str t, struct str what, size_t *out)
{
    *out = STR_NONE;
    if (what.n > t.n)
        return true;
    for (size_t at = t.n - what.n + 1; at-- > 0;)
        if (what.n == 0 || memcmp(t.p + at, what.p, what.n) == 0) {
            *out = at;
            break;
        }
    size_t looked = *out == STR_NONE ? t.n : t.n - *out;
    return run_work(r, looked) && (what.n < 16 || run_work(r, looked / 16 * what.n));
}

size_t text_char_bytes(const char *p, size_t n)
{
    uint8_t c = (uint8_t)p[0];
    size_t  want = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    return want < n ? want : n;
}

static char *reserve(struct run *r, size_t n)
{
    size_t used = r->arena.bytes + r->out.n;
    if (n > r->bytes_max || used > r->bytes_max - n) {
        (void)run_limit(r, "makes too many bytes");
        return NULL;
    }
    char *p = buf_reserve(&r->out, n);
    CHECK(p && buf_reserve(&r->mark, n));
    return p;
}

bool out_bytes(struct run *r, const char *p, size_t n, bool user)
{
    char *to = reserve(r, n);
    if (!to)
        return false;
    if (n)
        memcpy(to, p, n);
    memset(r->mark.p + r->mark.n, user, n);
    r->out.n += n;
    r->mark.n += n;
    return true;
}

bool out_str(struct run *r, struct str s)
{
    return out_bytes(r, s.p, s.n, false);
}

bool out_part(struct run *r, const struct text *t, size_t from, size_t n)
{
    size_t at = r->mark.n;
    if (!out_bytes(r, t->p + from, n, t->user))
        return false;
    if (t->mark && n)
        memcpy(r->mark.p + at, t->mark + from, n);
    return true;
}

bool out_text(struct run *r, const struct text *t)
{
    return out_part(r, t, 0, t->n);
}

bool out_fill(struct run *r, const struct text *t, size_t times)
{
    size_t bytes;
    if (__builtin_mul_overflow(t->n, times, &bytes) || !reserve(r, bytes))
        return run_limit(r, "makes too many bytes");
    for (size_t i = 0; t->n && i < times; i++)
        if (!out_text(r, t))
            return false;
    return true;
}

bool out_char(struct run *r, uint32_t cp, bool user)
{
    char to[4];
    return out_bytes(r, to, utf8_encode(cp, to), user);
}

bool out_printf(struct run *r, const char *fmt, ...)
{
    char    text[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    CHECK(n >= 0 && (size_t)n < sizeof text);
    return out_bytes(r, text, (size_t)n, false);
}

void out_spread(struct run *r, size_t from)
{
    size_t n = r->mark.n - from;
    if (n && memchr(r->mark.p + from, 1, n))
        memset(r->mark.p + from, 1, n);
}

bool text_take(struct run *r, size_t from, struct value *out)
{
    size_t         n = r->out.n - from;
    const char    *mark = n ? r->mark.p + from : NULL;
    char          *p = run_new(r, n, 1);
    uint8_t       *copy = NULL;
    if (!p)
        return false;
    if (n)
        memcpy(p, r->out.p + from, n);
    if (n && memchr(mark, !mark[0], n)) {
        copy = run_new(r, n, 1);
        if (!copy)
            return false;
        memcpy(copy, mark, n);
    }
    struct text t = {.p = p, .n = n, .mark = copy, .user = n && mark[0], .chars = TEXT_UNCOUNTED};
    run_cut(r, from);
    return text_new(r, t, out) != NULL;
}
