/* limits.c -- what this machine can do right now: bytes read from memory and int8 products, with one thread and with all.
 *
 *   build:  cc -O3 -march=native -pthread limits.c -o limits
 *   run:    limits THREADS      prints {"read": [one, all], "int8": [one, all]}, bytes and operations a second
 *
 * Best of four turns in which the four take 40 ms each: neighbours on the host move the bandwidth within seconds, so a
 * limit holds for the figures taken beside it and for no others.  A product of two int8 counts as two operations.
 * Without VNNI, AVX-VNNI or NEON's dot products int8 is 0: not known. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
#include <immintrin.h>
#elif defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#endif

enum { THREADS_MAX = 256, TURNS = 4, CHAINS = 12 };
static const size_t BYTES = (size_t)256 << 20;
static const double SECONDS = 0.04;

/* Twelve sums that do not wait for each other keep the multipliers busy; unrolled everywhere, or they lie in memory. */
#if defined(__AVX512VNNI__)
typedef __m512i vector;
#define OPERATIONS 128
#define DOT(sum, a, b) _mm512_dpbusd_epi32(sum, a, b)
#define ALL(x) _mm512_set1_epi8(x)
#elif defined(__AVXVNNI__)
typedef __m256i vector;
#define OPERATIONS 64
#define DOT(sum, a, b) _mm256_dpbusd_avx_epi32(sum, a, b)
#define ALL(x) _mm256_set1_epi8(x)
#elif defined(__ARM_FEATURE_DOTPROD)
typedef int32x4_t vector;
#define OPERATIONS 32
#define DOT(sum, a, b) vdotq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b))
#define ALL(x) vreinterpretq_s32_s8(vdupq_n_s8(x))
#endif

struct part {
    const uint64_t    *memory;      /* NULL: multiply */
    size_t             words;
    double             rate;
    pthread_barrier_t *together;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The empty asm makes the compiler believe that x is used, and changes. */
#define KEEP(x) __asm__ volatile("" : "+r"(x))

static double read_once(const struct part *p)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < p->words; i++)
        sum ^= p->memory[i];
    KEEP(sum);
    return (double)p->words * sizeof *p->memory;
}

static double multiply_once(const struct part *p)
{
    (void)p;
#ifdef OPERATIONS
    enum { TIMES = 100000 };
    vector sum[CHAINS], a = ALL(3), b = ALL(2);
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; c++)
        sum[c] = ALL(c);
    for (int i = 0; i < TIMES; i++) {
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++) {
            sum[c] = DOT(sum[c], a, b);
#if defined(__ARM_FEATURE_DOTPROD)
            __asm__ volatile("" : "+w"(sum[c]));
#else
            __asm__ volatile("" : "+v"(sum[c]));
#endif
        }
    }
    return (double)TIMES * CHAINS * OPERATIONS;
#else
    return 0;
#endif
}

static void *work(void *arg)
{
    struct part *p = arg;
    double       done = 0, from, to;
    pthread_barrier_wait(p->together);
    from = now();
    do {
        done += p->memory ? read_once(p) : multiply_once(p);
        to = now();
    } while (to - from < SECONDS);
    p->rate = done / (to - from);
    return NULL;
}

static double rate(int threads, const uint64_t *memory)
{
    static struct part part[THREADS_MAX];
    pthread_t          thread[THREADS_MAX];
    pthread_barrier_t  together;
    size_t             words = BYTES / sizeof *memory / (size_t)threads;
    double             sum = 0;
    pthread_barrier_init(&together, NULL, (unsigned)threads);
    for (int t = 0; t < threads; t++) {
        part[t] = (struct part){memory ? memory + words * (size_t)t : NULL, words, 0, &together};
        if (pthread_create(&thread[t], NULL, work, &part[t]) != 0)
            exit(1);
    }
    for (int t = 0; t < threads; t++) {
        pthread_join(thread[t], NULL);
        sum += part[t].rate;
    }
    pthread_barrier_destroy(&together);
    return sum;
}

int main(int argc, char **argv)
{
    long      threads = argc > 1 ? strtol(argv[1], NULL, 10) : 1;
    double    best[4] = {0};
    uint64_t *memory = aligned_alloc(4096, BYTES);
    if (!memory || threads < 1 || threads > THREADS_MAX)
        return 1;
    memset(memory, 0x55, BYTES);
    for (int turn = 0; turn < TURNS; turn++)
        for (int what = 0; what < 4; what++) {
            double r = rate(what % 2 ? (int)threads : 1, what < 2 ? memory : NULL);
            best[what] = r > best[what] ? r : best[what];
        }
    printf("{\"read\": [%.4g, %.4g], \"int8\": [%.4g, %.4g]}\n", best[0], best[1], best[2], best[3]);
    free(memory);
    return 0;
}
