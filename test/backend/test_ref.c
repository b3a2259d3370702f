/* The reference itself: formats against the published decoder's numbers, ops against results worked out by hand. */
#include "backend/ref/ref.h"
#include "base/file.h"
#include "base/mem.h"
#include "cases.h"
#include "proof/rig.h"
#include "toy.h"
#include "weave.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

extern const struct backend_type backend_ref;

/* decode.bin: for every format its GGUF number, n, the encoded bytes of n numbers, and those numbers as floats. */
static void formats_decode_as_published(void **state)
{
    (void)state;
    struct file_map m;
    struct err      e;
    assert_true(file_map(&m, FIXTURES "/backend/decode.bin", &e));
    size_t at = 0;
    for (int f = 0; f < FORMAT_COUNT; f++) {
        uint32_t head[2];
        if (format_info((enum format)f)->scale != SCALE_INSIDE)
            continue;
        assert_true(m.n - at >= sizeof head);
        memcpy(head, m.p + at, sizeof head);
        at += sizeof head;
        assert_int_equal(head[0], format_info((enum format)f)->gguf_type);
        size_t bytes = format_bytes((enum format)f, head[1]);
        float *got = mem_array(head[1], sizeof *got);
        assert_true(m.n - at >= bytes + head[1] * sizeof *got);
        ref_decode((enum format)f, m.p + at, head[1], got);
        assert_memory_equal(got, m.p + at + bytes, head[1] * sizeof *got);
        at += bytes + head[1] * sizeof *got;
        free(got);
    }
    assert_int_equal(at, m.n);
    file_unmap(&m);
}

struct record {
    char     name[8];
    uint32_t group, as, rows, in;
};

/* The tensor of a record of decode_mlx.bin (record_mlx.py), and where its numbers lie. */
static const uint8_t *record_tensor(const struct record *x, const uint8_t *p, struct tensor *out)
{
    static const enum format as[] = {FORMAT_F32, FORMAT_F16, FORMAT_BF16};
    size_t                   n = (size_t)x->rows * x->in, n_scale = n / x->group, each = 1;
    *out = (struct tensor){.data = p, .n_dim = 2, .shape = {x->rows, x->in}, .scales = {.group = x->group}};
    while (strncmp(format_info(out->format)->name, x->name, sizeof x->name) != 0)
        assert_true(++out->format < FORMAT_COUNT);
    p += format_bytes(out->format, n);
    out->scales.scale = p;
    if (format_info(out->format)->scale == SCALE_AFFINE) {
        out->scales.as = as[x->as];
        each = format_info(out->scales.as)->block_bytes;
        out->scales.bias = p + n_scale * each;
        p += n_scale * each;
    }
    return p + n_scale * each;
}

static void mlx_formats_decode_as_recorded(void **state)
{
    (void)state;
    struct file_map m;
    struct err      e;
    unsigned        seen[FORMAT_COUNT] = {0};
    assert_true(file_map(&m, FIXTURES "/backend/decode_mlx.bin", &e));
    for (const uint8_t *p = m.p; p < m.p + m.n;) {
        struct record x;
        struct tensor t;
        float         got[128], want[128];
        assert_true((size_t)(m.p + m.n - p) > sizeof x);
        memcpy(&x, p, sizeof x);
        p = record_tensor(&x, p + sizeof x, &t);
        assert_true(x.in == 128 && (size_t)(m.p + m.n - p) >= x.rows * sizeof want);
        for (uint32_t r = 0; r < x.rows; r++, p += sizeof want) {
            ref_decode_row(&t, r, x.in, got);
            memcpy(want, p, sizeof want);
            for (unsigned i = 0; i < 128; i++)      /* scale * code + bias may be rounded once or twice */
                if (!(fabsf(got[i] - want[i]) <= 2e-7f * fabsf(want[i]) + (t.scales.bias ? 2e-7f : 0)))
                    fail_msg("%s, row %u: number %u is %.9g, not %.9g", tensor_kind(&t).text, r, i, (double)got[i], (double)want[i]);
        }
        seen[t.format]++;
    }
    for (int f = 0; f < FORMAT_COUNT; f++)
        assert_int_equal(seen[f], format_info((enum format)f)->scale == SCALE_INSIDE ? 0
                                  : format_info((enum format)f)->scale == SCALE_AFFINE ? 5 : 1);
    file_unmap(&m);
}

