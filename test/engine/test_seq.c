/* test_seq.c -- one sequence and the pool, without an engine around them. */
#include "fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { BT = 4 };

static uint32_t match(struct seq *s, struct kv *kv)
{
    uint32_t snapshot = 0, n = seq_match(s, kv, NULL, &snapshot);
    assert_int_equal(snapshot, KV_NONE);
    return n;
}

static struct seq *make(const int32_t *token, uint32_t n, uint32_t tokens_max)
{
    struct job      j = {.token = token, .n_token = n, .tokens_max = tokens_max, .draw = greedy()};
    struct seq_room room = {.context_max = 64, .block_tokens = BT, .cached = true};
    return seq_new(&j, &room);
}

/* As if a step had computed tokens up to n. */
static void compute(struct seq *s, struct kv *kv, uint32_t n)
{
    seq_grow(s, kv, n);
    s->n_run = s->n_done = n;
    seq_publish(s, kv);
}

static const int32_t text[20] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};

static void test_limits(void **state)
{
    (void)state;
    struct seq *s = make(text, 20, 10), *all = make(text, 20, 1000), *read = make(text, 20, 0);
    assert_int_equal(s->limit, 30);
    assert_int_equal(all->limit, 64);
    assert_int_equal(read->limit, 20);
    assert_int_equal(seq_need(read), 20);
    assert_int_equal(seq_blocks(s, BT), 6);
    assert_int_equal(seq_blocks(read, BT), 5);
    s->n_token = 29;
    s->n_run = 28;
    assert_int_equal(seq_need(s), 1);
    s->n_ahead = 1;             /* its last token is under way */
    assert_int_equal(seq_need(s), 0);
    seq_free(s);
    seq_free(all);
    seq_free(read);
}

static void test_match_stops_before_the_last_token(void **state)
{
    (void)state;
    struct kv kv;
    kv_init(&kv, 20, BT);
    struct seq *a = make(text, 20, 10), *b = make(text, 16, 10), *c = make(text, 17, 10);
    compute(a, &kv, 20);
    assert_int_equal(seq_shared(b, &kv, NULL), 3);
    assert_int_equal(match(b, &kv), 12);
    assert_int_equal(match(c, &kv), 16);
    assert_int_equal(match(c, &kv), 0);
    assert_int_equal(c->block[3], a->block[3]);
    assert_int_equal(kv.block[a->block[0]].ref, 3);
    seq_release(a, &kv);
    assert_int_equal(seq_shared(c, &kv, NULL), 4);
    seq_release(b, &kv);
    seq_release(c, &kv);
    assert_int_equal(seq_shared(c, &kv, NULL), 0);        /* there, but nobody holds them */
    assert_int_equal(kv.idle.n, 5);
    seq_free(a);
    seq_free(b);
    seq_free(c);
    kv_drop(&kv);
}

static void test_no_match_while_under_way(void **state)
{
    (void)state;
    struct kv kv;
    kv_init(&kv, 20, BT);
    struct seq *a = make(text, 20, 10), *b = make(text, 20, 10);
    compute(a, &kv, 16);
    seq_grow(b, &kv, 4);
    b->n_run = 4;                                   /* launched, not landed */
    assert_int_equal(match(b, &kv), 0);
    b->n_done = 4;
    assert_int_equal(match(b, &kv), 12);
    compute(b, &kv, 18);                            /* inside a block nothing can be taken over */
    compute(a, &kv, 20);
    assert_int_equal(match(b, &kv), 0);
    seq_free(a);
    seq_free(b);
    kv_drop(&kv);
}

/* Of an idle sequence the end is evicted before the beginning, and what was evicted and computed again can be found
 * again. */
static void test_released_evicted_computed_again(void **state)
{
    (void)state;
    struct kv kv;
    kv_init(&kv, 6, BT);
    struct seq *a = make(text, 20, 10);
    compute(a, &kv, 20);
    seq_release(a, &kv);
    uint32_t x = kv_take(&kv, KV_NONE), y = kv_take(&kv, KV_NONE), z = kv_take(&kv, KV_NONE);
    assert_int_equal(kv.n_evicted, 2);
    assert_int_equal(match(a, &kv), 12);
    kv_unref(&kv, x);
    kv_unref(&kv, y);
    kv_unref(&kv, z);
    compute(a, &kv, 20);
    seq_release(a, &kv);
    assert_int_equal(match(a, &kv), 16);
    seq_release(a, &kv);
    seq_free(a);
    kv_drop(&kv);
}

/* What is drawn gets keys and counts as what was asked. */
static void test_push(void **state)
{
    (void)state;
    struct sha256_run *h = sha256_new();
    struct job         j = {.token = text, .n_token = 10, .tokens_max = 10, .draw = greedy()};
    struct seq_room    room = {.context_max = 64, .block_tokens = BT, .cached = true};
    int32_t            stops[2] = {7, 12};
    j.stop = stops;
    j.n_stop = 2;
    j.draw.presence = 1;
    struct seq *s = seq_new(&j, &room), *whole = make(text, 20, 1);
    assert_int_equal(s->draw.n_seen, 10);
    for (uint32_t i = 10; i < 20; i++)
        seq_push(s, text[i], h, BT);
    assert_int_equal(s->n_key, 5);
    assert_memory_equal(s->key, whole->key, 5 * sizeof s->key[0]);
    assert_int_equal(s->draw.n_seen, 20);
    assert_true(seq_counts(s) && !seq_counts(whole));
    for (uint32_t i = 0; i < 20; i++) {
        assert_int_equal(s->draw.seen[i].token, text[i]);
        assert_int_equal(s->draw.seen[i].prompt, i < 10);
        assert_int_equal(s->draw.seen[i].answer, i >= 10);
    }
    assert_true(seq_stops_at(s, 12) && seq_stops_at(s, 7) && !seq_stops_at(s, 8));
    seq_free(s);
    seq_free(whole);
    sha256_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_match_stops_before_the_last_token),
        cmocka_unit_test(test_no_match_while_under_way),
        cmocka_unit_test(test_released_evicted_computed_again),
        cmocka_unit_test(test_push),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
