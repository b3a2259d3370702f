/* arith.c -- + - * / // % ** as Python has them, whole numbers of 64 bits. */
#include "chat/ast.h"
#include "chat/run.h"

#include <math.h>
#include <string.h>

static bool too_large(struct run *r)
{
    return run_fail(r, "a whole number of more than 64 bits");
}

static const char *const names[] = {
#define OP(name, text, kind) text,
#include "chat/ops.def"
#undef OP
};

static bool unsupported(struct run *r, enum op op, const struct value *a, const struct value *b)
{
    return run_fail(r, "unsupported operand type(s) for %s: '%s' and '%s'", op == OP_POW ? "** or pow()" : names[op],
                    value_type_name(a), value_type_name(b));
}

/* Rounds towards minus infinity; the remainder has the divisor's sign. */
static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static int64_t floor_mod(int64_t a, int64_t b)
{
    int64_t m = a % b;
    return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}

static bool int_pow(struct run *r, int64_t a, int64_t b, struct value *out)
{
    int64_t p = 1;
    if (b < 0) {
        if (a == 0)
            return run_fail(r, "0.0 cannot be raised to a negative power");
        *out = value_float(pow((double)a, (double)b));
        return true;
    }
    if (a == 1 || a == 0 || a == -1) {
        *out = value_int(b == 0 ? 1 : a < 0 && b % 2 == 0 ? 1 : a);
        return true;
    }
    for (int64_t i = 0; i < b; i++)
        if (__builtin_mul_overflow(p, a, &p))
            return too_large(r);
    *out = value_int(p);
    return true;
}

static bool int_arith(struct run *r, enum op op, int64_t a, int64_t b, struct value *out)
{
    int64_t c = 0;
    bool    over = false;
    if (b == 0 && op == OP_DIV)
        return run_fail(r, "division by zero");
    if (b == 0 && (op == OP_FLOORDIV || op == OP_MOD))
        return run_fail(r, op == OP_MOD ? "integer modulo by zero" : "integer division or modulo by zero");
    switch (op) {
    case OP_ADD: over = __builtin_add_overflow(a, b, &c); break;
    case OP_SUB: over = __builtin_sub_overflow(a, b, &c); break;
    case OP_MUL: over = __builtin_mul_overflow(a, b, &c); break;
    case OP_DIV: *out = value_float((double)a / (double)b); return true;
    case OP_FLOORDIV:
        over = a == INT64_MIN && b == -1;
        c = over ? 0 : floor_div(a, b);
        break;
    case OP_MOD: c = b == -1 ? 0 : floor_mod(a, b); break;
    default: return int_pow(r, a, b, out);
    }
    *out = value_int(c);
    return !over || too_large(r);
}

static double real_mod(double a, double b)
{
    double m = fmod(a, b);
    if (m == 0.0)
        return copysign(0.0, b);
    return (m < 0) != (b < 0) ? m + b : m;
}

static bool real_pow(struct run *r, double a, double b, struct value *out)
{
    if (a == 0.0 && b < 0)
        return run_fail(r, "0.0 cannot be raised to a negative power");
    if (a < 0 && b != floor(b))
        return run_fail(r, "a complex number");
    double p = pow(a, b);
    if (isinf(p) && isfinite(a) && isfinite(b))
        return run_fail(r, "(34, 'Numerical result out of range')");
    *out = value_float(p);
    return true;
}

static bool real_arith(struct run *r, enum op op, double a, double b, struct value *out)
{
    double c;
    if (b == 0.0 && (op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD))
        return run_fail(r, op == OP_MOD ? "float modulo" : op == OP_DIV ? "float division by zero"
                                                                        : "float floor division by zero");
    switch (op) {
    case OP_ADD: c = a + b; break;
    case OP_SUB: c = a - b; break;
    case OP_MUL: c = a * b; break;
    case OP_DIV: c = a / b; break;
    case OP_MOD: c = real_mod(a, b); break;
    case OP_FLOORDIV:
        c = (a - real_mod(a, b)) / b;
        c = c == 0.0 ? copysign(0.0, a / b) : floor(c) + (c - floor(c) > 0.5);
        break;
    default: return real_pow(r, a, b, out);
    }
    *out = value_float(c);
    return true;
}

static bool escaped(struct run *r, const struct value *v, struct value *out)
{
    size_t from = run_top(r);
    return print_escaped(r, v) && text_take(r, from, out);
}

/* What is added to markup is escaped first. */
static bool text_sum(struct run *r, const struct value *a, const struct value *b, struct value *out)
{
    struct value left = *a, right = *b;
    if (a->text->markup != b->text->markup && !escaped(r, a->text->markup ? b : a, a->text->markup ? &right : &left))
        return false;
    return text_add(r, left.text, right.text, out);
}

static bool seq_sum(struct run *r, const struct value *a, const struct value *b, struct value *out)
{
    struct value sum;
    if (!value_seq(r, a->type, a->seq->n + b->seq->n, &sum))
        return false;
    if (a->seq->n)
        memcpy(sum.seq->at, a->seq->at, a->seq->n * sizeof *sum.seq->at);
    if (b->seq->n)
        memcpy(sum.seq->at + a->seq->n, b->seq->at, b->seq->n * sizeof *sum.seq->at);
    *out = sum;
    return true;
}

static bool add(struct run *r, const struct value *a, const struct value *b, struct value *out)
{
    if (a->type == V_STR && b->type == V_STR)
        return text_sum(r, a, b, out);
    if (value_is_sequence(a) && a->type == b->type)
        return seq_sum(r, a, b, out);
    if (a->type == V_STR || value_is_sequence(a))
        return run_fail(r, "can only concatenate %s (not \"%s\") to %s", value_type_name(a), value_type_name(b),
                        value_type_name(a));
    return unsupported(r, OP_ADD, a, b);
}

static bool repeat(struct run *r, const struct value *v, int64_t times, struct value *out)
{
    struct value many;
    size_t       n;
    if (v->type == V_STR)
        return text_repeat(r, v->text, times, out);
    if (times < 0 || v->seq->n == 0)
        times = 0;
    if (__builtin_mul_overflow(v->seq->n, (size_t)times, &n))
        return run_limit(r, "makes too many bytes");
    if (!value_seq(r, v->type, n, &many))
        return false;
    for (size_t i = 0; i < n; i++)
        many.seq->at[i] = v->seq->at[i % v->seq->n];
    *out = many;
    return true;
}

bool arith(struct run *r, enum op op, const struct value *a, const struct value *b, struct value *out)
{
    int64_t i, k;
    if (value_int_of(a, &i) && value_int_of(b, &k))
        return int_arith(r, op, i, k, out);
    if (value_is_number(a) && value_is_number(b))
        return real_arith(r, op, value_real(a), value_real(b), out);
    if (op == OP_ADD)
        return add(r, a, b, out);
    if (op == OP_MUL) {
        const struct value *many = a->type == V_STR || value_is_sequence(a) ? a : b, *times = many == a ? b : a;
        if (many->type == V_STR || value_is_sequence(many)) {
            if (!value_int_of(times, &i))
                return run_fail(r, "can't multiply sequence by non-int of type '%s'", value_type_name(times));
            return repeat(r, many, i, out);
        }
    }
    return unsupported(r, op, a, b);
}
