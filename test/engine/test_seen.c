/* test_seen.c -- prompts that show pictures, on the fake tower: what is looked at, how often, in which pieces, and that no
 * picture is ever taken for another. */
#include "fake.h"

#include "engine/jobs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { CONTEXT = 2048, GOT = 40 };

static const struct fake_eyes qwen = {.axes = true}, windows = {.axes = true, .ordered = true}, gemma = {.sees = true, .side = 8};

struct rig {
    struct model  *m;
    struct engine *g;
};

static struct engine_opts opts(void)
{
    return (struct engine_opts){.type = &fake_host, .clock = fake_clock(), .memory_bytes = 64 << 20, .seq_max = 8, .block_tokens = 16,
                                .patches_max = 4096, .gallery_bytes = 1 << 20};
}

static void rig_open(struct rig *r, const struct fake_eyes *eyes, struct engine_opts o)
{
    fake_reset();
    fake.patch_cost = 1000000;
    r->m = fake_seeing_model(CONTEXT, eyes);
    r->g = fake_engine(r->m, &o);
}

static void rig_close(struct rig *r)
{
    fake_check_gallery(r->g);
    engine_close(r->g);
    fake_model_free(r->m);
}

static void step(struct rig *r)
{
    engine_step(r->g);
    fake_check_blocks(r->g);
    fake_check_gallery(r->g);
}

static void run_all(struct rig *r)
{
    struct engine_stats s;
    do {
        step(r);
        engine_stats(r->g, &s);
    } while (s.running + s.waiting);
}

static struct engine_stats stats(const struct rig *r)
{
    struct engine_stats s;
    engine_stats(r->g, &s);
    return s;
}

/* One question: "text, pictures, question". */
struct ask {
    struct asked       asked;
    struct fake_prompt q;
    int32_t            token[CONTEXT], got[GOT];
};

static void say(struct ask *a, uint32_t n, uint64_t seed)
{
    while (n-- > 0)
        fake_say(&a->q, (int32_t)fake_random(&seed, FAKE_VOCAB - 1));
}

static void ask_new(struct ask *a)
{
    *a = (struct ask){.q = {.token = NULL}};
    a->q.token = a->token;
}

static void submit(struct rig *r, struct ask *a)
{
    a->asked.job = (struct job){.token = a->token, .n_token = a->q.n_token, .tokens_max = GOT, .draw = greedy(), .media = fake_media(&a->q),
                                .fresh = a->asked.job.fresh, .client = a->asked.job.client, .salt = a->asked.job.salt};
    a->asked.got = a->got;
    a->asked.room = GOT;
    asked_submit(r->g, &a->asked);
}

static void check(const struct ask *a)
{
    int32_t want[GOT];
    assert_int_equal(a->asked.n_end, 1);
    assert_int_equal(a->asked.reason, END_LENGTH);
    assert_int_equal(fake_oracle(&a->asked.job, CONTEXT, want, GOT), GOT);
    assert_memory_equal(a->got, want, sizeof want);
}

static void question(struct ask *a, struct fake_picture *const *p, uint32_t n, uint64_t question_seed)
{
    ask_new(a);
    say(a, 10, 1);
    for (uint32_t i = 0; i < n; i++) {
        fake_show(&a->q, p[i]);
        say(a, 3, 2);
    }
    say(a, 12, question_seed);
}

static void run_one(struct rig *r, struct ask *a)
{
    submit(r, a);
    run_all(r);
    check(a);
}

static struct fake_picture cat = {.seed = 1, .rows = 14, .columns = 10}, dog = {.seed = 2, .rows = 14, .columns = 10};

