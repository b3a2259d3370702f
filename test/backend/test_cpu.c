/* Every op's cases on the cpu backend: each instruction set that this machine has, both precisions, against ref. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backend/cpu/kernels.h"
#include "cases.h"
#include "rig.h"
#include "toy.h"
#include "weave.h"

extern const struct backend_type backend_cpu;

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
HOLD(avx512)

static struct backend_type held(const char *isa)
{
    struct backend_type t = backend_cpu;
    t.open = strcmp(isa, "avx512") == 0 ? open_avx512 : strcmp(isa, "avx2") == 0 ? open_avx2 : open_portable;
    return t;
}

static void every_set_computes_what_ref_does(void **state)
{
    (void)state;
    unsigned wrong = 0;
    for (size_t i = 0; kernels_at(i); i++) {
        struct backend_type t = held(kernels_at(i)->isa);
        for (enum precision p = PRECISION_FAST; p <= PRECISION_EXACT; p++) {
            printf("---- %s, %s\n", kernels_at(i)->isa, p == PRECISION_FAST ? "fast" : "exact");
            wrong += run_cases(&t, p);
        }
    }
    assert_int_equal(wrong, 0);
}

/* test_invariance looks at the best set in every format; here the others, in formats that differ in kind. */
static bool same_everywhere(const struct backend_type *t, enum precision precision, enum format format)
{
    struct prog      *p = toy_prog();
    struct weave_seqs q = weave_seqs(TOY_VOCAB, 40, 4);
    float            *first = NULL;
    bool              ok = true;
    for (unsigned n_thread = 1; n_thread <= 3 && ok; n_thread += 2) {
        struct rig      r;
        struct rig_opts o = {.type = t, .precision = precision, .n_thread = n_thread, .format = format, .seed = 7,
                             .plan = weave_plan(&q), .n_block = WEAVE_BLOCKS};
        ok = rig_open(&r, p, &o);
        if (ok) {
            ok = weave_same(t, r.plan, &q, n_thread == 1 ? WEAVE_WAYS : 1, &first);
            rig_close(&r);
        }
    }
    free(first);
    bundle_free(prog_bundle(p));
    return ok;
}

static void rows_depend_on_their_sequence_alone_on_every_set(void **state)
{
    (void)state;
    static const enum format formats[] = {FORMAT_F16, FORMAT_Q4_1, FORMAT_Q8_0, FORMAT_Q5_K, FORMAT_Q6_K};
    for (size_t i = 1; kernels_at(i); i++) {
        struct backend_type t = held(kernels_at(i)->isa);
        for (enum precision p = PRECISION_FAST; p <= PRECISION_EXACT; p++)
            for (size_t f = 0; f < sizeof formats / sizeof *formats; f++)
                assert_true(same_everywhere(&t, p, formats[f]));
    }
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_set_computes_what_ref_does),
        cmocka_unit_test(rows_depend_on_their_sequence_alone_on_every_set),
        cmocka_unit_test(an_unknown_set_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
