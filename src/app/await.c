/* await.c -- see await.h. */
#include "app/await.h"

void await_init(struct await *a)
{
    *a = (struct await){.err = {.kind = ERR_NONE}};
    pthread_mutex_init(&a->lock, NULL);
    cond_init(&a->changed);
}

void await_drop(struct await *a)
{
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
}

void await_note(struct await *a, const struct event *ev)
{
    if (ev->kind != EVENT_END)
        return;
    pthread_mutex_lock(&a->lock);
    if (ev->reason == END_FAILED && a->err.kind == ERR_NONE)
        a->err = *ev->err;
    a->ended++;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

bool await_jobs(struct await *a, unsigned n, uint64_t ns)
{
    uint64_t deadline = cond_deadline(ns);
    pthread_mutex_lock(&a->lock);
    while (a->ended < n && cond_wait(&a->changed, &a->lock, deadline))
        continue;
    bool all = a->ended >= n;
    pthread_mutex_unlock(&a->lock);
    return all;
}

bool await_well(const struct await *a, struct err *e)
{
    if (a->err.kind != ERR_NONE)
        *e = a->err;
    return a->err.kind == ERR_NONE;
}
