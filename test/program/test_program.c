/* Programs: what is accepted, what is refused and how it is said, how long values live and where they lie. */
#include "base/mem.h"
#include "program/op.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct prog *fresh(void)
{
    return bundle_prog(bundle_new(0, 1), "text");
}

static void drop(struct prog *p)
{
    bundle_free(prog_bundle(p));
}

static wt matrix(struct prog *p, const char *name, uint32_t out, uint32_t in, enum split split)
{
    return bundle_weight(prog_bundle(p), -1,
                         &(struct weight){.part = {name}, .part_out = {out}, .in = in, .split = split});
}

static val embed(struct prog *p, const char *name, uint32_t width)
{
    return EMIT(p, embed, .in = {prog_tokens(p)}, .w = {matrix(p, name, 10, width, SPLIT_NONE)}, .embed.scale = 1);
}

/* The program must be refused, and the text say these things. */
static void refused(struct prog *p, const char *what, const char *more)
{
    struct err e = {0};
    assert_false(prog_end(p, &e));
    if (!strstr(e.text, what) || !strstr(e.text, more))
        fail_msg("'%s' has no '%s' or no '%s'", e.text, what, more);
    drop(p);
}

static void shapes_follow_from_ops(void **state)
{
    (void)state;
    struct prog *p = fresh();
    val x = embed(p, "table", 8);
    val y = EMIT(p, linear, .in = {x}, .w = {matrix(p, "m", 6, 8, SPLIT_OUT)});
    val g = EMIT(p, glu, .in = {prog_cols(p, y, 1, 4)});
    val k = EMIT(p, pick, .in = {EMIT(p, add, .in = {g, prog_cols(p, prog_cols(p, x, 3, 4), 1, 2)})});
    prog_out(p, "logits", k);
    struct err e = {0};
    assert_true(prog_end(p, &e));
    assert_int_equal(prog_value(p, y)->width, 6);
    assert_int_equal(prog_value(p, g)->width, 2);
    assert_int_equal(prog_value(p, g)->rows, ROWS_TOKEN);
    assert_int_equal(prog_value(p, k)->rows, ROWS_PICK);
    const struct instr *add = prog_at(p, 3);
    assert_int_equal(add->op, OP_add);
    const struct value *view = prog_value(p, add->in[1]);       /* a view of a view is a view of the whole */
    assert_int_equal(view->base.id, x.id);
    assert_int_equal(view->col, 4);
    assert_int_equal(prog_value(p, x)->first, 0);
    assert_int_equal(prog_value(p, x)->last, 3);
    assert_int_equal(prog_value(p, y)->last, 2);
    assert_int_equal(prog_value(p, k)->last, prog_len(p));
    assert_int_equal(prog_result(p, "logits").id, k.id);
    assert_int_equal(prog_result(p, "hidden").id, 0);
    drop(p);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    struct prog *p = fresh();
    prog_layer(p, 3);
    EMIT(p, linear, .in = {embed(p, "t", 8)}, .w = {matrix(p, "m", 4, 7, SPLIT_NONE)});
    prog_fail(p, "something later");
    refused(p, "layer 3, instruction 1 (linear)", "takes 7 columns, its input has 8");

    p = fresh();
    EMIT(p, norm, .in = {prog_tokens(p)}, .w = {matrix(p, "m", 1, 1, SPLIT_NONE)});
    refused(p, "norm", "token ids");
    p = fresh();
    EMIT(p, norm, .in = {embed(p, "t", 8)});
    refused(p, "norm", "weight 0 is missing");
    p = fresh();
    val x = embed(p, "t", 8);
    EMIT(p, add, .in = {x, {77}});
    refused(p, "add", "input 1 is no value");
    p = fresh();
    x = embed(p, "t", 8);
    EMIT(p, glu, .in = {x, x});
    refused(p, "glu", "reads 1 values, not 2");
    p = fresh();
    x = embed(p, "t", 8);
    EMIT(p, add, .in = {x, EMIT(p, pick, .in = {x})});
    refused(p, "add", "other rows");
    p = fresh();
    EMIT(p, glu, .in = {embed(p, "t", 7)}, .glu.act = ACT_SILU);
    refused(p, "glu", "7 columns");
    p = fresh();
    prog_cols(p, embed(p, "t", 7), 5, UINT32_MAX);
    refused(p, "columns 5 to", "width 7");
    p = fresh();
    embed(p, "t", 1 << 25);
    refused(p, "width 33554432", "at most");
    p = fresh();
    prog_out(p, "logits", embed(p, "t", 8));
    embed(p, "unread", 8);
    refused(p, "instruction 1", "never read");
    p = fresh();
    refused(p, "text", "no result");
    p = fresh();
    x = embed(p, "t", 8);
    prog_out(p, "a", x);
    prog_out(p, "b", x);
    refused(p, "result b", "named twice");
    p = fresh();
    prog_out(p, "a", prog_cols(p, embed(p, "t", 8), 0, 4));
    refused(p, "result a", "a view");
}

