/* filters_text.c -- filters that make strings of strings. */
#include "chat/natives.h"
#include "chat/unicode.h"

#include "base/utf8.h"

#include <string.h>

/* str(x), of which the user's part stays the user's. */
static bool piped(struct run *r, const struct args *a, struct text **out)
{
    struct value text;
    if (!print_text(r, &a->v[0], &text))
        return false;
    *out = text.text;
    return true;
}

static bool plain(struct value *out)
{
    out->text->markup = false;
    return true;
}

bool filter_lower(struct run *r, const struct args *a, struct value *out)
{
    struct text *t;
    return piped(r, a, &t) && native_case(r, t, CASE_LOWER, out);
}

bool filter_upper(struct run *r, const struct args *a, struct value *out)
{
    struct text *t;
    return piped(r, a, &t) && native_case(r, t, CASE_UPPER, out);
}

bool filter_capitalize(struct run *r, const struct args *a, struct value *out)
{
    struct text *t;
    return piped(r, a, &t) && native_case(r, t, CASE_CAPITAL, out);
}

/* Not str.title(): words begin only behind white space and a few signs. */
bool filter_title(struct run *r, const struct args *a, struct value *out)
{
    struct text *t;
    size_t       top = run_top(r);
    bool         begin = true;
    if (!piped(r, a, &t))
        return false;
    for (size_t at = 0, n; at < t->n; at += n) {
        uint32_t cp = 0;
        n = utf8_decode((struct str){t->p + at, t->n - at}, &cp);
        CHECK(n > 0);
        if (!native_case_char(r, t, at, cp, begin ? U_UPPER : U_LOWER))
            return false;
        begin = unicode_is(cp, U_SPACE) || (cp && cp < 0x80 && strchr("-({[<", (char)cp));
    }
    return text_take(r, top, out);
}

bool filter_string(struct run *r, const struct args *a, struct value *out)
{
    return print_text(r, &a->v[0], out);
}

bool filter_trim(struct run *r, const struct args *a, struct value *out)
{
    struct text *t, *chars = NULL;
    return piped(r, a, &t) && (!arg_given(&a->v[1]) || arg_text(r, &a->v[1], "", &chars)) &&
           native_strip(r, t, chars, STRIP_LEFT | STRIP_RIGHT, out);
}

bool filter_replace(struct run *r, const struct args *a, struct value *out)
{
    struct value old, new_, none = VALUE_MISSING;
    struct text *t;
    int64_t      count;
    return piped(r, a, &t) && print_text(r, &a->v[1], &old) && print_text(r, &a->v[2], &new_) &&
           arg_int(r, arg_given(&a->v[3]) ? &a->v[3] : &none, -1, &count) &&
           native_replace(r, t, old.text, new_.text, count, out) && plain(out);
}

bool filter_center(struct run *r, const struct args *a, struct value *out)
{
    struct actuals self = {.n = 2};
    struct value   v[2];
    struct text   *t;
    if (!piped(r, a, &t))
        return false;
    v[0] = value_text(t);
    v[1] = a->v[1].type == V_MISSING ? value_int(80) : a->v[1];
    self.at = v;
    return call_native(r, find_method(V_STR, STR("center")), &self, out);
}

bool filter_format(struct run *r, const struct args *a, struct value *out)
{
    struct value given, fmt;
    struct args  named = *a;
    if (a->n_rest && a->n_named)
        return run_fail(r, "can't handle positional and keyword arguments at the same time");
    named.v[0] = VALUE_MISSING;
    if (a->n_named) {
        if (!native_dict(r, &named, &given))
            return false;
    } else {
        if (!value_seq(r, V_TUPLE, a->n_rest, &given))
            return false;
        for (size_t i = 0; i < a->n_rest; i++)
            given.seq->at[i] = a->rest[i];
    }
    return print_text(r, &a->v[0], &fmt) && format_percent(r, &fmt, &given, out);
}

bool filter_safe(struct run *r, const struct args *a, struct value *out)
{
    struct text *t;
    if (!piped(r, a, &t) || !text_slice(r, t, 0, t->n, out))
        return false;
    out->text->markup = true;
    return true;
}

bool filter_escape(struct run *r, const struct args *a, struct value *out)
{
    size_t top = run_top(r);
    if (!print_escaped(r, &a->v[0]) || !text_take(r, top, out))
        return false;
    out->text->markup = true;
    return true;
}

bool filter_forceescape(struct run *r, const struct args *a, struct value *out)
{
    struct args  bare = *a;
    struct text *t;
    if (!piped(r, a, &t) || !text_slice(r, t, 0, t->n, &bare.v[0]))
        return false;
    bare.v[0].text->markup = false;
    return filter_escape(r, &bare, out);
}

/* Python adds a newline, cuts into lines and joins them again: line ends of every kind become "\n". */
bool filter_indent(struct run *r, const struct args *a, struct value *out)
{
    struct value space, newline, lines, s = a->v[0];
    bool         first = arg_bool(&a->v[2], false), blank = arg_bool(&a->v[3], false);
    size_t       top = run_top(r);
    int64_t      width;
    if (s.type == V_UNDEFINED)
        return run_fail(r, "%s", s.undefined->why.p);
    if (s.type != V_STR)
        return run_fail(r, "unsupported operand type(s) for +=: '%s' and 'str'", value_type_name(&s));
    if (a->v[1].type == V_STR)
        space = a->v[1];
    else if (!arg_int(r, &a->v[1], 4, &width) || !text_of(r, STR(" "), &space) ||
             !text_repeat(r, space.text, width, &space))
        return false;
    if (!text_of(r, STR("\n"), &newline) || !text_add(r, s.text, newline.text, &s) ||
        !native_split_lines(r, s.text, false, &lines))
        return false;
    for (size_t i = 0; i < lines.seq->n; i++) {
        const struct text *line = lines.seq->at[i].text;
        bool               indented = i ? blank || line->n : first;
        if ((i && !out_str(r, STR("\n"))) || (indented && !out_text(r, space.text)) || !out_text(r, line))
            return false;
    }
    if (!text_take(r, top, out))
        return false;
    out->text->markup = s.text->markup;
    return true;
}

