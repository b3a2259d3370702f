/* test_sim.c -- thousands of jobs at random against the fake backend, and after every step the question whether the
 * books are right.  Each answer must be what the job would have got alone. */
#include "fake.h"

#include "base/mem.h"
#include "engine/jobs.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
    JOBS = 10000, TEXTS = 6, CONTEXT = 320, ANSWER = 60, CLIENTS = 7,
    STILL_MAX = 60,                 /* steps for which a running job may get nothing; … while the tower looks at many pictures */
    STILL_MAX_SEEING = 600,
    WAIT_MAX = 3000,                /* steps until a job has ended, whatever happens around it */
};

struct plan_of_sim {
    const char                *name;
    const struct backend_type *type;
    uint64_t memory_bytes;          /* 0: plenty */
    uint32_t block_tokens, jobs, period;                /* period: texts repeat themselves, so that guesses come true */
    bool     no_cache, failures;
    const struct fake_eyes *eyes;   /* prompts show pictures; NULL: text alone */
    uint64_t gallery_bytes;         /* 1: as little as can be */
    enum fake_states states;
    uint64_t snapshot_bytes;
};

enum { PICTURES = 9, BUDGET_NS = 100000000 };

struct live {
    struct asked asked;
    int32_t      prompt[CONTEXT], got[ANSWER];
    int32_t      stop[2];
    struct draw_bias bias[3];
    uint32_t     mark[2];
    uint32_t     moved_age, moved_to;       /* when it last got something */
    bool         cancelled, done;
    struct fake_prompt shows;
};

struct sim {
    const struct plan_of_sim *plan;
    struct engine *g;
    uint64_t       random;
    int32_t        text[TEXTS][CONTEXT];
    struct fake_picture picture[PICTURES];
    struct live   *live;
    uint32_t       n_live;          /* live[0 .. n_live) were submitted */
    uint64_t       steps, oracle_tokens, put_back, shared, overlap;
};

static uint32_t any(struct sim *x, uint32_t n)
{
    return fake_random(&x->random, n);
}

static struct draw any_draw(struct sim *x, struct live *l)
{
    struct draw d = greedy();
    d.seed = any(x, 1000);
    if (any(x, 2))
        d.temperature = 0.2f + (float)any(x, 10) / 5;
    if (any(x, 4) == 0)
        d.top_k = (int32_t)(1 + any(x, 20));
    if (any(x, 4) == 0)
        d.top_p = 0.5f + (float)any(x, 50) / 100;
    if (any(x, 4) == 0)
        d.min_p = (float)any(x, 30) / 100;
    if (any(x, 6) == 0) {
        d.repeat = 0.8f + (float)any(x, 10) / 10;
        d.presence = (float)any(x, 10) / 10;
        d.frequency = (float)any(x, 10) / 10;
    }
    for (d.n_bias = any(x, 8) ? 0 : 1 + any(x, 3); l->bias[2].token == 0 && d.bias == NULL && d.n_bias;)
        d.bias = l->bias;
    for (uint32_t i = 0; i < d.n_bias; i++)
        l->bias[i] = (struct draw_bias){(int32_t)any(x, FAKE_VOCAB), (float)any(x, 9) - 4};
    return d;
}

/* The beginning of one of a few texts, and something of its own behind it.  Among people who see, each text shows some pictures
 * in places of its own, now and then another than usual. */
static uint32_t write_prompt(struct sim *x, struct live *l)
{
    uint32_t shared = any(x, 3) ? any(x, 200) : 0, own = 1 + any(x, 40), text = any(x, TEXTS);
    l->shows = (struct fake_prompt){.token = l->prompt};
    for (uint32_t i = 0; i < shared + own; i++) {
        bool shows = x->plan->eyes && l->shows.n_item < FAKE_ITEMS && x->text[text][i] % 16 == 3 && l->shows.n_token < CONTEXT - 80;
        if (shows)
            fake_show(&l->shows, &x->picture[any(x, 8) ? (uint32_t)x->text[text][i + 1] % PICTURES : any(x, PICTURES)]);
        else
            fake_say(&l->shows, i < shared || any(x, 4) == 0 ? x->text[text][i] : (int32_t)any(x, FAKE_VOCAB));
        if (l->shows.n_token > 240)
            break;
    }
    return l->shows.n_token;
}