/* Two tokens of one sequence through one instruction over the rows of `table`. */
struct small {
    struct bundle *b;
    struct prog   *p;
    struct backend *backend;
    struct plan   *plan;
    val            x;
};

static struct small small_new(uint32_t width)
{
    struct small s = {.b = bundle_new(0, 1)};
    s.p = bundle_prog(s.b, "small");
    wt table = bundle_weight(s.b, -1, &(struct weight){.part = {"table"}, .part_out = {2}, .in = width});
    s.x = EMIT(s.p, embed, .in = {prog_tokens(s.p)}, .w = {table}, .embed.scale = 1);
    return s;
}

static void small_expect(struct small s, val out, const float *const weights[], const float *expect, size_t n)
{
    static const int32_t  token[2] = {0, 1};
    static const uint32_t start[2] = {0, 2}, past[1] = {0}, block[1] = {1}, pick[1] = {1};
    struct plan_opts      o = {.token_max = 2, .seq_max = 1, .pick_max = 1, .block_tokens = 2, .context_max = 2};
    struct batch in = {.n_token = 2, .n_seq = 1, .n_pick = 1, .token = token, .start = start, .past = past,
                       .block = block, .block_max = 1, .pick = pick};
    struct err e = {0};
    prog_out(s.p, "out", out);
    if (!prog_end(s.p, &e))
        fail_msg("%s", e.text);
    assert_true(backend_ref.open(&s.backend, &(struct backend_opts){0}, &e));
    for (size_t i = 1, k = 0; i <= bundle_n_weights(s.b); i++) {
        const struct weight *w = bundle_weight_at(s.b, (wt){(uint16_t)i});
        struct tensor        t = {.format = FORMAT_F32, .n_dim = 2, .shape = {w->out, w->in}};
        if (!w->data)
            t.data = weights[k++];
        assert_true(backend_ref.adopt(s.backend, s.b, (wt){(uint16_t)i}, &t, w->data ? 0 : 1, &e));
    }
    assert_true(backend_ref.reserve(s.backend, s.b, &o, 2, &e));
    assert_true(backend_ref.compile(s.backend, s.p, &o, &s.plan, &e));
    assert_true(backend_ref.run(s.plan, &in, NULL, &e));
    const float *got = backend_ref.result(s.plan, "out");
    assert_non_null(got);
    assert_null(backend_ref.result(s.plan, "hidden"));
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - expect[i]) <= 1e-6f * fmaxf(1, fabsf(expect[i]))))
            fail_msg("number %zu is %.9g, not %.9g", i, (double)got[i], (double)expect[i]);
    backend_ref.plan_free(s.plan);
    backend_ref.close(s.backend);
    bundle_free(s.b);
}

#define EXPECT(s, out, weights, ...)                                                                                   \
    small_expect((s), (out), (weights), (const float[]){__VA_ARGS__}, sizeof((float[]){__VA_ARGS__}) / sizeof(float))

static void linear_by_hand(void **state)
{
    (void)state;
    struct small s = small_new(2);
    wt w = bundle_weight(s.b, -1, &(struct weight){.part = {"w"}, .part_out = {3}, .in = 2});
    wt b = bundle_weight(s.b, -1, &(struct weight){.part = {"b"}, .part_out = {3}, .in = 1});
    const float *const weights[] = {(float[]){1, 2, 3, 4}, (float[]){1, 0, 0, 1, 10, -1}, (float[]){0.5f, 0, 100}};
    EXPECT(s, EMIT(s.p, linear, .in = {s.x}, .w = {w, b}), weights, 1.5f, 2, 108, 3.5f, 4, 126);
}

