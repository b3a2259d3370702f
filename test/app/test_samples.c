/* Percentiles against values that can be counted by hand. */
#include "app/samples.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void percentiles_are_exact(void **state)
{
    (void)state;
    struct samples s;
    struct err     e;
    assert_true(samples_init(&s, 1000, &e));
    for (int i = 0; i <= 200; i++)
        samples_add(&s, (i * 77) % 201);        /* 0..200, each once */
    struct spread p = samples_spread(&s);
    assert_int_equal(p.n, 201);
    for (int i = 0; i <= 100; i++)
        assert_true(fabs(p.at[i] - 2 * i) < 1e-9);
    assert_true(fabs(p.mean - 100) < 1e-9);
    samples_drop(&s);
}

static void between_two_ranks_a_straight_line(void **state)
{
    (void)state;
    struct samples s;
    struct err     e;
    assert_true(samples_init(&s, 2, &e));
    samples_add(&s, 20);
    samples_add(&s, 10);
    struct spread p = samples_spread(&s);
    assert_true(fabs(p.at[50] - 15) < 1e-6 && fabs(p.at[90] - 19) < 1e-6 && fabs(p.at[99] - 19.9) < 1e-6);
    samples_drop(&s);
}

static void few_none_and_too_many(void **state)
{
    (void)state;
    struct samples s;
    struct err     e;
    assert_true(samples_init(&s, 1, &e));
    struct spread p = samples_spread(&s);
    assert_true(p.n == 0 && isnan(p.mean) && isnan(p.at[0]) && isnan(p.at[100]));
    samples_add(&s, 3);
    samples_add(&s, 4);
    p = samples_spread(&s);
    assert_true(p.n == 1 && s.n_lost == 1 && p.at[0] == 3 && p.at[99] == 3 && p.at[100] == 3);
    samples_drop(&s);
    samples_drop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_exact),
        cmocka_unit_test(between_two_ranks_a_straight_line),
        cmocka_unit_test(few_none_and_too_many),
    };
    return cmocka_run_group_tests_name("app/samples", tests, NULL, NULL);
}
