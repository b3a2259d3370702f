/* test_snapshots.c -- prompts of a model that remembers sequences as a whole: where they go on, and what that takes. */
#include "fake.h"

#include "engine/jobs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { BLOCK = 16, CONTEXT = 1024, SNAPSHOT = 512 };        /* SNAPSHOT: bytes, more than one takes, less than two do */

static const struct backend_type *const types[] = {&fake_host, &fake_device, &fake_draws};

struct bed {
    struct model  *m;
    struct engine *g;
};

static struct bed bed_open(const struct backend_type *t, enum fake_states states, uint32_t n_snapshot)
{
    struct engine_opts o = {.type = t, .clock = fake_clock(), .memory_bytes = 64 << 20, .seq_max = 8, .block_tokens = BLOCK,
                            .snapshot_bytes = (uint64_t)n_snapshot * SNAPSHOT};
    fake_reset();
    struct bed b = {.m = fake_model_with(CONTEXT, states)};
    b.g = fake_engine(b.m, &o);
    return b;
}

static void bed_close(struct bed *b)
{
    engine_close(b->g);
    fake_model_free(b->m);
}

static void fill(int32_t *token, uint32_t n, uint64_t seed)
{
    for (uint32_t i = 0; i < n; i++)
        token[i] = (int32_t)fake_random(&seed, FAKE_VOCAB);
}

static void run_all(struct engine *g)
{
    while (engine_step(g)) {
        fake_check_blocks(g);
        fake_check_snapshots(g);
    }
}

static struct engine_stats stats_of(struct engine *g)
{
    struct engine_stats s;
    engine_stats(g, &s);
    return s;
}

/* One job alone; its answer must be the right one.  Returns the tokens of its prompt that were not computed, and checks
 * that all the others were, once. */
static uint32_t ask(struct engine *g, const struct job *j, int32_t *got)
{
    int32_t      want[CONTEXT];
    uint64_t     before = stats_of(g).tokens_computed;
    struct asked a = {.job = *j, .got = got, .room = CONTEXT};
    asked_submit(g, &a);
    run_all(g);
    assert_int_equal(a.reason, END_LENGTH);
    assert_int_equal(a.n_got, j->tokens_max);
    fake_oracle(j, CONTEXT, want, CONTEXT);
    assert_memory_equal(got, want, a.n_got * sizeof want[0]);
    assert_int_equal(stats_of(g).tokens_computed - before, j->n_token - a.n_cached + (a.n_got ? a.n_got - 1 : 0));
    return a.n_cached;
}

/* Whatever the lengths: who goes on behind an answer computes one block at most of what came before. */
static void test_a_second_turn(void **state)
{
    (void)state;
    static const enum fake_states states[] = {FAKE_TOKEN, FAKE_BOTH, FAKE_WHOLE};
    for (size_t t = 0; t < 3; t++)
        for (size_t i = 0; i < 3; i++) {
            struct bed b = bed_open(types[t], states[i], 0);
            for (uint32_t n = 1; n < 100; n++) {
                int32_t    prompt[CONTEXT];
                struct job j = {.token = prompt, .n_token = n, .tokens_max = 1 + n * 7 % 50, .draw = greedy()};
                fill(prompt, CONTEXT, n + 1000);
                assert_true(n < 5 || ask(b.g, &j, prompt + n) < n);
                if (n < 5)
                    ask(b.g, &j, prompt + n);
                uint32_t had = n + j.tokens_max;
                j.n_token = had + 1 + n % 37;
                uint32_t cached = ask(b.g, &j, prompt + j.n_token);
                assert_true(cached < had && cached + BLOCK >= had);
                /* The same again. */
                cached = ask(b.g, &j, prompt + j.n_token);
                assert_true(cached < j.n_token && cached + BLOCK >= j.n_token);
            }
            bed_close(&b);
        }
}

/* The last message is written anew: what lies before it is not computed again, but for one block.  Without the mark it
 * is, once; then the place is known. */