/* The same picture again: no second look.  A question more about it: nothing before the question is computed again. */
static void test_one_look(void **state)
{
    (void)state;
    static const struct fake_eyes *const kinds[] = {&qwen, &windows};
    for (size_t k = 0; k < 2; k++) {
        struct rig           r;
        struct ask           a;
        struct fake_picture *p[] = {&cat};
        rig_open(&r, kinds[k], opts());
        question(&a, p, 1, 3);
        run_one(&r, &a);
        assert_int_equal(stats(&r).encodings, 1);
        assert_int_equal(a.asked.reuse.n_encoded, 1);
        assert_int_equal(a.asked.reuse.parted, PARTED_UNKNOWN);
        uint64_t computed = stats(&r).tokens_computed;

        question(&a, p, 1, 4);              /* another question */
        run_one(&r, &a);
        struct engine_stats s = stats(&r);
        assert_int_equal(s.encodings, 1);
        assert_int_equal(s.pictures, 1);                /* its features were not even asked for */
        assert_int_equal(a.asked.reuse.n_skipped, 1);
        assert_true(a.asked.n_cached >= 10 + 35 + 3);
        assert_int_equal(s.tokens_computed - computed, a.q.n_token - a.asked.n_cached + GOT - 1);
        assert_int_equal(a.asked.reuse.parted, PARTED_TOKEN);
        assert_int_equal(a.asked.reuse.parted_at, a.asked.n_cached);

        ask_new(&a);                        /* other text before it: the features alone are of use */
        say(&a, 7, 9);
        fake_show(&a.q, &cat);
        say(&a, 5, 3);
        run_one(&r, &a);
        assert_int_equal(stats(&r).encodings, 1);
        assert_int_equal(stats(&r).picture_hits, 1);
        assert_int_equal(a.asked.reuse.n_hit, 1);
        assert_int_equal(a.asked.n_cached, 0);
        rig_close(&r);
    }
}

/* [A, B] is not [B, A], nor is [A, A]; and none of them looks at anything again. */
static void test_order(void **state)
{
    (void)state;
    struct rig           r;
    struct ask           a;
    struct fake_picture *ab[] = {&cat, &dog}, *ba[] = {&dog, &cat}, *aa[] = {&cat, &cat};
    rig_open(&r, &qwen, opts());
    question(&a, ab, 2, 3);
    run_one(&r, &a);
    assert_int_equal(stats(&r).encodings, 2);
    question(&a, ba, 2, 3);
    run_one(&r, &a);
    assert_int_equal(a.asked.n_cached, 10);             /* the text before them */
    assert_int_equal(a.asked.reuse.parted, PARTED_PICTURE);
    assert_int_equal(a.asked.reuse.parted_at, 10);
    assert_int_equal(a.asked.reuse.n_hit, 2);
    question(&a, aa, 2, 3);
    run_one(&r, &a);
    assert_true(a.asked.n_cached >= 16 && a.asked.n_cached <= 10 + 35 + 3);
    question(&a, ab, 2, 3);
    run_one(&r, &a);
    assert_int_equal(a.asked.n_cached, a.q.n_token - 1);
    assert_int_equal(a.asked.reuse.parted, PARTED_NOT);
    assert_int_equal(stats(&r).encodings, 2);
    rig_close(&r);
}

/* A thousand pairs of pictures under one prompt: nobody gets what another picture left. */
static void test_no_picture_for_another(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r, &qwen, opts());
    for (uint32_t i = 0; i < 1000; i++) {
        struct fake_picture  one = {.seed = 1000 + 2 * i, .rows = 6, .columns = 8}, two = one;
        struct fake_picture *p[] = {&one}, *q[] = {&two};
        struct ask           a, b;
        two.seed++;
        question(&a, p, 1, 3);
        question(&b, q, 1, 3);
        assert_memory_equal(a.token, b.token, a.q.n_token * sizeof a.token[0]);
        submit(&r, &a);
        if (i % 2)
            run_all(&r);                    /* one after the other, and both at once */
        submit(&r, &b);
        run_all(&r);
        check(&a);
        check(&b);
        assert_true(a.asked.n_cached <= 10 && b.asked.n_cached <= 10);
        assert_memory_not_equal(a.got, b.got, sizeof a.got);
    }
    assert_int_equal(stats(&r).encodings, 2000);
    assert_int_equal(stats(&r).picture_hits, 0);
    rig_close(&r);
}

/* Those who come while it is being looked at wait for the same features. */
static void test_looked_at_once(void **state)
{
    (void)state;
    struct engine_opts o = opts();
    struct rig         r;
    struct ask         a[5];
    o.no_cache = true;
    rig_open(&r, &qwen, o);
    for (uint32_t i = 0; i < 5; i++) {
        struct fake_picture *p[] = {&cat};
        question(&a[i], p, 1, 3 + i);
        if (i > 1)
            step(&r);
        submit(&r, &a[i]);
    }
    run_all(&r);
    for (uint32_t i = 0; i < 5; i++)
        check(&a[i]);
    assert_int_equal(stats(&r).encodings, 1);
    assert_int_equal(stats(&r).pictures, 5);
    assert_int_equal(stats(&r).picture_hits, 4);
    assert_int_equal(fake.towers, 1);
    rig_close(&r);
}

