/* step.c -- how long a run of the cpu backend takes: reading a prompt of 512, and decoding with 1 to 16 sequences.
 *
 *   build:  ./scripts/build && cc -O2 -D_GNU_SOURCE -Isrc lab/step.c -Lbuild/release -lengine -lmodel -lstore -lbackend
 *               -lprogram -lbase -lyyjson -lcrypto -lpthread -lm -o step
 *   run:    step MODEL [threads] [isa] [exact]
 *   what recurrences (scans, deltas, short convolutions run token by token) take of a step:
 *           perf record -o step.perf step MODEL 1 && perf report -i step.perf --sort symbol | grep -E 'scan|delta|conv'
 *
 * Wall time, medians, and beside them the time that the process was given: on a busy machine compare only that.  The first
 * two runs of each kind are not counted (pages of states are first touched there).
 *
 * History (SmolLM2 Q4_1, one thread, Zen 5; a prompt of 512 / one step of 16 sequences, processor ms):
 *   v1  tiles of 2 panels x 4 rows; attention a token at a time           402 / 19.1
 *   v2  2 x 6: a quarter of the unpacking is gone                          about 385 / 19; Qwen3-0.6B, 6 rows, 43 -> 36
 *   v3  attention: 8 query rows beside each other through a tile           about 375 / 19.5
 *   v4  ... and one exponential for the corrections of all 8               350 / 19.1: attention 27 % -> 18 % of a prompt
 * Floor by products: 512 x 106 M at 480 G/s (2 dot products a cycle) is 113 ms; what is left is unpacking, and three float
 * operations for each 8 dot products. */
#include "backend/backend.h"
#include "base/mem.h"
#include "engine/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CONTEXT = 640, BLOCK = 64, ROWS = 512, SEQS = 16 };

static double seconds(clockid_t c)
{
    struct timespec t;
    clock_gettime(c, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int up(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct bed {
    const struct backend_type *type;
    struct plan *plan;
    int32_t      token[ROWS];
    uint32_t     start[SEQS + 1], past[SEQS], pick[ROWS], slot[SEQS], block[SEQS][CONTEXT / BLOCK];
};

/* n_seq sequences of n tokens each behind `past`; median of `times` runs, in seconds of wall and of processor. */
static void measure(struct bed *b, const char *what, uint32_t n_seq, uint32_t n, uint32_t past, int times)
{
    double wall[64], busy[64];
    struct batch in = {.n_token = n_seq * n, .n_seq = n_seq, .n_pick = n_seq, .token = b->token, .start = b->start,
                       .past = b->past, .block = b->block[0], .block_max = CONTEXT / BLOCK, .pick = b->pick, .slot = b->slot};
    for (uint32_t s = 0; s < n_seq; s++) {
        b->start[s] = s * n;
        b->past[s] = past;
        b->slot[s] = s;
        b->pick[s] = s * n + n - 1;
        for (uint32_t k = 0; k < CONTEXT / BLOCK; k++)
            b->block[s][k] = s * (CONTEXT / BLOCK) + k;
    }
    b->start[n_seq] = n_seq * n;
    for (uint32_t i = 0; i < in.n_token; i++)
        b->token[i] = (int32_t)(1000 + i * 37 % 8000);
    struct err e;
    for (int i = -2; i < times; i++) {
        double w = seconds(CLOCK_MONOTONIC), c = seconds(CLOCK_PROCESS_CPUTIME_ID);
        if (!b->type->run(b->plan, &in, NULL, &e))
            exit(1);
        if (i >= 0) {
            wall[i] = seconds(CLOCK_MONOTONIC) - w;
            busy[i] = seconds(CLOCK_PROCESS_CPUTIME_ID) - c;
        }
    }
    qsort(wall, (size_t)times, sizeof *wall, up);
    qsort(busy, (size_t)times, sizeof *busy, up);
    double w = wall[times / 2];
    printf("%-10s %2u x %3u tokens after %3u: %8.2f ms (best %8.2f), processor %8.2f ms  %8.1f tok/s\n", what, n_seq, n, past,
           w * 1e3, wall[0] * 1e3, busy[times / 2] * 1e3, n_seq * n / w);
}

int main(int argc, char **argv)
{
    struct err          e;
    struct checkpoint  *c;
    struct model       *m;
    struct bed          bed = {.type = backend_find("cpu")};
    struct backend     *b;
    struct backend_opts o = {.n_thread = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0, .isa = argc > 3 ? argv[3] : NULL,
                             .precision = argc > 4 && !strcmp(argv[4], "exact") ? PRECISION_EXACT : PRECISION_FAST};
    struct plan_opts    p = {.token_max = ROWS, .seq_max = SEQS, .pick_max = SEQS, .block_tokens = BLOCK, .context_max = CONTEXT};
    double t = seconds(CLOCK_MONOTONIC);
    if (argc < 2 || !checkpoint_open(&c, argv[1], &e) || !model_open(&m, c, &e) || !bed.type->open(&b, &o, &e)
        || !load_weights(m, bed.type, b, NULL, NULL, &e)) {
        fprintf(stderr, "%s\n", argc < 2 ? "which model?" : e.text);
        return 1;
    }
    printf("loaded in %.2f s, %.0f MB resident\n", seconds(CLOCK_MONOTONIC) - t, (double)mem_resident() / 1e6);
    if (!bed.type->reserve(b, m->bundle, &p, SEQS * CONTEXT / BLOCK, &e) || !bed.type->compile(b, m->text, &p, &bed.plan, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    measure(&bed, "prefill", 1, 512, 0, 5);
    static const uint32_t n[] = {1, 2, 3, 4, 6, 8, 12, 16};
    for (size_t i = 0; i < sizeof n / sizeof *n; i++)
        measure(&bed, "decode", n[i], 1, 128, 15);
    bed.type->plan_free(bed.plan);
    bed.type->close(b);
    model_close(m);
    checkpoint_close(c);
    return 0;
}
