/* tests.c -- x is name. */
#include "chat/ast.h"
#include "chat/natives.h"



static bool answer(struct value *out, bool holds)
{
    *out = value_bool(holds);
    return true;
}

/* TYPE_TEST(name, what must hold of v) */
#define TYPE_TEST(name, holds)                                              \
    bool name(struct run *r, const struct args *a, struct value *out)      \
    {                                                                       \
        const struct value *v = &a->v[0];                                   \
        (void)r;                                                            \
        return answer(out, holds);                                          \
    }

TYPE_TEST(test_boolean, v->type == V_BOOL)
TYPE_TEST(test_callable, v->type == V_MACRO || v->type == V_FUNCTION || v->type == V_METHOD || v->type == V_LOOP ||
          v->type == V_JOINER || v->type == V_UNDEFINED)
TYPE_TEST(test_defined, v->type != V_UNDEFINED)
TYPE_TEST(test_escaped, v->type == V_STR && v->text->markup)
TYPE_TEST(test_false, v->type == V_BOOL && !v->b)
TYPE_TEST(test_float, v->type == V_FLOAT)
TYPE_TEST(test_integer, v->type == V_INT)
TYPE_TEST(test_iterable, value_is_iterable(v) || v->type == V_LOOP)
TYPE_TEST(test_mapping, v->type == V_DICT)
TYPE_TEST(test_none, v->type == V_NONE)
TYPE_TEST(test_number, value_is_number(v))
TYPE_TEST(test_sequence, v->type == V_STR || value_is_sequence(v) || v->type == V_DICT || v->type == V_RANGE ||
          v->type == V_UNDEFINED)
TYPE_TEST(test_string, v->type == V_STR)
TYPE_TEST(test_true, v->type == V_BOOL && v->b)
TYPE_TEST(test_undefined, v->type == V_UNDEFINED)
TYPE_TEST(test_filter, v->type == V_STR && find_filter(text_str(v->text)))
TYPE_TEST(test_test, v->type == V_STR && find_test(text_str(v->text)))

static bool remainder_is(struct run *r, const struct value *v, const struct value *by, double want, struct value *out)
{
    struct value m;
    if (v->type == V_UNDEFINED)
        return run_fail(r, "%s", v->undefined->why.p);
    /* Python's "%" of a string puts the number into it: never equal to one. */
    if (v->type == V_STR)
        return format_percent(r, v, by, &m) && answer(out, false);
    if (!value_is_number(v) || !value_is_number(by))
        return run_fail(r, "unsupported operand type(s) for %%: '%s' and '%s'", value_type_name(v), value_type_name(by));
    return arith(r, OP_MOD, v, by, &m) && answer(out, value_real(&m) == want);
}

bool test_divisibleby(struct run *r, const struct args *a, struct value *out)
{
    return remainder_is(r, &a->v[0], &a->v[1], 0, out);
}

bool test_even(struct run *r, const struct args *a, struct value *out)
{
    struct value two = value_int(2);
    return remainder_is(r, &a->v[0], &two, 0, out);
}

bool test_odd(struct run *r, const struct args *a, struct value *out)
{
    struct value two = value_int(2);
    return remainder_is(r, &a->v[0], &two, 1, out);
}

bool test_eq(struct run *r, const struct args *a, struct value *out)
{
    bool same;
    return value_eq(r, &a->v[0], &a->v[1], &same) && answer(out, same);
}

bool test_ne(struct run *r, const struct args *a, struct value *out)
{
    bool same;
    return value_eq(r, &a->v[0], &a->v[1], &same) && answer(out, !same);
}

bool test_lt(struct run *r, const struct args *a, struct value *out)
{
    int order;
    return value_order(r, &a->v[0], &a->v[1], "<", &order) && answer(out, order == -1);
}

bool test_le(struct run *r, const struct args *a, struct value *out)
{
    int order;
    return value_order(r, &a->v[0], &a->v[1], "<=", &order) && answer(out, order <= 0);
}

bool test_gt(struct run *r, const struct args *a, struct value *out)
{
    int order;
    return value_order(r, &a->v[0], &a->v[1], ">", &order) && answer(out, order == 1);
}

bool test_ge(struct run *r, const struct args *a, struct value *out)
{
    int order;
    return value_order(r, &a->v[0], &a->v[1], ">=", &order) && answer(out, order == 0 || order == 1);
}

bool test_in(struct run *r, const struct args *a, struct value *out)
{
    bool in;
    return value_in(r, &a->v[0], &a->v[1], &in) && answer(out, in);
}

bool test_sameas(struct run *r, const struct args *a, struct value *out)
{
    const struct value *x = &a->v[0], *y = &a->v[1];
    bool                same = x->type == y->type;
    (void)r;
    if (same && x->type == V_STR)
        same = x->text == y->text || str_eq(text_str(x->text), text_str(y->text));
    else if (same && value_is_number(x))
        same = value_real(x) == value_real(y);
    else if (same && x->type != V_NONE && x->type != V_MISSING)
        same = x->dict == y->dict;
    return answer(out, same);
}

/* str(x).islower() and isupper(): some letter has a case, and none the other one. */
static bool in_case(struct run *r, const struct args *a, const char *method, struct value *out)
{
    struct value         text;
    const struct native *f = find_method(V_STR, str_of(method));
    return print_text(r, &a->v[0], &text) && call_native(r, f, &(struct actuals){.at = &text, .n = 1}, out);
}

bool test_lower(struct run *r, const struct args *a, struct value *out)
{
    return in_case(r, a, "islower", out);
}

bool test_upper(struct run *r, const struct args *a, struct value *out)
{
    return in_case(r, a, "isupper", out);
}