/* A picture of four seconds arrives while others draw: it comes in pieces, and no token waits longer than a step may take. */
static void test_slices(void **state)
{
    (void)state;
    struct rig          r;
    struct ask          a, b;
    struct fake_picture big = {.seed = 5, .rows = 64, .columns = 64}, *p[] = {&big};
    uint64_t            longest = 0;
    rig_open(&r, &qwen, opts());
    ask_new(&a);
    say(&a, 20, 1);
    submit(&r, &a);
    while (a.asked.n_got == 0)
        step(&r);
    question(&b, p, 1, 3);
    submit(&r, &b);
    for (uint32_t got = a.asked.n_got; !a.asked.n_end; got = a.asked.n_got) {
        uint64_t from = fake.now;
        step(&r);
        assert_int_equal(a.asked.n_got, got + 1);
        longest = fake.now - from > longest ? fake.now - from : longest;
    }
    assert_true(longest <= 100000000 + 2000000);        /* the step's budget, and a patch */
    assert_int_equal(fake.towers, 1);
    assert_true(fake.tower_runs > 20);
    run_all(&r);
    check(&a);
    check(&b);
    assert_true(stats(&r).tower_slice_ns_max <= 100000000 + 1000000);
    rig_close(&r);
}

/* Whoever goes gives back what was held for them; who waits for the same picture still gets it. */
static void test_cancel(void **state)
{
    (void)state;
    struct rig           r;
    struct ask           a, b;
    struct fake_picture *p[] = {&cat};
    rig_open(&r, &qwen, opts());
    question(&a, p, 1, 3);
    submit(&r, &a);
    step(&r);                               /* begun, not done: 140 patches are 140 ms */
    assert_non_null(r.g->look.now);
    engine_cancel(r.g, a.asked.id);
    step(&r);
    assert_int_equal(a.asked.reason, END_CANCELLED);
    assert_null(r.g->look.now);
    assert_int_equal(fake.tower_stops, 1);
    assert_int_equal(stats(&r).encodings_dropped, 1);
    assert_int_equal(stats(&r).gallery_bytes, 0);

    question(&a, p, 1, 3);
    ask_new(&b);
    fake_show(&b.q, &cat);
    say(&b, 4, 3);
    submit(&r, &a);
    submit(&r, &b);
    step(&r);
    engine_cancel(r.g, a.asked.id);
    run_all(&r);
    check(&b);
    assert_int_equal(stats(&r).encodings, 1);
    assert_int_equal(stats(&r).encodings_dropped, 1);
    rig_close(&r);
}

/* What fails takes its own jobs along and nobody else, and is looked at anew for the next. */
static void test_failure(void **state)
{
    (void)state;
    struct rig           r;
    struct ask           a, b, c;
    struct fake_picture  bad = {.seed = 9, .rows = 4, .columns = 4, .fails = true}, *p[] = {&cat}, *q[] = {&dog}, *x[] = {&bad};
    rig_open(&r, &qwen, opts());
    question(&a, p, 1, 3);
    question(&b, q, 1, 3);
    question(&c, x, 1, 3);
    submit(&r, &a);
    submit(&r, &b);
    submit(&r, &c);
    fake.tower_fail_in = 1;
    run_all(&r);
    assert_int_equal(a.asked.reason, END_FAILED);
    assert_non_null(strstr(a.asked.err.text, "tower fails on demand"));
    check(&b);
    assert_int_equal(c.asked.reason, END_FAILED);
    assert_non_null(strstr(c.asked.err.text, "cannot be had"));
    assert_int_equal(stats(&r).encodings_failed, 2);
    question(&a, p, 1, 3);
    run_one(&r, &a);
    assert_int_equal(stats(&r).encodings, 2);
    rig_close(&r);
}

