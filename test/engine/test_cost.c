/* test_cost.c -- what a step will take. */
#include "engine/cost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <cmocka.h>

static double truth(double rows, double attended)
{
    return 4e6 + 3e5 * rows + 70 * attended;
}

static void learn(struct cost_model *c, uint32_t rows, uint32_t past)
{
    double a = cost_attended(past, rows);
    cost_learn(c, rows, a, truth(rows, a));
}

static void test_learns_the_three_numbers(void **state)
{
    (void)state;
    struct cost_model c = {0};
    learn(&c, 8, 0);
    /* From one step alone, rows are charged all of it: twice the rows, twice the time. */
    assert_true(fabs(cost_ns(&c, 16, 0) / (2 * truth(8, 36)) - 1) < 1e-9);
    for (uint32_t past = 100; past < 4000; past += 300) {
        learn(&c, 1, past);
        learn(&c, 64, past);
        learn(&c, 200, past);
    }
    assert_true(fabs(c.step / 4e6 - 1) < 1e-3);
    assert_true(fabs(c.row / 3e5 - 1) < 1e-3);
    assert_true(fabs(c.reach / 70 - 1) < 1e-3);
    /* An hour of short steps changes nothing. */
    for (uint32_t i = 0; i < 36000; i++)
        learn(&c, 1, 500 + i % 10);
    assert_true(fabs(cost_ns(&c, 200, 200 * 1000.0) / truth(200, 200 * 1000.0) - 1) < 0.01);
}

static void test_noise(void **state)
{
    (void)state;
    struct cost_model c = {0};
    for (uint32_t i = 0; i < 2000; i++) {
        uint32_t rows = 1 + i * 7919 % 256;
        double   a = cost_attended(i * 104729 % 4000, rows), noise = 0.9 + 0.2 * (i * 31 % 97) / 96;
        cost_learn(&c, rows, a, truth(rows, a) * noise);
    }
    for (uint32_t rows = 1; rows <= 256; rows *= 4) {
        double a = cost_attended(1000, rows);
        assert_true(fabs(cost_ns(&c, rows, a) / truth(rows, a) - 1) < 0.1);
    }
    assert_true(c.step >= 0 && c.row >= 0 && c.reach >= 0);
}

/* Another program takes the cores: steps take twice as long at once, and a few steps later that is expected; and when
 * it has gone, that is noticed as fast. */
static void test_pace(void **state)
{
    (void)state;
    struct cost_model c = {0};
    for (uint32_t i = 0; i < 400; i++) {
        learn(&c, 1 + i % 5 * 20, i * 10);
        learn(&c, 1, i * 10);
    }
    double a = cost_attended(2000, 60);
    assert_true(fabs(cost_ns(&c, 60, a) / truth(60, a) - 1) < 0.01);
    for (uint32_t i = 0; i < 8; i++)
        cost_learn(&c, 60, a, 2 * truth(60, a));
    assert_true(cost_ns(&c, 60, a) / truth(60, a) > 1.8);
    assert_true(cost_ns(&c, 60, a) / truth(60, a) < 2.6);
    for (uint32_t i = 0; i < 16; i++)
        cost_learn(&c, 60, a, truth(60, a));
    assert_true(fabs(cost_ns(&c, 60, a) / truth(60, a) - 1) < 0.15);
    cost_learn(&c, 60, a, 1000 * truth(60, a));         /* asleep for a minute: a smaller step or two, no more */
    assert_true(cost_ns(&c, 60, a) < 3 * truth(60, a));
    for (uint32_t i = 0; i < 8; i++)
        cost_learn(&c, 60, a, truth(60, a));
    assert_true(fabs(cost_ns(&c, 60, a) / truth(60, a) - 1) < 0.2);
}

/* Measurements that no line of positive numbers fits must not make a negative one. */
static void test_never_negative(void **state)
{
    (void)state;
    struct cost_model c = {0};
    cost_learn(&c, 1, 10, 9e6);
    cost_learn(&c, 100, 2000, 8e6);
    cost_learn(&c, 2, 100000, 1e6);
    assert_true(c.step >= 0 && c.row >= 0 && c.reach >= 0);
    cost_learn(&c, 4, 4, 0);                    /* a clock that stood still teaches nothing */
    cost_learn(&c, 0, 0, 5);
    assert_true(isfinite(cost_ns(&c, 512, 1e6)));
}

static void test_fit(void **state)
{
    (void)state;
    struct cost_model c = {0};
    assert_int_equal(cost_fit(&c, 0, 0, 0, 512, 1e8), 8);       /* nothing is known: a careful beginning */
    for (uint32_t n = 8; n <= 256; n *= 2) {
        learn(&c, n, 0);
        learn(&c, n, 1000);
        assert_true(cost_fit(&c, 0, 0, 0, 512, 1e12) <= 2 * n); /* never far beyond what was measured */
    }
    for (uint32_t i = 0; i < 40; i++)
        learn(&c, 100, 500);
    uint32_t n = cost_fit(&c, 10, 10 * 500.0, 700, 512, 1e8);
    double   a = 10 * 500.0;
    assert_true(truth(10 + n, a + cost_attended(700, n)) <= 1e8 * 1.0001);
    assert_true(truth(11 + n, a + cost_attended(700, n + 1)) > 1e8 * 0.9999);
    assert_int_equal(cost_fit(&c, 10, a, 700, 5, 1e8), 5);
    assert_int_equal(cost_fit(&c, 10, a, 700, 512, 1e6), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learns_the_three_numbers),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_pace),
        cmocka_unit_test(test_never_negative),
        cmocka_unit_test(test_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
