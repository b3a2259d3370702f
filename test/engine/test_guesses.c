/* test_guesses.c -- an engine that guesses ahead: fewer steps where the text repeats itself, the same in all else. */
#include "fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { CONTEXT = 512, PROMPT = 60, ANSWER = 200 };

static struct engine_opts opts(void)
{
    return (struct engine_opts){.type = &fake_host, .clock = fake_clock(), .memory_bytes = 64 << 20, .seq_max = 8};
}

static void begin(uint32_t period)
{
    fake_reset();
    fake.period = period;
    fake.step_cost = 20000000;
}

static void fill(int32_t *token, uint32_t n, uint64_t seed)
{
    for (uint32_t i = 0; i < n; i++)
        token[i] = (int32_t)fake_random(&seed, FAKE_VOCAB);
}

static void run_all(struct engine *g)
{
    while (engine_step(g))
        fake_check_blocks(g);
}

static struct engine_stats stats_of(struct engine *g)
{
    struct engine_stats s;
    engine_stats(g, &s);
    return s;
}

/* Runs the job alone and compares what it gets with what it would get without guesses.  Returns the counts. */
static struct engine_stats same_as_alone(struct asked *a, const struct engine_opts *o)
{
    struct model  *m = fake_model(CONTEXT);
    struct engine *g = fake_engine(m, o);
    int32_t        got[CONTEXT], want[CONTEXT];
    a->got = got;
    a->room = CONTEXT;
    asked_submit(g, a);
    run_all(g);
    uint32_t n = fake_oracle(&a->job, CONTEXT, want, CONTEXT);
    assert_int_equal(a->n_end, 1);
    assert_int_equal(a->n_got, n);
    assert_memory_equal(got, want, n * sizeof want[0]);
    struct engine_stats s = stats_of(g);
    assert_int_equal(s.blocks_used, 0);
    assert_int_equal(s.tokens_drawn, n);
    engine_close(g);
    fake_model_free(m);
    return s;
}

static void test_fewer_steps(void **state)
{
    (void)state;
    struct engine_opts o = opts();
    int32_t            prompt[PROMPT];
    uint64_t           steps = 0;
    fill(prompt, PROMPT, 1);
    for (int off = 0; off < 2; off++) {
        begin(11);
        o.no_draft = off;
        struct asked a = {.job = {.token = prompt, .n_token = PROMPT, .tokens_max = ANSWER, .draw = greedy()}};
        struct engine_stats s = same_as_alone(&a, &o);
        assert_int_equal(a.reason, END_LENGTH);
        if (off) {
            assert_true(s.n_step >= ANSWER && steps < s.n_step / 2);
            assert_int_equal(s.tokens_drafted + s.tokens_accepted, 0);
        } else {
            assert_true(s.tokens_accepted > ANSWER / 2);
            assert_in_range(s.n_step, ANSWER - s.tokens_accepted, ANSWER - s.tokens_accepted + 8);   /* 8: the prompt's */
        }
        steps = s.n_step;
    }
}

/* Chance, counts and logprobs are those of the token's own place. */
static void test_every_way_to_draw(void **state)
{
    (void)state;
    struct engine_opts o = opts();
    int32_t            prompt[PROMPT];
    uint64_t           accepted = 0;
    for (uint32_t i = 0; i < 40; i++) {
        begin(1 + i % 9);
        fill(prompt, PROMPT, i);
        struct asked a = {.job = {.token = prompt, .n_token = PROMPT, .tokens_max = ANSWER, .draw = greedy()}};
        struct draw *d = &a.job.draw;
        d->temperature = (float)(i % 4) * 2;
        d->seed = i;
        d->top_p = i % 3 ? 1 : 0.9f;
        d->frequency = i % 2 ? 0 : 0.2f;
        d->repeat = i % 5 ? 1 : 1.2f;
        d->n_logprob = (uint8_t)(i % 7);
        accepted += same_as_alone(&a, &o).tokens_accepted;
    }
    assert_true(accepted > 400);
}

/* A stop id in the middle of a run of right guesses ends the answer there; so does every limit. */
static void test_ends_inside_a_run(void **state)
{
    (void)state;
    struct engine_opts o = opts();
    int32_t            prompt[PROMPT], want[CONTEXT];
    uint64_t           accepted = 0;
    fill(prompt, PROMPT, 3);
    begin(23);
    struct job whole = {.token = prompt, .n_token = PROMPT, .tokens_max = 1000, .draw = greedy()};
    uint32_t   n = fake_oracle(&whole, CONTEXT, want, CONTEXT);
    assert_int_equal(n, CONTEXT - PROMPT);
    for (uint32_t i = 0; i < 60; i++) {
        begin(23);
        struct asked cut = {.job = whole}, stopped = {.job = whole};
        cut.job.tokens_max = 20 + i;
        accepted += same_as_alone(&cut, &o).tokens_accepted;
        assert_int_equal(cut.reason, END_LENGTH);
        begin(23);
        stopped.job.stop = &want[20 + i];
        stopped.job.n_stop = 1;
        same_as_alone(&stopped, &o);
        assert_int_equal(stopped.reason, END_STOP);
    }
    assert_true(accepted > 1000);
    begin(23);
    struct asked all = {.job = whole};
    same_as_alone(&all, &o);
    assert_int_equal(all.reason, END_LENGTH);           /* the context */
}

struct canceller {
    struct asked   asked;
    struct engine *g;
    uint32_t       at;
};

