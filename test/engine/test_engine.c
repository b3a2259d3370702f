/* test_engine.c -- an engine on the fake backend, one question at a time. */
#include "fake.h"

#include "engine/jobs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct backend_type *const types[] = {&fake_host, &fake_device, &fake_draws};

static struct engine_opts opts_of(const struct backend_type *t)
{
    return (struct engine_opts){.type = t, .clock = fake_clock(), .memory_bytes = 64 << 20, .seq_max = 8,
                                .block_tokens = 16};
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

static void test_one_job_runs(void **state)
{
    (void)state;
    struct model *m = fake_model(512);
    for (size_t t = 0; t < 3; t++) {
        fake_reset();
        struct engine_opts o = opts_of(types[t]);
        struct engine     *g = fake_engine(m, &o);
        int32_t prompt[100], got[50], want[50];
        fill(prompt, 100, 1);
        struct asked a = {.job = {.token = prompt, .n_token = 100, .tokens_max = 50, .draw = greedy()},
                          .got = got, .room = 50};
        asked_submit(g, &a);
        run_all(g);
        assert_int_equal(a.n_end, 1);
        assert_int_equal(a.reason, END_LENGTH);
        assert_int_equal(a.n_got, 50);
        assert_int_equal(fake_oracle(&a.job, 512, want, 50), 50);
        assert_memory_equal(got, want, sizeof want);
        struct engine_stats s;
        engine_stats(g, &s);
        assert_int_equal(s.blocks_used, 0);
        assert_int_equal(s.running + s.waiting, 0);
        assert_int_equal(s.tokens_drawn, 50);
        engine_close(g);
    }
    fake_model_free(m);
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

static void nobody(void *ctx, const struct event *ev)
{
    (void)ctx;
    (void)ev;
    fail_msg("a refused job has no events");
}

static void test_refused(void **state)
{
    (void)state;
    fake_reset();
    struct model      *m = fake_model(64);
    struct engine_opts o = opts_of(&fake_host);
    o.queue_max = 3;
    struct engine *g = fake_engine(m, &o);
    struct err     e;
    int32_t        prompt[70];
    uint64_t       id;
    fill(prompt, 70, 1);
    struct job j = {.token = prompt, .n_token = 64, .tokens_max = 1, .draw = greedy(), .event = nobody};
    assert_false(engine_submit(g, &j, &id, &e));
    assert_int_equal(e.kind, ERR_CONTEXT);
    assert_string_equal(e.code, "context_length_exceeded");
    assert_non_null(strstr(e.text, "64"));
    j.n_token = 65;
    j.tokens_max = 0;
    assert_false(engine_submit(g, &j, &id, &e));
    assert_int_equal(e.kind, ERR_CONTEXT);
    assert_non_null(strstr(e.text, "65"));
    j.n_token = 0;
    assert_false(engine_submit(g, &j, &id, &e));
    assert_int_equal(e.kind, ERR_INVALID);
    j.n_token = 10;
    prompt[9] = FAKE_VOCAB;
    assert_false(engine_submit(g, &j, &id, &e));
    assert_int_equal(e.kind, ERR_INVALID);
    assert_non_null(strstr(e.text, "token 9"));
    prompt[9] = -1;
    assert_false(engine_submit(g, &j, &id, &e));
    prompt[9] = 1;
    j.draw.repeat = 0;
    assert_false(engine_submit(g, &j, &id, &e));
    assert_string_equal(e.param, "repetition_penalty");

    struct asked a[3] = {0};
    for (int i = 0; i < 3; i++) {
        a[i].job = (struct job){.token = prompt, .n_token = 10, .tokens_max = 3, .draw = greedy()};
        asked_submit(g, &a[i]);
    }
    j.draw = greedy();
    assert_false(engine_submit(g, &j, &id, &e));
    assert_int_equal(e.kind, ERR_BUSY);
    assert_int_equal(engine_jobs_ahead(g), 3);
    run_all(g);
    assert_int_equal(engine_jobs_ahead(g), 0);
    struct engine_stats s;
    engine_stats(g, &s);
    assert_int_equal(s.n_refused, 7);
    assert_int_equal(s.n_job, 3);
    assert_int_equal(s.n_end, 3);
    engine_close(g);
    fake_model_free(m);
}

/* ---- how answers end --------------------------------------------------------------------------------------------- */

static void test_ends(void **state)
{
    (void)state;
    struct model *m = fake_model(128);
    for (size_t t = 0; t < 3; t++) {
        fake_reset();
        struct engine_opts o = opts_of(types[t]);
        struct engine     *g = fake_engine(m, &o);
        int32_t prompt[128], got[128], want[128];
        fill(prompt, 128, 5);
        struct asked whole = {.job = {.token = prompt, .n_token = 20, .tokens_max = 1000, .draw = greedy()},
                              .got = got, .room = 128};
        asked_submit(g, &whole);
        run_all(g);
        assert_int_equal(whole.reason, END_LENGTH);     /* by the context */
        assert_int_equal(whole.n_got, 108);

        uint32_t     n = fake_oracle(&whole.job, 128, want, 128);
        int32_t      stop[2] = {want[30], FAKE_VOCAB + 5};
        struct asked stopped = whole;
        assert_int_equal(n, 108);
        stopped.job.stop = stop;
        stopped.job.n_stop = 2;
        stopped.n_start = stopped.n_end = stopped.n_got = 0;
        asked_submit(g, &stopped);
        run_all(g);
        assert_int_equal(stopped.reason, END_STOP);
        assert_int_equal(got[stopped.n_got - 1], stop[0]);      /* the id that ends it comes too */
        assert_true(stopped.n_got <= 31);

        struct asked read = {.job = {.token = prompt, .n_token = 128, .draw = greedy()}};
        asked_submit(g, &read);
        run_all(g);
        assert_int_equal(read.reason, END_LENGTH);
        assert_int_equal(read.n_got, 0);
        assert_int_equal(read.n_start, 1);
        engine_close(g);
    }
    fake_model_free(m);
}

static void test_cancel_and_deadline(void **state)
{
    (void)state;
    struct model *m = fake_model(512);
    for (size_t t = 0; t < 3; t++) {
        fake_reset();
        struct engine_opts o = opts_of(types[t]);
        o.seq_max = 2;
        struct engine *g = fake_engine(m, &o);
        int32_t        prompt[50];
        fill(prompt, 50, 5);
        struct asked a[6] = {0};
        for (int i = 0; i < 6; i++) {
            a[i].job = (struct job){.token = prompt, .n_token = 50, .tokens_max = 400, .draw = greedy()};
            a[i].job.deadline_ns = i == 1 || i == 3 ? fake.now + 1000000000 : 0;
            asked_submit(g, &a[i]);
        }
        engine_cancel(g, a[5].id);      /* before it was even taken in */
        engine_cancel(g, 999);          /* nobody */
        while (a[0].n_got < 10)
            engine_step(g);
        assert_int_equal(a[5].n_end, 1);
        assert_int_equal(a[5].n_start, 0);
        engine_cancel(g, a[0].id);      /* draws */
        engine_cancel(g, a[4].id);      /* waits */
        uint32_t got = a[0].n_got;
        engine_step(g);
        assert_int_equal(a[0].reason, END_CANCELLED);
        assert_int_equal(a[0].n_got, got);
        assert_int_equal(a[4].reason, END_CANCELLED);
        run_all(g);
        assert_int_equal(a[1].reason, END_TIMEOUT);     /* draws */
        assert_int_equal(a[3].reason, END_TIMEOUT);     /* waits: its two places are taken until then */
        assert_int_equal(a[2].reason, END_LENGTH);
        for (int i = 0; i < 6; i++)
            assert_int_equal(a[i].n_end, 1);
        struct engine_stats s;
        engine_stats(g, &s);
        assert_int_equal(s.n_cancelled, 3);
        assert_int_equal(s.blocks_used, 0);
        engine_close(g);
    }
    fake_model_free(m);
}

static void test_close_ends_everything(void **state)
{
    (void)state;
    struct model *m = fake_model(512);
    for (size_t t = 0; t < 3; t++) {
        fake_reset();
        struct engine_opts o = opts_of(types[t]);
        o.seq_max = 2;
        struct engine *g = fake_engine(m, &o);
        int32_t        prompt[50];
        fill(prompt, 50, 5);
        struct asked a[5] = {0};
        for (int i = 0; i < 5; i++) {
            a[i].job = (struct job){.token = prompt, .n_token = 50, .tokens_max = 400, .draw = greedy()};
            if (i < 4)
                asked_submit(g, &a[i]);
        }
        for (int i = 0; i < 20; i++)
            engine_step(g);
        asked_submit(g, &a[4]);
        engine_close(g);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(a[i].n_end, 1);
            assert_int_equal(a[i].reason, END_CANCELLED);
        }
    }
    fake_model_free(m);
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static void test_a_failed_step_ends_its_jobs_only(void **state)
{
    (void)state;
    struct model *m = fake_model(512);
    for (size_t t = 0; t < 3; t++) {
        fake_reset();
        struct engine_opts o = opts_of(types[t]);
        o.seq_max = 2;
        struct engine *g = fake_engine(m, &o);
        int32_t        prompt[50], got[20], want[20];
        fill(prompt, 50, 5);
        struct asked a[3] = {0};
        for (int i = 0; i < 3; i++) {
            a[i].job = (struct job){.token = prompt, .n_token = 50, .tokens_max = 20, .draw = greedy()};
            asked_submit(g, &a[i]);
        }
        a[2].got = got;
        a[2].room = 20;
        while (a[0].n_got < 5)
            engine_step(g);
        fake.fail_in = 1;
        run_all(g);
        assert_int_equal(a[0].reason, END_FAILED);
        assert_int_equal(a[1].reason, END_FAILED);
        assert_non_null(strstr(a[0].err.text, "on demand"));
        assert_int_equal(a[2].reason, END_LENGTH);
        fake_oracle(&a[2].job, 512, want, 20);
        assert_memory_equal(got, want, sizeof want);
        engine_close(g);
    }
    fake_model_free(m);
}

static void test_bad_logits_end_their_row_only(void **state)
{
    (void)state;
    fake_reset();
    struct model      *m = fake_model(512);
    struct engine_opts o = opts_of(&fake_host);
    struct engine     *g = fake_engine(m, &o);
    int32_t            prompt[50];
    fill(prompt, 50, 5);
    struct asked a[2] = {0};
    for (int i = 0; i < 2; i++) {
        a[i].job = (struct job){.token = prompt, .n_token = 50, .tokens_max = 20, .draw = greedy()};
        asked_submit(g, &a[i]);
    }
    while (a[1].n_got < 5)
        engine_step(g);
    fake.broken_in = 1;
    run_all(g);
    assert_int_equal(a[0].reason, END_FAILED);
    assert_int_equal(a[0].err.kind, ERR_INTERNAL);
    assert_int_equal(a[1].reason, END_LENGTH);
    assert_int_equal(a[1].n_got, 20);
    engine_close(g);
    fake_model_free(m);
}

/* ---- the cache --------------------------------------------------------------------------------------------------- */

static struct asked ask(struct engine *g, const int32_t *prompt, uint32_t n, uint32_t tokens_max, struct str salt,
                        int32_t *got)
{
    struct asked a = {.job = {.token = prompt, .n_token = n, .tokens_max = tokens_max, .draw = greedy(), .salt = salt},
                      .got = got, .room = tokens_max};
    asked_submit(g, &a);
    run_all(g);
    assert_int_equal(a.n_end, 1);
    return a;
}

static void test_what_is_cached(void **state)
{
    (void)state;
    struct model *m = fake_model(512);
    for (size_t t = 0; t < 3; t++) {
        fake_reset();
        struct engine_opts  o = opts_of(types[t]);
        struct engine      *g = fake_engine(m, &o);
        struct engine_stats s;
        int32_t prompt[300], got[60], want[60];
        fill(prompt, 300, 5);
        assert_int_equal(ask(g, prompt, 100, 50, STR(""), got).n_cached, 0);
        engine_stats(g, &s);
        uint64_t before = s.tokens_computed;
        assert_int_equal(ask(g, prompt, 100, 1, STR(""), got).n_cached, 99);
        engine_stats(g, &s);
        assert_int_equal(s.tokens_computed - before, 1);        /* the last: its logits are wanted */
        assert_int_equal(s.tokens_cached, 99);
        assert_int_equal(ask(g, prompt, 96, 1, STR(""), got).n_cached, 95);
        assert_int_equal(ask(g, prompt, 97, 1, STR(""), got).n_cached, 96);
        assert_int_equal(ask(g, prompt, 15, 1, STR(""), got).n_cached, 14);
        assert_int_equal(ask(g, prompt, 100, 1, STR("somebody"), got).n_cached, 0);
        assert_int_equal(ask(g, prompt, 100, 1, STR("somebody"), got).n_cached, 99);
        /* It goes on otherwise in the middle of a block: what is before that is copied. */
        prompt[90] = prompt[90] == 1 ? 2 : 1;
        struct asked fork = ask(g, prompt, 100, 50, STR(""), got);
        assert_int_equal(fork.n_cached, 90);
        fake_oracle(&fork.job, 512, want, 50);
        assert_memory_equal(got, want, 50 * sizeof want[0]);
        /* Another beginning, the same middle: nothing. */
        assert_int_equal(ask(g, prompt + 16, 80, 1, STR(""), got).n_cached, 0);
        /* Answers are found as well: a conversation goes on behind its own answer. */
        ask(g, prompt, 100, 50, STR(""), got);
        memcpy(prompt + 100, got, 50 * sizeof got[0]);
        struct asked a = ask(g, prompt, 170, 50, STR(""), got);
        assert_int_equal(a.n_cached, 149);      /* the state of an answer's last token was never computed */
        fake_oracle(&a.job, 512, want, 50);
        assert_memory_equal(got, want, 50 * sizeof want[0]);
        engine_close(g);
    }
    fake_model_free(m);
}

static void test_no_cache(void **state)
{
    (void)state;
    fake_reset();
    struct model       *m = fake_model(512);
    struct engine_opts  o = opts_of(&fake_host);
    struct engine_stats s;
    int32_t             prompt[100];
    o.no_cache = true;
    struct engine *g = fake_engine(m, &o);
    fill(prompt, 100, 5);
    for (int i = 0; i < 2; i++)
        assert_int_equal(ask(g, prompt, 100, 20, STR(""), NULL).n_cached, 0);
    engine_stats(g, &s);
    assert_int_equal(s.blocks_cached, 0);
    assert_int_equal(s.tokens_computed, 2 * 119);
    engine_close(g);
    fake_model_free(m);
}

/* Six who ask the same at once: it is read once, whoever of them reads it; and one who comes while it is being read
 * joins in. */
static void test_the_same_prompt_is_read_once(void **state)
{
    (void)state;
    struct model *m = fake_model(2048);
    for (size_t t = 0; t < 3; t++) {
        fake_reset();
        struct engine_opts  o = opts_of(types[t]);
        struct engine      *g = fake_engine(m, &o);
        struct engine_stats s;
        int32_t             prompt[1000];
        fill(prompt, 1000, 5);
        struct asked a[7] = {0};
        for (uint32_t i = 0; i < 7; i++)
            a[i].job = (struct job){.token = prompt, .n_token = 1000 - i, .tokens_max = 10, .draw = greedy(),
                                    .client = i};
        for (int i = 0; i < 6; i++)
            asked_submit(g, &a[i]);
        for (int i = 0; i < 6; i++)
            engine_step(g);
        assert_int_equal(a[0].n_got, 0);        /* still reading */
        asked_submit(g, &a[6]);
        run_all(g);
        uint32_t cached = 0;
        for (int i = 0; i < 7; i++) {
            assert_int_equal(a[i].n_got, 10);
            cached += a[i].n_cached;
        }
        /* 992 are 62 blocks; what is behind them each computes for itself, as the prompts differ in length. */
        engine_stats(g, &s);
        assert_int_equal(cached, 6 * 992);
        assert_int_equal(s.tokens_computed, 992 + 8 + 7 + 6 + 5 + 4 + 3 + 2 + 7 * 9);
        engine_close(g);
    }
    fake_model_free(m);
}

/* A short prompt that shares the beginning of a long one which is being read waits for it and lends it its place: the
 * long one is read before a third, although that one has less to read, and nothing is read twice. */
static void test_who_waits_lends_its_place(void **state)
{
    (void)state;
    struct model *m = fake_model(4096);
    for (size_t t = 0; t < 3; t++) {
        fake_reset();
        struct engine_opts  o = opts_of(types[t]);
        struct engine      *g = fake_engine(m, &o);
        struct engine_stats s;
        static int32_t      prompt[3000], other[500];
        fill(prompt, 3000, 5);
        fill(other, 500, 6);
        struct asked a[3] = {0};
        const uint32_t lengths[] = {3000, 785, 500};
        for (uint32_t i = 0; i < 3; i++)
            a[i].job = (struct job){.token = i < 2 ? prompt : other, .n_token = lengths[i], .tokens_max = 1,
                                    .draw = greedy(), .client = i};
        asked_submit(g, &a[0]);
        while (g->n_run == 0 || g->run[0]->n_run < 400)
            engine_step(g);
        asked_submit(g, &a[1]);
        asked_submit(g, &a[2]);
        while (!a[1].n_end)
            engine_step(g);
        assert_int_equal(a[1].n_cached, 784);
        assert_int_equal(a[2].n_got, 0);
        run_all(g);
        engine_stats(g, &s);
        assert_int_equal(s.tokens_computed, 3000 + 1 + 500);
        engine_close(g);
    }
    fake_model_free(m);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

/* Two write; a prompt of 4,000 tokens comes, then a short one.  Nobody's gap between two tokens passes a step's time,
 * and the short one does not wait for the long one. */
static void test_a_long_prompt_holds_nobody_up(void **state)
{
    (void)state;
    struct model *m = fake_model(8192);
    for (size_t t = 0; t < 3; t++) {
        fake_reset();
        fake.reach_cost = 2000;
        fake.budget_ns = 100000000;
        fake.check_time = true;
        struct engine_opts o = opts_of(types[t]);
        struct engine     *g = fake_engine(m, &o);
        static int32_t     prompt[4010];
        fill(prompt, 4010, 9);
        struct asked a[4] = {0};
        const uint32_t lengths[] = {40, 30, 4000, 100};
        for (int i = 0; i < 4; i++)
            a[i].job = (struct job){.token = prompt + i, .n_token = lengths[i], .tokens_max = i < 2 ? 400 : 5,
                                    .draw = greedy(), .client = (uint64_t)i};
        asked_submit(g, &a[0]);
        asked_submit(g, &a[1]);
        while (a[0].n_got < 10 || a[1].n_got < 10)
            engine_step(g);
        asked_submit(g, &a[2]);
        for (int i = 0; i < 10; i++)
            engine_step(g);
        uint64_t came = fake.now;
        asked_submit(g, &a[3]);
        while (a[3].n_got == 0)
            engine_step(g);
        assert_true(fake.now - came < 600000000);       /* 100 rows at 1 ms, three quarters of each step's rest */
        assert_int_equal(a[2].n_got, 0);
        uint32_t had = a[0].n_got;
        uint64_t steps = fake.n_run;
        while (a[2].n_got == 0)
            engine_step(g);
        assert_true(a[0].n_end || a[0].n_got - had >= fake.n_run - steps - 1);  /* one in every step */
        assert_true(a[0].n_got - had > 30);
        engine_close(g);
    }
    fake_model_free(m);
}

/* Short prompts keep coming, enough of them to fill every step.  The long one gets older, and then it is its turn. */
static void test_age_counts(void **state)
{
    (void)state;
    fake_reset();
    fake.reach_cost = 0;
    struct model      *m = fake_model(4096);
    struct engine_opts o = opts_of(&fake_host);
    struct engine     *g = fake_engine(m, &o);
    static int32_t     prompt[3000];
    struct asked       a = {.job = {.token = prompt, .n_token = 3000, .tokens_max = 1, .draw = greedy()}};
    struct asked       brief[800] = {0};
    uint32_t           n = 0;
    fill(prompt, 3000, 1);
    asked_submit(g, &a);
    for (; !a.n_end && n < 800; n += 2) {
        for (uint32_t i = n; i < n + 2; i++) {
            brief[i].job = (struct job){.token = prompt + i, .n_token = 60, .tokens_max = 1, .draw = greedy(),
                                        .client = 1 + i % 2};
            if (engine_jobs_ahead(g) < 2)
                asked_submit(g, &brief[i]);
        }
        engine_step(g);
    }
    assert_int_equal(a.n_end, 1);
    assert_in_range(fake.n_run, 60, 140);
    run_all(g);
    engine_close(g);
    fake_model_free(m);
}

static void test_times(void **state)
{
    (void)state;
    struct model *m = fake_model(512);
    for (size_t t = 0; t < 3; t++) {
        fake_reset();
        fake.step_cost = 10000000;
        fake.row_cost = fake.reach_cost = 0;
        struct engine_opts o = opts_of(types[t]);
        o.seq_max = 1;
        struct engine *g = fake_engine(m, &o);
        int32_t        prompt[8];
        struct asked   a[2] = {0};
        fill(prompt, 8, 1);
        for (int i = 0; i < 2; i++) {
            a[i].job = (struct job){.token = prompt, .n_token = 8, .tokens_max = 11, .draw = greedy()};
            asked_submit(g, &a[i]);
        }
        run_all(g);
        assert_int_equal(a[0].queued_ns, 0);
        assert_int_equal(a[0].prefill_ns, 10000000);
        assert_int_equal(a[0].decode_ns, 100000000);
        assert_int_equal(a[1].queued_ns, 110000000);
        assert_int_equal(a[1].prefill_ns, 10000000);
        assert_int_equal(a[1].decode_ns, 100000000);
        struct engine_stats s;
        engine_stats(g, &s);
        assert_int_equal(s.busy_ns, 220000000);
        assert_int_equal(s.step_ns, 10000000);
        assert_int_equal(s.step_rows_max, 8);
        engine_close(g);
    }
    fake_model_free(m);
}

/* ---- fairness ---------------------------------------------------------------------------------------------------- */

static void test_one_against_a_hundred(void **state)
{
    (void)state;
    struct model *m = fake_model(2048);
    for (size_t t = 0; t < 3; t++) {
        fake_reset();
        struct engine_opts o = opts_of(types[t]);
        struct engine     *g = fake_engine(m, &o);
        int32_t            prompt[64];
        struct asked       many[100] = {0}, one[20] = {0};
        fill(prompt, 64, 3);
        for (uint32_t i = 0; i < 100; i++) {
            many[i].job = (struct job){.token = prompt, .n_token = 20 + i % 40, .tokens_max = 500, .draw = greedy(),
                                       .client = 1};
            asked_submit(g, &many[i]);
        }
        for (int i = 0; i < 50; i++)
            engine_step(g);
        for (uint32_t i = 0; i < 20; i++) {
            one[i].job = (struct job){.token = prompt + i, .n_token = 40, .tokens_max = 8, .draw = greedy(),
                                      .client = 100 + i};
            asked_submit(g, &one[i]);
            while (!one[i].n_end)
                engine_step(g);
            assert_true(one[i].started_step - one[i].asked_step <= 2);
            assert_true(fake.n_run - one[i].asked_step <= 40);
        }
        struct engine_stats s;
        engine_stats(g, &s);
        assert_int_equal(s.n_preempted, 1);     /* the first took a place, the others took that one after it */
        run_all(g);
        for (uint32_t i = 0; i < 100; i++)
            assert_int_equal(many[i].n_got, 500);
        engine_close(g);
    }
    fake_model_free(m);
}

/* ---- blocks run out ---------------------------------------------------------------------------------------------- */

/* Four grow until they do not fit together.  Who is put back finds its blocks again and computes hardly anything twice;
 * its client sees nothing of it. */
static void test_put_back_and_resumed(void **state)
{
    (void)state;
    struct model *m = fake_model(256);
    for (size_t t = 0; t < 3; t++) {
        fake_reset();
        struct engine_opts o = opts_of(types[t]);
        struct engine_plan p;
        struct err         e;
        o.seq_max = 4;
        o.memory_bytes = 1;
        while (!engine_size(m, &o, &p, &e) || p.n_block < 34)
            o.memory_bytes += 1000;
        struct engine *g = fake_engine(m, &o);
        int32_t        prompt[4][40], got[4][200], want[200];
        struct asked   a[4] = {0};
        for (uint32_t i = 0; i < 4; i++) {
            fill(prompt[i], 40, 50 + i);
            a[i] = (struct asked){.job = {.token = prompt[i], .n_token = 40, .tokens_max = 200, .draw = greedy(),
                                          .client = i / 3}, .got = got[i], .room = 200};
            a[i].job.draw.temperature = 1;
            a[i].job.draw.seed = i;
            asked_submit(g, &a[i]);
        }
        run_all(g);
        struct engine_stats s;
        engine_stats(g, &s);
        assert_true(s.n_preempted >= 2);
        for (uint32_t i = 0; i < 4; i++) {
            assert_int_equal(a[i].n_end, 1);
            assert_int_equal(a[i].n_start, 1);
            assert_int_equal(a[i].n_cached, 0);
            assert_int_equal(fake_oracle(&a[i].job, 256, want, 200), 200);
            assert_memory_equal(got[i], want, sizeof want);
        }
        assert_true(s.tokens_computed < 4 * 239 + s.n_preempted * 240);
        assert_int_equal(s.tokens_cached, 0);
        engine_close(g);
    }
    fake_model_free(m);
}

/* With room for its blocks, a job that was put back computes again only its last, unfilled block. */
static void test_resuming_is_cheap(void **state)
{
    (void)state;
    fake_reset();
    struct model       *m = fake_model(2048);
    struct engine_opts  o = opts_of(&fake_host);
    struct engine_stats s;
    o.seq_max = 2;
    struct engine *g = fake_engine(m, &o);
    int32_t        prompt[1002];
    struct asked   a[3] = {0};
    fill(prompt, 1002, 1);
    for (uint32_t i = 0; i < 3; i++) {
        a[i].job = (struct job){.token = prompt + i, .n_token = 1000, .tokens_max = 100, .draw = greedy(),
                                .client = i / 2};
        if (i < 2)
            asked_submit(g, &a[i]);
    }
    while (a[0].n_got < 50 || a[1].n_got < 50)
        engine_step(g);
    asked_submit(g, &a[2]);
    run_all(g);
    engine_stats(g, &s);
    assert_int_equal(s.n_preempted, 1);
    assert_in_range(s.tokens_computed, 3 * 1099, 3 * 1099 + 16);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(a[i].n_got, 100);
    engine_close(g);
    fake_model_free(m);
}

/* ---- one step ahead ---------------------------------------------------------------------------------------------- */

struct ahead {
    struct asked asked;
    uint32_t     overlapped;
};

static void ahead_event(void *ctx, const struct event *ev)
{
    struct ahead *a = ctx;
    /* A token comes when the step after the one that drew it was launched already: n tokens need n + 1 runs so far,
     * one for the prompt's. */
    a->overlapped += ev->kind == EVENT_TOKEN && fake.n_run > ev->n_drawn;
    asked_event(&a->asked, ev);
}

static void test_one_step_ahead(void **state)
{
    (void)state;
    struct model *m = fake_model(512);
    for (int counts = 0; counts < 2; counts++) {
        fake_reset();
        struct engine_opts o = opts_of(&fake_device);
        struct engine     *g = fake_engine(m, &o);
        struct err         e;
        int32_t prompt[5], got[40], want[40];
        fill(prompt, 5, 1);
        struct ahead a = {.asked = {.got = got, .room = 40,
                                    .job = {.token = prompt, .n_token = 5, .tokens_max = 40, .draw = greedy()}}};
        a.asked.job.draw.frequency = counts ? 0.3f : 0;
        fake_oracle(&a.asked.job, 512, want, 40);
        uint32_t at = 20;
        for (uint32_t i = 0; i < at; i++)
            at = want[i] == want[at] ? i : at;
        a.asked.job.stop = &want[at];
        a.asked.job.n_stop = 1;
        a.asked.job.event = ahead_event;
        a.asked.job.ctx = &a;
        assert_true(engine_submit(g, &a.asked.job, &a.asked.id, &e));
        run_all(g);
        struct engine_stats s;
        engine_stats(g, &s);
        assert_int_equal(a.asked.reason, END_STOP);
        assert_int_equal(a.asked.n_got, at + 1);
        assert_memory_equal(got, want, (at + 1) * sizeof want[0]);
        /* Penalties need the token before the next is drawn; then nothing overlaps, and no row is late. */
        assert_int_equal(a.overlapped, counts ? 0 : at + 1);
        assert_int_equal(s.n_step, at + 1 + !counts);
        assert_int_equal(s.tokens_drawn, at + 1);
        engine_close(g);
    }
    fake_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_job_runs),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_cancel_and_deadline),
        cmocka_unit_test(test_close_ends_everything),
        cmocka_unit_test(test_a_failed_step_ends_its_jobs_only),
        cmocka_unit_test(test_bad_logits_end_their_row_only),
        cmocka_unit_test(test_what_is_cached),
        cmocka_unit_test(test_no_cache),
        cmocka_unit_test(test_the_same_prompt_is_read_once),
        cmocka_unit_test(test_who_waits_lends_its_place),
        cmocka_unit_test(test_a_long_prompt_holds_nobody_up),
        cmocka_unit_test(test_age_counts),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_one_against_a_hundred),
        cmocka_unit_test(test_put_back_and_resumed),
        cmocka_unit_test(test_resuming_is_cheap),
        cmocka_unit_test(test_one_step_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
