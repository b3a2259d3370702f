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
    return (struct engine_opts){.type = t, .clock = fake_clock(), .memory_bytes = 64 << 20, .seq_max = 8};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_job_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