static void submit_one(struct sim *x)
{
    struct live *l = &x->live[x->n_live++];
    uint32_t     n = write_prompt(x, l);
    l->stop[0] = (int32_t)any(x, FAKE_VOCAB);
    l->stop[1] = (int32_t)any(x, FAKE_VOCAB);
    l->mark[0] = n / 4;
    l->mark[1] = n / 2;
    l->asked = (struct asked){
        .job = {.token = l->prompt, .n_token = n, .media = fake_media(&l->shows), .fresh = x->plan->eyes && any(x, 12) == 0, .tokens_max = any(x, 12) ? 1 + any(x, ANSWER - 1) : 0,
                .stop = l->stop, .n_stop = any(x, 2) ? any(x, 3) : 0, .draw = any_draw(x, l),
                .client = any(x, 2) ? 0 : any(x, CLIENTS), .salt = any(x, 10) ? STR("") : STR("other"),
                .mark = l->mark, .n_mark = any(x, 3),
                .deadline_ns = any(x, 30) ? 0 : fake.now + 1 + any(x, 2000000000)},
        .got = l->got, .room = ANSWER,
    };
    asked_submit(x->g, &l->asked);
}

/* What a job got is what the oracle says, as far as it got. */
static void check_answer(struct sim *x, struct live *l)
{
    int32_t  want[ANSWER];
    uint32_t n = fake_oracle(&l->asked.job, CONTEXT, want, ANSWER), got = l->asked.n_got;
    bool     stops = false;
    assert_int_equal(l->asked.n_end, 1);
    assert_true(got <= n);
    assert_memory_equal(l->got, want, got * sizeof want[0]);
    x->oracle_tokens += got;
    for (uint32_t i = 0; n && i < l->asked.job.n_stop; i++)
        stops |= l->stop[i] == want[n - 1];
    switch (l->asked.reason) {
    case END_STOP:
        assert_true(got == n && stops);
        break;
    case END_LENGTH:
        assert_true(got == n && !stops);
        break;
    case END_CANCELLED:
        assert_true(l->cancelled);
        break;
    case END_TIMEOUT:
        assert_true(l->asked.job.deadline_ns && l->asked.job.deadline_ns <= fake.now);
        break;
    case END_FAILED:
        assert_true(x->plan->failures);
        break;
    }
    l->done = true;
}

static struct live *live_of(struct sim *x, const struct seq *s)
{
    struct asked *a = s->ctx;
    assert_int_equal(a->id, s->id);
    assert_in_range((uintptr_t)a, (uintptr_t)x->live, (uintptr_t)(x->live + x->n_live));
    return (struct live *)(void *)a;
}

static void check_progress(struct sim *x)
{
    for (uint32_t i = 0; i < x->g->n_run; i++) {
        const struct seq *s = x->g->run[i];
        struct live      *l = live_of(x, s);
        uint32_t          at = s->n_run + s->n_token;
        if (at != l->moved_to) {
            l->moved_to = at;
            l->moved_age = s->age;
        }
        assert_true(s->age - l->moved_age < (x->plan->eyes ? STILL_MAX_SEEING : STILL_MAX));
        x->overlap += s->n_ahead;
    }
    for (uint32_t i = 0; i < x->n_live; i++) {
        struct live *l = &x->live[i];
        if (l->asked.n_end && !l->done)
            check_answer(x, l);
        if (!l->done)
            assert_true(fake.n_run - l->asked.asked_step < WAIT_MAX);
    }
}

/* The jobs whose answers were checked are forgotten from the front, so that looking at all stays cheap. */
static void step(struct sim *x)
{
    bool more = engine_step(x->g);
    x->steps++;
    struct engine_stats s;
    engine_stats(x->g, &s);
    assert_true(s.running <= x->g->plan.seq_max);
    assert_true(s.step_rows <= x->g->plan.token_max);
    assert_int_equal(s.blocks, x->g->kv.n_block);
    fake_check_blocks(x->g);
    fake_check_gallery(x->g);
    fake_check_snapshots(x->g);
    check_progress(x);
    if (!more)
        assert_int_equal(s.running + s.waiting, 0);
}

static void make_pictures(struct sim *x)
{
    uint32_t side = x->plan->eyes ? x->plan->eyes->side : 0;
    fake.patch_cost = side >= 16 ? 600000 : 3000000;
    for (uint32_t i = 0; i < PICTURES; i++)
        x->picture[i] = (struct fake_picture){.seed = 100 + i, .rows = side ? side : 2 + 2 * any(x, 4), .columns = side ? side : 2 + 2 * any(x, 6)};
}

