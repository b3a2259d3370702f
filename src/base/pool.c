/* pool.c -- threads that take jobs from one queue. */
#include "base/pool.h"

#include "base/mem.h"
#include "base/queue.h"
#include "base/threads.h"

#include <stdlib.h>

struct job {
    void (*run)(void *);
    void *arg;
};

struct pool {
    struct queue *jobs;
    unsigned      n;
    pthread_t     thread[];
};

static void *work(void *arg)
{
    struct pool *p = arg;
    for (struct job *j; (j = queue_take(p->jobs, UINT64_MAX)) != NULL;) {
        struct job job = *j;
        free(j);
        job.run(job.arg);
    }
    return NULL;
}

bool pool_open(struct pool **out, unsigned n_thread, size_t jobs_max, struct err *e)
{
    CHECK(n_thread > 0);
    struct pool *p = mem_new(sizeof *p + n_thread * sizeof p->thread[0]);
    p->jobs = queue_new(jobs_max);
    for (; p->n < n_thread; p->n++)
        if (!thread_start(&p->thread[p->n], "hearth-pool", work, p, e)) {
            pool_close(p);
            return false;
        }
    *out = p;
    return true;
}

void pool_close(struct pool *p)
{
    if (!p)
        return;
    queue_close(p->jobs);
    for (unsigned i = 0; i < p->n; i++)
        pthread_join(p->thread[i], NULL);
    queue_free(p->jobs);
    free(p);
}

bool pool_run(struct pool *p, void (*run)(void *arg), void *arg)
{
    struct job *j = mem_new(sizeof *j);
    *j = (struct job){run, arg};
    if (queue_put(p->jobs, j))
        return true;
    free(j);
    return false;
}
