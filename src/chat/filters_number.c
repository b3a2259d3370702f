/* filters_number.c -- filters that make numbers. */
#include "chat/natives.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Text as Python's int() and float() read it: white space around it, single underscores between digits. */
static bool number_text(const struct text *t, char *out, size_t size)
{
    struct str s = str_trim(text_str(t));
    size_t     n = 0;
    for (size_t i = 0; i < s.n; i++) {
        bool between = i && i + 1 < s.n && s.p[i - 1] != '_' && strchr("0123456789abcdefABCDEF", s.p[i - 1]) &&
                       s.p[i + 1] && strchr("0123456789abcdefABCDEF", s.p[i + 1]);
        if (s.p[i] == '_' && between)
            continue;
        if (n + 1 >= size || s.p[i] == '_' || s.p[i] == '\0')
            return false;
        out[n++] = s.p[i];
    }
    out[n] = '\0';
    return n > 0;
}

static bool float_of(const struct text *t, double *out)
{
    char text[512], *end;
    if (!number_text(t, text, sizeof text) || strpbrk(text, "xXpP("))
        return false;
    *out = strtod(text, &end);
    return *end == '\0';
}

static bool int_of(const struct text *t, int64_t base, int64_t *out)
{
    char text[512], *end;
    if (!number_text(t, text, sizeof text) || base < 2 || base > 36)
        return false;
    char       *p = text + (text[0] == '-' || text[0] == '+');
    const char *prefix = base == 16 ? "xX" : base == 8 ? "oO" : base == 2 ? "bB" : "";
    bool        minus = text[0] == '-';
    if (p[0] == '0' && p[1] && strchr(prefix, p[1]))
        p += 2;
    if (!((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')))
        return false;
    unsigned long long u = strtoull(p, &end, (int)base);
    if (*end || u > INT64_MAX)
        return false;
    *out = minus ? -(int64_t)u : (int64_t)u;
    return true;
}

/* int(float), or the fallback. */
static bool truncated(struct run *r, double f, const struct value *fallback, struct value *out)
{
    if (isnan(f)) {
        *out = *fallback;
        return true;
    }
    if (!(f >= -9223372036854775808.0 && f < 9223372036854775808.0))
        return run_fail(r, isinf(f) ? "cannot convert float infinity to integer"
                                    : "a whole number of more than 64 bits");
    *out = value_int((int64_t)f);
    return true;
}

bool filter_int(struct run *r, const struct args *a, struct value *out)
{
    const struct value *v = &a->v[0], zero = value_int(0);
    const struct value *fallback = a->v[1].type == V_MISSING ? &zero : &a->v[1];
    int64_t             i, base;
    double              f;
    if (!arg_int(r, &a->v[2], 10, &base))
        return false;
    if (v->type == V_UNDEFINED)
        return run_fail(r, "%s", v->undefined->why.p);
    if (v->type == V_FLOAT)
        return truncated(r, v->f, fallback, out);
    *out = *fallback;
    if (value_int_of(v, &i) || (v->type == V_STR && int_of(v->text, base, &i)))
        *out = value_int(i);
    else if (v->type == V_STR && float_of(v->text, &f) && !isinf(f))
        return truncated(r, f, fallback, out);
    return true;
}

bool filter_float(struct run *r, const struct args *a, struct value *out)
{
    const struct value *v = &a->v[0];
    double              f;
    if (v->type == V_UNDEFINED)
        return run_fail(r, "%s", v->undefined->why.p);
    *out = a->v[1].type == V_MISSING ? value_float(0) : a->v[1];
    if (value_is_number(v))
        *out = value_float(value_real(v));
    else if (v->type == V_STR && float_of(v->text, &f))
        *out = value_float(f);
    return true;
}

bool filter_abs(struct run *r, const struct args *a, struct value *out)
{
    const struct value *v = &a->v[0];
    int64_t             i;
    if (v->type == V_UNDEFINED)
        return run_fail(r, "%s", v->undefined->why.p);
    if (v->type == V_FLOAT) {
        *out = value_float(fabs(v->f));
        return true;
    }
    if (!value_int_of(v, &i))
        return run_fail(r, "bad operand type for abs(): '%s'", value_type_name(v));
    if (i == INT64_MIN)
        return run_fail(r, "a whole number of more than 64 bits");
    *out = value_int(i < 0 ? -i : i);
    return true;
}

/* Halves go to the even neighbour, as the exact decimal digits of x have it. */
static double rounded(double x, int64_t places)
{
    char text[800];
    if (isinf(x) || isnan(x) || places > 340)
        return x;
    if (places >= 0) {
        snprintf(text, sizeof text, "%.*f", (int)places, x);
        return strtod(text, NULL);
    }
    double unit = places < -320 ? INFINITY : pow(10, (double)-places);
    return isinf(unit) ? copysign(0.0, x) : rint(x / unit) * unit;
}

static int64_t rounded_int(int64_t i, int64_t places)
{
    int64_t unit = 1;
    for (int64_t k = places; k < 0; k++)
        if (__builtin_mul_overflow(unit, 10, &unit))
            return 0;
    int64_t low = i - (i % unit + unit) % unit, rest = i - low;
    bool    up = rest * 2 > unit || (rest * 2 == unit && low / unit % 2 != 0);
    return low + (up ? unit : 0);
}

bool filter_round(struct run *r, const struct args *a, struct value *out)
{
    const struct value *v = &a->v[0];
    struct text        *method;
    int64_t             places, i;
    if (v->type == V_UNDEFINED)
        return run_fail(r, "%s", v->undefined->why.p);
    if (!arg_int(r, &a->v[1], 0, &places) || !arg_text(r, &a->v[2], "common", &method))
        return false;
    if (!value_is_number(v))
        return run_fail(r, "type %s doesn't define __round__ method", value_type_name(v));
    bool up = str_is(text_str(method), "ceil"), down = str_is(text_str(method), "floor");
    if (!up && !down && !str_is(text_str(method), "common"))
        return run_fail(r, "method must be common, ceil or floor");
    if (up || down) {
        double unit = pow(10, (double)places), x = value_real(v) * unit;
        *out = value_float((up ? ceil(x) : floor(x)) / unit);
    } else if (value_int_of(v, &i))
        *out = value_int(places >= 0 || i < -(INT64_MAX / 4) || i > INT64_MAX / 4 ? i : rounded_int(i, places));
    else
        *out = value_float(rounded(v->f, places));
    return true;
}

bool filter_length(struct run *r, const struct args *a, struct value *out)
{
    size_t n;
    if (!value_len(r, &a->v[0], &n))
        return false;
    *out = value_int((int64_t)n);
    return true;
}

bool filter_sum(struct run *r, const struct args *a, struct value *out)
{
    struct seq   items;
    struct value sum = a->v[2].type == V_MISSING ? value_int(0) : a->v[2], item;
    if (sum.type == V_STR)
        return run_fail(r, "sum() can't sum strings [use ''.join(seq) instead]");
    if (!value_items(r, &a->v[0], &items))
        return false;
    for (size_t i = 0; i < items.n; i++) {
        struct value before = sum;
        if (!run_step(r) || !attr_path(r, &items.at[i], &a->v[1], NULL, &item))
            return false;
        if (item.type == V_UNDEFINED)
            return run_fail(r, "%s", item.undefined->why.p);
        if (!arith(r, OP_ADD, &before, &item, &sum))
            return false;
    }
    *out = sum;
    return true;
}
