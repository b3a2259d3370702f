/* The MLX plug-in: every op's cases against ref, and what backend.h asks of a backend that draws by itself, one run ahead.
 * Where MLX has no GPU it computes on its CPU backend: the same graph, in float32 and in half precision. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backend/sample.h"
#include "base/mem.h"
#include "cases.h"
#include "proof/rig.h"
#include "toy.h"
#include "weave.h"

#include <math.h>

extern const struct backend_type backend_ref;
static const struct backend_type *mlx;

/* How far a logit may move when a row is run in other company (rows_hardly_depend_on_others prints how far they did). */
static const double ROWS_APART = 1e-3;

/* The forms that MLX has for everything, without the operations of our own. */
static bool open_portable(struct backend **out, const struct backend_opts *o, struct err *e)
{
    struct backend_opts own = *o;
    own.isa = "portable";
    return mlx->open(out, &own, e);
}

static void exact_computes_what_ref_does(void **state)
{
    (void)state;
    assert_int_equal(run_cases(mlx, PRECISION_EXACT, 0), 0);
}

static void fast_computes_about_that(void **state)
{
    (void)state;
    assert_int_equal(run_cases(mlx, PRECISION_FAST, mlx->fast_error), 0);
}

static void portable_forms_compute_what_ref_does(void **state)
{
    (void)state;
    struct backend_type t = *mlx;
    t.open = open_portable;
    assert_int_equal(run_cases(&t, PRECISION_EXACT, 0), 0);
}

/* ---- how far a row depends on what else is in the run -------------------------------------------------------------- */

static double apart(const float *a, const float *b, size_t n)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++)
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
    return worst;
}

/* MLX chooses kernels by the number of rows, so the bits may differ; logits here lie between -40 and 40. */
static double worst_way(const struct backend_type *t, enum format format)
{
    struct prog      *p = toy_prog();
    struct weave_seqs q = weave_seqs(TOY_VOCAB, 40, 4);
    double            worst = 0;
    struct rig        r;
    struct rig_opts   o = {.type = t, .precision = PRECISION_EXACT, .format = format, .seed = 7, .plan = weave_plan(&q),
                           .n_block = WEAVE_BLOCKS};
    float            *first = NULL;
    assert_true(rig_open(&r, p, &o));
    for (size_t i = 0; i < WEAVE_WAYS; i++) {
        float *got = weave(t, r.plan, &q, weave_ways[i]);
        assert_non_null(got);
        worst = first ? fmax(worst, apart(got, first, weave_floats(&q))) : 0;
        if (first)
            free(got);
        else
            first = got;
    }
    free(first);
    rig_close(&r);
    bundle_free(prog_bundle(p));
    return worst;
}

static void rows_hardly_depend_on_others(void **state)
{
    (void)state;
    static const enum format formats[] = {FORMAT_F32, FORMAT_BF16, FORMAT_Q4_0, FORMAT_Q6_K};
    struct backend_type portable = *mlx;
    portable.open = open_portable;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        double own = worst_way(mlx, formats[i]), forms = worst_way(&portable, formats[i]);
        printf("%-5s logits differ by %.1e at most, in MLX's own forms by %.1e\n", format_info(formats[i])->name, own, forms);
        assert_true(own <= ROWS_APART && forms <= ROWS_APART);
    }
}

/* ---- drawing --------------------------------------------------------------------------------------------------------- */

enum { SEQS = 5, STEPS = 9, BLOCK_TOKENS = 16, BLOCKS = 2 };

static struct rig toy_rig(const struct prog *p, const struct backend_type *t)
{
    struct rig      r;
    struct rig_opts o = {.type = t, .precision = PRECISION_EXACT, .format = FORMAT_Q4_0, .seed = 7, .n_block = SEQS * BLOCKS,
                         .plan = {.token_max = 64, .seq_max = SEQS, .pick_max = SEQS, .block_tokens = BLOCK_TOKENS,
                                  .context_max = BLOCKS * BLOCK_TOKENS}};
    assert_true(rig_open(&r, p, &o));
    return r;
}

/* A step of all sequences: three tokens of each first, then one a step.  ahead: ids of the step before are not known. */
struct toy_step {
    int32_t      token[3 * SEQS];
    uint32_t     start[SEQS + 1], past[SEQS], block[SEQS][BLOCKS], pick[SEQS];
    struct batch in;
};

static void toy_step(struct toy_step *s, uint32_t n, const struct drawn *last, uint32_t n_pick)
{
    uint32_t each = n == 0 ? 3 : 1;
    for (uint32_t i = 0; i < SEQS; i++) {
        for (uint32_t k = 0; k < each; k++)
            s->token[i * each + k] = n == 0 ? (int32_t)(7 * i + k + 1) : last ? last[i].token : -1 - (int32_t)i;
        s->start[i + 1] = (i + 1) * each;
        s->past[i] = n == 0 ? 0 : 2 + n;
        s->pick[i] = (i + 1) * each - 1;
        for (uint32_t k = 0; k < BLOCKS; k++)
            s->block[i][k] = k * SEQS + (i * 2) % SEQS;
    }
    s->start[0] = 0;
    s->in = (struct batch){.n_token = SEQS * each, .n_seq = SEQS, .n_pick = n_pick, .token = s->token, .start = s->start,
                           .past = s->past, .block = s->block[0], .block_max = BLOCKS, .pick = s->pick};
}