static void check_pictures(const struct plan_of_sim *plan, const struct engine_stats *p)
{
    struct engine_stats s = *p;
   print_message("    pictures %" PRIu64 " hits %" PRIu64 " looked at %" PRIu64 " in %" PRIu64 " slices, failed %" PRIu64 " dropped %" PRIu64
                  " evicted %" PRIu64 "\n", s.pictures, s.picture_hits, s.encodings, s.tower_slices, s.encodings_failed, s.encodings_dropped,
                  s.evicted_pictures);
    assert_true(s.encodings > 50 && s.picture_hits > 50 && s.encodings_dropped > 0 && s.evicted_pictures > 20);
    assert_true(fake.tower_runs > s.encodings);
    print_message("    read aside %" PRIu32 "\n", fake.asides);
    assert_true(plan->eyes->side < 16 || fake.asides > 50);
    assert_int_equal(plan->failures ? s.encodings_failed > 0 : s.encodings_failed == 0, 1);
}

static void print_counts(const struct plan_of_sim *plan, const struct engine_stats *n)
{
    print_message("%-24s %4" PRIu32 " blocks %5" PRIu64 " jobs %6" PRIu64 " steps %7" PRIu64 " drawn %6" PRIu64
                  " guessed %6" PRIu64 " right %7" PRIu64 " computed %7" PRIu64 " cached %5" PRIu64 " put back %6" PRIu64 " evicted %4" PRIu64
                  " cancelled %4" PRIu64 " failed\n", plan->name, n->blocks, n->n_job, n->n_step, n->tokens_drawn,
                  n->tokens_drafted, n->tokens_accepted, n->tokens_computed, n->tokens_cached, n->n_preempted, n->evicted_blocks, n->n_cancelled, n->n_failed);
}

static void run_sim(const struct plan_of_sim *plan)
{
    struct model      *m = plan->eyes ? fake_seeing_model(CONTEXT, plan->eyes) : fake_model_with(CONTEXT, plan->states);
    struct engine_opts o = {.type = plan->type, .clock = fake_clock(), .seq_max = 12, .token_max = 128,
                            .memory_bytes = plan->memory_bytes ? plan->memory_bytes : 64 << 20,
                            .block_tokens = plan->block_tokens, .no_cache = plan->no_cache, .context_max = CONTEXT, .guess_seqs = 12,
                            .step_ns = BUDGET_NS, .patches_max = 256, .gallery_bytes = plan->gallery_bytes,
                            .snapshot_bytes = plan->snapshot_bytes};
    struct sim x = {.plan = plan, .random = 42};
    fake_reset();
    fake.budget_ns = BUDGET_NS;
    fake.period = plan->period;
    make_pictures(&x);
    x.g = fake_engine(m, &o);
    enum { BATCH = 250 };
    x.live = mem_array(BATCH, sizeof *x.live);
    for (uint32_t t = 0; t < TEXTS; t++)
        for (uint32_t i = 0; i < CONTEXT; i++)
            x.text[t][i] = (int32_t)any(&x, FAKE_VOCAB);
    struct engine_stats s = {0};
    for (uint32_t done = 0; done < plan->jobs; done += BATCH) {
        x.n_live = 0;
        memset(x.live, 0, BATCH * sizeof *x.live);
        /* Waves: some batches trickle in, some come at once. */
        uint32_t often = 1 + any(&x, 6);
        while (x.n_live < BATCH) {
            fake.check_time = x.steps > 100 && !(plan->eyes && plan->eyes->sees);
            if (s.waiting < 200 && any(&x, often) == 0)
                for (uint32_t n = 1 + any(&x, 4); n && x.n_live < BATCH; n--)
                    submit_one(&x);
            if (x.n_live && any(&x, 10) == 0) {
                struct live *l = &x.live[any(&x, x.n_live)];
                l->cancelled = !l->asked.n_end;
                engine_cancel(x.g, l->asked.id);
            }
            if (plan->failures && any(&x, 50) == 0)
                *(any(&x, 2) ? &fake.fail_in : plan->eyes ? &fake.tower_fail_in : &fake.fail_wait_in) = 1;
            step(&x);
            engine_stats(x.g, &s);
        }
        do
            step(&x);
        while (engine_stats(x.g, &s), s.running + s.waiting);
        for (uint32_t i = 0; i < BATCH; i++)
            assert_true(x.live[i].done);
        assert_int_equal(s.blocks_used, 0);
    }
    assert_int_equal(s.n_job, plan->jobs);
    assert_int_equal(s.n_end, plan->jobs);
    print_counts(plan, &s);
    if (plan->eyes)
        check_pictures(plan, &s);
    assert_true(x.oracle_tokens > 10 * (uint64_t)plan->jobs);
    if (plan->memory_bytes)
        assert_true(s.n_preempted > 50 && (plan->no_cache || s.evicted_blocks > 50));
    assert_true(plan->no_cache ? s.tokens_cached == 0 : s.tokens_cached > s.tokens_drawn / 10);
    if (plan->states != FAKE_TOKEN) {
        print_message("%24s %4" PRIu32 " snapshots of which %" PRIu64 " made %" PRIu64 " found %" PRIu64 " given up\n", "", s.snapshots,
                      s.snapshots_made, s.snapshots_found, s.evicted_snapshots);
        assert_true(s.snapshots_found > plan->jobs / 10 && s.tokens_drafted == 0);
        assert_true(s.snapshots_cached <= s.snapshots && (!plan->snapshot_bytes || s.evicted_snapshots > plan->jobs / 10));
    }
    assert_true(s.tokens_cached <= s.tokens_prompt);
    assert_true(plan->failures ? s.n_failed > 0 : s.n_failed == 0);
    assert_true(s.tokens_accepted <= s.tokens_drafted);
    if (plan->period && plan->states == FAKE_TOKEN)
        assert_true(plan->type == &fake_host ? s.tokens_accepted > s.tokens_drawn / 10 : s.tokens_drafted == 0);
    if (x.g->ahead)
        assert_true(x.overlap > s.tokens_drawn / (plan->eyes ? 10 : 2));
    engine_close(x.g);
    free(x.live);
    fake_model_free(m);
}