static void norm_by_hand(void **state)
{
    (void)state;
    struct small s = small_new(4);
    wt w = bundle_weight(s.b, -1, &(struct weight){.part = {"w"}, .part_out = {2}, .in = 1});
    const float *const weights[] = {(float[]){3, 4, 6, 8, 0, 0, 1, 7}, (float[]){1, 2}};
    val out = EMIT(s.p, norm, .in = {s.x}, .w = {w}, .norm = {.eps = 0.5f, .group = 2, .one = 1});
    EXPECT(s, out, weights, 2 * 3 / sqrtf(13), 3 * 4 / sqrtf(13), 2 * 6 / sqrtf(50.5f), 3 * 8 / sqrtf(50.5f), 0, 0,
           2 / sqrtf(25.5f), 3 * 7 / sqrtf(25.5f));
}

static void rope_by_hand(void **state)
{
    (void)state;
    const float *const weights[] = {(float[]){1, 2, 3, 4, 1, 2, 3, 4}};
    const float        c = cosf(1), s1 = sinf(1), d = cosf(0.5f), s2 = sinf(0.5f);
    struct small       s = small_new(4);
    wt                 f = bundle_const(s.b, (float[]){1, 0.5f}, 2);
    EXPECT(s, EMIT(s.p, rope, .in = {s.x}, .w = {f}, .rope = {.head_dim = 4, .factor = 1}), weights, 1, 2, 3, 4,
           c - 3 * s1, 2 * d - 4 * s2, 3 * c + s1, 4 * d + 2 * s2);
    s = small_new(4);
    f = bundle_const(s.b, (float[]){1, 0.5f}, 2);
    EXPECT(s, EMIT(s.p, rope, .in = {s.x}, .w = {f}, .rope = {.head_dim = 4, .factor = 2, .interleaved = 1}), weights,
           2, 4, 6, 8, 2 * (c - 2 * s1), 2 * (2 * c + s1), 2 * (3 * d - 4 * s2), 2 * (4 * d + 3 * s2));
}

static void glu_by_hand(void **state)
{
    (void)state;
    const float *const weights[] = {(float[]){1, 3, 0, 5}};
    struct small       s = small_new(2);
    EXPECT(s, EMIT(s.p, glu, .in = {s.x}, .glu.act = ACT_SILU), weights, 3 / (1 + expf(-1)), 0);
    s = small_new(2);
    EXPECT(s, EMIT(s.p, glu, .in = {s.x}, .glu.act = ACT_GELU_TANH), weights, 3 * 0.84119199f, 0);
}

static val attend(struct small *s, uint32_t window)
{
    return EMIT(
        s->p, attend, .in = {prog_cols(s->p, s->x, 0, 2), prog_cols(s->p, s->x, 2, 1), prog_cols(s->p, s->x, 3, 1)},
        .s = bundle_state(s->b, -1, STATE_TOKEN, 2), .attend = {.head_dim = 1, .scale = 0.5f, .window = window});
}

/* Two query heads, 2 and 4, share keys of 0 and ln 3: weights 1/4, 3/4 and 1/10, 9/10 over the values 1 and 5. */
static void attend_by_hand(void **state)
{
    (void)state;
    const float *const weights[] = {(float[]){9, 9, 0, 1, 2, 4, logf(3), 5}};
    struct small       s = small_new(4);
    EXPECT(s, attend(&s, 0), weights, 1, 1, 4, 4.6f);
    s = small_new(4);
    EXPECT(s, attend(&s, 2), weights, 1, 1, 4, 4.6f);
    s = small_new(4);
    EXPECT(s, attend(&s, 1), weights, 1, 1, 5, 5);
}

