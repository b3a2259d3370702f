/* format.c -- "%5.2f" % x and "{:>5}".format(x): one description of a field, two ways to write it. */
#include "chat/natives.h"
#include "chat/run.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PRECISION_MAX = 400 };

struct field {
    struct value fill;              /* one character */
    char         align, sign, type; /* '\0': not given */
    bool         alt, zero, comma;
    int64_t      width, precision;  /* -1: not given */
};

/* Digits at s[*at]; -1: none.  Too many of them stop at a number that no limit allows. */
static int64_t number_at(struct str s, size_t *at)
{
    int64_t n = -1;
    for (; *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9'; ++*at)
        n = n > INT32_MAX ? n : (n < 0 ? 0 : n * 10) + (s.p[*at] - '0');
    return n;
}

static bool new_field(struct run *r, struct field *f)
{
    *f = (struct field){.width = -1, .precision = -1};
    return text_of(r, STR(" "), &f->fill);
}

/* The sign and the digits of a number, apart: what goes between them is the caller's. */
struct digits {
    char sign[4], text[PRECISION_MAX + 350];
};

static bool int_digits(struct run *r, const struct field *f, int64_t i, struct digits *d)
{
    uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    size_t   n = 0;
    char     back[72];
    unsigned base = f->type == 'x' || f->type == 'X' ? 16 : f->type == 'o' ? 8 : f->type == 'b' ? 2 : 10;
    do {
        back[n++] = (f->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef")[u % base];
        u /= base;
    } while (u);
    if (f->precision > PRECISION_MAX)
        return run_fail(r, "precision too big");
    size_t zeros = f->precision > (int64_t)n ? (size_t)f->precision - n : 0;
    memset(d->text, '0', zeros);
    for (size_t k = 0; k < n; k++)
        d->text[zeros + k] = back[n - 1 - k];
    d->text[zeros + n] = '\0';
    char sign = i < 0 ? '-' : f->sign == '+' || f->sign == ' ' ? f->sign : '\0';
    snprintf(d->sign, sizeof d->sign, "%.*s%s", sign != '\0', &sign,
             !f->alt || base == 10 ? "" : base == 2 ? "0b" : base == 8 ? "0o" : f->type == 'X' ? "0X" : "0x");
    return true;
}

static bool real_digits(struct run *r, const struct field *f, double x, struct digits *d)
{
    char shape[8], type = f->type == '%' ? 'f' : f->type ? f->type : 'g';
    if (f->precision > PRECISION_MAX)
        return run_fail(r, "precision too big");
    int precision = f->precision < 0 ? 6 : (int)f->precision;
    snprintf(shape, sizeof shape, "%%%s.*%c", f->alt ? "#" : "", type);
    double positive = fabs(f->type == '%' ? x * 100 : x);
    snprintf(d->text, sizeof d->text - 3, shape, precision, positive);
    if (!f->type && !strpbrk(d->text, ".en"))
        strncat(d->text, ".0", 3);
    if (f->type == '%')
        strncat(d->text, "%", 2);
    char sign = signbit(x) && !isnan(x) ? '-' : f->sign == '+' || f->sign == ' ' ? f->sign : '\0';
    snprintf(d->sign, sizeof d->sign, "%.*s", sign != '\0', &sign);
    return true;
}

/* Writes sign and digits, with commas, filled up between them where asked for. */
static bool number_field(struct run *r, const struct field *f, const struct digits *d, struct value *out)
{
    size_t from = run_top(r), n = strlen(d->text), whole = strspn(d->text, "0123456789"), sign = strlen(d->sign);
    bool   between = f->align == '=' || (f->zero && !f->align);
    size_t commas = f->comma && whole ? (whole - 1) / 3 : 0, have = sign + n + commas;
    if (!out_bytes(r, d->sign, sign, false))
        return false;
    if (between && f->width > (int64_t)have) {
        struct value zero;
        if (!text_of(r, STR("0"), &zero) ||
            !out_fill(r, f->zero ? zero.text : f->fill.text, (size_t)f->width - have))
            return false;
    }
    for (size_t i = 0; i < n; i++)
        if ((f->comma && i && i < whole && (whole - i) % 3 == 0 && !out_str(r, STR(","))) ||
            !out_bytes(r, d->text + i, 1, false))
            return false;
    if (!text_take(r, from, out))
        return false;
    return native_pad(r, out->text, f->width, f->fill.text, f->align && f->align != '=' ? f->align : '>', out);
}

static bool real_field(struct run *r, const struct field *f, double x, struct value *out)
{
    struct digits d;
    size_t        from = run_top(r);
    if (f->type || f->precision >= 0)
        return real_digits(r, f, x, &d) && number_field(r, f, &d, out);
    struct value shortest;
    if (!print_float(r, fabs(x)) || !text_take(r, from, &shortest))
        return false;
    char sign = signbit(x) && !isnan(x) ? '-' : f->sign == '+' || f->sign == ' ' ? f->sign : '\0';
    snprintf(d.sign, sizeof d.sign, "%.*s", sign != '\0', &sign);
    snprintf(d.text, sizeof d.text, "%.*s", (int)shortest.text->n, shortest.text->p);
    return number_field(r, f, &d, out);
}

static bool int_field(struct run *r, const struct field *f, int64_t i, struct value *out)
{
    struct digits d;
    return int_digits(r, f, i, &d) && number_field(r, f, &d, out);
}

static bool text_field(struct run *r, const struct field *f, struct value *text, struct value *out)
{
    size_t chars, bytes;
    if (f->precision >= 0) {
        if (!text_chars(r, text->text, &chars))
            return false;
        if ((uint64_t)f->precision < chars &&
            (!text_offset(r, text->text, (size_t)f->precision, &bytes) ||
             !text_slice(r, text->text, 0, bytes, text)))
            return false;
    }
    return native_pad(r, text->text, f->width, f->fill.text, f->align && f->align != '=' ? f->align : '<', out);
}

/* ---- "{…}".format(…) ------------------------------------------------------------------------------------------- */

static bool parse_spec(struct run *r, const struct text *t, struct field *f)
{
    struct str s = text_str(t);
    size_t     at = s.n ? text_char_bytes(s.p, s.n) : 0;
    bool       filled = at < s.n && s.p[at] && strchr("<>=^", s.p[at]);
    if (!new_field(r, f))
        return false;
    if (filled) {
        if (!text_slice(r, t, 0, at, &f->fill))
            return false;
        f->align = s.p[at++];
    } else if (s.n && s.p[0] && strchr("<>=^", s.p[0])) {
        f->align = s.p[0];
        at = 1;
    } else
        at = 0;
    if (at < s.n && s.p[at] && strchr("+- ", s.p[at]))
        f->sign = s.p[at++];
    if (at < s.n && s.p[at] == '#') {
        f->alt = true;
        at++;
    }
    if (at < s.n && s.p[at] == '0') {
        f->zero = !f->align;
        if (!filled && !text_of(r, STR("0"), &f->fill))
            return false;
        at++;
    }
    f->width = number_at(s, &at);
    if (at < s.n && s.p[at] == ',') {
        f->comma = true;
        at++;
    }
    if (at < s.n && s.p[at] == '.') {
        at++;
        f->precision = number_at(s, &at);
        if (f->precision < 0)
            return run_fail(r, "Format specifier missing precision");
    }
    if (at < s.n)
        f->type = s.p[at++];
    return at == s.n || run_fail(r, "Invalid format specifier");
}

static bool unknown_code(struct run *r, const struct field *f, const struct value *v)
{
    return run_fail(r, "Unknown format code '%c' for object of type '%s'", f->type < ' ' ? '?' : f->type,
                    value_type_name(v));
}

/* format(v, spec) */
static bool braces_field(struct run *r, const struct value *v, const struct text *spec, struct value *out)
{
    struct field f;
    struct value text;
    int64_t      i;
    if (spec->n == 0)
        return print_text(r, v, out);
    if (!parse_spec(r, spec, &f))
        return false;
    if (v->type == V_STR) {
        if (f.type && f.type != 's')
            return unknown_code(r, &f, v);
        if (f.sign || f.alt || f.comma || f.align == '=')
            return run_fail(r, "%s not allowed in string format specifier", f.sign ? "Sign"
                            : f.alt ? "Alternate form (#)" : f.comma ? "','" : "'=' alignment");
        text = *v;
        return text_field(r, &f, &text, out);
    }
    if (!value_is_number(v))
        return run_fail(r, "unsupported format string passed to %s.__format__", value_type_name(v));
    if (f.comma && f.type && strchr("xXob", f.type))
        return run_fail(r, "Cannot specify ',' with '%c'.", f.type);
    if (value_int_of(v, &i) && (!f.type || strchr("dxXob", f.type)))
        return f.precision < 0 ? int_field(r, &f, i, out)
                               : run_fail(r, "Precision not allowed in integer format specifier");
    if (!f.type || strchr("eEfFgG%", f.type))
        return real_field(r, &f, value_real(v), out);
    return unknown_code(r, &f, v);
}

/* Which argument the name in front of a field means; counts the fields that have none. */
static bool field_root(struct run *r, struct str name, const struct args *a, int64_t *next, struct value *out)
{
    int64_t i;
    if (name.n == 0 || (name.p[0] >= '0' && name.p[0] <= '9' && str_i64(name, &i))) {
        bool automatic = name.n == 0;
        if ((automatic && *next < 0) || (!automatic && *next > 0))
            return run_fail(r, "cannot mix manual field specification and automatic field numbering");
        if (automatic)
            i = (*next)++;
        else
            *next = -1;
        if ((uint64_t)i >= a->n_rest)
            return run_fail(r, "Replacement index %lld out of range for positional args tuple", (long long)i);
        *out = a->rest[i];
        return true;
    }
    for (size_t k = 0; k < a->n_named; k++)
        if (str_eq(a->named[k].name, name)) {
            *out = a->named[k].value;
            return true;
        }
    return run_fail(r, "'%.*s'", (int)(name.n < 100 ? name.n : 100), name.p);
}

/* "0.name[key]" */
static bool field_value(struct run *r, struct str name, const struct args *a, int64_t *next, struct value *out)
{
    size_t end = 0;
    while (end < name.n && name.p[end] != '.' && name.p[end] != '[')
        end++;
    if (!field_root(r, (struct str){name.p, end}, a, next, out))
        return false;
    while (end < name.n) {
        struct value from = *out, key;
        bool         dot = name.p[end] == '.';
        size_t       begin = ++end;
        int64_t      i;
        while (end < name.n && (dot ? name.p[end] != '.' && name.p[end] != '[' : name.p[end] != ']'))
            end++;
        struct str part = {name.p + begin, end - begin};
        if (part.n == 0 || (!dot && end == name.n))
            return run_fail(r, "Empty attribute in format string");
        end += !dot;
        if (dot) {
            if (!attr_get(r, &from, part, out))
                return false;
            continue;
        }
        if (str_i64(part, &i))
            key = value_int(i);
        else if (!text_of(r, part, &key))
            return false;
        if (!attr_item(r, &from, &key, out))
            return false;
    }
    return true;
}

/* One field, s = what stands between the braces. */
static bool write_field(struct run *r, const struct text *t, struct str s, const struct args *a, int64_t *next)
{
    size_t       name = 0, from = run_top(r);
    char         as = '\0';
    struct value v, spec, out;
    while (name < s.n && s.p[name] != '!' && s.p[name] != ':')
        name += s.p[name] == '[' && memchr(s.p + name, ']', s.n - name)
                    ? (size_t)((const char *)memchr(s.p + name, ']', s.n - name) - (s.p + name)) : 1;
    size_t at = name;
    if (at < s.n && s.p[at] == '!') {
        as = at + 1 < s.n ? s.p[at + 1] : '\0';
        at += 2;
        if (as == '\0' || !strchr("rsa", as) || (at < s.n && s.p[at] != ':'))
            return run_fail(r, "expected ':' after conversion specifier");
    }
    at = at < s.n ? at + 1 : s.n;
    if (!field_value(r, (struct str){s.p, name}, a, next, &v))
        return false;
    if (memchr(s.p + at, '{', s.n - at))
        return run_fail(r, "fields inside a format specifier are not supported");
    if (as && (!(as == 's' ? print_str(r, &v) : print_repr(r, &v)) || !text_take(r, from, &v)))
        return false;
    if (!text_slice(r, t, (size_t)(s.p - t->p) + at, s.n - at, &spec) || !braces_field(r, &v, spec.text, &out))
        return false;
    return t->markup ? print_escaped(r, &out) : print_str(r, &out);
}

/* Where the field that begins at `at` ends; STR_NONE: nowhere. */
static size_t field_end(struct str s, size_t at)
{
    int depth = 1;
    for (; at < s.n; at++) {
        depth += s.p[at] == '{';
        depth -= s.p[at] == '}';
        if (depth == 0)
            return at;
    }
    return STR_NONE;
}

bool format_braces(struct run *r, const struct value *fmt, const struct args *a, struct value *out)
{
    const struct text *t = fmt->text;
    struct str         s = text_str(t);
    size_t             top = run_top(r), done = 0;
    int64_t            next = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '{' && s.p[i] != '}')
            continue;
        bool twice = i + 1 < s.n && s.p[i + 1] == s.p[i];
        if (!out_part(r, t, done, i - done + (twice ? 1 : 0)))
            return false;
        if (!twice) {
            size_t end = s.p[i] == '{' ? field_end(s, i + 1) : STR_NONE;
            if (end == STR_NONE)
                return run_fail(r, s.p[i] == '}' ? "Single '}' encountered in format string"
                                                 : "expected '}' before end of string");
            if (!run_step(r) || !write_field(r, t, (struct str){s.p + i + 1, end - i - 1}, a, &next))
                return false;
            i = end;
        } else
            i++;
        done = i + 1;
    }
    if (!out_part(r, t, done, t->n - done) || !text_take(r, top, out))
        return false;
    out->text->markup = t->markup;
    return true;
}

