/* await.h -- waiting for jobs of the engine to end. */
#ifndef APP_AWAIT_H
#define APP_AWAIT_H

#include "base/threads.h"
#include "engine/engine.h"

struct await {
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    unsigned        ended;
    struct err      err;        /* of the first job that failed; ERR_NONE: none did */
};

void await_init(struct await *a);
void await_drop(struct await *a);

/* Takes note of an event: every job's event function passes all of its events on, after what it does with them itself,
 * which is seen by whoever waits.  Engine thread. */
void await_note(struct await *a, const struct event *ev);

/* Waits until n jobs have ended; UINT64_MAX: however long it takes.  False: that took longer. */
bool await_jobs(struct await *a, unsigned n, uint64_t ns);

/* To be asked when they have ended.  False: one failed, and *e says why. */
MUST_USE bool await_well(const struct await *a, struct err *e);

#endif
