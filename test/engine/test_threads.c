/* test_threads.c -- a started engine, and four threads that submit, cancel and ask at once. */
#include "fake.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { THREADS = 4, EACH = 300 };

struct mine {
    atomic_uint n_start, n_end;
    uint32_t    n_got;              /* by the engine's thread; read when n_end was seen */
    enum end_reason reason;
    uint64_t    id;
    uint32_t    tokens_max;
};

struct client {
    struct engine *g;
    uint64_t       number;
    struct mine    mine[EACH];
    uint32_t       n_busy, n_job;
    pthread_t      thread;
};

static void on_event(void *ctx, const struct event *ev)
{
    struct mine *m = ctx;
    if (ev->kind == EVENT_STARTED)
        atomic_fetch_add(&m->n_start, 1);
    else if (ev->kind == EVENT_TOKEN)
        m->n_got++;
    else {
        m->reason = ev->reason;
        atomic_fetch_add(&m->n_end, 1);
    }
}

static void *work(void *arg)
{
    struct client *c = arg;
    uint64_t       random = c->number;
    int32_t        prompt[80];
    for (uint32_t i = 0; i < EACH; i++) {
        struct mine *m = &c->mine[i];
        struct err   e;
        for (uint32_t k = 0; k < 80; k++)
            prompt[k] = k < 48 ? (int32_t)k % FAKE_VOCAB : (int32_t)fake_random(&random, FAKE_VOCAB);
        struct job j = {.token = prompt, .n_token = 20 + fake_random(&random, 60), .tokens_max = 1 + i % 30,
                        .draw = greedy(), .client = c->number, .event = on_event, .ctx = m};
        m->tokens_max = j.tokens_max;
        while (!engine_submit(c->g, &j, &m->id, &e)) {
            if (e.kind != ERR_BUSY)
                return "submit failed";
            c->n_busy++;
            sched_yield();
        }
        c->n_job++;
        if (i % 3 == 0)
            engine_cancel(c->g, m->id);
        if (i % 5 == 0)
            engine_cancel(c->g, c->mine[fake_random(&random, i + 1)].id);
        struct engine_stats s;
        engine_stats(c->g, &s);
        if (engine_jobs_ahead(c->g) > 64 + THREADS || s.blocks_used > s.blocks)
            return "the figures are wrong";
    }
    return NULL;
}

static void run_threads(const struct backend_type *t, bool close_early)
{
    fake_reset();
    fake.now = 1;
    struct model      *m = fake_model(256);
    struct engine_opts o = {.type = t, .memory_bytes = 64 << 20, .seq_max = 8, .queue_max = 64};
    struct engine     *g = fake_engine(m, &o);
    struct err         e;
    struct client     *c = mem_array(THREADS, sizeof *c);
    assert_true(engine_start(g, &e));
    for (uint32_t i = 0; i < THREADS; i++) {
        c[i].g = g;
        c[i].number = i + 1;
        assert_true(thread_start(&c[i].thread, "client", work, &c[i], &e));
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(c[i].thread, &wrong);
        if (wrong)
            fail_msg("%s", (const char *)wrong);
    }
    if (!close_early)
        for (uint32_t i = 0; i < THREADS; i++)
            for (uint32_t k = 0; k < EACH; k++)
                while (atomic_load(&c[i].mine[k].n_end) == 0)
                    sched_yield();
    engine_close(g);
    for (uint32_t i = 0; i < THREADS; i++)
        for (uint32_t k = 0; k < EACH; k++) {
            struct mine *x = &c[i].mine[k];
            assert_int_equal(atomic_load(&x->n_end), 1);
            assert_true(atomic_load(&x->n_start) <= 1);
            assert_true(x->reason == END_LENGTH || x->reason == END_CANCELLED);
            assert_true(x->reason == END_CANCELLED ? x->n_got <= x->tokens_max : x->n_got == x->tokens_max);
        }
    free(c);
    fake_model_free(m);
}

static void test_four_clients(void **state)
{
    (void)state;
    run_threads(&fake_host, false);
    run_threads(&fake_device, false);
}

static void test_closed_while_busy(void **state)
{
    (void)state;
    run_threads(&fake_host, true);
    run_threads(&fake_device, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_four_clients),
        cmocka_unit_test(test_closed_while_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