/* As if another thread cancelled right after a token: engine_cancel() takes a lock that no event is called under. */
static void cancel_event(void *ctx, const struct event *ev)
{
    struct canceller *c = ctx;
    asked_event(&c->asked, ev);
    if (ev->kind == EVENT_TOKEN && c->asked.n_got == c->at)
        engine_cancel(c->g, c->asked.id);
}

static void test_cancelled_inside_a_run(void **state)
{
    (void)state;
    struct model *m = fake_model(CONTEXT);
    int32_t       prompt[PROMPT];
    uint64_t      accepted = 0;
    fill(prompt, PROMPT, 3);
    for (uint32_t at = 40; at < 60; at++) {
        begin(7);
        struct engine_opts o = opts();
        struct engine     *g = fake_engine(m, &o);
        struct err         e;
        struct canceller   c = {.g = g, .at = at};
        c.asked.job = (struct job){.token = prompt, .n_token = PROMPT, .tokens_max = ANSWER, .draw = greedy(),
                                   .event = cancel_event, .ctx = &c};
        assert_true(engine_submit(g, &c.asked.job, &c.asked.id, &e));
        run_all(g);
        assert_int_equal(c.asked.reason, END_CANCELLED);
        assert_int_equal(c.asked.n_got, at);
        accepted += stats_of(g).tokens_accepted;
        assert_int_equal(stats_of(g).blocks_used, 0);
        engine_close(g);
    }
    assert_true(accepted > 200);
    fake_model_free(m);
}

/* What an answer leaves in the cache is what it said, not what was guessed. */
static void test_the_cache_holds_no_guesses(void **state)
{
    (void)state;
    begin(11);
    struct model      *m = fake_model(CONTEXT);
    struct engine_opts o = opts();
    struct engine     *g = fake_engine(m, &o);
    int32_t            prompt[CONTEXT], got[ANSWER], want[ANSWER];
    fill(prompt, PROMPT, 1);
    struct asked a = {.job = {.token = prompt, .n_token = PROMPT, .tokens_max = ANSWER, .draw = greedy()}, .got = got,
                      .room = ANSWER};
    asked_submit(g, &a);
    run_all(g);
    assert_true(stats_of(g).tokens_accepted > 100);
    memcpy(prompt + PROMPT, got, sizeof got);
    struct asked b = {.job = {.token = prompt, .n_token = PROMPT + ANSWER, .tokens_max = 50, .draw = greedy()},
                      .got = got, .room = ANSWER};
    asked_submit(g, &b);
    run_all(g);
    assert_int_equal(b.n_cached, PROMPT + ANSWER - 1);       /* the last token was drawn, never read */
    fake_oracle(&b.job, CONTEXT, want, 50);
    assert_memory_equal(got, want, 50 * sizeof want[0]);
    engine_close(g);
    fake_model_free(m);
}

/* Where another row costs as much as a step, and where no guess comes true, there are next to none. */
static void test_no_guesses_where_they_do_not_pay(void **state)
{
    (void)state;
    struct engine_opts o = opts();
    int32_t            prompt[PROMPT];
    fill(prompt, PROMPT, 1);
    begin(11);
    fake.step_cost = 10000;
    struct asked dear = {.job = {.token = prompt, .n_token = PROMPT, .tokens_max = ANSWER, .draw = greedy()}};
    assert_int_equal(same_as_alone(&dear, &o).tokens_drafted, 0);
    begin(0);
    for (uint32_t i = 0; i < PROMPT; i++)
        prompt[i] = (int32_t)(i % 3);           /* every three tokens of it foretell the next, and the answer never obeys */
    struct asked wrong = {.job = {.token = prompt, .n_token = PROMPT, .tokens_max = ANSWER, .draw = greedy()}};
    wrong.job.draw.temperature = 1;
    struct engine_stats s = same_as_alone(&wrong, &o);
    assert_true(s.tokens_drafted < ANSWER / 50);
}

/* Beside one who guesses a prompt is read about as fast; he gets several tokens in each of those long steps. */
static void test_a_prompt_beside_guesses(void **state)
{
    (void)state;
    struct model *m = fake_model(4096);
    int32_t       copy[PROMPT];
    static int32_t other[3000];
    fill(copy, PROMPT, 1);
    fill(other, 3000, 2);
    uint64_t took[2];
    for (int off = 0; off < 2; off++) {
        begin(11);
        fake.budget_ns = 100000000;
        fake.step_cost = 5000000;
        struct engine_opts o = opts();
        o.no_draft = off;
        struct engine *g = fake_engine(m, &o);
        struct asked   a = {.job = {.token = copy, .n_token = PROMPT, .tokens_max = 400, .draw = greedy()}};
        struct asked   b = {.job = {.token = other, .n_token = 3000, .tokens_max = 1, .draw = greedy(), .client = 1}};
        asked_submit(g, &a);
        while (a.n_got < 100)
            engine_step(g);
        fake.check_time = true;
        uint64_t from = fake.now, got = a.n_got;
        asked_submit(g, &b);
        while (!b.n_end)
            engine_step(g);
        took[off] = fake.now - from;
        assert_true(off || a.n_end || a.n_got - got > 2 * took[0] / 100000000);
        run_all(g);
        engine_close(g);
    }
    assert_true(took[0] < took[1] + took[1] / 8);
    fake_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fewer_steps),
        cmocka_unit_test(test_every_way_to_draw),
        cmocka_unit_test(test_ends_inside_a_run),
        cmocka_unit_test(test_cancelled_inside_a_run),
        cmocka_unit_test(test_the_cache_holds_no_guesses),
        cmocka_unit_test(test_no_guesses_where_they_do_not_pay),
        cmocka_unit_test(test_a_prompt_beside_guesses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
