/* methods_split.c -- strings cut into lists of strings. */
#include "chat/natives.h"
#include "chat/unicode.h"

#include "base/utf8.h"

#include <string.h>

/* The pieces found so far, in the order in which they were found. */
struct pieces {
    struct value *at;
    size_t        n, room;
};

static bool add(struct run *r, struct pieces *p, const struct text *t, size_t from, size_t to)
{
    if (p->n == p->room) {
        size_t        room = p->room ? p->room * 2 : 8;
        struct value *at = run_new(r, room, sizeof *at);
        if (!at)
            return false;
        if (p->n)
            memcpy(at, p->at, p->n * sizeof *at);
        p->at = at;
        p->room = room;
    }
    return run_step(r) && text_slice(r, t, from, to - from, &p->at[p->n++]);
}

static bool finish(struct run *r, const struct pieces *p, bool reversed, struct value *out)
{
    if (!value_seq(r, V_LIST, p->n, out))
        return false;
    for (size_t i = 0; i < p->n; i++)
        out->seq->at[i] = p->at[reversed ? p->n - 1 - i : i];
    return true;
}

static bool split_at(struct run *r, const struct text *t, struct str sep, int64_t max, struct pieces *p)
{
    size_t from = 0, at;
    while (max-- != 0) {
        if (!text_find(r, (struct str){t->p + from, t->n - from}, sep, &at))
            return false;
        if (at == STR_NONE)
            break;
        if (!add(r, p, t, from, from + at))
            return false;
        from += at + sep.n;
    }
    return add(r, p, t, from, t->n);
}

static bool split_at_last(struct run *r, const struct text *t, struct str sep, int64_t max, struct pieces *p)
{
    size_t to = t->n, at;
    while (max-- != 0) {
        if (!text_find_last(r, (struct str){t->p, to}, sep, &at))
            return false;
        if (at == STR_NONE)
            break;
        if (!add(r, p, t, at + sep.n, to))
            return false;
        to = at;
    }
    return add(r, p, t, 0, to);
}

static size_t skip(struct str s, bool space)
{
    size_t at = 0;
    while (at < s.n && (unicode_space((struct str){s.p + at, s.n - at}) > 0) == space)
        at += text_char_bytes(s.p + at, s.n - at);
    return at;
}

/* Runs of white space separate; none counts at the ends. */
static bool split_words(struct run *r, const struct text *t, int64_t max, struct pieces *p)
{
    struct str s = text_str(t);
    if (!run_work(r, t->n))
        return false;
    for (size_t at = skip(s, true); at < s.n;) {
        size_t n = skip((struct str){s.p + at, s.n - at}, false);
        if (max-- == 0)
            n = s.n - at;
        if (!add(r, p, t, at, at + n))
            return false;
        at += n;
        at += skip((struct str){s.p + at, s.n - at}, true);
    }
    return true;
}

/* Length of s without the last word. */
static size_t before_word(struct str s)
{
    while (s.n) {
        size_t last = s.n - 1;
        while (((uint8_t)s.p[last] & 0xC0) == 0x80)
            last--;
        if (unicode_space((struct str){s.p + last, s.n - last}))
            break;
        s.n = last;
    }
    return s.n;
}

static bool split_last_words(struct run *r, const struct text *t, int64_t max, struct pieces *p)
{
    struct str s = text_str(t);
    if (!run_work(r, t->n))
        return false;
    for (s.n = unicode_rstrip(s); s.n; s.n = unicode_rstrip(s)) {
        size_t from = max-- == 0 ? 0 : before_word(s);
        if (!add(r, p, t, from, s.n))
            return false;
        s.n = from;
    }
    return true;
}

static bool split(struct run *r, const struct args *a, bool reversed, struct value *out)
{
    const struct text *t = a->v[0].text;
    struct text       *sep = NULL;
    struct pieces      p = {0};
    int64_t            max;
    if ((arg_given(&a->v[1]) && !arg_text(r, &a->v[1], "", &sep)) || !arg_int(r, &a->v[2], -1, &max))
        return false;
    if (sep && sep->n == 0)
        return run_fail(r, "empty separator");
    if (max < 0)
        max = INT64_MAX;
    bool ok = reversed ? (sep ? split_at_last(r, t, text_str(sep), max, &p) : split_last_words(r, t, max, &p))
                       : (sep ? split_at(r, t, text_str(sep), max, &p) : split_words(r, t, max, &p));
    return ok && finish(r, &p, reversed, out);
}

bool method_split(struct run *r, const struct args *a, struct value *out)
{
    return split(r, a, false, out);
}

bool method_rsplit(struct run *r, const struct args *a, struct value *out)
{
    return split(r, a, true, out);
}

/* Length of the line end at the front; 0: none. */
static size_t line_end(struct str s)
{
    uint32_t cp;
    unsigned n = utf8_decode(s, &cp);
    if (str_starts(s, STR("\r\n")))
        return 2;
    bool end = n && ((cp >= 0x0A && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x1E) || cp == 0x85 || cp == 0x2028 ||
                     cp == 0x2029);
    return end ? n : 0;
}

bool native_split_lines(struct run *r, const struct text *t, bool keep_ends, struct value *out)
{
    struct pieces p = {0};
    size_t        from = 0, n;
    for (size_t at = 0; at < t->n;) {
        struct str rest = {t->p + at, t->n - at};
        if ((n = line_end(rest)) > 0) {
            if (!add(r, &p, t, from, keep_ends ? at + n : at))
                return false;
            from = at + n;
        } else
            n = text_char_bytes(rest.p, rest.n);
        at += n;
    }
    if (from < t->n && !add(r, &p, t, from, t->n))
        return false;
    return run_work(r, t->n) && finish(r, &p, false, out);
}

bool method_splitlines(struct run *r, const struct args *a, struct value *out)
{
    return native_split_lines(r, a->v[0].text, arg_bool(&a->v[1], false), out);
}

/* (before, separator, behind) */
static bool partition(struct run *r, const struct args *a, bool last, struct value *out)
{
    const struct text *t = a->v[0].text;
    struct text       *sep;
    size_t             at;
    if (!arg_text(r, &a->v[1], "", &sep))
        return false;
    if (sep->n == 0)
        return run_fail(r, "empty separator");
    if (!(last ? text_find_last(r, text_str(t), text_str(sep), &at) : text_find(r, text_str(t), text_str(sep), &at)) ||
        !value_seq(r, V_TUPLE, 3, out))
        return false;
    struct value *v = out->seq->at;
    if (at == STR_NONE)
        return text_slice(r, t, 0, t->n, &v[last ? 2 : 0]) && text_slice(r, t, 0, 0, &v[1]) &&
               text_slice(r, t, 0, 0, &v[last ? 0 : 2]);
    return text_slice(r, t, 0, at, &v[0]) && text_slice(r, t, at, sep->n, &v[1]) &&
           text_slice(r, t, at + sep->n, t->n - at - sep->n, &v[2]);
}

bool method_partition(struct run *r, const struct args *a, struct value *out)
{
    return partition(r, a, false, out);
}

bool method_rpartition(struct run *r, const struct args *a, struct value *out)
{
    return partition(r, a, true, out);
}
