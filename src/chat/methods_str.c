/* methods_str.c -- methods of strings.  What they give keeps the marks of what it came from. */
#include "chat/natives.h"
#include "chat/unicode.h"

#include "base/utf8.h"

#include <string.h>

/* ---- case -------------------------------------------------------------------------------------------------------- */

/* Python writes a capital sigma at the end of a word in its own small form. */
static bool final_sigma(const struct text *t, size_t at)
{
    uint32_t cp;
    size_t   before = at;
    while (before > 0 && ((uint8_t)t->p[before - 1] & 0xC0) == 0x80)
        before--;
    if (before == 0 || !utf8_decode((struct str){t->p + before - 1, at - before + 1}, &cp) || !unicode_cased(cp))
        return false;
    return !utf8_decode((struct str){t->p + at + 2, t->n - at - 2}, &cp) || !unicode_cased(cp);
}

bool native_case_char(struct run *r, const struct text *t, size_t at, uint32_t cp,
                      enum unicode_case c)
{
    char   to[16];
    size_t n = unicode_to(cp, c, to);
    if (cp == 0x3A3 && c == U_LOWER && final_sigma(t, at))
        n = utf8_encode(0x3C2, to);
    return out_bytes(r, to, n, t->mark ? t->mark[at] : t->user);
}

bool native_case(struct run *r, const struct text *t, int how, struct value *out)
{
    size_t top = run_top(r);
    bool   inside = false;          /* behind a letter of the same word */
    for (size_t at = 0, n; at < t->n; at += n) {
        uint32_t          cp = 0;
        enum unicode_case c = how == CASE_UPPER ? U_UPPER : U_LOWER;
        n = utf8_decode((struct str){t->p + at, t->n - at}, &cp);
        CHECK(n > 0);
        if ((how == CASE_CAPITAL && at == 0) || (how == CASE_TITLE && !inside))
            c = U_TITLE;
        if (how == CASE_SWAP) {
            char to[16];
            c = unicode_to(cp, U_LOWER, to) == n && memcmp(to, t->p + at, n) == 0 ? U_UPPER : U_LOWER;
        }
        inside = unicode_cased(cp);
        if (!native_case_char(r, t, at, cp, c))
            return false;
    }
    if (!text_take(r, top, out))
        return false;
    out->text->markup = t->markup;
    return true;
}

#define CASE_METHOD(name, how)                                              \
    bool name(struct run *r, const struct args *a, struct value *out)      \
    {                                                                       \
        return native_case(r, a->v[0].text, how, out);                      \
    }
CASE_METHOD(method_lower, CASE_LOWER)
CASE_METHOD(method_upper, CASE_UPPER)
CASE_METHOD(method_capitalize, CASE_CAPITAL)
CASE_METHOD(method_title, CASE_TITLE)
CASE_METHOD(method_swapcase, CASE_SWAP)

/* ---- what it is made of ------------------------------------------------------------------------------------------ */

enum { OTHER = 0, IS_LOWER = 1, IS_UPPER = 2 };

static int case_of(uint32_t cp)
{
    char     to[16], as[4];
    unsigned n = utf8_encode(cp, as);
    bool     lower = unicode_to(cp, U_LOWER, to) == n && memcmp(to, as, n) == 0;
    bool     upper = unicode_to(cp, U_UPPER, to) == n && memcmp(to, as, n) == 0;
    return lower == upper ? OTHER : lower ? IS_LOWER : IS_UPPER;
}

/* Every character is of one of the classes (bits), and there is one at least. */
static bool all_of(struct run *r, const struct text *t, unsigned classes, struct value *out)
{
    bool all = t->n > 0;
    for (size_t at = 0, n; all && at < t->n; at += n) {
        uint32_t cp = 0;
        n = utf8_decode((struct str){t->p + at, t->n - at}, &cp);
        CHECK(n > 0);
        all = false;
        for (unsigned c = 0; c < U_CLASS_COUNT; c++)
            all |= (classes >> c & 1) && unicode_is(cp, (enum unicode_class)c);
    }
    *out = value_bool(all);
    return run_work(r, t->n);
}