/* Of every kind; kind 0 is greedy and nothing else. */
static struct draw how_to(uint32_t kind, uint32_t i, uint32_t counter, const struct draw_bias *bias, const struct draw_seen *seen)
{
    struct draw d = {.top_p = 1, .repeat = 1, .seed = 99 + i, .counter = counter};
    switch (kind ? (i + kind) % 5 : 0) {
    case 1: d.temperature = 1; break;
    case 2: d.temperature = 0.7f, d.top_k = 20, d.top_p = 0.9f; break;
    case 3: d.temperature = 2, d.min_p = 0.02f, d.n_logprob = 4; break;
    case 4: d.bias = bias, d.n_bias = 2, d.seen = seen, d.n_seen = 2, d.repeat = 1.5f, d.presence = 0.5f, d.n_logprob = 1; break;
    default: break;
    }
    return d;
}

/* Draws kind after kind, and says the same as sample() of the logits. */
static void draws_are_those_of_sample(void **state)
{
    (void)state;
    struct prog    *p = toy_prog();
    struct rig      r = toy_rig(p, mlx);
    struct sampler *sampler = sample_new(TOY_VOCAB);
    struct drawn    is[SEQS], should[SEQS];
    struct toy_step s;
    struct err      e = {0};
    for (uint32_t n = 0; n < STEPS; n++) {
        struct draw_bias bias[] = {{3, 2.5f}, {9, -4}};
        struct draw_seen seen[] = {{5, 1, 0}, {9, 0, 3}};
        struct draw      how[SEQS];
        for (uint32_t i = 0; i < SEQS; i++)
            how[i] = how_to(n % 3, i, n, bias, seen);
        toy_step(&s, n, n ? is : NULL, SEQS);
        assert_true(mlx->run(r.plan, &s.in, NULL, &e));
        const float *logits = mlx->result(r.plan, "logits");
        assert_non_null(logits);
        for (uint32_t i = 0; i < SEQS; i++)
            assert_true(sample(sampler, logits + (size_t)i * TOY_VOCAB, &how[i], &should[i]));
        assert_true(mlx->draw(r.plan, how, is, &e));
        memset(how, 0, sizeof how);         /* they were lent for the call */
        memset(bias, 0, sizeof bias);
        memset(seen, 0, sizeof seen);
        assert_true(mlx->wait(r.plan, &e));
        for (uint32_t i = 0; i < SEQS; i++) {
            assert_int_equal(is[i].token, should[i].token);
            assert_true(is[i].logprob == should[i].logprob && is[i].n_top == should[i].n_top);
            assert_memory_equal(is[i].top, should[i].top, is[i].n_top * sizeof *is[i].top);
        }
    }
    struct overhead o;
    mlx->overhead(r.plan, &o);
    assert_true(o.n_run == STEPS - 1 && o.host_ns > 0 && o.n_next == 0 && o.n_op > prog_len(p) / 2);     /* the first has prompts */
    sample_free(sampler);
    rig_close(&r);
    bundle_free(prog_bundle(p));
}

/* All steps; ahead: each is begun before the one before is waited for. */
static void answer(const struct backend_type *t, uint32_t kind, bool ahead, struct drawn out[STEPS][SEQS])
{
    struct prog    *p = toy_prog();
    struct rig      r = toy_rig(p, t);
    struct err      e = {0};
    struct toy_step s;
    for (uint32_t n = 0; n < STEPS; n++) {
        struct draw how[SEQS];
        for (uint32_t i = 0; i < SEQS; i++)
            how[i] = how_to(kind, i, n, NULL, NULL), how[i].n_bias = how[i].n_seen = 0;
        toy_step(&s, n, n && !ahead ? out[n - 1] : NULL, SEQS);
        assert_true(t->run(r.plan, &s.in, NULL, &e) && t->draw(r.plan, how, out[n], &e));
        memset(&s, 0x55, sizeof s);
        if (!ahead || n > 0)
            assert_true(t->wait(r.plan, &e));
    }
    assert_true(!ahead || t->wait(r.plan, &e));
    rig_close(&r);
    bundle_free(prog_bundle(p));
}

static void a_run_ahead_gives_the_same(void **state)
{
    (void)state;
    static struct drawn  plain[STEPS][SEQS], ahead[STEPS][SEQS];
    struct backend_type  portable = *mlx;
    portable.open = open_portable;
    for (uint32_t kind = 0; kind < 3; kind++) {
        const struct backend_type *t[] = {mlx, &portable};
        for (size_t k = 0; k < 2; k++) {
            answer(t[k], kind, false, plain);
            answer(t[k], kind, true, ahead);
            for (uint32_t n = 0; n < STEPS; n++)
                for (uint32_t i = 0; i < SEQS; i++)
                    assert_int_equal(plain[n][i].token, ahead[n][i].token);
        }
    }
}

