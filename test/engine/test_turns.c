/* test_turns.c -- whose turn it is. */
#include "engine/seq.h"
#include "engine/turns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { A = 100, B = 200, C = 300 };

static void add(struct turns *t, struct seq *s, uint64_t id, uint64_t client)
{
    *s = (struct seq){.id = id, .client = client};
    turns_add(t, s);
}

static uint64_t take(struct turns *t)
{
    struct seq *s = turns_next(t);
    turns_take(t, s);
    return s->id;
}

static void test_many_against_one(void **state)
{
    (void)state;
    struct turns t;
    struct seq   a[10], b, c;
    turns_init(&t, 16);
    for (uint32_t i = 0; i < 10; i++)
        add(&t, &a[i], i, A);
    assert_int_equal(take(&t), 0);
    assert_int_equal(take(&t), 1);
    add(&t, &b, 50, B);
    add(&t, &c, 60, C);
    assert_int_equal(take(&t), 50);             /* who has nothing running comes before the eight of A */
    assert_int_equal(take(&t), 60);
    assert_int_equal(take(&t), 2);
    assert_int_equal(t.n_waiting, 7);
    turns_drop(&t);
}

static void test_equals_take_turns(void **state)
{
    (void)state;
    struct turns t;
    struct seq   s[6];
    uint64_t     got[6];
    turns_init(&t, 8);
    for (uint32_t i = 0; i < 6; i++)
        add(&t, &s[i], i, i < 2 ? A : i < 4 ? B : C);
    for (uint32_t i = 0; i < 6; i++) {
        struct seq *n = turns_next(&t);
        got[i] = n->id;
        turns_take(&t, n);
        turns_end(&t, n);                       /* nobody keeps one running: the line alone decides */
    }
    const uint64_t want[] = {0, 2, 4, 1, 3, 5};
    assert_memory_equal(got, want, sizeof want);
    assert_null(turns_next(&t));
    assert_null(t.first);
    turns_drop(&t);
}

static void test_put_back_comes_first_again(void **state)
{
    (void)state;
    struct turns t;
    struct seq   s[3];
    turns_init(&t, 8);
    for (uint32_t i = 0; i < 3; i++)
        add(&t, &s[i], i, A);
    take(&t);
    take(&t);
    turns_put_back(&t, &s[1]);
    turns_put_back(&t, &s[0]);
    assert_int_equal(take(&t), 0);
    assert_int_equal(take(&t), 1);
    assert_int_equal(take(&t), 2);
    turns_drop(&t);
}

static void test_the_waiting_may_go(void **state)
{
    (void)state;
    struct turns t;
    struct seq   s[5];
    turns_init(&t, 5);
    for (uint32_t i = 0; i < 5; i++)
        add(&t, &s[i], i, A + i / 4);
    turns_remove(&t, &s[0]);
    turns_remove(&t, &s[2]);
    turns_remove(&t, &s[4]);
    assert_int_equal(take(&t), 1);
    assert_int_equal(take(&t), 3);
    turns_end(&t, &s[1]);
    turns_end(&t, &s[3]);
    /* Entries come back: five clients fit again. */
    for (uint32_t i = 0; i < 5; i++)
        add(&t, &s[i], i, 1000 + i);
    assert_int_equal(t.n_waiting, 5);
    turns_drop(&t);
}

static void test_victim(void **state)
{
    (void)state;
    struct turns t;
    struct seq   s[6], *run[6];
    turns_init(&t, 8);
    const uint64_t client[] = {A, B, B, B, A, C};
    for (uint32_t i = 0; i < 6; i++)
        add(&t, &s[i], i, client[i]);
    for (uint32_t i = 0; i < 6; i++) {
        turns_take(&t, &s[i]);
        run[i] = &s[i];
    }
    assert_ptr_equal(turns_victim(run, 6), &s[3]);      /* the youngest of B's three */
    turns_put_back(&t, &s[3]);
    run[3] = run[5];
    assert_ptr_equal(turns_victim(run, 5), &s[4]);      /* A and B have two each: the youngest of those */
    assert_null(turns_victim(run, 0));
    turns_drop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_against_one),
        cmocka_unit_test(test_equals_take_turns),
        cmocka_unit_test(test_put_back_comes_first_again),
        cmocka_unit_test(test_the_waiting_may_go),
        cmocka_unit_test(test_victim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