static void ropes_and_attention_want_whole_heads(void **state)
{
    (void)state;
    struct prog *p = fresh();
    wt freqs = bundle_const(prog_bundle(p), (float[]){1, 2, 3}, 3);
    EMIT(p, rope, .in = {embed(p, "t", 8)}, .w = {freqs}, .rope = {.head_dim = 7, .factor = 1});
    refused(p, "rope", "heads of 7");
    p = fresh();
    freqs = bundle_const(prog_bundle(p), (float[]){1, 2, 3}, 3);
    EMIT(p, rope, .in = {embed(p, "t", 8)}, .w = {freqs}, .rope = {.head_dim = 4, .factor = 1});
    refused(p, "rope", "3 frequencies");
    p = fresh();
    EMIT(p, rope, .in = {embed(p, "t", 8)}, .w = {matrix(p, "f", 2, 1, SPLIT_NONE)},
         .rope = {.head_dim = 4, .factor = 1});
    refused(p, "rope", "no constant");
    p = fresh();
    val x = embed(p, "t", 8);
    EMIT(p, attend, .in = {x, x, x}, .s = bundle_state(prog_bundle(p), 0, STATE_TOKEN, 15), .attend = {.head_dim = 4});
    refused(p, "attend", "a state of 15");
    p = fresh();
    x = embed(p, "t", 8);
    EMIT(p, attend, .in = {x, x, x}, .attend = {.head_dim = 4});
    refused(p, "attend", "state is missing");
    p = fresh();
    x = embed(p, "t", 8);
    st s = bundle_state(prog_bundle(p), 0, STATE_TOKEN, 16);
    EMIT(p, attend, .in = {x, x, x}, .s = s, .attend = {.head_dim = 4});
    EMIT(p, attend, .in = {x, x, x}, .s = s, .attend = {.head_dim = 4});
    refused(p, "attend", "written twice");
}

static wt experts(struct prog *p, const char *name, uint32_t out, uint32_t in, uint32_t n)
{
    const struct weight w = {.part = {name}, .part_out = {out}, .in = in, .n_expert = n};
    return bundle_experts(prog_bundle(p), 2, &w);
}