/* Runs of prompts draw nothing; they are waited for all the same, and what they leave in the states counts. */
static void a_draw_of_nothing_is_waited_for(void **state)
{
    (void)state;
    struct drawn    with[SEQS], without[SEQS];
    struct toy_step s;
    struct err      e = {0};
    for (uint32_t n_pick = 0; n_pick <= SEQS; n_pick += SEQS) {
        struct prog *p = toy_prog();
        struct rig   r = toy_rig(p, mlx);
        struct draw  how[SEQS];
        struct drawn first[SEQS], known[SEQS];
        for (uint32_t i = 0; i < SEQS; i++) {
            how[i] = how_to(0, i, 0, NULL, NULL);
            known[i].token = (int32_t)i;
        }
        toy_step(&s, 0, NULL, n_pick);
        assert_true(mlx->run(r.plan, &s.in, NULL, &e) && mlx->draw(r.plan, how, first, &e));
        toy_step(&s, 1, known, SEQS);
        assert_true(mlx->run(r.plan, &s.in, NULL, &e) && mlx->draw(r.plan, how, n_pick ? with : without, &e));
        assert_true(mlx->wait(r.plan, &e) && mlx->wait(r.plan, &e));
        rig_close(&r);
        bundle_free(prog_bundle(p));
    }
    for (uint32_t i = 0; i < SEQS; i++)
        assert_int_equal(with[i].token, without[i].token);
}

/* ---- the rest of the contract ---------------------------------------------------------------------------------------- */

/* A sequence goes on behind a copy of its partly filled block while another fills the original. */
static void a_copied_block_is_as_good(void **state)
{
    (void)state;
    struct backend_type portable = *mlx;
    portable.open = open_portable;
    for (int own = 0; own < 2; own++) {
        const struct backend_type *t = own ? mlx : &portable;
        struct prog      *p = toy_prog();
        struct weave_seqs q = weave_seqs(TOY_VOCAB, 19, 4);
        struct rig        r;
        struct rig_opts   o = {.type = t, .precision = PRECISION_EXACT, .format = FORMAT_Q4_0, .seed = 7,
                               .plan = weave_plan(&q), .n_block = WEAVE_BLOCKS};
        assert_true(rig_open(&r, p, &o));
        q.len[0] = 19;
        struct weave_run w = {.type = t, .plan = r.plan, .q = &q, .block = {{0, 1}, {1, 2}}};
        float           *want = weave(t, r.plan, &q, weave_ways[1]);
        uint32_t         seq[2] = {0, 1}, n[3] = {17, q.len[1], 2};
        w.logits = mem_array(weave_floats(&q), sizeof(float));
        assert_true(want && weave_step(&w, &seq[0], &n[0], 1));
        t->copy(r.backend, 1, 5);
        w.block[0][1] = 5;
        assert_true(weave_step(&w, &seq[1], &n[1], 1) && weave_step(&w, &seq[0], &n[2], 1));
        assert_true(apart(want, w.logits, weave_place(&q, 2, 0)) <= ROWS_APART);
        free(want);
        free(w.logits);
        rig_close(&r);
        bundle_free(prog_bundle(p));
    }
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct err          e = {0};
    struct backend     *b;
    struct backend_opts o = {.isa = "abacus"};
    const struct backend_type *t;
    assert_false(mlx->open(&b, &o, &e));
    assert_non_null(strstr(e.text, "abacus"));
    assert_false(mlx->open(&b, &(struct backend_opts){.kv_format = KV_FORMAT_INT8}, &e));
    assert_non_null(strstr(e.text, "int8"));
    struct prog     *p = toy_prog();
    struct plan_opts po = {.token_max = 4, .seq_max = 1, .pick_max = 1, .block_tokens = 16, .context_max = 64};
    assert_true(mlx->open(&b, &(struct backend_opts){0}, &e));
    assert_false(mlx->reserve(b, prog_bundle(p), &po, UINT32_MAX, &e));
    assert_int_equal(e.kind, ERR_MEMORY);
    mlx->close(b);
    bundle_free(prog_bundle(p));
    assert_false(backend_load(&t, "mlx", "/nowhere", &e));
    assert_non_null(strstr(e.text, "brew install mlx"));
    assert_false(backend_load(&t, "abacus", NULL, &e));
    assert_true(backend_load(&t, "ref", "/nowhere", &e) && t == &backend_ref);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_computes_what_ref_does),
        cmocka_unit_test(portable_forms_compute_what_ref_does),
        cmocka_unit_test(fast_computes_about_that),
        cmocka_unit_test(rows_hardly_depend_on_others),
        cmocka_unit_test(draws_are_those_of_sample),
        cmocka_unit_test(a_run_ahead_gives_the_same),
        cmocka_unit_test(a_draw_of_nothing_is_waited_for),
        cmocka_unit_test(a_copied_block_is_as_good),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    struct err e = {0};
    if (!backend_load(&mlx, "mlx", NULL, &e)) {
        printf("%s\n", e.text);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