#define SIM(test, ...) \
    static void test(void **state) \
    { \
        (void)state; \
        run_sim(&(struct plan_of_sim){.name = #test, __VA_ARGS__}); \
    }

SIM(host_draws, .type = &fake_host, .jobs = JOBS / 4)
SIM(host_draws_few_blocks, .type = &fake_host, .jobs = JOBS, .memory_bytes = 1088000)
SIM(host_draws_no_cache, .type = &fake_host, .jobs = JOBS / 4, .memory_bytes = 1088000, .no_cache = true)
SIM(host_draws_failures, .type = &fake_host, .jobs = JOBS / 4, .memory_bytes = 1088000, .failures = true)
SIM(host_draws_odd_blocks, .type = &fake_host, .jobs = JOBS / 4, .block_tokens = 5)
SIM(host_guesses, .type = &fake_host, .jobs = JOBS / 4, .period = 13)
SIM(host_guesses_few_blocks, .type = &fake_host, .jobs = JOBS / 2, .memory_bytes = 1088000, .period = 9)
SIM(host_guesses_failures, .type = &fake_host, .jobs = JOBS / 4, .memory_bytes = 1088000, .period = 5, .failures = true)
SIM(host_guesses_odd_blocks, .type = &fake_host, .jobs = JOBS / 4, .block_tokens = 3, .period = 1)
SIM(device_guesses_nothing, .type = &fake_device, .jobs = JOBS / 10, .period = 13)
SIM(whole_host, .type = &fake_host, .jobs = JOBS / 4, .block_tokens = 16, .states = FAKE_BOTH)
SIM(whole_host_alone, .type = &fake_host, .jobs = JOBS / 4, .block_tokens = 16, .states = FAKE_WHOLE)
SIM(whole_host_few_blocks, .type = &fake_host, .jobs = JOBS / 2, .block_tokens = 16, .memory_bytes = 1200000, .states = FAKE_BOTH)
SIM(whole_host_few_snapshots, .type = &fake_host, .jobs = JOBS / 4, .block_tokens = 16, .states = FAKE_BOTH, .snapshot_bytes = 6000)
SIM(whole_host_failures, .type = &fake_host, .jobs = JOBS / 4, .block_tokens = 16, .states = FAKE_BOTH, .failures = true)
SIM(whole_guesses_nothing, .type = &fake_host, .jobs = JOBS / 10, .block_tokens = 16, .states = FAKE_BOTH, .period = 13)
SIM(whole_device, .type = &fake_device, .jobs = JOBS / 4, .block_tokens = 16, .states = FAKE_BOTH)
SIM(whole_device_alone, .type = &fake_device, .jobs = JOBS / 4, .block_tokens = 5, .states = FAKE_WHOLE, .snapshot_bytes = 6000)
SIM(whole_device_few_blocks, .type = &fake_device, .jobs = JOBS / 2, .block_tokens = 16, .memory_bytes = 1200000, .states = FAKE_BOTH)
SIM(whole_device_failures, .type = &fake_device, .jobs = JOBS / 4, .block_tokens = 16, .memory_bytes = 1200000, .states = FAKE_BOTH, .failures = true)
SIM(whole_at_once, .type = &fake_draws, .jobs = JOBS / 4, .block_tokens = 1, .states = FAKE_BOTH)
SIM(device_ahead, .type = &fake_device, .jobs = JOBS / 4)
SIM(device_ahead_few_blocks, .type = &fake_device, .jobs = JOBS, .memory_bytes = 1070000)
SIM(device_ahead_failures, .type = &fake_device, .jobs = JOBS / 4, .memory_bytes = 1070000, .failures = true)
SIM(device_at_once, .type = &fake_draws, .jobs = JOBS / 4, .block_tokens = 1)

SIM(host_sees, .type = &fake_host, .jobs = JOBS / 10, .gallery_bytes = 6 << 10, .eyes = &(struct fake_eyes){.axes = true})
SIM(host_sees_few_blocks, .type = &fake_host, .jobs = JOBS / 10, .memory_bytes = 1190000, .gallery_bytes = 1,
    .eyes = &(struct fake_eyes){.axes = true, .ordered = true})
SIM(host_sees_failures, .type = &fake_host, .jobs = JOBS / 10, .failures = true, .gallery_bytes = 6 << 10, .eyes = &(struct fake_eyes){.axes = true})
SIM(host_sees_guessing, .type = &fake_host, .jobs = JOBS / 10, .period = 9, .block_tokens = 5, .gallery_bytes = 6 << 10,
    .eyes = &(struct fake_eyes){.axes = true})
SIM(host_sees_together, .type = &fake_host, .jobs = JOBS / 10, .block_tokens = 7, .gallery_bytes = 6 << 10,
    .eyes = &(struct fake_eyes){.sees = true, .side = 8})
SIM(host_sees_together_few_blocks, .type = &fake_host, .jobs = JOBS / 8, .memory_bytes = 1170000, .gallery_bytes = 1,
    .eyes = &(struct fake_eyes){.sees = true, .side = 8})
SIM(host_sees_aside, .type = &fake_host, .jobs = JOBS / 8, .block_tokens = 7, .gallery_bytes = 6 << 10,
    .eyes = &(struct fake_eyes){.sees = true, .side = 16})
SIM(host_sees_aside_few_blocks, .type = &fake_host, .jobs = JOBS / 10, .memory_bytes = 1170000, .failures = true, .gallery_bytes = 1,
    .eyes = &(struct fake_eyes){.sees = true, .side = 16})
SIM(device_sees, .type = &fake_device, .jobs = JOBS / 10, .gallery_bytes = 6 << 10, .eyes = &(struct fake_eyes){.axes = true})

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_draws),
        cmocka_unit_test(host_draws_few_blocks),
        cmocka_unit_test(host_draws_no_cache),
        cmocka_unit_test(host_draws_failures),
        cmocka_unit_test(host_draws_odd_blocks),
        cmocka_unit_test(host_guesses),
        cmocka_unit_test(host_guesses_few_blocks),
        cmocka_unit_test(host_guesses_failures),
        cmocka_unit_test(host_guesses_odd_blocks),
        cmocka_unit_test(device_guesses_nothing),
        cmocka_unit_test(whole_host),
        cmocka_unit_test(whole_host_alone),
        cmocka_unit_test(whole_host_few_blocks),
        cmocka_unit_test(whole_host_few_snapshots),
        cmocka_unit_test(whole_host_failures),
        cmocka_unit_test(whole_guesses_nothing),
        cmocka_unit_test(whole_device),
        cmocka_unit_test(whole_device_alone),
        cmocka_unit_test(whole_device_few_blocks),
        cmocka_unit_test(whole_device_failures),
        cmocka_unit_test(whole_at_once),
        cmocka_unit_test(device_ahead),
        cmocka_unit_test(device_ahead_few_blocks),
        cmocka_unit_test(device_ahead_failures),
        cmocka_unit_test(device_at_once),
        cmocka_unit_test(host_sees),
        cmocka_unit_test(host_sees_few_blocks),
        cmocka_unit_test(host_sees_failures),
        cmocka_unit_test(host_sees_guessing),
        cmocka_unit_test(host_sees_together),
        cmocka_unit_test(host_sees_together_few_blocks),
        cmocka_unit_test(host_sees_aside),
        cmocka_unit_test(host_sees_aside_few_blocks),
        cmocka_unit_test(device_sees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