bool filter_truncate(struct run *r, const struct args *a, struct value *out)
{
    struct text *t, *end;
    size_t       chars, end_chars, at, space;
    int64_t      length, leeway;
    struct value cut, none = VALUE_MISSING;
    if (!value_len(r, &a->v[0], &chars) || !arg_int(r, &a->v[1], 255, &length) ||
        !arg_text(r, &a->v[3], "...", &end) || !arg_int(r, arg_given(&a->v[4]) ? &a->v[4] : &none, 5, &leeway) ||
        !text_chars(r, end, &end_chars))
        return false;
    if (length < (int64_t)end_chars)
        return run_fail(r, "expected length >= %zu, got %lld", end_chars, (long long)length);
    if (leeway < 0)
        return run_fail(r, "expected leeway >= 0, got %lld", (long long)leeway);
    *out = a->v[0];
    if ((uint64_t)length + (uint64_t)leeway >= chars)
        return true;
    if (!arg_text(r, &a->v[0], "", &t) || !text_offset(r, t, (size_t)length - end_chars, &at))
        return false;
    if (!arg_bool(&a->v[2], false)) {
        if (!text_find_last(r, (struct str){t->p, at}, STR(" "), &space))
            return false;
        at = space == STR_NONE ? at : space;
    }
    return text_slice(r, t, 0, at, &cut) && text_add(r, cut.text, end, out);
}

bool filter_wordcount(struct run *r, const struct args *a, struct value *out)
{
    struct text *t;
    int64_t      words = 0;
    bool         inside = false;
    if (!piped(r, a, &t) || !run_work(r, t->n))
        return false;
    for (size_t at = 0, n; at < t->n; at += n) {
        uint32_t cp = 0;
        n = utf8_decode((struct str){t->p + at, t->n - at}, &cp);
        CHECK(n > 0);
        bool word = cp == '_' || unicode_is(cp, U_ALPHA) || unicode_is(cp, U_NUMERIC);
        words += word && !inside;
        inside = word;
    }
    *out = value_int(words);
    return true;
}

static bool quote(struct run *r, const struct value *v, bool query)
{
    static const char hex[] = "0123456789ABCDEF";
    struct value      s;
    if (!print_text(r, v, &s))
        return false;
    for (size_t i = 0; i < s.text->n; i++) {
        char c = s.text->p[i];
        bool user = s.text->mark ? s.text->mark[i] : s.text->user;
        bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    (c && strchr("_.-~", c)) || (c == '/' && !query);
        char coded[3] = {'%', hex[(uint8_t)c >> 4], hex[c & 15]};
        bool ok = safe ? out_bytes(r, &c, 1, user)
                       : query && c == ' ' ? out_bytes(r, "+", 1, user) : out_bytes(r, coded, 3, user);
        if (!ok)
            return false;
    }
    return true;
}

bool filter_urlencode(struct run *r, const struct args *a, struct value *out)
{
    struct value v = a->v[0];
    struct seq   items, pair;
    size_t       top = run_top(r);
    if (v.type == V_STR || v.type == V_NONE || value_is_number(&v))
        return quote(r, &v, false) && text_take(r, top, out);
    if (v.type == V_DICT)
        v.type = V_ITEMS;
    if (!value_items(r, &v, &items))
        return false;
    for (size_t i = 0; i < items.n; i++) {
        if (!value_items(r, &items.at[i], &pair))
            return false;
        if (pair.n != 2)
            return run_fail(r, "not enough values to unpack (expected 2, got %zu)", pair.n);
        if ((i && !out_str(r, STR("&"))) || !quote(r, &pair.at[0], true) || !out_str(r, STR("=")) ||
            !quote(r, &pair.at[1], true))
            return false;
    }
    return text_take(r, top, out);
}

bool filter_tojson(struct run *r, const struct args *a, struct value *out)
{
    struct tojson how = {.ascii = arg_bool(&a->v[1], false), .sort = arg_bool(&a->v[4], false)};
    size_t        top = run_top(r);
    how.indent = arg_given(&a->v[2]) ? a->v[2] : VALUE_NONE;
    if (arg_given(&a->v[3])) {
        struct seq pair;
        if (!value_items(r, &a->v[3], &pair))
            return false;
        if (pair.n != 2 || pair.at[0].type != V_STR || pair.at[1].type != V_STR)
            return run_fail(r, "separators must be two strings");
        how.item_sep = pair.at[0];
        how.key_sep = pair.at[1];
    }
    return tojson(r, &a->v[0], &how) && text_take(r, top, out);
}

bool filter_join(struct run *r, const struct args *a, struct value *out)
{
    struct value sep, item;
    struct seq   items;
    size_t       top = run_top(r);
    if (!value_items(r, &a->v[0], &items))
        return false;
    if (a->v[1].type == V_MISSING ? !text_of(r, STR(""), &sep) : !print_text(r, &a->v[1], &sep))
        return false;
    for (size_t i = 0; i < items.n; i++)
        if (!run_step(r) || (i && !out_text(r, sep.text)) || !attr_path(r, &items.at[i], &a->v[2], NULL, &item) ||
            !print_str(r, &item))
            return false;
    return text_take(r, top, out);
}