/* More pictures than there is room for: the oldest go, the bytes stay within bounds, a prompt may show more than fits at once. */
static void test_eviction(void **state)
{
    (void)state;
    struct engine_opts   o = opts();
    struct rig           r;
    struct ask           a;
    struct fake_picture  some[8], *p[8];
    o.gallery_bytes = 1;
    o.patches_max = 256;                    /* two pictures of 64 rows, and a page for the model's own */
    rig_open(&r, &qwen, o);
    for (uint32_t i = 0; i < 8; i++) {
        some[i] = (struct fake_picture){.seed = 50 + i, .rows = 16, .columns = 16};
        p[i] = &some[i];
    }
    question(&a, p, 8, 3);
    run_one(&r, &a);
    assert_int_equal(stats(&r).encodings, 8);
    assert_int_equal(stats(&r).evicted_pictures, 5);
    assert_true(stats(&r).gallery_bytes <= stats(&r).gallery_bytes_max);
    assert_int_equal(r.g->plan.n_page, 3);
    question(&a, p, 8, 3);
    run_one(&r, &a);                        /* all of it is in the cache of blocks */
    assert_int_equal(stats(&r).encodings, 8);
    rig_close(&r);
}

/* A client with many pictures does not hold up one who has a single one. */
static void test_turns(void **state)
{
    (void)state;
    struct rig           r;
    struct ask           a[4], b;
    struct fake_picture  some[9], *p[9];
    rig_open(&r, &qwen, opts());
    for (uint32_t i = 0; i < 9; i++) {
        some[i] = (struct fake_picture){.seed = 70 + i, .rows = 12, .columns = 12};
        p[i] = &some[i];
    }
    for (uint32_t i = 0; i < 4; i++) {
        question(&a[i], &p[2 * i], 2, 3);
        submit(&r, &a[i]);
    }
    for (uint32_t i = 0; i < 2; i++)
        step(&r);
    question(&b, &p[8], 1, 3);
    b.asked.job.client = 7;
    submit(&r, &b);
    while (!some[8].n_asked)
        step(&r);
    assert_true(fake.towers <= 3);          /* behind what was under way, not behind all eight */
    run_all(&r);
    check(&b);
    for (uint32_t i = 0; i < 4; i++)
        check(&a[i]);
    rig_close(&r);
}

/* Gemma's pictures are read in one step and reused whole: the fake would see a row that looks beyond its run. */
static void test_together(void **state)
{
    (void)state;
    struct engine_opts   o = opts();
    struct rig           r;
    struct ask           a;
    struct fake_picture  some[3], *p[3];
    rig_open(&r, &gemma, o);
    for (uint32_t i = 0; i < 3; i++) {
        some[i] = (struct fake_picture){.seed = 80 + i, .rows = 8, .columns = 8};
        p[i] = &some[i];
    }
    question(&a, p, 3, 3);
    run_one(&r, &a);
    question(&a, p, 3, 4);
    run_one(&r, &a);
    assert_int_equal(stats(&r).encodings, 3);
    assert_true(a.asked.n_cached >= 10 + 3 * 19);
    p[1] = &some[2];
    question(&a, p, 2, 3);
    run_one(&r, &a);
    assert_int_equal(a.asked.n_cached, 10 + 19);      /* up to the second */
    rig_close(&r);
    o.token_max = 16;                       /* less than a picture and who draws */
    struct err     e;
    struct engine *g;
    struct model  *m = fake_seeing_model(CONTEXT, &gemma);
    assert_false(engine_open(&g, m, &o, &e));
    assert_non_null(strstr(e.text, "must be read at once"));
    fake_model_free(m);
}

/* Where somebody draws, a picture that must come whole is read in pieces, and no token waits longer than a step may take. */
static void test_aside(void **state)
{
    (void)state;
    static const struct fake_eyes large = {.sees = true, .side = 32};
    struct rig           r;
    struct ask           a, b;
    struct fake_picture  one = {.seed = 90, .rows = 32, .columns = 32}, *p[] = {&one};
    uint64_t             longest = 0;
    rig_open(&r, &large, opts());
    fake.patch_cost = 100000;
    for (int round = 0; round < 2; round++) {
        ask_new(&a);
        say(&a, 20, 30 + (uint64_t)round);
        submit(&r, &a);
        while (a.asked.n_got == 0)
            step(&r);
        question(&b, p, 1, 3);
        b.token[0] = round;                     /* so that no block is known */
        submit(&r, &b);
        for (uint32_t got = a.asked.n_got; !a.asked.n_end; got = a.asked.n_got) {
            uint64_t from = fake.now;
            step(&r);
            assert_int_equal(a.asked.n_got, got + 1);
            longest = fake.now - from > longest ? fake.now - from : longest;
            if (round == 1 && r.g->aside_seq && r.g->aside_begun)
                engine_cancel(r.g, b.asked.id);
        }
        run_all(&r);
        check(&a);
        if (round == 0)
            check(&b);
        else
            assert_int_equal(b.asked.reason, END_CANCELLED);
    }
    assert_int_equal(fake.asides, 2);
    assert_true(longest <= 102000000);
    assert_null(r.g->aside_seq);
    rig_close(&r);
}

