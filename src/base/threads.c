/* threads.c -- see threads.h. */
#include "base/threads.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __linux__
#include <sys/resource.h>
#endif
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

struct start {
    void *(*run)(void *);
    void *arg;
    char  name[16];
};

static void *named(void *arg)
{
    struct start s = *(struct start *)arg;
    free(arg);
#ifdef __APPLE__
    pthread_setname_np(s.name);
#else
    pthread_setname_np(pthread_self(), s.name);
#endif
    return s.run(s.arg);
}

bool thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *arg, struct err *e)
{
    struct start *s = malloc(sizeof *s);
    if (!s)
        return err_set(e, ERR_MEMORY, "no memory to start thread %s", name);
    *s = (struct start){.run = run, .arg = arg};
    snprintf(s->name, sizeof s->name, "%s", name);
    int why = pthread_create(out, NULL, named, s);
    if (why == 0)
        return true;
    free(s);
    return err_set(e, ERR_IO, "starting thread %s: %s", name, strerror(why));
}

void thread_background(void)
{
#ifdef __linux__
    /* Of this thread alone, here.  In a process with real-time priority niceness would count for nothing. */
    sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
    setpriority(PRIO_PROCESS, (id_t)gettid(), 19);
#endif
}

#ifdef __linux__

/* Whole cores that the control group's quota allows; 0: no quota. */
static unsigned quota_cores(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!f)
        return 0;
    char line[64] = "";
    bool got = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    char    *end;
    long     quota = got ? strtol(line, &end, 10) : 0;
    long     period = quota > 0 ? strtol(end, NULL, 10) : 0;
    unsigned cores = period > 0 ? (unsigned)((quota + period - 1) / period) : 0;
    return cores;
}

unsigned cpu_count(void)
{
    cpu_set_t set;
    unsigned  n = sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 0;
    unsigned  quota = quota_cores();
    if (quota && quota < n)
        n = quota;
    return n ? n : 1;
}

void park_init(struct park *p, uint32_t word)
{
    atomic_init(&p->word, word);
}

void park_drop(struct park *p)
{
    (void)p;
}

void park_wait(struct park *p, uint32_t seen)
{
    syscall(SYS_futex, &p->word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

void park_wake(struct park *p)
{
    syscall(SYS_futex, &p->word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

#else

unsigned cpu_count(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}

void park_init(struct park *p, uint32_t word)
{
    atomic_init(&p->word, word);
    pthread_mutex_init(&p->lock, NULL);
    cond_init(&p->changed);
}

void park_drop(struct park *p)
{
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->changed);
}

void park_wait(struct park *p, uint32_t seen)
{
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->word) == seen)
        pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void park_wake(struct park *p)
{
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

#endif

void cond_init(pthread_cond_t *c)
{
#ifdef __APPLE__
    pthread_cond_init(c, NULL);
#else
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(c, &a);
    pthread_condattr_destroy(&a);
#endif
}

uint64_t cond_deadline(uint64_t wait_ns)
{
    uint64_t now = clock_ns(clock_real());
    return wait_ns > UINT64_MAX - now ? UINT64_MAX : now + wait_ns;
}

bool cond_wait(pthread_cond_t *c, pthread_mutex_t *m, uint64_t deadline_ns)
{
    if (deadline_ns == UINT64_MAX) {
        pthread_cond_wait(c, m);
        return true;
    }
#ifdef __APPLE__
    uint64_t        now = clock_ns(clock_real()), left = deadline_ns > now ? deadline_ns - now : 0;
    struct timespec t = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
    return pthread_cond_timedwait_relative_np(c, m, &t) != ETIMEDOUT;
#else
    struct timespec t = {(time_t)(deadline_ns / 1000000000u), (long)(deadline_ns % 1000000000u)};
    return pthread_cond_timedwait(c, m, &t) != ETIMEDOUT;
#endif
}