static void test_an_edited_message(void **state)
{
    (void)state;
    for (size_t t = 0; t < 3; t++)
        for (uint32_t mark = 33; mark < 130; mark += 9) {
            struct bed b = bed_open(types[t], FAKE_BOTH, 0);
            int32_t    prompt[CONTEXT], other[CONTEXT], got[CONTEXT];
            uint32_t   marks[3] = {0, mark, 199};
            fill(prompt, 200, mark);
            memcpy(other, prompt, sizeof *prompt * mark);
            fill(other + mark, 200 - mark, mark + 1);
            other[mark] = prompt[mark] == 1 ? 2 : 1;
            struct job j = {.token = prompt, .n_token = 200, .tokens_max = 20, .draw = greedy(), .mark = marks, .n_mark = 3};
            assert_int_equal(ask(b.g, &j, got), 0);
            j.token = other;
            assert_int_equal(ask(b.g, &j, got), mark / BLOCK * BLOCK);
            bed_close(&b);

            b = bed_open(types[t], FAKE_BOTH, 0);
            j.n_mark = 0;
            j.token = prompt;
            assert_int_equal(ask(b.g, &j, got), 0);
            j.token = other;
            assert_int_equal(ask(b.g, &j, got), 0);
            other[mark] = prompt[mark] == 3 ? 4 : 3;
            assert_int_equal(ask(b.g, &j, got), mark / BLOCK * BLOCK);
            bed_close(&b);
        }
}

/* Only the last few marks count, in whatever disorder they come. */
static void test_many_marks(void **state)
{
    (void)state;
    struct bed b = bed_open(&fake_host, FAKE_WHOLE, 0);
    int32_t    prompt[CONTEXT], got[CONTEXT];
    uint32_t   marks[60];
    fill(prompt, CONTEXT, 1);
    for (uint32_t i = 0; i < 60; i++)
        marks[i] = i * 7;
    struct job j = {.token = prompt, .n_token = 401, .tokens_max = 1, .draw = greedy(), .mark = marks, .n_mark = 57};
    ask(b.g, &j, got);
    assert_int_equal(stats_of(b.g).snapshots_made, SEQ_SAVES);
    j.n_token = 350;
    assert_int_equal(ask(b.g, &j, got), 336);
    j.n_token = 100;
    marks[56] = 5000;
    marks[55] = 3;
    assert_int_equal(ask(b.g, &j, got), 0);
    bed_close(&b);
}

/* Snapshots are as many as their memory holds, and the ones not asked for longest go first. */
static void test_least_recently_used(void **state)
{
    (void)state;
    for (size_t t = 0; t < 3; t++) {
        struct bed b = bed_open(types[t], FAKE_BOTH, 3);
        const struct engine_plan *p = engine_plan(b.g);
        int32_t    prompt[5][40], got[CONTEXT];
        assert_int_equal(p->n_snapshot, 3);
        assert_true(p->snapshot_bytes >= 3 * FAKE_SLOT_BYTES && p->snapshot_bytes <= 3 * SNAPSHOT);
        assert_int_equal(p->slot_bytes, 8 * FAKE_SLOT_BYTES);
        assert_int_equal(p->memory_bytes, p->weight_bytes + p->kv_bytes + p->slot_bytes + p->snapshot_bytes + p->scratch_bytes);
        for (uint32_t i = 0; i < 5; i++)
            fill(prompt[i], 40, i + 1);
        static const struct { uint32_t asks, finds; } order[] = {
            {0, 0}, {1, 0}, {2, 0}, {0, 32}, {3, 0}, {0, 32}, {2, 32}, {1, 0}, {3, 0}, {0, 0}, {1, 32}};
        for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
            struct job j = {.token = prompt[order[i].asks], .n_token = 40, .draw = greedy()};
            assert_int_equal(ask(b.g, &j, got), order[i].finds);
            assert_true(stats_of(b.g).snapshots_cached <= 3);
        }
        struct engine_stats s = stats_of(b.g);
        assert_int_equal(s.snapshots, 3);
        assert_int_equal(s.snapshots_found, 4);
        assert_int_equal(s.snapshots_made, 7);
        assert_int_equal(s.evicted_snapshots, 4);
        bed_close(&b);
    }
}