#define CLASS_METHOD(name, classes)                                         \
    bool name(struct run *r, const struct args *a, struct value *out)      \
    {                                                                       \
        return all_of(r, a->v[0].text, classes, out);                       \
    }
CLASS_METHOD(method_isalpha, 1U << U_ALPHA)
CLASS_METHOD(method_isdigit, 1U << U_DIGIT)
CLASS_METHOD(method_isdecimal, 1U << U_DECIMAL)
CLASS_METHOD(method_isnumeric, 1U << U_NUMERIC)
CLASS_METHOD(method_isspace, 1U << U_SPACE)
CLASS_METHOD(method_isalnum, 1U << U_ALPHA | 1U << U_DIGIT | 1U << U_DECIMAL | 1U << U_NUMERIC)

bool method_isascii(struct run *r, const struct args *a, struct value *out)
{
    size_t chars;
    if (!text_chars(r, a->v[0].text, &chars))
        return false;
    *out = value_bool(chars == a->v[0].text->n);
    return true;
}

/* Letters with a case: some are there, and none is of the case that is not wanted. */
static bool one_case(struct run *r, const struct text *t, int wanted, struct value *out)
{
    bool some = false, other = false;
    for (size_t at = 0, n; at < t->n; at += n) {
        uint32_t cp = 0;
        n = utf8_decode((struct str){t->p + at, t->n - at}, &cp);
        CHECK(n > 0);
        int c = case_of(cp);
        some |= c == wanted;
        other |= c != wanted && c != OTHER;
    }
    *out = value_bool(some && !other);
    return run_work(r, t->n);
}

bool method_islower(struct run *r, const struct args *a, struct value *out)
{
    return one_case(r, a->v[0].text, IS_LOWER, out);
}

bool method_isupper(struct run *r, const struct args *a, struct value *out)
{
    return one_case(r, a->v[0].text, IS_UPPER, out);
}

