/* test_kv.c -- the pool of blocks by itself. */
#include "engine/kv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct sha256 key_of(uint32_t i)
{
    return sha256_of(&i, sizeof i);
}

static void test_runs_of_blocks(void **state)
{
    (void)state;
    struct kv kv;
    kv_init(&kv, 8, 4);
    assert_int_equal(kv_available(&kv), 8);
    assert_int_equal(kv_take(&kv, KV_NONE), 0);
    assert_int_equal(kv_take(&kv, 0), 1);
    assert_int_equal(kv_take(&kv, KV_NONE), 2);
    assert_int_equal(kv_take(&kv, 1), 3);       /* 2 is taken: any spare one */
    assert_int_equal(kv_take(&kv, 5), 6);
    assert_int_equal(kv_take(&kv, 7), 4);       /* nothing is behind the last */
    assert_int_equal(kv_available(&kv), 2);
    kv_drop(&kv);
}

static void test_published_blocks_are_found_until_evicted(void **state)
{
    (void)state;
    struct kv kv;
    kv_init(&kv, 4, 4);
    struct sha256 k[4];
    for (uint32_t i = 0; i < 4; i++) {
        k[i] = key_of(i);
        assert_int_equal(kv_take(&kv, KV_NONE), i);
        kv_publish(&kv, i, &k[i]);
        assert_int_equal(kv_find(&kv, &k[i]), i);
    }
    assert_int_equal(kv_available(&kv), 0);
    kv_unref(&kv, 2);
    kv_unref(&kv, 0);
    kv_unref(&kv, 1);
    assert_int_equal(kv_available(&kv), 3);
    kv_ref(&kv, 2);                             /* used again: now 0 has been idle for longest */
    kv_unref(&kv, 2);
    assert_int_equal(kv_take(&kv, KV_NONE), 0);
    assert_int_equal(kv_find(&kv, &k[0]), KV_NONE);
    assert_int_equal(kv_take(&kv, KV_NONE), 1);
    assert_int_equal(kv_find(&kv, &k[2]), 2);
    assert_int_equal(kv_take(&kv, KV_NONE), 2);
    assert_int_equal(kv_find(&kv, &k[3]), 3);   /* held blocks are never evicted */
    assert_int_equal(kv.n_evicted, 3);
    assert_int_equal(kv_available(&kv), 0);
    kv_drop(&kv);
}

static void test_spare_before_idle(void **state)
{
    (void)state;
    struct kv     kv;
    struct sha256 k = key_of(1);
    kv_init(&kv, 3, 4);
    uint32_t a = kv_take(&kv, KV_NONE), b = kv_take(&kv, KV_NONE);
    kv_publish(&kv, a, &k);
    kv_unref(&kv, a);
    kv_unref(&kv, b);
    assert_int_equal(kv.idle.n, 1);
    assert_int_equal(kv.spare.n, 2);
    kv_take(&kv, KV_NONE);
    kv_take(&kv, KV_NONE);
    assert_int_equal(kv_find(&kv, &k), a);
    assert_int_equal(kv_take(&kv, KV_NONE), a);
    kv_drop(&kv);
}

static void test_one_block_a_key(void **state)
{
    (void)state;
    struct kv     kv;
    struct sha256 k = key_of(1);
    kv_init(&kv, 3, 4);
    uint32_t a = kv_take(&kv, KV_NONE), b = kv_take(&kv, KV_NONE);
    kv_publish(&kv, a, &k);
    kv_publish(&kv, b, &k);
    assert_int_equal(kv_find(&kv, &k), a);
    assert_false(kv.block[b].published);
    kv_ref(&kv, a);
    assert_int_equal(kv.block[a].ref, 2);
    kv_unref(&kv, a);
    assert_int_equal(kv.idle.n, 0);             /* still held once */
    kv_drop(&kv);
}

static struct kv_near near(const struct kv *kv, const struct sha256 *parent, const int32_t *token, uint32_t n)
{
    return kv_near(kv, parent, &(struct kv_text){token, n, NULL});
}

/* Blocks are found by what they begin with, too, the partly filled one of a sequence included. */
static void test_near(void **state)
{
    (void)state;
    struct kv     kv;
    struct sha256 here = key_of(1), there = key_of(2);
    int32_t       a[4] = {1, 2, 3, 4}, b[3] = {1, 2, 9}, other[2] = {7, 7}, ask[4] = {1, 2, 9, 9};
    kv_init(&kv, 3, 4);
    assert_int_equal(near(&kv, &here, a, 4).block, KV_NONE);
    assert_int_equal(near(&kv, &here, a, 4).parting, PARTING_UNKNOWN);
    for (uint32_t i = 0; i < 3; i++)
        kv_take(&kv, KV_NONE);
    kv_note(&kv, 0, &here, &(struct kv_text){a, 4, NULL});
    kv_note(&kv, 1, &here, &(struct kv_text){b, 3, NULL});
    kv_note(&kv, 2, &here, &(struct kv_text){a, 2, NULL});               /* block 0 begins like that */
    assert_int_equal(kv.block[2].n_token, 0);
    assert_int_equal(near(&kv, &here, ask, 4).block, 1);
    assert_int_equal(near(&kv, &here, ask, 4).same, 3);
    assert_int_equal(near(&kv, &here, ask, 4).parting, PARTING_END);
    assert_int_equal(near(&kv, &here, ask, 2).same, 2);
    assert_int_equal(near(&kv, &here, a, 4).block, 0);
    assert_int_equal(near(&kv, &here, a, 4).same, 4);
    assert_int_equal(near(&kv, &here, other, 2).block, KV_NONE);
    assert_int_equal(near(&kv, &here, other, 2).parting, PARTING_TOKEN);
    assert_int_equal(near(&kv, &there, a, 4).block, KV_NONE);
    for (uint32_t i = 0; i < 3; i++)
        kv_unref(&kv, i);
    assert_int_equal(kv.idle.n, 2);
    assert_int_equal(kv_take(&kv, KV_NONE), 2);
    assert_int_equal(kv_take(&kv, KV_NONE), 0);         /* evicted: no longer near anything */
    assert_int_equal(near(&kv, &here, a, 4).block, 1);
    assert_int_equal(near(&kv, &here, a, 4).same, 2);
    kv_drop(&kv);
}

