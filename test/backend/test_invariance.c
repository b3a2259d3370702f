/* What a row's result may depend on: its sequence alone.  Random weights of every format, every backend, both
 * precisions: whole, chunked, token by token, alone and in a batch of 16, with 1, 2 and 3 threads, all the same to the
 * bit.  Longer sequences are run in test/golden. */
#include "rig.h"
#include "toy.h"
#include "weave.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static bool same_everywhere(const struct backend_type *t, enum precision precision, enum format format)
{
    struct prog      *p = toy_prog();
    struct weave_seqs q = weave_seqs(TOY_VOCAB, 19, 4);
    float            *first = NULL;
    bool              ok = true;
    for (unsigned n_thread = 1; n_thread <= 3 && ok; n_thread++) {
        struct rig      r;
        struct rig_opts o = {.type = t, .precision = precision, .n_thread = n_thread, .format = format, .seed = 7,
                             .plan = weave_plan(&q), .n_block = WEAVE_BLOCKS};
        ok = rig_open(&r, p, &o);
        if (!ok)
            break;
        ok = weave_same(t, r.plan, &q, n_thread == 1 ? WEAVE_WAYS : 1, &first);
        if (!ok)
            printf("%s, %s, %s, %u threads\n", t->name, precision == PRECISION_EXACT ? "exact" : "fast",
                   format_info(format)->name, n_thread);
        rig_close(&r);
    }
    free(first);
    bundle_free(prog_bundle(p));
    return ok;
}

static void rows_depend_on_their_sequence_alone(void **state)
{
    (void)state;
    unsigned wrong = 0;
    for (size_t i = 0; backend_at(i); i++)
        for (int precision = PRECISION_FAST; precision <= PRECISION_EXACT; precision++)
            for (int f = 0; f < FORMAT_COUNT; f++)
                wrong += !same_everywhere(backend_at(i), (enum precision)precision, (enum format)f);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_depend_on_their_sequence_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
