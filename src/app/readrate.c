/* readrate.c -- see readrate.h. */
#include "app/readrate.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/threads.h"

#include <stdlib.h>
#include <string.h>

/* Larger than any cache that a thread could hide in; together a turn's reading takes TURN_NS. */
enum { TURNS = 4, BYTES_EACH = 64 << 20, PIECE_WORDS = 1 << 16, TURN_NS = 120000000 };

struct reader {
    pthread_t       thread;
    const uint64_t *memory;
    uint64_t        begin_ns, end_ns, bytes, sum;
};

/* Eight sums that do not wait for each other. */
static uint64_t sum_of(const uint64_t *p, size_t n)
{
    uint64_t sum[8] = {0};
    for (size_t i = 0; i < n; i += 8)
        for (unsigned k = 0; k < 8; k++)
            sum[k] += p[i + k];
    return sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}

static void *read_on(void *arg)
{
    struct reader *r = arg;
    const size_t   n = BYTES_EACH / sizeof *r->memory;
    r->begin_ns = clock_ns(clock_real());
    for (size_t at = 0; (r->end_ns = clock_ns(clock_real())) - r->begin_ns < TURN_NS; at = (at + PIECE_WORDS) % n) {
        r->sum += sum_of(r->memory + at, PIECE_WORDS);
        r->bytes += PIECE_WORDS * sizeof *r->memory;
    }
    return NULL;
}

/* Bytes a second of one turn. */
static bool turn(struct reader r[], unsigned n, double *out, struct err *e)
{
    unsigned begun = 0;
    bool     ok = true;
    uint64_t first = UINT64_MAX, last = 0, bytes = 0;
    for (; ok && begun < n; begun += ok) {
        r[begun].bytes = 0;
        ok = thread_start(&r[begun].thread, "read", read_on, &r[begun], e);
    }
    for (unsigned i = 0; i < begun; i++) {
        pthread_join(r[i].thread, NULL);
        first = r[i].begin_ns < first ? r[i].begin_ns : first;
        last = r[i].end_ns > last ? r[i].end_ns : last;
        bytes += r[i].bytes;
    }
    *out = ok ? (double)bytes / ((double)(last - first) / 1e9) : 0;
    return ok;
}

bool read_rate(unsigned n_thread, double *out, struct err *e)
{
    size_t         all = (size_t)n_thread * BYTES_EACH;
    char          *memory = mem_try(all);
    struct reader *r = mem_array(n_thread, sizeof *r);
    bool           ok = memory || err_set(e, ERR_MEMORY, "no memory to read from");
    if (memory)
        memset(memory, 1, all);                 /* pages that nobody wrote to are all the same one */
    for (unsigned i = 0; i < n_thread; i++)
        r[i].memory = memory ? (const uint64_t *)(const void *)(memory + (size_t)i * BYTES_EACH) : NULL;
    *out = 0;
    for (int t = 0; ok && t < TURNS; t++) {
        double now;
        ok = turn(r, n_thread, &now, e);
        *out = now > *out ? now : *out;
    }
    free(r);
    mem_try_free(memory, all);
    return ok;
}
