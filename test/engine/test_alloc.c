/* test_alloc.c -- once warm, a step allocates nothing: this program counts every allocation it makes. */
#include "fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define COUNTS 0
#endif
#endif
#if !defined(COUNTS) && defined(__GLIBC__)
#define COUNTS 1
#endif

#if COUNTS
static unsigned long n_alloc;

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t each);
void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
    n_alloc++;
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t each)
{
    n_alloc++;
    return __libc_calloc(n, each);
}

void *realloc(void *p, size_t n)
{
    n_alloc++;
    return __libc_realloc(p, n);
}

static void steps_allocate_nothing(const struct backend_type *t, uint32_t seq_max)
{
    fake_reset();
    fake.period = 7;
    struct model      *m = fake_model(256);
    struct engine_opts o = {.type = t, .clock = fake_clock(), .memory_bytes = 64 << 20, .seq_max = seq_max, .guess_seqs = 1000};
    struct engine     *g = fake_engine(m, &o);
    int32_t            prompt[200];
    struct asked       a[30] = {0};
    uint64_t           random = 1;
    unsigned long      in_steps = 0;
    for (uint32_t i = 0; i < 200; i++)
        prompt[i] = (int32_t)fake_random(&random, FAKE_VOCAB);
    /* Everything a step can meet: penalties, logprobs, cuts, guesses, shared prompts, put back, cancelled, late. */
    for (uint32_t i = 0; i < 30; i++) {
        a[i].job = (struct job){.token = prompt + i % 3, .n_token = 20 + 5 * i, .tokens_max = 50, .draw = greedy(),
                                .client = i % 7, .deadline_ns = i % 9 ? 0 : fake.now + 500000000};
        a[i].job.draw.temperature = i % 2 ? 0.8f : 0;
        a[i].job.draw.top_p = i % 3 ? 1 : 0.9f;
        a[i].job.draw.frequency = i % 5 ? 0 : 0.5f;
        a[i].job.draw.n_logprob = i % 4 ? 0 : 5;
    }
    asked_submit(g, &a[0]);                     /* warms up: one job from its beginning to its end */
    while (engine_step(g))
        ;
    for (uint32_t i = 1; i < 30; i++)
        asked_submit(g, &a[i]);
    for (bool more = true; more;) {
        unsigned long before = n_alloc;
        more = engine_step(g);
        in_steps += n_alloc - before;
        engine_cancel(g, a[11].id);
    }
    struct engine_stats s;
    engine_stats(g, &s);
    assert_int_equal(s.n_end, 30);
    assert_true(t->draw || s.tokens_accepted > 100);
    assert_true(s.n_step > 100);
    assert_int_equal(in_steps, 0);
    assert_true(n_alloc > 30);                  /* the count counts */
    engine_close(g);
    fake_model_free(m);
}

static void test_steps_allocate_nothing(void **state)
{
    (void)state;
    steps_allocate_nothing(&fake_host, 8);
    steps_allocate_nothing(&fake_device, 8);
    steps_allocate_nothing(&fake_draws, 1);
}
#else
static void test_steps_allocate_nothing(void **state)
{
    (void)state;
    skip();                                     /* a sanitizer or another libc owns malloc */
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
