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
#include "rig.h"
#include "toy.h"
#include "weave.h"

#include <math.h>

extern const struct backend_type backend_ref;
static const struct backend_type *mlx;

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

/* Everything is rounded to 11 bits, and to 8 where the matrices are bfloat16 or float32. */
static void fast_computes_about_that(void **state)
{
    (void)state;
    assert_int_equal(run_cases(mlx, PRECISION_FAST, 2e-2), 0);
}

static void portable_forms_compute_what_ref_does(void **state)
{
    (void)state;
    struct backend_type t = *mlx;
    t.open = open_portable;
    assert_int_equal(run_cases(&t, PRECISION_EXACT, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_computes_what_ref_does),
        cmocka_unit_test(portable_forms_compute_what_ref_does),
        cmocka_unit_test(fast_computes_about_that),
    };
    struct err e = {0};
    if (!backend_load(&mlx, "mlx", NULL, &e)) {
        printf("%s\n", e.text);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
