/* test_draft.c -- guesses, without an engine around them. */
#include "fake.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { LIMIT = 400 };

struct text {
    struct draft draft;
    uint32_t    *word, n;
    int32_t      token[LIMIT];
};

static void begin(struct text *x, const int32_t *token, uint32_t n)
{
    *x = (struct text){.word = mem_array(draft_words(LIMIT), sizeof *x->word), .n = n};
    memcpy(x->token, token, n * sizeof *token);
    draft_init(&x->draft, x->word, LIMIT);
    draft_begin(&x->draft, x->token, n);
}

static void say(struct text *x, int32_t token)
{
    x->token[x->n++] = token;
    draft_next(&x->draft, x->token, x->n);
}

static void guesses(const struct text *x, const int32_t *want, uint32_t k)
{
    int32_t token[LIMIT + 16];
    memcpy(token, x->token, x->n * sizeof *token);
    assert_true(x->draft.length >= DRAFT_GRAM);
    draft_write(&x->draft, token, x->n, k);
    assert_memory_equal(token + x->n, want, k * sizeof *want);
}

static void test_the_longest_match_and_the_latest(void **state)
{
    (void)state;
    static const int32_t prompt[] = {9, 1, 2, 3, 4, 50, 60, 8, 1, 2, 3, 4, 51, 61, 7, 2, 3, 4, 52, 62, 8, 1, 2, 3, 4};
    struct text x;
    begin(&x, prompt, 25);
    assert_int_equal(x.draft.length, 5);
    guesses(&x, (int32_t[]){51, 61, 7, 2}, 4);          /* behind 8 1 2 3 4, not behind 2 3 4 */
    say(&x, 51);
    assert_int_equal(x.draft.length, 6);
    guesses(&x, (int32_t[]){61, 7}, 2);
    say(&x, 62);                                        /* not so */
    assert_int_equal(x.draft.length, 0);
    for (int32_t t = 2; t <= 4; t++)
        say(&x, t);
    assert_int_equal(x.draft.length, 3);
    guesses(&x, (int32_t[]){51}, 1);                    /* all match 3 tokens: the latest */
    free(x.word);
}

static void test_a_guess_goes_on_into_itself(void **state)
{
    (void)state;
    struct text x;
    begin(&x, (int32_t[]){5, 1, 2, 1, 2, 1, 2}, 7);
    guesses(&x, (int32_t[]){1, 2, 1, 2, 1, 2, 1, 2}, 8);
    free(x.word);
    begin(&x, (int32_t[]){1, 1, 1, 1}, 4);
    guesses(&x, (int32_t[]){1, 1, 1, 1, 1, 1, 1, 1}, 8);
    free(x.word);
}

static void test_short_texts_have_no_guess(void **state)
{
    (void)state;
    struct text x;
    begin(&x, (int32_t[]){1}, 1);
    for (int i = 0; i < 2; i++)
        say(&x, 1);
    assert_int_equal(x.draft.length, 0);
    say(&x, 1);
    assert_int_equal(x.draft.length, 3);
    free(x.word);
}

static void test_odds(void **state)
{
    (void)state;
    struct text x;
    int32_t     prompt[100];
    uint64_t    random = 1;
    for (uint32_t i = 0; i < 100; i++)
        prompt[i] = (int32_t)i;
    begin(&x, prompt, 100);
    for (int32_t t = 10; t < 13; t++)
        say(&x, t);
    assert_true(draft_odds(&x.draft, 0) <= 0);          /* nothing has come true yet */
    for (int32_t t = 13; t < 45; t++) {
        double before = draft_odds(&x.draft, 0);
        say(&x, t);
        assert_true(t < 40 || draft_odds(&x.draft, 0) >= before);
    }
    assert_true(draft_odds(&x.draft, 0) > 0.85);
    double best = draft_odds(&x.draft, 0);
    for (int i = 0; i < 6; i++) {
        /* The same again, but every time it ends otherwise. */
        for (int32_t t = 50; t < 59; t++)
            say(&x, t);
        say(&x, 100 + (int32_t)fake_random(&random, 1000));
    }
    for (int32_t t = 50; t < 59; t++)
        say(&x, t);
    assert_true(draft_odds(&x.draft, 0) < best * 0.8);
    free(x.word);
}

/* Against the definition: of all earlier places that share DRAFT_GRAM tokens, the longest match, the latest of equals.
 * Matches here are shorter than what is compared, and there are fewer of them than are looked at. */
static void test_against_the_definition(void **state)
{
    (void)state;
    uint64_t    random = 7;
    struct text x;
    begin(&x, (int32_t[]){0, 1}, 2);
    while (x.n < LIMIT) {
        say(&x, (int32_t)fake_random(&random, 6));
        uint32_t best = 0;
        for (uint32_t place = x.n - 1; place >= DRAFT_GRAM; place--) {
            uint32_t n = 0;
            while (n < place && x.token[place - 1 - n] == x.token[x.n - 1 - n])
                n++;
            if (n >= DRAFT_GRAM && n > best)
                best = n;
        }
        assert_int_equal(x.draft.length, best);
        for (uint32_t i = 0; i < best; i++)
            assert_int_equal(x.token[x.draft.from - 1 - i], x.token[x.n - 1 - i]);
    }
    free(x.word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_longest_match_and_the_latest),
        cmocka_unit_test(test_a_guess_goes_on_into_itself),
        cmocka_unit_test(test_short_texts_have_no_guess),
        cmocka_unit_test(test_odds),
        cmocka_unit_test(test_against_the_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