static void experts_have_ids_in_a_row(void **state)
{
    (void)state;
    char         name[64];
    struct prog *p = fresh();
    wt up = experts(p, "layers.#.experts.*.up", 8, 4, 3), down = experts(p, "layers.#.down", 4, 8, 3);
    assert_int_equal(down.id, up.id + 3);
    assert_int_equal(experts(p, "layers.#.experts.*.up", 8, 4, 3).id, up.id);
    weight_name(bundle_weight_at(prog_bundle(p), (wt){(uint16_t)(up.id + 2)}), 0, name, sizeof name);
    assert_string_equal(name, "layers.2.experts.2.up");
    weight_name(bundle_weight_at(prog_bundle(p), (wt){(uint16_t)(down.id + 1)}), 0, name, sizeof name);
    assert_string_equal(name, "layers.2.down");
    val x = embed(p, "t", 4), l = embed(p, "r", 3);
    prog_out(p, "out", EMIT(p, experts, .in = {x, l}, .w = {up, down},
                            .experts = {.n = 3, .k = 2, .act = ACT_RELU2, .scaling = 1}));
    assert_true(bundle_weight_at(prog_bundle(p), (wt){(uint16_t)(down.id + 2)})->uses == 1u << OP_experts);
    drop(p);

    p = fresh();
    x = embed(p, "t", 4);
    EMIT(p, experts, .in = {x, embed(p, "r", 2)}, .w = {experts(p, "u", 8, 4, 3), experts(p, "d", 4, 8, 3)},
         .experts = {.n = 3, .k = 2, .act = ACT_RELU2, .scaling = 1});
    refused(p, "experts", "2 of 3 experts by 2 logits");
    p = fresh();
    x = embed(p, "t", 4);
    EMIT(p, experts, .in = {x, embed(p, "r", 3)}, .w = {experts(p, "u", 8, 4, 3), experts(p, "d", 4, 8, 3)},
         .experts = {.n = 3, .k = 2, .act = ACT_SILU, .scaling = 1});
    refused(p, "experts", "8 outputs before ones of 8");
    p = fresh();
    x = embed(p, "t", 4);
    EMIT(p, experts, .in = {x, embed(p, "r", 3)}, .w = {matrix(p, "u", 8, 4, SPLIT_NONE), experts(p, "d", 4, 8, 3)},
         .experts = {.n = 3, .k = 2, .act = ACT_RELU2, .scaling = 1});
    refused(p, "experts", "0 and 3 experts");
}

static void recurrences_own_a_state_each(void **state)
{
    (void)state;
    struct prog *p = fresh();
    val          x = embed(p, "t", 4);
    wt           taps = matrix(p, "taps", 12, 1, SPLIT_NONE);
    EMIT(p, conv, .in = {x}, .w = {taps}, .s = bundle_state(prog_bundle(p), 0, STATE_TOKEN, 8), .conv = {.taps = 3});
    refused(p, "conv", "a state of 8 numbers for 2 rows of 4");
    p = fresh();
    x = embed(p, "t", 4);
    taps = matrix(p, "taps", 12, 1, SPLIT_NONE);
    st s = bundle_state(prog_bundle(p), 0, STATE_SEQUENCE, 8);
    assert_true(bundle_has_state(prog_bundle(p), STATE_SEQUENCE) && !bundle_has_state(prog_bundle(p), STATE_TOKEN));
    EMIT(p, conv, .in = {EMIT(p, conv, .in = {x}, .w = {taps}, .s = s, .conv = {.taps = 3})}, .w = {taps}, .s = s,
         .conv = {.taps = 3});
    refused(p, "conv", "written twice");
    p = fresh();
    x = embed(p, "t", 4);
    EMIT(p, order, .in = {x, x}, .w = {bundle_const(prog_bundle(p), (float[]){7, 8}, 2)});
    refused(p, "order", "column 8 of 8");
}

/* The rule that catches a forgotten all-reduce, even with one rank. */
static void partial_sums_must_be_summed(void **state)
{
    (void)state;
    struct prog *p = fresh();
    val x = embed(p, "t", 8), y = EMIT(p, linear, .in = {x}, .w = {matrix(p, "m", 8, 8, SPLIT_IN)});
    assert_true(prog_value(p, y)->partial);
    EMIT(p, add, .in = {x, y});
    refused(p, "add", "spread over the ranks");
    p = fresh();
    y = EMIT(p, linear, .in = {embed(p, "t", 8)}, .w = {matrix(p, "m", 8, 8, SPLIT_IN)});
    EMIT(p, glu, .in = {prog_cols(p, y, 0, 4)}, .glu.act = ACT_SILU);
    refused(p, "glu", "spread over the ranks");
    p = fresh();
    prog_out(p, "logits", EMIT(p, linear, .in = {embed(p, "t", 8)}, .w = {matrix(p, "m", 8, 8, SPLIT_IN)}));
    refused(p, "result logits", "spread over the ranks");
    p = fresh();
    EMIT(p, sum, .in = {embed(p, "t", 8)});
    refused(p, "sum", "whole already");
    p = fresh();
    y = EMIT(p, sum, .in = {EMIT(p, linear, .in = {embed(p, "t", 8)}, .w = {matrix(p, "m", 8, 8, SPLIT_IN)})});
    assert_false(prog_value(p, y)->partial);
    prog_out(p, "logits", y);
    struct err e;
    assert_true(prog_end(p, &e));
    drop(p);

    struct bundle *second = bundle_new(1, 2);
    p = bundle_prog(second, "text");
    assert_int_equal(bundle_share(second, 12), 6);
    EMIT(p, linear, .in = {embed(p, "t", 8)}, .w = {matrix(p, "m", 8, 8, SPLIT_IN), matrix(p, "b", 8, 1, SPLIT_NONE)});
    refused(p, "linear", "added 2 times");
    second = bundle_new(1, 2);
    assert_int_equal(bundle_share(second, 13), 0);
    refused(bundle_prog(second, "text"), "13 cannot be shared", "2 ranks");
}