/* ---- "…" % x ----------------------------------------------------------------------------------------------------- */

struct percent {
    const struct text  *t;
    size_t              at;
    const struct value *given;      /* what stands behind the % */
    const struct value *item;
    size_t              n, next;
    bool                by_name;
};

static bool next_item(struct run *r, struct percent *p, struct value *out)
{
    if (p->next >= p->n)
        return run_fail(r, "not enough arguments for format string");
    *out = p->item[p->next++];
    return true;
}

/* %(name): the argument is looked up instead of taken. */
static bool named_item(struct run *r, struct percent *p, struct value *out)
{
    struct str    s = text_str(p->t);
    size_t        from = ++p->at;
    struct value *found;
    int           depth = 1;
    if (p->given->type != V_DICT)
        return run_fail(r, "format requires a mapping");
    for (; p->at < s.n && depth; p->at++)
        depth += (s.p[p->at] == '(') - (s.p[p->at] == ')');
    if (depth)
        return run_fail(r, "incomplete format key");
    struct str name = {s.p + from, p->at - from - 1};
    if (!dict_find_name(r, p->given->dict, name, &found))
        return false;
    if (!found)
        return run_fail(r, "'%.*s'", (int)(name.n < 100 ? name.n : 100), name.p);
    p->by_name = true;
    *out = *found;
    return true;
}

