/* Every op's cases on the cpu backend: each instruction set that this machine has, or one that is named as an argument,
 * both precisions, against ref. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backend/cpu/cpu.h"
#include "cases.h"
#include "proof/rig.h"
#include "toy.h"
#include "weave.h"

extern const struct backend_type backend_cpu;

static const char *only;                /* the set to be tested; NULL: all */

static bool wanted(const char *isa)
{
    return !only || strcmp(only, isa) == 0;
}

/* The backend, held to one instruction set. */
static bool open_isa(const char *isa, struct backend **out, const struct backend_opts *o, struct err *e)
{
    struct backend_opts own = *o;
    own.isa = isa;
    return backend_cpu.open(out, &own, e);
}

#define HOLD(isa) \
    static bool open_##isa(struct backend **out, const struct backend_opts *o, struct err *e) \
    { \
        return open_isa(#isa, out, o, e); \
    }
HOLD(portable)
HOLD(avx2)
HOLD(avxvnni)
HOLD(avx512)
HOLD(neon)
HOLD(i8mm)

static struct backend_type held(const char *isa)
{
    static const struct {
        const char *isa;
        bool (*open)(struct backend **out, const struct backend_opts *o, struct err *e);
    } all[] = {{"portable", open_portable}, {"avx2", open_avx2}, {"avxvnni", open_avxvnni}, {"avx512", open_avx512},
               {"neon", open_neon}, {"i8mm", open_i8mm}};
    struct backend_type t = backend_cpu;
    size_t              i = 0;
    while (strcmp(all[i].isa, isa) != 0)
        assert_true(++i < sizeof all / sizeof *all);
    t.open = all[i].open;
    return t;
}

/* i8mm is neon's source but for products in fast; the rest of it is not run once more where an emulator runs it, slowly. */
static unsigned run_set(const struct backend_type *t, const char *isa, enum precision p)
{
    if (!only || strcmp(isa, "i8mm") != 0)
        return run_cases(t, p, 0);
    return p == PRECISION_EXACT ? 0 : run_cases_of(t, p, 0, OP_linear) + run_cases_of(t, p, 0, OP_experts);
}

static void every_set_computes_what_ref_does(void **state)
{
    (void)state;
    unsigned wrong = 0;
    for (size_t i = 0; kernels_at(i); i++) {
        struct backend_type t = held(kernels_at(i)->isa);
        for (enum precision p = PRECISION_FAST; p <= PRECISION_EXACT && wanted(kernels_at(i)->isa); p++) {
            printf("---- %s, %s\n", kernels_at(i)->isa, p == PRECISION_FAST ? "fast" : "exact");
            wrong += run_set(&t, kernels_at(i)->isa, p) + run_int8_cases(&t, p);
        }
    }
    assert_int_equal(wrong, 0);
}

/* Whether the same logits come out in the first n_way ways and with 3 threads: *first, which is set when it is NULL. */
static bool same_with(enum kv_format kv, float **first, const struct backend_type *t, enum precision precision, enum format format,
                      size_t n_way)
{
    struct prog      *p = toy_prog();
    struct weave_seqs q = weave_seqs(TOY_VOCAB, 40, 4);
    bool              ok = true;
    for (unsigned n_thread = 1; n_thread <= 3 && ok; n_thread += 2) {
        struct rig      r;
        struct rig_opts o = {.type = t, .precision = precision, .kv_format = kv, .n_thread = n_thread, .format = format,
                             .seed = 7, .plan = weave_plan(&q), .n_block = WEAVE_BLOCKS};
        ok = rig_open(&r, p, &o);
        if (ok) {
            ok = weave_same(t, r.plan, &q, n_thread == 1 ? n_way : 1, first);
            rig_close(&r);
        }
    }
    bundle_free(prog_bundle(p));
    return ok;
}

static bool same_as(float **first, const struct backend_type *t, enum precision precision, enum format format, size_t n_way)
{
    return same_with(KV_FORMAT_F16, first, t, precision, format, n_way);
}

static bool same_everywhere(const struct backend_type *t, enum precision precision, enum format format)
{
    float *first = NULL;
    bool   ok = same_as(&first, t, precision, format, WEAVE_WAYS);
    free(first);
    return ok;
}

/* test_invariance looks at the best set in every format; here the others, in formats that differ in kind. */
static void rows_depend_on_their_sequence_alone_on_every_set(void **state)
{
    (void)state;
    static const enum format formats[] = {FORMAT_F16, FORMAT_Q4_1, FORMAT_Q8_0, FORMAT_Q5_K, FORMAT_Q6_K, FORMAT_A4, FORMAT_A8,
                                          FORMAT_NVFP4, FORMAT_MXFP8};
    const size_t             each = only ? 2 : 1;       /* a set is named where an emulator runs it, slowly */
    for (size_t i = 1; kernels_at(i); i++) {
        struct backend_type t = held(kernels_at(i)->isa);
        for (enum precision p = PRECISION_FAST; p <= PRECISION_EXACT && wanted(kernels_at(i)->isa); p++)
            for (size_t f = 0; f < sizeof formats / sizeof *formats; f += each)
                assert_true(same_everywhere(&t, p, formats[f]));
    }
}

/* The same with keys and values in int8, on every set, the best too. */
static void so_they_do_with_keys_in_int8(void **state)
{
    (void)state;
    for (size_t i = 0; kernels_at(i); i++) {
        struct backend_type t = held(kernels_at(i)->isa);
        for (enum precision p = PRECISION_FAST; p <= PRECISION_EXACT && wanted(kernels_at(i)->isa); p++) {
            float *first = NULL;
            assert_true(same_with(KV_FORMAT_INT8, &first, &t, p, FORMAT_Q4_0, WEAVE_WAYS));
            free(first);
        }
    }
}

static void int8_halves_blocks(void **state)
{
    (void)state;
    struct prog     *p = toy_prog();
    struct plan_opts o = {.token_max = 1, .seq_max = 1, .pick_max = 1, .block_tokens = 64, .context_max = 64};
    struct cost      cost[2];
    for (int kv = KV_FORMAT_F16; kv <= KV_FORMAT_INT8; kv++) {
        struct backend *b;
        struct err      e;
        assert_true(backend_cpu.open(&b, &(struct backend_opts){.n_thread = 1, .kv_format = (enum kv_format)kv}, &e));
        assert_true(backend_cpu.size(b, p, &o, &cost[kv], &e));
        backend_cpu.close(b);
    }
    assert_int_equal(cost[KV_FORMAT_F16].block_bytes, 2 * 256 * 64 * 2);                /* two layers' keys and values */
    assert_int_equal(cost[KV_FORMAT_INT8].block_bytes, 2 * (256 * 64 + 2 * 2 * 64 * 4));   /* and scales, of two heads each */
    bundle_free(prog_bundle(p));
}

/* Products of two rows at once are whole numbers like those of one: not a bit may differ. */
static void two_arm_sets_are_one_arithmetic(void **state)
{
    (void)state;
    if (!kernels_find("i8mm") || !wanted("i8mm"))
        skip();
    struct backend_type neon = held("neon"), i8mm = held("i8mm");
    for (int f = 0; f < FORMAT_COUNT; f++) {
        float *first = NULL;
        if (!panel_layout((enum format)f) || !kernels_find("i8mm")->fast[f])
            continue;
        assert_true(same_as(&first, &i8mm, PRECISION_FAST, (enum format)f, WEAVE_WAYS));
        assert_true(same_as(&first, &neon, PRECISION_FAST, (enum format)f, 2));
        free(first);
    }
}

#if defined(__x86_64__)
extern const struct kernels kernels_avxvnni_evex;

static bool open_evex(struct backend **out, const struct backend_opts *o, struct err *e)
{
    if (!open_isa("avx2", out, o, e))
        return false;
    (*out)->kernels = &kernels_avxvnni_evex;
    return true;
}

/* Its source with the other encoding stands in for it where the machine has that one only.  avx2 computes the same whole numbers
 * with more instructions: not a bit may differ. */
static void avxvnni_computes_what_avx2_does(void **state)
{
    (void)state;
    struct backend_type vnni = backend_cpu, avx2 = held("avx2");
    vnni.open = kernels_find("avxvnni") ? open_avxvnni : open_evex;
    if (!wanted("avxvnni") || (!kernels_find("avxvnni") && !kernels_find("avx512")))
        skip();
    assert_int_equal(run_cases(&vnni, PRECISION_FAST, 0), 0);
    assert_int_equal(run_int8_cases(&vnni, PRECISION_FAST), 0);
    for (int f = 0; f < FORMAT_COUNT; f++) {
        float *first = NULL;
        if (!panel_layout((enum format)f) || !kernels_find("avx2")->fast[f])
            continue;
        assert_true(same_as(&first, &vnni, PRECISION_FAST, (enum format)f, WEAVE_WAYS));
        assert_true(same_as(&first, &avx2, PRECISION_FAST, (enum format)f, 2));
        free(first);
    }
}
#endif

static void an_unknown_set_is_refused(void **state)
{
    (void)state;
    struct backend     *b;
    struct err          e = {0};
    struct backend_opts o = {.n_thread = 1, .isa = "abacus"};
    assert_false(backend_cpu.open(&b, &o, &e));
    assert_non_null(strstr(e.text, "abacus"));
    o = (struct backend_opts){.n_thread = 100000};
    assert_false(backend_cpu.open(&b, &o, &e));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_set_computes_what_ref_does),
        cmocka_unit_test(rows_depend_on_their_sequence_alone_on_every_set),
        cmocka_unit_test(so_they_do_with_keys_in_int8),
        cmocka_unit_test(int8_halves_blocks),
        cmocka_unit_test(two_arm_sets_are_one_arithmetic),
#if defined(__x86_64__)
        cmocka_unit_test(avxvnni_computes_what_avx2_does),
#endif
        cmocka_unit_test(an_unknown_set_is_refused),
    };
    only = argc > 1 ? argv[1] : NULL;
    if (only && !kernels_find(only))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
