/* stream.c -- why a panel is one stream of memory: one row of a Q4_1 matrix from memory, by how its panels lie.
 *
 *   build:  cc -O3 -march=native lab/stream.c -o stream        (AVX-512 VNNI)
 *   run:    stream
 *
 * A Zen 4, one thread, GB/s (reading and nothing else: 25 to 29):
 *   v0  the codes of all groups, then their scales               10
 *   v1  a group's codes, then its scales                         29
 * Prefetch instructions of any distance changed v0 by nothing and v1 for the worse (22 to 28). */
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { GROUPS = 18, GROUP_BYTES = 320, PANEL_BYTES = GROUPS * GROUP_BYTES, BYTES = 192 << 20, PANELS = BYTES / PANEL_BYTES };

struct act {
    int8_t q[32];
    float  scale, sum;
};

static inline __m512 group(const uint8_t *codes, const uint8_t *scales, const struct act *a, __m512 sum)
{
    __m512i dot = _mm512_setzero_si512(), low = _mm512_set1_epi8(15);
    for (int x = 0; x < 4; x++) {
        __m512i both = _mm512_loadu_si512(codes + 64 * x);
        int32_t q[2];
        memcpy(q, a->q + 8 * x, sizeof q);
        dot = _mm512_dpbusd_epi32(dot, _mm512_and_si512(both, low), _mm512_set1_epi32(q[0]));
        dot = _mm512_dpbusd_epi32(dot, _mm512_and_si512(_mm512_srli_epi16(both, 4), low), _mm512_set1_epi32(q[1]));
    }
    sum = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(dot), _mm512_set1_ps(a->scale)),
                          _mm512_cvtph_ps(_mm256_loadu_si256((const void *)scales)), sum);
    return _mm512_fmadd_ps(_mm512_set1_ps(a->sum), _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(scales + 32))), sum);
}

static __attribute__((noinline)) void panel_apart(const uint8_t *p, const struct act *a, float *out)
{
    __m512 sum = _mm512_setzero_ps();
    for (int g = 0; g < GROUPS; g++)
        sum = group(p + 256 * g, p + 256 * GROUPS + 64 * g, a + g, sum);
    _mm512_storeu_ps(out, sum);
}

static __attribute__((noinline)) void panel_together(const uint8_t *p, const struct act *a, float *out)
{
    __m512 sum = _mm512_setzero_ps();
    for (int g = 0; g < GROUPS; g++)
        sum = group(p + GROUP_BYTES * g, p + GROUP_BYTES * g + 256, a + g, sum);
    _mm512_storeu_ps(out, sum);
}

static void measure(const char *what, void (*panel)(const uint8_t *, const struct act *, float *), const uint8_t *memory)
{
    static struct act a[GROUPS];
    float             out[16];
    double            best = 1e9;
    for (int pass = 0; pass < 7; pass++) {
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        for (int p = 0; p < PANELS; p++)
            panel(memory + (size_t)p * PANEL_BYTES, a, out);
        clock_gettime(CLOCK_MONOTONIC, &to);
        double t = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
        best = t < best ? t : best;
    }
    printf("%-24s %5.1f GB/s\n", what, BYTES / best / 1e9);
}

int main(void)
{
    uint8_t *memory = aligned_alloc(2 << 20, BYTES);
    if (!memory)
        return 1;
    madvise(memory, BYTES, MADV_HUGEPAGE);
    memset(memory, 0x33, BYTES);
    measure("v0 codes, then scales", panel_apart, memory);
    measure("v1 group by group", panel_together, memory);
    free(memory);
    return 0;
}