static void weights_are_known_by_their_names(void **state)
{
    (void)state;
    struct prog   *p = fresh();
    struct bundle *b = prog_bundle(p);
    struct weight  w = {.part = {"l.#.q", "l.#.k"}, .part_out = {6, 2}, .in = 4, .split = SPLIT_OUT};
    wt             a = bundle_weight(b, 1, &w), c = bundle_weight(b, 2, &w), again = bundle_weight(b, 1, &w);
    assert_int_equal(a.id, again.id);
    assert_int_not_equal(a.id, c.id);
    assert_int_equal(bundle_n_weights(b), 2);
    assert_int_equal(bundle_weight_at(b, a)->out, 8);
    char name[16];
    weight_name(bundle_weight_at(b, c), 1, name, sizeof name);
    assert_string_equal(name, "l.2.k");
    weight_name(bundle_weight_at(b, c), 1, name, 4);
    assert_string_equal(name, "l.2");
    wt table = matrix(p, "table", 10, 4, SPLIT_NONE);
    val x = EMIT(p, embed, .in = {prog_tokens(p)}, .w = {table}, .embed.scale = 1);
    EMIT(p, linear, .in = {x}, .w = {table});
    assert_int_equal(bundle_weight_at(b, table)->use, OP_embed);
    assert_int_equal(bundle_weight_at(b, table)->uses, 1u << OP_embed | 1u << OP_linear);
    w.part_out[1] = 3;
    assert_int_equal(bundle_weight(b, 1, &w).id, 0);
    refused(p, "l.1.k", "two shapes");

    p = fresh();
    bundle_weight(prog_bundle(p), 0, &(struct weight){.part = {"a", "b"}, .part_out = {4}, .in = 4});
    refused(p, "weight b", "no sense");
}

static void listing_reads_well(void **state)
{
    (void)state;
    struct prog *p = fresh();
    prog_layer(p, 0);
    val x = embed(p, "table", 8);
    wt  freqs = bundle_const(prog_bundle(p), (float[]){1, 2}, 2);
    val r = EMIT(p, rope, .in = {prog_cols(p, x, 4, 4)}, .w = {freqs}, .rope = {.head_dim = 4, .factor = 1});
    prog_layer(p, -1);
    prog_out(p, "logits", EMIT(p, pick, .in = {r}));
    struct err e;
    assert_true(prog_end(p, &e));
    struct buf out;
    buf_init(&out, 0);
    prog_list(p, &out);
    assert_string_equal(out.p, "   0  layer 0   v2 [token, 8] = embed v1; table\n"
                               "   1  layer 0   v4 [token, 4] = rope v2[4..8]; 2 constants heads of 4\n"
                               "   2            v5 [pick, 4] = pick v4 -> logits\n");
    buf_drop(&out);
    drop(p);
}

/* A chain of sums and norms of many widths; whatever lives at the same time must lie apart. */
static struct prog *tangle(uint64_t seed)
{
    struct prog *p = fresh();
    val          v[4];
    char         name[16];
    for (unsigned i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "table.%u", i);
        v[i] = embed(p, name, 20 + 7 * i);
    }
    for (unsigned i = 0; i < 60; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned at = (unsigned)(seed >> 40) % 4, from = (unsigned)(seed >> 50) % 4;
        snprintf(name, sizeof name, "m.%u", i);
        uint32_t in = prog_value(p, v[from])->width, out = prog_value(p, v[at])->width;
        v[at] =
            EMIT(p, add, .in = {v[at], EMIT(p, linear, .in = {v[from]}, .w = {matrix(p, name, out, in, SPLIT_NONE)})});
    }
    for (unsigned i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "out.%u", i);
        prog_out(p, name, i % 2 ? EMIT(p, pick, .in = {v[i]}) : v[i]);
    }
    struct err e;
    assert_true(prog_end(p, &e));
    return p;
}

