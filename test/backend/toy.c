/* toy.c -- see toy.h. */
#include "toy.h"

#include <math.h>

enum { LAYERS = 2, WIDTH = 256, HEAD = 64, Q = 256, KV = 128, FF = 256, WINDOW = 11 };

static wt mat(struct prog *p, int layer, enum split split, uint32_t in, struct weight w)
{
    w.in = in;
    w.split = split;
    return bundle_weight(prog_bundle(p), layer, &w);
}

static val norm(struct prog *p, int layer, val x, const char *name)
{
    wt w = bundle_weight(prog_bundle(p), layer, &(struct weight){.part = {name}, .part_out = {WIDTH}, .in = 1});
    return EMIT(p, norm, .in = {x}, .w = {w}, .norm = {.eps = 1e-5f});
}

static val layer(struct prog *p, int l, val x, wt freqs)
{
    val h = norm(p, l, x, "#.norm_1");
    wt  qkv_w = mat(p, l, SPLIT_OUT, WIDTH, (struct weight){.part = {"#.q", "#.k", "#.v"}, .part_out = {Q, KV, KV}});
    wt  qkv_b = mat(p, l, SPLIT_OUT, 1, (struct weight){.part = {"#.qb", "#.kb", "#.vb"}, .part_out = {Q, KV, KV}});
    val qkv = EMIT(p, linear, .in = {h}, .w = {qkv_w, qkv_b});
    val qk = EMIT(p, rope, .in = {prog_cols(p, qkv, 0, Q + KV)}, .w = {freqs}, .rope = {.head_dim = HEAD, .factor = 1});
    val a = EMIT(p, attend, .in = {prog_cols(p, qk, 0, Q), prog_cols(p, qk, Q, KV), prog_cols(p, qkv, Q + KV, KV)},
                 .s = bundle_state(prog_bundle(p), l, STATE_TOKEN, 2 * KV),
                 .attend = {.head_dim = HEAD, .scale = 0.125f, .window = l == 1 ? WINDOW : 0});
    val o = EMIT(p, linear, .in = {a},
                 .w = {mat(p, l, SPLIT_IN, Q, (struct weight){.part = {"#.o"}, .part_out = {WIDTH}})});
    x = EMIT(p, add, .in = {x, EMIT(p, sum, .in = {o})});
    wt  up = mat(p, l, SPLIT_OUT, WIDTH, (struct weight){.part = {"#.gate", "#.up"}, .part_out = {FF, FF}});
    val g =
        EMIT(p, glu, .in = {EMIT(p, linear, .in = {norm(p, l, x, "#.norm_2")}, .w = {up})}, .glu = {.act = ACT_SILU});
    val d = EMIT(p, linear, .in = {g},
                 .w = {mat(p, l, SPLIT_IN, FF, (struct weight){.part = {"#.down"}, .part_out = {WIDTH}})});
    return EMIT(p, add, .in = {x, EMIT(p, sum, .in = {d})});
}

struct prog *toy_prog(void)
{
    struct prog *p = bundle_prog(bundle_new(0, 1), "text");
    struct err   e = {0};
    float        freq[HEAD / 2];
    for (int i = 0; i < HEAD / 2; i++)
        freq[i] = powf(10000, -(float)i / (HEAD / 2));
    wt  freqs = bundle_const(prog_bundle(p), freq, HEAD / 2);
    wt  table = mat(p, -1, SPLIT_NONE, WIDTH, (struct weight){.part = {"table"}, .part_out = {TOY_VOCAB}});
    val x = EMIT(p, embed, .in = {prog_tokens(p)}, .w = {table}, .embed = {.scale = 1});
    for (int l = 0; l < LAYERS; l++) {
        prog_layer(p, l);
        x = layer(p, l, x, freqs);
    }
    prog_layer(p, -1);
    val y = norm(p, -1, EMIT(p, pick, .in = {x}), "norm");
    prog_out(p, "logits", EMIT(p, linear, .in = {y}, .w = {table}));
    bool ok = prog_end(p, &e);
    CHECK(ok);
    return p;
}
