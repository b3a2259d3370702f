/* Every op's cases on the cpu backend: each instruction set that this machine has, both precisions, against ref. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backend/cpu/kernels.h"
#include "cases.h"

#include <stdio.h>
#include <string.h>

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
        cmocka_unit_test(an_unknown_set_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