static bool star_or_number(struct run *r, struct percent *p, int64_t *out)
{
    struct str   s = text_str(p->t);
    struct value v;
    if (p->at >= s.n || s.p[p->at] != '*') {
        *out = number_at(s, &p->at);
        return true;
    }
    p->at++;
    return next_item(r, p, &v) && (value_int_of(&v, out) || run_fail(r, "* wants int"));
}

static bool percent_char(struct run *r, struct field *f, const struct value *v, struct value *out)
{
    int64_t i;
    size_t  chars, from = run_top(r);
    f->align = f->align ? f->align : '>';
    f->precision = -1;
    if (v->type == V_STR) {
        struct value text = *v;
        if (!text_chars(r, v->text, &chars))
            return false;
        return chars == 1 ? text_field(r, f, &text, out) : run_fail(r, "%%c requires int or char");
    }
    if (!value_int_of(v, &i))
        return run_fail(r, "%%c requires int or char");
    if (i < 0 || i > 0x10FFFF || (i >= 0xD800 && i < 0xE000))
        return run_fail(r, "%%c arg not in range(0x110000)");
    /* Whoever chose the number, it is not the template's own text. */
    struct value text;
    return out_char(r, (uint32_t)i, true) && text_take(r, from, &text) && text_field(r, f, &text, out);
}