/* A long answer takes one place, not one a block. */
static void test_an_answer_keeps_one(void **state)
{
    (void)state;
    for (size_t t = 0; t < 3; t++) {
        struct bed b = bed_open(types[t], FAKE_BOTH, 3);
        int32_t    prompt[CONTEXT], got[CONTEXT];
        fill(prompt, 40, 1);
        struct job j = {.token = prompt, .n_token = 40, .tokens_max = 500, .draw = greedy()};
        ask(b.g, &j, got);
        struct engine_stats s = stats_of(b.g);
        assert_int_equal(s.snapshots_cached, 2);
        assert_int_equal(s.evicted_snapshots, 0);
        assert_int_equal(ask(b.g, &j, got), 32);        /* the prompt's is still there */
        bed_close(&b);
    }
}

/* No memory for even one: nothing is kept, and all goes as well. */
static void test_none(void **state)
{
    (void)state;
    struct model      *m = fake_model_with(CONTEXT, FAKE_BOTH);
    struct engine_opts o = {.type = &fake_host, .clock = fake_clock(), .memory_bytes = 64 << 20, .seq_max = 8, .block_tokens = BLOCK,
                            .snapshot_bytes = 1};
    fake_reset();
    struct engine *g = fake_engine(m, &o);
    int32_t        prompt[100], got[CONTEXT];
    fill(prompt, 100, 1);
    struct job j = {.token = prompt, .n_token = 100, .tokens_max = 50, .draw = greedy()};
    assert_int_equal(engine_plan(g)->n_snapshot, 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(ask(g, &j, got), 0);
    assert_int_equal(stats_of(g).snapshots_made, 0);
    engine_close(g);
    o.snapshot_bytes = 0;
    o.no_cache = true;
    struct engine_plan p;
    struct err         e;
    assert_true(engine_size(m, &o, &p, &e));
    assert_int_equal(p.n_snapshot, 0);
    o.no_cache = false;
    assert_true(engine_size(m, &o, &p, &e));
    assert_int_equal(p.n_snapshot, 4 * 8);
    fake_model_free(m);
}

/* Those who ask the same at once wait for one of them to read it. */
static void test_the_same_prompt_is_read_once(void **state)
{
    (void)state;
    for (size_t t = 0; t < 3; t++) {
        struct bed   b = bed_open(types[t], FAKE_BOTH, 0);
        int32_t      prompt[500];
        struct asked a[6] = {0};
        fill(prompt, 500, 5);
        for (uint32_t i = 0; i < 6; i++) {
            a[i].job = (struct job){.token = prompt, .n_token = 500, .tokens_max = 10, .draw = greedy(), .client = i};
            asked_submit(b.g, &a[i]);
        }
        run_all(b.g);
        struct engine_stats s = stats_of(b.g);
        assert_int_equal(s.tokens_computed, 500 + 5 * (500 % BLOCK) + 6 * 9);
        assert_int_equal(s.tokens_cached, 5 * (500 / BLOCK * BLOCK));
        assert_int_equal(s.snapshots_found, 5);
        bed_close(&b);
    }
}

/* After a failed run nothing is believed that was copied, and other salts never share. */
static void test_failures_and_salts(void **state)
{
    (void)state;
    for (size_t t = 0; t < 3; t++) {
        struct bed   b = bed_open(types[t], FAKE_BOTH, 0);
        int32_t      prompt[100], got[CONTEXT];
        struct asked a = {.job = {.token = prompt, .n_token = 100, .tokens_max = 50, .draw = greedy()}};
        struct job   j = a.job;
        fill(prompt, 100, 5);
        ask(b.g, &j, got);
        assert_true(stats_of(b.g).snapshots_cached > 0);
        j.salt = STR("other");
        assert_int_equal(ask(b.g, &j, got), 0);
        assert_int_equal(ask(b.g, &j, got), 96);
        fake.fail_in = 2;
        asked_submit(b.g, &a);
        run_all(b.g);
        assert_int_equal(a.reason, END_FAILED);
        assert_int_equal(stats_of(b.g).snapshots_cached, 0);
        assert_int_equal(ask(b.g, &j, got), 0);
        assert_int_equal(ask(b.g, &j, got), 96);
        bed_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_second_turn),
        cmocka_unit_test(test_an_edited_message),
        cmocka_unit_test(test_many_marks),
        cmocka_unit_test(test_least_recently_used),
        cmocka_unit_test(test_an_answer_keeps_one),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_the_same_prompt_is_read_once),
        cmocka_unit_test(test_failures_and_salts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
