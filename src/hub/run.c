/* run.c -- see run.h. */
#include "hub/run.h"

#include "base/threads.h"

#include <stdarg.h>
#include <stdio.h>

void hub_run_init(struct hub_run *r, const struct hub_place *place, const struct hub_name *name, const struct hub_watch *watch)
{
    *r = (struct hub_run){.place = place, .name = name, .watch = watch};
    CHECK(pthread_mutex_init(&r->lock, NULL) == 0);
    cond_init(&r->changed);
}

void hub_run_drop(struct hub_run *r)
{
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->changed);
}

void hub_run_note(struct hub_run *r, const char *fmt, ...)
{
    char    line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    pthread_mutex_lock(&r->lock);
    if (r->watch && r->watch->note)
        r->watch->note(r->watch->ctx, line);
    pthread_mutex_unlock(&r->lock);
}

void hub_run_count(struct hub_run *r, int64_t bytes, uint64_t fresh, size_t files)
{
    pthread_mutex_lock(&r->lock);
    r->now.bytes += (uint64_t)bytes;
    r->now.fresh += fresh;
    r->now.files += files;
    pthread_mutex_unlock(&r->lock);
}

void hub_run_fail(struct hub_run *r, const struct err *why)
{
    pthread_mutex_lock(&r->lock);
    if (!r->stop)
        r->why = *why;
    r->stop = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

bool hub_run_stopped(struct hub_run *r)
{
    pthread_mutex_lock(&r->lock);
    bool stop = r->stop;
    pthread_mutex_unlock(&r->lock);
    return stop;
}

bool hub_run_sleep(struct hub_run *r, uint64_t ms)
{
    uint64_t until = cond_deadline(ms * 1000000);
    pthread_mutex_lock(&r->lock);
    while (!r->stop && cond_wait(&r->changed, &r->lock, until)) {}
    bool stop = r->stop;
    pthread_mutex_unlock(&r->lock);
    return !stop;
}