static void values_that_live_together_lie_apart(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct prog   *p = tangle(seed);
        struct storage shared, kept;
        storage_plan(p, false, &shared);
        storage_plan(p, true, &kept);
        assert_true(shared.token_floats * 4 < kept.token_floats);
        for (uint16_t a = 1; a <= prog_n_values(p); a++)
            for (uint16_t b = 1; b < a; b++) {
                const struct value *x = prog_value(p, (val){a}), *y = prog_value(p, (val){b});
                if (x->integer || y->integer || x->rows != y->rows)
                    continue;
                bool together = x->first <= y->last && y->first <= x->last;
                bool apart =
                    shared.offset[a] + x->width <= shared.offset[b] || shared.offset[b] + y->width <= shared.offset[a];
                assert_true(apart || !together);
                assert_true(kept.offset[a] + x->width <= kept.offset[b] || kept.offset[b] + y->width <= kept.offset[a]);
                assert_int_equal(shared.offset[a] % 16, 0);
                assert_true(shared.offset[a] + x->width <=
                            (x->rows == ROWS_PICK ? shared.pick_floats : shared.token_floats));
            }
        storage_drop(&shared);
        storage_drop(&kept);
        drop(p);
    }
}

/* A quarter of the rows with four times the width takes as much storage; other rows do not mix with it. */
static void values_may_have_a_share_of_the_rows(void **state)
{
    (void)state;
    struct prog *p = fresh();
    val          x = prog_input(p, "patches", 48), place = prog_input(p, "place", 2);
    val          f = EMIT(p, fold, .in = {EMIT(p, add, .in = {x, x})}, .fold.n = 4);
    val          m = EMIT(p, pool, .in = {EMIT(p, mul, .in = {f, prog_cols(p, f, 0, 1)})}, .pool.n = 3);
    prog_out(p, "features", m);
    prog_out(p, "place", place);
    struct err e = {0};
    uint32_t   width;
    assert_true(prog_end(p, &e));
    assert_int_equal(prog_value(p, f)->per, 4);
    assert_int_equal(prog_value(p, f)->width, 192);
    assert_int_equal(prog_value(p, m)->per, 12);
    assert_int_equal(prog_per(p), 12);
    assert_int_equal(prog_n_inputs(p), 2);
    assert_string_equal(prog_input_at(p, 1, &width), "place");
    assert_int_equal(width, 2);
    struct storage s;
    storage_plan(p, true, &s);
    assert_int_equal(s.token_floats, 48 + 16 + 48 + 48 + 48 + 16);
    storage_drop(&s);
    drop(p);
    p = fresh();
    x = prog_input(p, "patches", 48);
    f = EMIT(p, fold, .in = {x}, .fold.n = 4);
    EMIT(p, add, .in = {f, EMIT(p, fold, .in = {x}, .fold.n = 2)});
    refused(p, "(add)", "has other rows than input 0");
}

static void every_op_has_cases(void **state)
{
    (void)state;
    for (int op = 0; op < OP_COUNT; op++) {
        assert_non_null(op_type((enum op)op)->cases);
        assert_non_null(op_type((enum op)op)->cases[0].name);
        assert_true(op_type((enum op)op)->cases[0].seq[0] > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_follow_from_ops),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(ropes_and_attention_want_whole_heads),
        cmocka_unit_test(experts_have_ids_in_a_row),
        cmocka_unit_test(recurrences_own_a_state_each),
        cmocka_unit_test(partial_sums_must_be_summed),
        cmocka_unit_test(weights_are_known_by_their_names),
        cmocka_unit_test(listing_reads_well),
        cmocka_unit_test(values_that_live_together_lie_apart),
        cmocka_unit_test(values_may_have_a_share_of_the_rows),
        cmocka_unit_test(every_op_has_cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