static bool percent_field(struct run *r, struct field *f, const struct value *v, struct value *out)
{
    size_t       from = run_top(r);
    struct value text;
    int64_t      i;
    char         type = f->type;
    if (type == 'c')
        return percent_char(r, f, v, out);
    if (strchr("sra", type)) {
        if (!(type == 's' ? print_str(r, v) : print_repr(r, v)) || !text_take(r, from, &text))
            return false;
        f->zero = false;
        if (type == 's' && v->type == V_STR)
            text = *v;
        f->align = f->align ? f->align : '>';
        return text_field(r, f, &text, out);
    }
    bool real = strchr("eEfFgG", type) != NULL;
    if (!real && (!strchr("diuoxX", type) || type == '\0'))
        return run_fail(r, "unsupported format character '%c'", type < ' ' ? '?' : type);
    if (!value_is_number(v))
        return run_fail(r, "%%%c format: a real number is required, not %s", type, value_type_name(v));
    if (real)
        return real_field(r, f, value_real(v), out);
    if (!value_int_of(v, &i)) {
        if (strchr("oxX", type))
            return run_fail(r, "%%%c format: an integer is required, not %s", type, value_type_name(v));
        if (!(v->f > -9.2e18 && v->f < 9.2e18))
            return run_fail(r, "a whole number of more than 64 bits");
        i = (int64_t)v->f;
    }
    f->type = type == 'i' || type == 'u' ? 'd' : type;
    return int_field(r, f, i, out);
}