static void pick_sum_add_by_hand(void **state)
{
    (void)state;
    const float *const weights[] = {(float[]){1, 2, 3, 4}, (float[]){1, 1, 0, 2}};
    struct small       s = small_new(2);
    wt  w = bundle_weight(s.b, -1, &(struct weight){.part = {"w"}, .part_out = {2}, .in = 2, .split = SPLIT_IN});
    val y = EMIT(s.p, sum, .in = {EMIT(s.p, linear, .in = {s.x}, .w = {w})});
    EXPECT(s, EMIT(s.p, pick, .in = {EMIT(s.p, add, .in = {s.x, y})}), weights, 10, 12);
}

/* Values that share storage must not be seen by anybody: the same numbers as when nothing is shared. */
static void sharing_storage_changes_nothing(void **state)
{
    (void)state;
    struct prog      *p = toy_prog();
    struct weave_seqs q = weave_seqs(TOY_VOCAB, 40, 4);
    float            *got[2];
    struct cost       cost[2];
    for (int keep = 0; keep < 2; keep++) {
        struct rig      r;
        struct rig_opts o = {.type = &backend_ref, .precision = PRECISION_EXACT, .format = FORMAT_Q6_K, .seed = 3,
                             .plan = weave_plan(&q), .n_block = WEAVE_BLOCKS};
        struct err      e;
        o.plan.keep_all = keep;
        assert_true(rig_open(&r, p, &o));
        assert_true(backend_ref.size(r.backend, p, &o.plan, &cost[keep], &e));
        got[keep] = weave(&backend_ref, r.plan, &q, (struct weave){"", 9, true});
        assert_non_null(got[keep]);
        val    last = prog_at(p, prog_len(p) - 1)->in[0];
        float *tapped = mem_array((size_t)o.plan.pick_max * 256, sizeof *tapped);
        assert_int_equal(backend_ref.tap(r.plan, last, tapped, &e), keep);
        free(tapped);
        rig_close(&r);
    }
    assert_memory_equal(got[0], got[1], weave_floats(&q) * sizeof(float));
    assert_true(cost[0].scratch_bytes * 2 < cost[1].scratch_bytes);
    assert_int_equal(cost[0].block_bytes, 2 * 256 * WEAVE_BLOCK_TOKENS * sizeof(float));
    free(got[0]);
    free(got[1]);
    bundle_free(prog_bundle(p));
}

static void budgets_may_be_refused(void **state)
{
    (void)state;
    struct prog     *p = toy_prog();
    struct backend  *b;
    struct err       e;
    struct plan_opts o = {.token_max = 1, .seq_max = 1, .pick_max = 1, .block_tokens = UINT32_MAX, .context_max = 1};
    assert_true(backend_ref.open(&b, &(struct backend_opts){0}, &e));
    assert_false(backend_ref.reserve(b, prog_bundle(p), &o, UINT32_MAX, &e));
    assert_int_equal(e.kind, ERR_MEMORY);
    backend_ref.close(b);
    bundle_free(prog_bundle(p));
}

static void cases_run(void **state)
{
    (void)state;
    assert_int_equal(run_cases(&backend_ref, PRECISION_EXACT, 0), 0);
    assert_int_equal(run_int8_cases(&backend_ref, PRECISION_EXACT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_decode_as_published),
        cmocka_unit_test(mlx_formats_decode_as_recorded),
        cmocka_unit_test(linear_by_hand),
        cmocka_unit_test(norm_by_hand),
        cmocka_unit_test(rope_by_hand),
        cmocka_unit_test(glu_by_hand),
        cmocka_unit_test(attend_by_hand),
        cmocka_unit_test(pick_sum_add_by_hand),
        cmocka_unit_test(sharing_storage_changes_nothing),
        cmocka_unit_test(budgets_may_be_refused),
        cmocka_unit_test(cases_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
