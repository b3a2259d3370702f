/* test_memory.c -- sizing is arithmetic: what fits, what shrinks and in which order, what is refused. */
#include "fake.h"

#include "engine/draft.h"
#include "engine/memory.h"
#include "engine/step.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct engine_plan size(const struct model *m, struct engine_opts o)
{
    struct engine_plan p;
    struct err         e;
    o.type = &fake_host;
    if (!engine_size(m, &o, &p, &e))
        fail_msg("%s", e.text);
    assert_int_equal(p.memory_bytes, p.weight_bytes + p.scratch_bytes + p.kv_bytes + p.slot_bytes + p.snapshot_bytes);
    assert_true(o.memory_bytes == 0 || p.memory_bytes <= o.memory_bytes);
    assert_true((uint64_t)p.n_block * p.block_tokens >= p.context_max);
    return p;
}

static void refused(const struct model *m, struct engine_opts o, enum err_kind kind, const char *word)
{
    struct engine_plan p;
    struct err         e;
    struct engine     *g;
    o.type = &fake_host;
    assert_false(engine_size(m, &o, &p, &e));
    assert_int_equal(e.kind, kind);
    assert_non_null(strstr(e.text, word));
    assert_false(engine_open(&g, m, &o, &e));
    assert_int_equal(e.kind, kind);
}

static void test_defaults(void **state)
{
    (void)state;
    struct model      *m = fake_model(4096);
    struct engine_plan p = size(m, (struct engine_opts){.memory_bytes = 1 << 30});
    assert_int_equal(p.context_max, 4096);
    assert_int_equal(p.seq_max, 16);
    assert_int_equal(p.token_max, 512);
    assert_int_equal(p.pick_max, 16 + DRAFT_ROWS);
    assert_int_equal(p.block_tokens, 64);
    assert_int_equal(p.n_block, 16 * 64);        /* every sequence at full length; more would be of no use */
    uint64_t with = p.scratch_bytes;
    p = size(m, (struct engine_opts){.memory_bytes = 1 << 30, .no_draft = true});
    assert_int_equal(p.pick_max, 16);
    assert_true(p.scratch_bytes < with);
    p = size(m, (struct engine_opts){0});       /* whatever this machine has, it is enough for a megabyte */
    assert_true(p.n_block >= 256);
    fake_model_free(m);
}

static void small_device(const struct backend *b, struct device *out)
{
    (void)b;
    *out = (struct device){.memory_max = 4000000};
}

/* What the GPU's system recommends holds where nobody says how much; who says a number has it. */
static void test_device_has_a_limit(void **state)
{
    (void)state;
    struct model       *m = fake_model(1 << 20);
    struct backend_type t = fake_host;
    struct engine_plan  p;
    struct err          e;
    t.device = small_device;
    assert_true(engine_size(m, &(struct engine_opts){.type = &t}, &p, &e));
    assert_true(p.memory_bytes <= 4000000);
    assert_true(engine_size(m, &(struct engine_opts){.type = &t, .memory_bytes = 1 << 30}, &p, &e));
    assert_true(p.memory_bytes > 4000000);
    fake_model_free(m);
}

static void test_shrinks_in_order(void **state)
{
    (void)state;
    struct model      *m = fake_model(1 << 20);
    struct engine_plan p, last = size(m, (struct engine_opts){.memory_bytes = UINT64_C(1) << 32});
    int                stage = 0;
    for (uint64_t bytes = UINT64_C(1) << 32; bytes > 1000000; bytes -= bytes / 512, last = p) {
        struct engine_opts o = {.type = &fake_host, .memory_bytes = bytes};
        struct err         e;
        if (!engine_size(m, &o, &p, &e))
            break;
        /* Never more of anything with less memory, and never the next before the one before is at its end. */
        assert_true(p.context_max <= last.context_max && p.token_max <= last.token_max && p.seq_max <= last.seq_max);
        if (p.context_max < 1 << 20 && stage == 0)
            stage = 1;
        if (p.token_max < 512) {
            stage = 2;
            assert_int_equal(p.context_max, 1024);
        }
        if (p.seq_max < 16) {
            stage = 3;
            assert_int_equal(p.token_max, 64);
        }
    }
    assert_int_equal(stage, 3);
    assert_true(last.seq_max < 16);
    fake_model_free(m);
}

