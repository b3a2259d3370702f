/* test_sample.c -- what may be drawn, how often, and that the same seed gives the same. */
#include "backend/sample.h"

#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { BIG = 151936 };

static struct draw plain(float temperature)
{
    return (struct draw){.temperature = temperature, .top_p = 1, .repeat = 1};
}

/* Logits about normal, from -8 to 8. */
static void fill(float *x, uint32_t n, uint64_t seed)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t h = hash64(&i, sizeof i, seed);
        double   sum = 0;
        for (int k = 0; k < 4; k++, h >>= 16)
            sum += (double)(h & 0xFFFF) / 65536.0 - 0.5;
        x[i] = (float)(4 * sum);
    }
}

static int32_t draw_one(struct sampler *s, const float *x, struct draw d)
{
    struct drawn out;
    assert_true(sample(s, x, &d, &out));
    return out.token;
}

/* ---- the plain way, to compare with: sort everything, in double -------------------------------------------------- */

struct item {
    double  x, p;
    int32_t token;
};

static int by_rank(const void *a, const void *b)
{
    const struct item *l = a, *r = b;
    return l->x > r->x ? -1 : l->x < r->x ? 1 : l->token < r->token ? -1 : 1;
}

/* The distribution that `d` leaves: p[token], 0 for what is cut. */
static void reference(const float *logits, uint32_t n, const struct draw *d, double *p)
{
    struct item *it = malloc(n * sizeof *it);
    double       all = 0, cum = 0;
    uint32_t     kept = 0, k = d->top_k > 0 && (uint32_t)d->top_k < n ? (uint32_t)d->top_k : n;
    for (uint32_t i = 0; i < n; i++)
        it[i] = (struct item){(double)logits[i], 0, (int32_t)i};
    qsort(it, n, sizeof *it, by_rank);
    for (uint32_t i = 0; i < k; i++)
        all += it[i].p = exp((it[i].x - it[0].x) / (double)d->temperature);
    for (; kept < k; kept++) {
        if (kept && d->top_p < 1 && cum >= (double)d->top_p * all)
            break;
        cum += it[kept].p;
    }
    while (kept > 1 && it[kept - 1].p < (double)d->min_p)
        kept--;
    all = 0;
    for (uint32_t i = 0; i < kept; i++)
        all += it[i].p;
    memset(p, 0, n * sizeof *p);
    for (uint32_t i = 0; i < kept; i++)
        p[it[i].token] = it[i].p / all;
    free(it);
}

/* Draws many times: nothing that was cut ever comes, and the rest as often as it should (chi-square, cells expected
 * five times or more; z is about normal, so beyond 5 is no chance). */
static void check_distribution(uint32_t n, const struct draw *how, uint32_t draws)
{
    float          *x = malloc(n * sizeof *x);
    double         *p = malloc(n * sizeof *p), chi = 0, cells = -1, rest = 0, rest_got = 0;
    uint32_t       *count = calloc(n, sizeof *count);
    struct sampler *s = sample_new(n);
    struct draw     d = *how;
    fill(x, n, 3);
    reference(x, n, &d, p);
    for (d.counter = 0; d.counter < draws; d.counter++)
        count[draw_one(s, x, d)]++;
    for (uint32_t i = 0; i < n; i++) {
        double want = p[i] * draws;
        assert_true(p[i] > 0 || count[i] == 0);
        if (want >= 5) {
            chi += (count[i] - want) * (count[i] - want) / want;
            cells++;
        } else {
            rest += want;
            rest_got += count[i];
        }
    }
    if (rest >= 5) {
        chi += (rest_got - rest) * (rest_got - rest) / rest;
        cells++;
    }
    if (cells > 0)
        assert_true(fabs((chi - cells) / sqrt(2 * cells)) < 5);
    sample_free(s);
    free(count);
    free(p);
    free(x);
}

static void test_distributions(void **state)
{
    (void)state;
    const struct draw how[] = {
        {.temperature = 1, .top_p = 1, .repeat = 1, .seed = 1},
        {.temperature = 0.5f, .top_p = 1, .repeat = 1, .seed = 2},
        {.temperature = 3, .top_p = 1, .repeat = 1, .seed = 3},
        {.temperature = 1, .top_p = 1, .repeat = 1, .top_k = 1, .seed = 4},
        {.temperature = 1, .top_p = 1, .repeat = 1, .top_k = 7, .seed = 5},
        {.temperature = 2, .top_p = 1, .repeat = 1, .top_k = 290, .seed = 6},
        {.temperature = 1, .top_p = 1, .repeat = 1, .top_k = 5000, .seed = 7},
        {.temperature = 1, .top_p = 0.3f, .repeat = 1, .seed = 8},
        {.temperature = 1, .top_p = 0.9f, .repeat = 1, .seed = 9},
        {.temperature = 5, .top_p = 0.999f, .repeat = 1, .seed = 10},
        {.temperature = 1, .top_p = 0, .repeat = 1, .seed = 11},
        {.temperature = 1, .top_p = 1, .min_p = 0.2f, .repeat = 1, .seed = 12},
        {.temperature = 0.7f, .top_p = 0.8f, .min_p = 0.05f, .top_k = 20, .repeat = 1, .seed = 13},
        {.temperature = 1, .top_p = 0.95f, .min_p = 1, .repeat = 1, .seed = 14},
    };
    for (size_t i = 0; i < sizeof how / sizeof how[0]; i++) {
        check_distribution(300, &how[i], 10000);
        check_distribution(1, &how[i], 10);
        check_distribution(257, &how[i], 5000);
    }
}