/* p->at is behind the percent sign. */
static bool percent_one(struct run *r, struct percent *p)
{
    struct str   s = text_str(p->t);
    struct field f;
    struct value v = VALUE_MISSING, out;
    if (!run_step(r) || !new_field(r, &f) || (p->at < s.n && s.p[p->at] == '(' && !named_item(r, p, &v)))
        return false;
    for (; p->at < s.n && s.p[p->at] && strchr("-+ #0", s.p[p->at]); p->at++) {
        char c = s.p[p->at];
        f.align = c == '-' ? '<' : f.align;
        f.sign = c == '+' || (c == ' ' && !f.sign) ? c : f.sign;
        f.alt |= c == '#';
        f.zero |= c == '0';
    }
    if (!star_or_number(r, p, &f.width))
        return false;
    if (f.width < -1 && f.width >= -INT32_MAX) {
        f.align = '<';
        f.width = -f.width;
    }
    if (p->at < s.n && s.p[p->at] == '.') {
        p->at++;
        if (!star_or_number(r, p, &f.precision))
            return false;
        f.precision = f.precision < 0 ? 0 : f.precision;
    }
    while (p->at < s.n && s.p[p->at] && strchr("hlL", s.p[p->at]))
        p->at++;
    if (p->at >= s.n)
        return run_fail(r, "incomplete format");
    f.type = s.p[p->at++];
    if (f.type == '%')
        return out_str(r, STR("%"));
    if (f.type == '\0')
        return run_fail(r, "unsupported format character '?'");
    if ((v.type == V_MISSING && !next_item(r, p, &v)) || !percent_field(r, &f, &v, &out))
        return false;
    return p->t->markup ? print_escaped(r, &out) : print_str(r, &out);
}

bool format_percent(struct run *r, const struct value *fmt, const struct value *v, struct value *out)
{
    size_t         top = run_top(r);
    bool           tuple = v->type == V_TUPLE;
    struct percent p = {.t = fmt->text, .given = v, .item = tuple ? v->seq->at : v, .n = tuple ? v->seq->n : 1};
    while (p.at < p.t->n) {
        const char *sign = memchr(p.t->p + p.at, '%', p.t->n - p.at);
        size_t      end = sign ? (size_t)(sign - p.t->p) : p.t->n;
        if (!out_part(r, p.t, p.at, end - p.at))
            return false;
        p.at = end;
        if (sign && (p.at++, !percent_one(r, &p)))
            return false;
    }
    if (p.next < p.n && !p.by_name && v->type != V_DICT && v->type != V_LIST && v->type != V_RANGE &&
        v->type != V_UNDEFINED)
        return run_fail(r, "not all arguments converted during string formatting");
    if (!text_take(r, top, out))
        return false;
    out->text->markup = p.t->markup;
    return true;
}