/* Placeholders are equal, what they show is not: blocks are alike up to the first row that shows anything, and beyond only
 * when all that they show is the same at the same rows. */
static void test_near_pictures(void **state)
{
    (void)state;
    struct kv      kv;
    struct sha256  here = key_of(1);
    int32_t        text[6] = {1, 9, 9, 9, 2, 3};
    struct kv_seen cat = {{{key_of(11), 1}}, 1}, dog = {{{key_of(12), 1}}, 1}, late = {{{key_of(11), 3}}, 1};
    struct kv_seen both = {{{key_of(11), 1}, {key_of(12), 3}}, 2};
    struct kv_text none = {text, 6, NULL}, with_cat = {text, 6, &cat}, with_dog = {text, 6, &dog}, with_late = {text, 6, &late};
    struct kv_text with_both = {text, 6, &both};
    kv_init(&kv, 4, 6);
    for (uint32_t i = 0; i < 4; i++)
        kv_take(&kv, KV_NONE);
    kv_note(&kv, 0, &here, &with_cat);
    assert_int_equal(kv_near(&kv, &here, &with_cat).same, 6);
    assert_int_equal(kv_near(&kv, &here, &with_dog).same, 1);
    assert_int_equal(kv_near(&kv, &here, &with_dog).parting, PARTING_SEEN);
    assert_int_equal(kv_near(&kv, &here, &with_late).same, 1);
    assert_int_equal(kv_near(&kv, &here, &none).same, 1);
    assert_int_equal(kv_near(&kv, &here, &with_both).same, 3);          /* the cat is the same in both */
    kv_note(&kv, 1, &here, &with_dog);
    kv_note(&kv, 2, &here, &none);
    assert_int_equal(kv_near(&kv, &here, &with_dog).block, 1);
    assert_int_equal(kv_near(&kv, &here, &none).block, 2);
    assert_int_equal(kv_near(&kv, &here, &with_late).same, 3);          /* of the block that shows nothing */
    assert_int_equal(kv_near(&kv, &here, &with_late).block, 2);
    kv_note(&kv, 3, &here, &with_cat);
    assert_int_equal(kv.block[3].n_token, 0);           /* block 0 begins like that */
    kv_drop(&kv);
}

/* A key says everything that a block's content depends on: its tokens, those before, the salt. */
static void test_keys(void **state)
{
    (void)state;
    struct sha256_run *h = sha256_new();
    int32_t a[4] = {1, 2, 3, 4}, b[4] = {1, 2, 3, 5};
    struct sha256 plain = kv_root(h, STR("")), salted = kv_root(h, STR("s"));
    struct kv_seen cat = {{{key_of(11), 1}}, 1}, dog = {{{key_of(12), 1}}, 1}, both = {{{key_of(11), 1}, {key_of(12), 2}}, 2};
    struct kv_text ta = {a, 4, NULL}, tb = {b, 4, NULL}, tc = {a, 4, &cat}, td = {a, 4, &dog}, te = {a, 4, &both};
    struct sha256 ka = kv_key(h, &plain, &ta), kb = kv_key(h, &plain, &tb), ks = kv_key(h, &salted, &ta);
    struct sha256 kc = kv_key(h, &plain, &tc), kd = kv_key(h, &plain, &td), ke = kv_key(h, &plain, &te);
    struct sha256 again = kv_key(h, &plain, &ta);
    struct sha256 aa = kv_key(h, &ka, &ta), ba = kv_key(h, &kb, &ta);
    assert_memory_equal(&ka, &again, sizeof ka);
    assert_memory_not_equal(&kc, &ke, sizeof ka);
    assert_memory_not_equal(&ka, &kb, sizeof ka);
    assert_memory_not_equal(&ka, &ks, sizeof ka);
    assert_memory_not_equal(&ka, &kc, sizeof ka);
    assert_memory_not_equal(&kc, &kd, sizeof ka);
    assert_memory_not_equal(&aa, &ba, sizeof aa);       /* the same tokens behind others: the trap of unchained keys */
    assert_memory_not_equal(&aa, &ka, sizeof aa);
    sha256_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_of_blocks),
        cmocka_unit_test(test_published_blocks_are_found_until_evicted),
        cmocka_unit_test(test_spare_before_idle),
        cmocka_unit_test(test_one_block_a_key),
        cmocka_unit_test(test_near),
        cmocka_unit_test(test_near_pictures),
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