/* Of a vocabulary of real size, nothing is drawn that sorting would have cut. */
static void test_cuts_of_a_large_vocabulary(void **state)
{
    (void)state;
    float          *x = malloc(BIG * sizeof *x);
    double         *p = malloc(BIG * sizeof *p);
    struct sampler *s = sample_new(BIG);
    fill(x, BIG, 9);
    const struct draw how[] = {
        {.temperature = 1, .top_p = 0.01f, .repeat = 1, .top_k = 0},
        {.temperature = 1, .top_p = 0.9f, .repeat = 1, .top_k = 0},
        {.temperature = 0.1f, .top_p = 0.9f, .repeat = 1, .top_k = 0},
        {.temperature = 1, .top_p = 1, .repeat = 1, .top_k = 40},
        {.temperature = 1, .top_p = 0.5f, .repeat = 1, .top_k = 64},
        {.temperature = 1, .top_p = 1, .min_p = 0.5f, .repeat = 1},
    };
    for (size_t i = 0; i < sizeof how / sizeof how[0]; i++) {
        struct draw d = how[i];
        reference(x, BIG, &d, p);
        for (d.seed = 0; d.seed < 40; d.seed++)
            assert_true(p[draw_one(s, x, d)] > 0);
    }
    sample_free(s);
    free(x);
    free(p);
}

static void test_greedy(void **state)
{
    (void)state;
    float           x[100];
    struct sampler *s = sample_new(100);
    fill(x, 100, 1);
    x[40] = x[77] = x[93] = 50;
    assert_int_equal(draw_one(s, x, plain(0)), 40);     /* the lowest id among equals */
    assert_int_equal(draw_one(s, x, plain(1e-6f)), 40);
    x[99] = 51;
    assert_int_equal(draw_one(s, x, plain(0)), 99);
    x[0] = NAN;
    x[1] = -INFINITY;
    assert_int_equal(draw_one(s, x, plain(0)), 99);
    assert_int_equal(draw_one(s, x, plain(0.1f)), 99);
    sample_free(s);
}

static void test_logits_that_are_no_numbers(void **state)
{
    (void)state;
    float           x[9];
    struct drawn    out;
    struct draw     d = plain(0);
    struct sampler *s = sample_new(9);
    for (int i = 0; i < 9; i++)
        x[i] = NAN;
    assert_false(sample(s, x, &d, &out));
    x[3] = -INFINITY;
    d = plain(1);
    assert_false(sample(s, x, &d, &out));
    x[4] = INFINITY;
    assert_false(sample(s, x, &d, &out));
    x[4] = 2;
    assert_true(sample(s, x, &d, &out));
    assert_int_equal(out.token, 4);
    sample_free(s);
}

/* The published test vector of Philox 4x32-10 for a key and a counter of zeroes begins 6627e8d5 e169c58d. */
static void test_chance(void **state)
{
    (void)state;
    uint64_t bits = ((uint64_t)0x6627e8d5u << 21) ^ (0xe169c58du >> 11);
    assert_true(sample_uniform(0, 0) == (double)bits * 0x1p-53);
    double sum = 0, square = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        double u = sample_uniform(12345, i);
        assert_true(u >= 0 && u < 1);
        sum += u;
        square += u * u;
    }
    assert_true(fabs(sum / 100000 - 0.5) < 0.005);
    assert_true(fabs(square / 100000 - 1.0 / 3) < 0.005);
    assert_true(sample_uniform(1, 0) != sample_uniform(0, 1));
    assert_true(sample_uniform(UINT64_C(1) << 32, 0) != sample_uniform(0, 0));
}

static void test_seeds(void **state)
{
    (void)state;
    float           x[500];
    struct sampler *s = sample_new(500), *other = sample_new(500);
    struct draw     a = plain(1), b = plain(1);
    uint32_t        differ = 0;
    fill(x, 500, 2);
    a.seed = 7;
    b.seed = 8;
    for (a.counter = 0; a.counter < 200; a.counter++) {
        b.counter = a.counter;
        int32_t t = draw_one(s, x, a);
        differ += draw_one(s, x, b) != t;
        assert_int_equal(draw_one(other, x, a), t);     /* whatever was drawn in between */
    }
    assert_true(differ > 100);
    sample_free(s);
    sample_free(other);
}