/* fresh: everything is computed, nothing is left behind, and the answer is the same. */
static void test_fresh(void **state)
{
    (void)state;
    struct rig           r;
    struct ask           a, b;
    struct fake_picture *p[] = {&cat};
    rig_open(&r, &qwen, opts());
    question(&a, p, 1, 3);
    run_one(&r, &a);
    question(&b, p, 1, 3);
    b.asked.job.fresh = true;
    run_one(&r, &b);
    assert_memory_equal(a.got, b.got, sizeof a.got);
    assert_int_equal(b.asked.n_cached, 0);
    assert_int_equal(b.asked.reuse.parted, PARTED_OFF);
    assert_int_equal(stats(&r).encodings, 2);
    assert_int_equal(stats(&r).gallery_pictures, 1);
    rig_close(&r);
}

static void refused(const struct rig *r, struct ask *a, enum err_kind kind, const char *words)
{
    struct err e = {0};
    a->asked.job = (struct job){.token = a->token, .n_token = a->q.n_token, .tokens_max = 1, .draw = greedy(), .media = fake_media(&a->q),
                                .event = asked_event, .ctx = &a->asked};
    assert_false(engine_submit(r->g, &a->asked.job, NULL, &e));
    assert_int_equal(e.kind, kind);
    if (!strstr(e.text, words))
        fail_msg("%s", e.text);
}

static void test_refusals(void **state)
{
    (void)state;
    struct rig           r;
    struct ask           a;
    struct fake_picture *p[] = {&cat, &dog}, odd = {.seed = 1, .rows = 3, .columns = 4}, vast = {.seed = 1, .rows = 80, .columns = 80};
    rig_open(&r, &qwen, opts());
    question(&a, p, 2, 3);
    a.q.item[1].row--;
    refused(&r, &a, ERR_INVALID, "spans of item 1");
    question(&a, p, 2, 3);
    a.q.span[1].from = 1;
    refused(&r, &a, ERR_INVALID, "more than a picture has");
    question(&a, p, 2, 3);
    a.q.span[1].picture = 5;
    refused(&r, &a, ERR_INVALID, "not there");
    question(&a, p, 2, 3);
    a.q.item[0].columns = 4;
    refused(&r, &a, ERR_INVALID, "for a grid of");
    question(&a, p, 2, 3);
    a.q.item[1].row = a.q.span[1].row = a.q.item[0].row;
    refused(&r, &a, ERR_INVALID, "over the one before");
    question(&a, p, 2, 3);
    a.q.picture[0].rows = odd.rows;
    refused(&r, &a, ERR_INVALID, "cannot take");
    question(&a, p, 2, 3);
    a.q.picture[0].rows = vast.rows;
    a.q.picture[0].columns = vast.columns;
    refused(&r, &a, ERR_INVALID, "6400 patches; 4096");
    rig_close(&r);

    struct engine_opts o = opts();
    struct model      *m = fake_model(CONTEXT);
    r.g = fake_engine(m, &o);
    question(&a, p, 1, 3);
    refused(&r, &a, ERR_UNSUPPORTED, "no eyes");
    assert_int_equal(r.g->plan.tower_bytes + r.g->plan.gallery_bytes, 0);
    engine_close(r.g);
    fake_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_look),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_no_picture_for_another),
        cmocka_unit_test(test_looked_at_once),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_failure),
        cmocka_unit_test(test_eviction),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_together),
        cmocka_unit_test(test_aside),
        cmocka_unit_test(test_fresh),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