bool method_istitle(struct run *r, const struct args *a, struct value *out)
{
    const struct text *t = a->v[0].text;
    bool               inside = false, some = false, ok = true;
    for (size_t at = 0, n; at < t->n; at += n) {
        uint32_t cp = 0;
        n = utf8_decode((struct str){t->p + at, t->n - at}, &cp);
        CHECK(n > 0);
        int c = case_of(cp);
        ok &= c == OTHER || (c == IS_LOWER) == inside;
        some |= c != OTHER;
        inside = c != OTHER;
    }
    *out = value_bool(some && ok);
    return run_work(r, t->n);
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

bool native_strip(struct run *r, struct text *t, const struct text *chars, int sides, struct value *out)
{
    size_t from = 0, to = t->n, n;
    if (sides & STRIP_LEFT)
        for (; from < to; from += n) {
            struct str rest = {t->p + from, to - from};
            n = text_char_bytes(rest.p, rest.n);
            if (chars ? str_find(text_str(chars), (struct str){rest.p, n}) == STR_NONE : !unicode_space(rest))
                break;
        }
    while ((sides & STRIP_RIGHT) && to > from) {
        size_t last = to - 1;
        while (((uint8_t)t->p[last] & 0xC0) == 0x80)
            last--;
        struct str one = {t->p + last, to - last};
        if (chars ? str_find(text_str(chars), one) == STR_NONE : !unicode_space(one))
            break;
        to = last;
    }
    size_t looked = t->n - (to - from);
    return (!chars || chars->n < 16 || run_work(r, looked / 16 * chars->n)) && run_work(r, looked) &&
           text_slice(r, t, from, to - from, out);
}

static bool strip(struct run *r, const struct args *a, int sides, struct value *out)
{
    struct text *chars = NULL;
    if (arg_given(&a->v[1]) && !arg_text(r, &a->v[1], "", &chars))
        return false;
    return native_strip(r, a->v[0].text, chars, sides, out);
}

bool method_strip(struct run *r, const struct args *a, struct value *out)
{
    return strip(r, a, STRIP_LEFT | STRIP_RIGHT, out);
}

bool method_lstrip(struct run *r, const struct args *a, struct value *out)
{
    return strip(r, a, STRIP_LEFT, out);
}

bool method_rstrip(struct run *r, const struct args *a, struct value *out)
{
    return strip(r, a, STRIP_RIGHT, out);
}

bool method_removeprefix(struct run *r, const struct args *a, struct value *out)
{
    struct text *t = a->v[0].text, *cut;
    if (!arg_text(r, &a->v[1], "", &cut))
        return false;
    size_t n = str_starts(text_str(t), text_str(cut)) ? cut->n : 0;
    return text_slice(r, t, n, t->n - n, out);
}

bool method_removesuffix(struct run *r, const struct args *a, struct value *out)
{
    struct text *t = a->v[0].text, *cut;
    if (!arg_text(r, &a->v[1], "", &cut))
        return false;
    return text_slice(r, t, 0, t->n - (str_ends(text_str(t), text_str(cut)) ? cut->n : 0), out);
}

/* ---- looking for something --------------------------------------------------------------------------------------- */

/* The bytes between the characters `start` and `end`, which count from the end when negative.  False in *ok: start lies
 * behind the end. */
static bool window(struct run *r, const struct args *a, size_t *from, struct str *out, bool *ok)
{
    struct text *t = a->v[0].text;
    size_t       chars, to;
    int64_t      start, end;
    if (!text_chars(r, t, &chars))
        return false;
    int64_t             n = (int64_t)chars;
    const struct value *s = &a->v[2], *e = &a->v[3], none = VALUE_MISSING;
    if (!arg_int(r, arg_given(s) ? s : &none, 0, &start) || !arg_int(r, arg_given(e) ? e : &none, n, &end))
        return false;
    start = start < 0 ? (start < -n ? 0 : start + n) : start;
    end = end < 0 ? (end < -n ? 0 : end + n) : end > n ? n : end;
    *ok = start <= end;
    *from = 0;
    *out = (struct str){t->p, 0};
    if (!*ok)
        return true;
    if (!text_offset(r, t, (size_t)start, from) || !text_offset(r, t, (size_t)end, &to))
        return false;
    *out = (struct str){t->p + *from, to - *from};
    return true;
}

/* The character number where `sub` is, or -1. */
static bool find_char(struct run *r, const struct args *a, bool last, int64_t *out)
{
    struct text *sub;
    struct str   in;
    size_t       from, at;
    bool         ok;
    if (!arg_text(r, &a->v[1], "", &sub) || !window(r, a, &from, &in, &ok))
        return false;
    *out = -1;
    if (!ok)
        return true;
    if (!(last ? text_find_last(r, in, text_str(sub), &at) : text_find(r, in, text_str(sub), &at)))
        return false;
    if (at == STR_NONE)
        return true;
    size_t       chars;
    struct value head;
    if (!text_slice(r, a->v[0].text, 0, from + at, &head) || !text_chars(r, head.text, &chars))
        return false;
    *out = (int64_t)chars;
    return true;
}

static bool find_text(struct run *r, const struct args *a, bool last, bool must, struct value *out)
{
    int64_t at;
    if (!find_char(r, a, last, &at))
        return false;
    *out = value_int(at);
    return !must || at >= 0 || run_fail(r, "substring not found");
}

bool method_find(struct run *r, const struct args *a, struct value *out)
{
    return find_text(r, a, false, false, out);
}

bool method_rfind(struct run *r, const struct args *a, struct value *out)
{
    return find_text(r, a, true, false, out);
}

bool method_index(struct run *r, const struct args *a, struct value *out)
{
    return find_text(r, a, false, true, out);
}

bool method_rindex(struct run *r, const struct args *a, struct value *out)
{
    return find_text(r, a, true, true, out);
}

bool method_count(struct run *r, const struct args *a, struct value *out)
{
    struct text *sub;
    struct str   in;
    size_t       from, at;
    int64_t      n = 0;
    bool         ok;
    if (!arg_text(r, &a->v[1], "", &sub) || !window(r, a, &from, &in, &ok))
        return false;
    if (ok && sub->n == 0) {
        struct value part;
        if (!text_slice(r, a->v[0].text, from, in.n, &part) || !text_chars(r, part.text, &at))
            return false;
        n = (int64_t)at + 1;
    }
    while (ok && sub->n) {
        if (!run_step(r) || !text_find(r, in, text_str(sub), &at))
            return false;
        if (at == STR_NONE)
            break;
        n++;
        in = (struct str){in.p + at + sub->n, in.n - at - sub->n};
    }
    *out = value_int(n);
    return true;
}

/* startswith() and endswith() also take a tuple of strings. */
static bool has_end(struct run *r, const struct args *a, bool tail, struct value *out)
{
    struct str                 in;
    size_t                     from;
    bool                       ok, found = false;
    const struct value        *what = &a->v[1];
    struct seq                 one = {.at = (struct value *)(uintptr_t)what, .n = 1};
    const struct seq          *list = what->type == V_TUPLE ? what->seq : &one;
    if (!window(r, a, &from, &in, &ok))
        return false;
    for (size_t i = 0; i < list->n && !found; i++) {
        if (list->at[i].type != V_STR)
            return run_fail(r, "%s first arg must be str or a tuple of str, not %s", tail ? "endswith" : "startswith",
                            value_type_name(&list->at[i]));
        struct str s = text_str(list->at[i].text);
        found = ok && (tail ? str_ends(in, s) : str_starts(in, s));
    }
    *out = value_bool(found);
    return true;
}

bool method_startswith(struct run *r, const struct args *a, struct value *out)
{
    return has_end(r, a, false, out);
}

bool method_endswith(struct run *r, const struct args *a, struct value *out)
{
    return has_end(r, a, true, out);
}

/* ---- making others ----------------------------------------------------------------------------------------------- */

bool native_replace(struct run *r, const struct text *t, const struct text *old, const struct text *new_,
                    int64_t count, struct value *out)
{
    size_t top = run_top(r), done = 0, at;
    bool   ok = true;
    for (int64_t n = 0; ok && (count < 0 || n < count) && done <= t->n; n++) {
        struct str rest = {t->p + done, t->n - done};
        if (!run_step(r) || !text_find(r, rest, text_str(old), &at))
            return false;
        if (at == STR_NONE)
            break;
        ok = out_part(r, t, done, at) && out_text(r, new_);
        done += at + old->n;
        if (old->n == 0) {
            size_t step = done < t->n ? text_char_bytes(rest.p, rest.n) : 0;
            ok = ok && out_part(r, t, done, step);
            done += step ? step : 1;
        }
    }
    if (!ok || (done < t->n && !out_part(r, t, done, t->n - done)) || !text_take(r, top, out))
        return false;
    out->text->markup = t->markup;
    return true;
}

bool method_replace(struct run *r, const struct args *a, struct value *out)
{
    struct text *old, *new_;
    int64_t      count;
    return arg_text(r, &a->v[1], "", &old) && arg_text(r, &a->v[2], "", &new_) && arg_int(r, &a->v[3], -1, &count) &&
           native_replace(r, a->v[0].text, old, new_, count, out);
}

bool native_pad(struct run *r, struct text *t, int64_t width, const struct text *fill, int align, struct value *out)
{
    size_t chars, top = run_top(r);
    if (!text_chars(r, t, &chars))
        return false;
    size_t more = width > (int64_t)chars ? (size_t)width - chars : 0;
    /* Python's own rounding of the middle. */
    size_t left = align == '<' ? 0 : align == '>' ? more : more / 2;
    if (more == 0)
        return text_slice(r, t, 0, t->n, out);
    if (!out_fill(r, fill, left) || !out_text(r, t) || !out_fill(r, fill, more - left) || !text_take(r, top, out))
        return false;
    out->text->markup = t->markup;
    return true;
}

static bool pad(struct run *r, const struct args *a, int align, struct value *out)
{
    struct text *fill, *t = a->v[0].text;
    int64_t      width;
    size_t       chars, n, top = run_top(r);
    if (!arg_int(r, &a->v[1], 0, &width) || !arg_text(r, &a->v[2], " ", &fill) || !text_chars(r, fill, &chars) ||
        !text_chars(r, t, &n))
        return false;
    if (chars != 1)
        return run_fail(r, "The fill character must be exactly one character long");
    if (align != '^' || width <= (int64_t)n)
        return native_pad(r, t, width, fill, align, out);
    /* str.center() puts the odd one on the left when the width is odd. */
    size_t more = (size_t)width - n, left = more / 2 + (more & (size_t)width & 1);
    if (!out_fill(r, fill, left) || !out_text(r, t) || !out_fill(r, fill, more - left) || !text_take(r, top, out))
        return false;
    out->text->markup = t->markup;
    return true;
}

bool method_ljust(struct run *r, const struct args *a, struct value *out)
{
    return pad(r, a, '<', out);
}

bool method_rjust(struct run *r, const struct args *a, struct value *out)
{
    return pad(r, a, '>', out);
}

bool method_center(struct run *r, const struct args *a, struct value *out)
{
    return pad(r, a, '^', out);
}

bool method_zfill(struct run *r, const struct args *a, struct value *out)
{
    struct text *t = a->v[0].text;
    struct value zero, body;
    int64_t      width;
    size_t       top = run_top(r), sign = t->n && (t->p[0] == '-' || t->p[0] == '+');
    if (!arg_int(r, &a->v[1], 0, &width) || !text_of(r, STR("0"), &zero))
        return false;
    if (width < 0)
        width = 0;
    if (!text_slice(r, t, sign, t->n - sign, &body) ||
        !native_pad(r, body.text, width - (int64_t)sign, zero.text, '>', &body) || !out_part(r, t, 0, sign) ||
        !out_text(r, body.text) || !text_take(r, top, out))
        return false;
    out->text->markup = t->markup;
    return true;
}

bool method_expandtabs(struct run *r, const struct args *a, struct value *out)
{
    const struct text *t = a->v[0].text;
    struct value       space;
    int64_t            size, column = 0;
    size_t             top = run_top(r);
    if (!arg_int(r, &a->v[1], 8, &size) || !text_of(r, STR(" "), &space))
        return false;
    for (size_t at = 0, n; at < t->n; at += n) {
        n = text_char_bytes(t->p + at, t->n - at);
        int64_t gap = t->p[at] == '\t' ? (size > 0 ? size - column % size : 0) : 1;
        if (!(t->p[at] == '\t' ? out_fill(r, space.text, (size_t)gap) : out_part(r, t, at, n)))
            return false;
        column = t->p[at] == '\n' || t->p[at] == '\r' ? 0 : column + gap;
    }
    return text_take(r, top, out);
}

bool method_join(struct run *r, const struct args *a, struct value *out)
{
    const struct text *sep = a->v[0].text;
    struct seq         items;
    size_t             top = run_top(r);
    if (!value_items(r, &a->v[1], &items))
        return false;
    for (size_t i = 0; i < items.n; i++) {
        if (items.at[i].type != V_STR)
            return run_fail(r, "sequence item %zu: expected str instance, %s found", i, value_type_name(&items.at[i]));
        if (i && !out_text(r, sep))
            return false;
        if (!(sep->markup ? print_escaped(r, &items.at[i]) : out_text(r, items.at[i].text)))
            return false;
    }
    if (!text_take(r, top, out))
        return false;
    out->text->markup = sep->markup;
    return true;
}

bool method_format(struct run *r, const struct args *a, struct value *out)
{
    return format_braces(r, &a->v[0], a, out);
}
