/* queue.h -- a bounded queue between threads.  Any number of threads may put and take. */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include "base/err.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct queue;

struct queue *queue_new(size_t items_max);
void          queue_free(struct queue *q);              /* nobody may be in it; items left are the caller's loss */
MUST_USE bool queue_put(struct queue *q, void *item);   /* never waits; false: full or closed */

/* The oldest item.  Waits at most wait_ns (0: not at all, UINT64_MAX: for ever).  NULL: none in time, or closed and
 * empty. */
void  *queue_take(struct queue *q, uint64_t wait_ns);
void   queue_close(struct queue *q);                    /* no more puts; wakes everybody who waits */
bool   queue_closed(struct queue *q);

#ifdef __cplusplus
}
#endif
#endif