/* Bias and penalties, seen through the argmax. */
static void test_bias_and_penalties(void **state)
{
    (void)state;
    float           x[4] = {2.0f, 1.9f, -1.0f, -1.1f}, was[4];
    struct sampler *s = sample_new(4);
    struct draw     d = plain(0);
    struct draw_bias bias[] = {{3, 5}, {0, -100}};
    memcpy(was, x, sizeof x);
    d.bias = bias;
    d.n_bias = 2;
    assert_int_equal(draw_one(s, x, d), 3);
    d.n_bias = 0;

    struct draw_seen seen[] = {{0, 1, 0}};
    d.seen = seen;
    d.n_seen = 1;
    assert_int_equal(draw_one(s, x, d), 0);     /* no penalty is on */
    d.presence = 0.2f;
    assert_int_equal(draw_one(s, x, d), 0);     /* presence looks at the answer only */
    seen[0].answer = 1;
    assert_int_equal(draw_one(s, x, d), 1);
    d.presence = 0;
    d.frequency = 0.06f;
    assert_int_equal(draw_one(s, x, d), 0);     /* 1.94 against 1.9 */
    seen[0].answer = 2;
    assert_int_equal(draw_one(s, x, d), 1);     /* 1.88 */
    d.frequency = 0;
    seen[0].answer = 0;
    d.repeat = 1.1f;
    assert_int_equal(draw_one(s, x, d), 1);     /* 2 / 1.1: the prompt counts */

    float below[2] = {-1.0f, -1.05f};
    struct sampler *two = sample_new(2);
    assert_int_equal(draw_one(two, below, d), 1);       /* -1 * 1.1: below zero it multiplies */
    d.repeat = 0.5f;
    assert_int_equal(draw_one(two, below, d), 0);
    assert_memory_equal(x, was, sizeof x);
    sample_free(two);
    sample_free(s);
}

static void test_logprobs(void **state)
{
    (void)state;
    enum { N = 5000 };
    float          *x = malloc(N * sizeof *x);
    struct sampler *s = sample_new(N);
    struct drawn    out;
    struct draw     d = plain(0.7f);
    double          sum = 0;
    fill(x, N, 4);
    x[17] = x[4000];
    for (uint32_t i = 0; i < N; i++)
        sum += exp((double)x[i]);
    struct draw_bias bias = {123, 50};
    d.bias = &bias;
    d.n_bias = 1;
    d.top_k = 5;
    d.n_logprob = DRAW_TOP_MAX + 1;
    assert_true(sample(s, x, &d, &out));
    assert_int_equal(out.token, 123);
    assert_true(fabs((double)out.logprob - ((double)x[123] - log(sum))) < 2e-6);   /* before bias and cuts */
    assert_int_equal(out.n_top, DRAW_TOP_MAX);
    struct item *it = malloc(N * sizeof *it);
    for (uint32_t i = 0; i < N; i++)
        it[i] = (struct item){(double)x[i], 0, (int32_t)i};
    qsort(it, N, sizeof *it, by_rank);
    for (int i = 0; i < DRAW_TOP_MAX; i++) {
        assert_int_equal(out.top[i].token, it[i].token);
        assert_true(fabs((double)out.top[i].logprob - (it[i].x - log(sum))) < 2e-6);
    }
    d.n_logprob = 1;
    assert_true(sample(s, x, &d, &out));
    assert_int_equal(out.n_top, 0);
    assert_true(out.logprob < 0);
    d.n_logprob = 0;
    assert_true(sample(s, x, &d, &out));
    assert_true(out.logprob == 0);
    free(it);
    sample_free(s);
    free(x);
}

static void test_check(void **state)
{
    (void)state;
    struct err       e;
    struct draw_bias bias = {100, 1};
    struct draw      d = plain(1);
    assert_true(sample_check(&d, 100, &e));
    d.top_k = -1;
    assert_true(sample_check(&d, 100, &e));
#define REFUSED(field, change) \
    d = plain(1); \
    change; \
    assert_false(sample_check(&d, 100, &e)); \
    assert_int_equal(e.kind, ERR_INVALID); \
    assert_string_equal(e.param, field)
    REFUSED("temperature", d.temperature = NAN);
    REFUSED("temperature", d.temperature = -1);
    REFUSED("temperature", d.temperature = INFINITY);
    REFUSED("top_p", d.top_p = 1.5f);
    REFUSED("top_p", d.top_p = NAN);
    REFUSED("min_p", d.min_p = -0.1f);
    REFUSED("repetition_penalty", d.repeat = 0);
    REFUSED("repetition_penalty", d.repeat = NAN);
    REFUSED("presence_penalty", d.presence = INFINITY);
    REFUSED("frequency_penalty", d.frequency = NAN);
    REFUSED("top_logprobs", d.n_logprob = DRAW_TOP_MAX + 2);
    REFUSED("logit_bias", (d.bias = &bias, d.n_bias = 1));
    bias.token = -1;
    REFUSED("logit_bias", (d.bias = &bias, d.n_bias = 1));
    bias = (struct draw_bias){5, NAN};
    REFUSED("logit_bias", (d.bias = &bias, d.n_bias = 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_cuts_of_a_large_vocabulary),
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_logits_that_are_no_numbers),
        cmocka_unit_test(test_chance),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_bias_and_penalties),
        cmocka_unit_test(test_logprobs),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