static void test_what_was_asked_for_stays(void **state)
{
    (void)state;
    struct model      *m = fake_model(1 << 20);
    struct engine_plan p = size(m, (struct engine_opts){.memory_bytes = 3000000, .seq_max = 3});
    assert_int_equal(p.seq_max, 3);
    assert_true(p.context_max < 1 << 20);
    p = size(m, (struct engine_opts){.memory_bytes = 3000000, .context_max = 8000, .token_max = 32, .seq_max = 32,
                                     .block_tokens = 8});
    assert_int_equal(p.context_max, 8000);
    assert_int_equal(p.token_max, 32);
    assert_int_equal(p.block_tokens, 8);
    refused(m, (struct engine_opts){.memory_bytes = 3000000, .context_max = 1 << 20}, ERR_MEMORY, "1048576 tokens");
    refused(m, (struct engine_opts){.memory_bytes = 500000}, ERR_MEMORY, "smaller model");
    fake_model_free(m);
}

/* Four a sequence while there is plenty, a quarter of what is left when there is not; a budget is kept to. */
static void test_snapshots(void **state)
{
    (void)state;
    struct model      *m = fake_model_with(4096, FAKE_BOTH), *none = fake_model(4096);
    struct engine_plan p = size(m, (struct engine_opts){.memory_bytes = 1 << 30}), last = p;
    assert_int_equal(p.n_snapshot, 4 * 16);
    assert_int_equal(p.slot_bytes, 16 * FAKE_SLOT_BYTES);
    assert_int_equal(memory_plan_opts(&p).slot_extra, 4 * 16);
    uint64_t each = p.snapshot_bytes / p.n_snapshot;
    assert_true(each >= FAKE_SLOT_BYTES && p.snapshot_bytes == each * p.n_snapshot);
    for (uint64_t bytes = 1250000; p.n_snapshot == 64 || p.n_snapshot > 8; bytes -= 500, last = p) {
        p = size(m, (struct engine_opts){.memory_bytes = bytes, .context_max = 1024, .token_max = 64, .seq_max = 16});
        assert_true(p.n_snapshot <= last.n_snapshot && p.n_block > p.n_snapshot / 16);
        assert_true(p.snapshot_bytes <= (bytes - p.weight_bytes - p.scratch_bytes - p.slot_bytes) / 4);
    }
    assert_true(p.n_snapshot < 4 * 16);
    p = size(m, (struct engine_opts){.memory_bytes = 1 << 30, .snapshot_bytes = 10 * each + 1});
    assert_int_equal(p.n_snapshot, 10);
    p = size(m, (struct engine_opts){.memory_bytes = 1 << 30, .snapshot_bytes = each - 1});
    assert_int_equal(p.n_snapshot, 0);
    p = size(m, (struct engine_opts){.memory_bytes = 1 << 30, .no_cache = true});
    assert_int_equal(p.snapshot_bytes, 0);
    p = size(none, (struct engine_opts){.memory_bytes = 1 << 30, .snapshot_bytes = 1 << 20});
    assert_int_equal(p.snapshot_bytes + p.slot_bytes, 0);
    refused(m, (struct engine_opts){.memory_bytes = 3000000, .snapshot_bytes = 1 << 30}, ERR_MEMORY, "less of it for snapshots");
    fake_model_free(m);
    fake_model_free(none);
}

static void test_nonsense(void **state)
{
    (void)state;
    struct model *m = fake_model(4096), *none = fake_model(0);
    refused(m, (struct engine_opts){.context_max = 5000}, ERR_INVALID, "4096");
    refused(none, (struct engine_opts){0}, ERR_INVALID, "context");
    refused(m, (struct engine_opts){.seq_max = 100000}, ERR_INVALID, "100000");
    refused(m, (struct engine_opts){.token_max = 1 << 20}, ERR_INVALID, "rows");
    refused(m, (struct engine_opts){.token_max = 8, .seq_max = 9}, ERR_INVALID, "9 sequences");
    refused(m, (struct engine_opts){.block_tokens = 5000}, ERR_INVALID, "block");
    refused(m, (struct engine_opts){.queue_max = 1 << 30}, ERR_INVALID, "queue");
    assert_int_equal(size(none, (struct engine_opts){.context_max = 100, .memory_bytes = 1 << 26}).context_max, 100);
    m->info.n_vocab++;
    struct engine_opts o = {.type = &fake_host};
    struct engine     *g;
    struct err         e;
    assert_false(engine_open(&g, m, &o, &e));
    assert_non_null(strstr(e.text, "logits"));
    fake_model_free(m);
    fake_model_free(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_device_has_a_limit),
        cmocka_unit_test(test_shrinks_in_order),
        cmocka_unit_test(test_what_was_asked_for_stays),
        cmocka_unit_test(test_snapshots),
        cmocka_unit_test(test_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
