/* What a row's result may depend on: its sequence alone.  Random weights of every format, every backend, both
 * precisions: whole, chunked, token by token, alone and in a batch of 16, with 1, 2 and 3 threads, all the same to the
 * bit.  Longer sequences are run in test/golden. */
#include "proof/rig.h"
#include "toy.h"
#include "weave.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static bool same_everywhere(const struct backend_type *t, enum precision precision, enum kv_format kv, enum format format)
{
    struct prog      *p = toy_prog();
    struct weave_seqs q = weave_seqs(TOY_VOCAB, 19, 4);
    float            *first = NULL;
    bool              ok = true;
    for (unsigned n_thread = 1; n_thread <= 3 && ok; n_thread++) {
        struct rig      r;
        struct rig_opts o = {.type = t, .precision = precision, .kv_format = kv, .n_thread = n_thread, .format = format, .seed = 7,
                             .plan = weave_plan(&q), .n_block = WEAVE_BLOCKS};
        ok = rig_open(&r, p, &o);
        if (!ok)
            break;
        ok = weave_same(t, r.plan, &q, n_thread == 1 ? WEAVE_WAYS : 1, &first);
        if (!ok)
            printf("%s, %s%s, %s, %u threads\n", t->name, precision == PRECISION_EXACT ? "exact" : "fast",
                   kv == KV_FORMAT_INT8 ? ", int8" : "", format_info(format)->name, n_thread);
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
            for (int f = 0; f < FORMAT_COUNT && !(precision && strcmp(backend_at(i)->name, "ref") == 0); f++)   /* it has one */
                wrong += !same_everywhere(backend_at(i), (enum precision)precision, KV_FORMAT_F16, (enum format)f);
    for (size_t i = 0; backend_at(i); i++)
        for (int precision = PRECISION_FAST; precision <= PRECISION_EXACT; precision++)
            wrong += !same_everywhere(backend_at(i), (enum precision)precision, KV_FORMAT_INT8, FORMAT_Q4_0);
    assert_int_equal(wrong, 0);
}

/* A sequence goes on behind a copy of its partly filled block while another fills the original. */
static bool copy_serves(const struct backend_type *t, enum precision precision, enum kv_format kv)
{
    struct prog      *p = toy_prog();
    struct weave_seqs q = weave_seqs(TOY_VOCAB, 19, 4);
    struct rig        r;
    struct rig_opts   o = {.type = t, .precision = precision, .kv_format = kv, .n_thread = 2, .format = FORMAT_Q4_0, .seed = 7,
                           .plan = weave_plan(&q), .n_block = WEAVE_BLOCKS};
    if (!rig_open(&r, p, &o))
        return false;
    q.len[0] = 19;
    struct weave_run w = {.type = t, .plan = r.plan, .q = &q, .block = {{0, 1}, {1, 2}}};
    float           *want = weave(t, r.plan, &q, weave_ways[1]);
    uint32_t         seq[2] = {0, 1}, n[3] = {17, q.len[1], 2};
    w.logits = mem_array(weave_floats(&q), sizeof(float));
    bool ok = want && weave_step(&w, &seq[0], &n[0], 1);
    t->copy(r.backend, 1, 5);
    w.block[0][1] = 5;
    ok = ok && weave_step(&w, &seq[1], &n[1], 1) && weave_step(&w, &seq[0], &n[2], 1)
         && memcmp(want, w.logits, weave_place(&q, 2, 0) * sizeof *want) == 0;
    free(want);
    free(w.logits);
    rig_close(&r);
    bundle_free(prog_bundle(p));
    return ok;
}

static void a_copied_block_is_as_good(void **state)
{
    (void)state;
    for (size_t i = 0; backend_at(i); i++)
        for (int precision = PRECISION_FAST; precision <= PRECISION_EXACT; precision++)
            for (int kv = KV_FORMAT_F16; kv <= KV_FORMAT_INT8; kv++)
                assert_true(copy_serves(backend_at(i), (enum precision)precision, (enum kv_format)kv));
}

/* Sequences that begin with one, two or three blocks of the first one's tokens, and go on by themselves. */
static struct weave_seqs branches(uint32_t shared[WEAVE_SEQS])
{
    struct weave_seqs q = weave_seqs(TOY_VOCAB, WEAVE_LONGEST, WEAVE_LONGEST);
    q.len[0] = 3 * WEAVE_BLOCK_TOKENS + 5;
    for (uint32_t i = 0; i < q.len[0]; i++)
        q.token[0][i] = (int32_t)(i * 37 % TOY_VOCAB);
    shared[0] = 0;
    for (uint32_t s = 1; s < q.n_seq; s++) {
        uint32_t most = (q.len[s] - 1) / WEAVE_BLOCK_TOKENS;
        shared[s] = s % 4 < most ? s % 4 : most;
        memcpy(q.token[s], q.token[0], sizeof **q.token * shared[s] * WEAVE_BLOCK_TOKENS);
    }
    return q;
}

/* They read the first one's blocks instead of computing their own, all in one batch. */
static bool sharing_serves(const struct backend_type *t, enum precision precision, enum kv_format kv, int chunk)
{
    struct prog      *p = toy_prog();
    uint32_t          shared[WEAVE_SEQS], seq[WEAVE_SEQS], n[WEAVE_SEQS], left = 1;
    struct weave_seqs q = branches(shared);
    struct rig        r;
    struct rig_opts   o = {.type = t, .precision = precision, .kv_format = kv, .n_thread = 2, .format = FORMAT_Q4_0, .seed = 7,
                           .plan = weave_plan(&q), .n_block = WEAVE_BLOCKS};
    if (!rig_open(&r, p, &o))
        return false;
    float           *want = weave(t, r.plan, &q, weave_ways[1]);
    struct weave_run w = {.type = t, .plan = r.plan, .q = &q, .logits = mem_array(weave_floats(&q), sizeof(float))};
    for (uint32_t s = 0; s < q.n_seq; s++)
        for (uint32_t b = 0; b < WEAVE_BLOCK_MAX; b++)
            w.block[s][b] = b < shared[s] ? b : s * WEAVE_BLOCK_MAX + b;
    bool ok = want && weave_step(&w, &(uint32_t){0}, &q.len[0], 1);
    for (uint32_t s = 1; s < q.n_seq && ok; s++) {
        w.done[s] = shared[s] * WEAVE_BLOCK_TOKENS;
        memcpy(w.logits + weave_place(&q, s, 0), want + weave_place(&q, s, 0), sizeof(float) * w.done[s] * q.n_vocab);
    }
    while (ok && left) {
        left = 0;
        for (uint32_t s = 0; s < q.n_seq; s++) {
            uint32_t more = q.len[s] - w.done[s];
            n[left] = more < (uint32_t)chunk ? more : (uint32_t)chunk;
            seq[left] = s;
            left += more > 0;
        }
        ok = left == 0 || weave_step(&w, seq, n, left);
    }
    ok = ok && memcmp(want, w.logits, weave_floats(&q) * sizeof *want) == 0;
    free(want);
    free(w.logits);
    rig_close(&r);
    bundle_free(prog_bundle(p));
    return ok;
}

static void shared_blocks_serve_as_own_ones(void **state)
{
    (void)state;
    for (size_t i = 0; backend_at(i); i++)
        for (int precision = PRECISION_FAST; precision <= PRECISION_EXACT; precision++)
            for (int chunk = 1; chunk <= 7; chunk += 3)
                for (int kv = KV_FORMAT_F16; kv <= KV_FORMAT_INT8; kv++)
                    assert_true(sharing_serves(backend_at(i), (enum precision)precision, (enum kv_format)kv, chunk));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_depend_on_their_sequence_alone),
                                       cmocka_unit_test(a_copied_block_is_as_good),
                                       cmocka_unit_test(shared_blocks_serve_as_own_ones)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
