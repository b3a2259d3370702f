/* threads.h -- what the systems do differently: waiting with a deadline, waiting on a word, naming, counting cores. */
#ifndef BASE_THREADS_H
#define BASE_THREADS_H

#include "base/err.h"

#include <pthread.h>
#include <stdint.h>
#ifdef __cplusplus
#include <atomic>
typedef std::atomic<uint32_t> atomic_word;
extern "C" {
#else
#include <stdatomic.h>
typedef _Atomic uint32_t atomic_word;
#endif

/* Starts a named thread; it must be joined.  ERR_IO when the system has none left. */
MUST_USE bool thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *arg, struct err *e);

void thread_background(void);  /* the caller works when nobody else wants to, from now on; does nothing where it cannot */

unsigned cpu_count(void);       /* cores this process may run on (affinity and cgroup quota included), at least 1 */

/* A condition variable on the monotonic clock. */
void     cond_init(pthread_cond_t *c);
uint64_t cond_deadline(uint64_t wait_ns);           /* now + wait, saturated: UINT64_MAX waits for ever */
bool     cond_wait(pthread_cond_t *c, pthread_mutex_t *m, uint64_t deadline_ns);    /* false: the deadline passed */

/* A word to sleep on.  park_wait() sleeps while word == seen, at most until woken; it may wake for no reason, so callers
 * look again.  Whoever changes the word calls park_wake() after. */
struct park {
    atomic_word word;
#ifndef __linux__
    pthread_mutex_t lock;
    pthread_cond_t  changed;
#endif
};
void park_init(struct park *p, uint32_t word);
void park_drop(struct park *p);
void park_wait(struct park *p, uint32_t seen);
void park_wake(struct park *p);                     /* everybody */

#ifdef __cplusplus
}
#endif
#endif
