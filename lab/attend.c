/* attend.c -- what attention takes for a step of decoding: SEQS sequences, three query heads to a key head, blocks of 64 tokens.
 *
 *   build:  as lab/linear.c
 *   run:    attend [isa] [context] [dim] [pairs]
 *
 * "cache": one layer again and again; "memory": thirty layers in turn, as a model has. */
#include "backend/cpu/kernels.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SEQS = 16, HEADS = 3, SHARE = 3, LAYERS = 30, SLOTS = 64, MOST = 4096 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    const struct kernels *k = kernels_find(argc > 1 ? argv[1] : NULL);
    uint32_t              context = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 128;
    uint32_t              dim = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 64;
    struct kv_layout      l = {.n_slot = SLOTS, .dim = dim, .kind = argc > 4 ? KV_PAIRS : KV_F16};
    uint32_t              n_block = SEQS * (context / SLOTS);
    size_t                head = kv_head_bytes(&l), block = head * HEADS, layer = block * n_block;
    uint8_t              *state = mem_try(layer * LAYERS);
    uint32_t             *blocks = mem_try(n_block * sizeof *blocks);
    static float          q[SEQS][HEADS * SHARE * 256], out[SEQS][HEADS * SHARE * 256], scratch[ATTEND_ROWS * SLOTS + WALK_ROWS * 128];
    if (!k || !state || !blocks || context > MOST || dim > 256)
        return 1;
    for (size_t i = 0; i < layer * LAYERS; i += 2)
        state[i] = (uint8_t)(i * 7), state[i + 1] = 0x2c;
    for (uint32_t i = 0; i < n_block; i++)
        blocks[i] = i;
    for (int memory = 0; memory < 2; memory++) {
        double best = 1e9;
        for (int pass = 0; pass < 9; pass++) {
            double t = seconds();
            for (uint32_t y = 0; y < LAYERS; y++)
                for (uint32_t i = 0; i < SEQS * HEADS; i++) {
                    uint32_t          s = i / HEADS, h = i % HEADS;
                    struct attend_token t1 = {q[s] + h * SHARE * dim, out[s] + h * SHARE * dim, blocks + s * (context / SLOTS),
                                              0, context};
                    struct attend_job j = {.kv = l, .state = state + (memory ? y : 0) * layer, .block_bytes = block,
                                           .head_at = h * head, .token = &t1, .n_token = 1, .share = SHARE, .scale = 0.125f,
                                           .scratch = scratch};
                    k->attend(&j);
                }
            t = seconds() - t;
            best = t < best ? t : best;
        }
        double macs = 2.0 * LAYERS * SEQS * HEADS * SHARE * context * dim;
        printf("%-6s %7.2f ms a step of %d layers, %5.1f GMAC/s, %5.1f GB/s\n", memory ? "memory" : "cache", best * 1e3, LAYERS,
               macs / best / 1e9, (double)layer * LAYERS / best / 1e9);
    }
    return 0;
}
