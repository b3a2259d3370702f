/* touch.c -- see touch.h. */
#include "backend/cpu/touch.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/threads.h"

#include <stdlib.h>
#include <time.h>

enum {
    BLOCKS = 8,                 /* at a time, of each layer: a stop is heard between */
    REST = 4,                   /* times as long as it worked: clearing pages takes bandwidth from the steps */
};

struct touch {
    const struct states *state;
    size_t               n_state;
    uint32_t             n_block;
    atomic_bool          stop;
    pthread_t            thread;
};

static bool touch_some(struct touch *t, size_t state, uint32_t b, uint32_t n)
{
    const struct states *s = &t->state[state];
    uint64_t             from = clock_ns(clock_real());
    if (b >= s->n)
        return true;
    n = n < s->n - b ? n : s->n - b;
    bool                 ok = mem_populate(s->p + b * s->block_bytes, n * s->block_bytes);
    uint64_t             rest = (clock_ns(clock_real()) - from) * REST;
    nanosleep(&(struct timespec){.tv_sec = (time_t)(rest / 1000000000), .tv_nsec = (long)(rest % 1000000000)}, NULL);
    return ok;
}

static void *touch_run(void *arg)
{
    struct touch *t = arg;
    thread_background();
    for (uint32_t b = 0; b < t->n_block; b += BLOCKS) {
        uint32_t n = t->n_block - b < BLOCKS ? t->n_block - b : BLOCKS;
        for (size_t i = 0; i < t->n_state && !atomic_load(&t->stop); i++)
            if (!touch_some(t, i, b, n))
                return NULL;
    }
    return NULL;
}

struct touch *touch_start(const struct states *state, size_t n_state, uint32_t n_block)
{
    struct touch *t = mem_new(sizeof *t);
    struct err    e;
    *t = (struct touch){.state = state, .n_state = n_state, .n_block = n_block};
    if (thread_start(&t->thread, "hearth-touch", touch_run, t, &e))
        return t;
    free(t);
    return NULL;
}

void touch_stop(struct touch *t)
{
    if (!t)
        return;
    atomic_store(&t->stop, true);
    pthread_join(t->thread, NULL);
    free(t);
}
