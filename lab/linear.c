/* linear.c -- what the matrix kernels of the cpu backend take for a group (32 rows of a panel x 32 numbers), with panels
 * from the cache and from memory, beside the floor by products.
 *
 *   build:  ./scripts/build && cc -O2 -D_GNU_SOURCE -Isrc lab/linear.c -Lbuild/release -lbackend -lprogram -lbase -lyyjson
 *               -lcrypto -lpthread -lm -o linear
 *   run:    linear [isa] [in] [GMAC/s of one thread; 230 on a Zen 4, 480 on a Zen 5]
 *
 * History (Zen 4, one thread, Q4_1, ns a group from memory with 1 / 4 / 8 / 16 rows, and what is reached of the products with
 * 16 rows from the cache):
 *   v1  panels of 16, scales behind all codes, all codes at once     58 / 75 / 105 / 172, 60 %
 *   v2  panels of 32 as one stream, a line of codes at a time        29 / 35 /  61 / 112, 72 %
 *   v3  every tile brings in its share of what is read next,
 *       past the end of its piece too                                24 / 26 /  51 / 101, 72 %: memory no longer shows */
#include "backend/cpu/kernels.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROWS = 64, MEMORY = 160 << 20 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The best of some passes over n panels, in ns a group. */
static double measure(linear_fn fn, const struct linear_job *like, const uint8_t *panels, uint32_t n, uint32_t each)
{
    double best = 1e9;
    for (int pass = 0; pass < 5; pass++) {
        double t = seconds();
        for (uint32_t p = 0; p + each <= n; p += each) {
            struct linear_job j = *like;
            j.panel = panels + p * j.panel_bytes;
            j.next = panels + (p + 2 * each <= n ? p + each : 0) * j.panel_bytes;
            j.n_panel = each;
            j.n_out = each * PANEL_ROWS;
            fn(&j);
        }
        t = seconds() - t;
        best = t < best ? t : best;
    }
    return best / (n / each * each) / (like->in / GROUP) * 1e9;
}

int main(int argc, char **argv)
{
    const struct kernels *k = kernels_find(argc > 1 ? argv[1] : NULL);
    uint32_t              in = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 576;
    double                rate = argc > 3 ? strtod(argv[3], NULL) : 230;
    uint8_t              *memory = mem_try(MEMORY);
    size_t                stride = in * sizeof(float);
    uint8_t              *act = mem_try(stride * ROWS);
    float                *out = mem_try(sizeof(float) * ROWS * PANEL_ROWS * 64);
    if (!k || !memory || !act || !out)
        return 1;
    for (size_t i = 0; i < MEMORY; i++)
        memory[i] = (uint8_t)((i * 2654435761u >> 13) & 0x3b);
    for (uint32_t r = 0; r < ROWS; r++)
        for (uint32_t g = 0; g < in / GROUP; g++) {
            struct act_group *a = (struct act_group *)(void *)(act + r * stride) + g;
            for (unsigned i = 0; i < GROUP; i++)
                a->q[i] = (int8_t)(i * 7 + g + r);
            a->scale = 0.01f;
        }
    static const uint32_t rows[] = {1, 2, 3, 4, 5, 6, 8, 12, 16, 32, 64};
    for (int f = 0; f < FORMAT_COUNT; f++) {
        if (!k->fast[f])
            continue;
        struct linear_job j = {.panel_bytes = panel_bytes((enum format)f, in), .in = in, .act = act, .act_stride = stride,
                               .out = out, .out_stride = PANEL_ROWS * 64};
        uint32_t n = (uint32_t)(MEMORY / j.panel_bytes), each = (uint32_t)(48 * 1024 / j.panel_bytes) + 1;
        double   bytes = (double)j.panel_bytes / (in / GROUP);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            j.n_row = rows[i];
            double cache = measure(k->fast[f], &j, memory, each, each), from = measure(k->fast[f], &j, memory, n, each);
            cache = measure(k->fast[f], &j, memory, each, each);
            printf("%-6s %2u rows: cache %7.1f ns (%3.0f%% of products), memory %7.1f ns (%4.1f GB/s)\n",
                   format_info((enum format)f)->name, rows[i], cache, rows[i] * 1024 / rate / cache * 100, from, bytes / from);
        }
    }
    return 0;
}
