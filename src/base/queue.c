/* queue.c -- a ring under one mutex. */
#include "base/queue.h"

#include "base/mem.h"
#include "base/threads.h"

#include <pthread.h>
#include <stdlib.h>

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t  more;
    size_t          first, n, room;
    bool            closed;
    void           *item[];
};

struct queue *queue_new(size_t items_max)
{
    CHECK(items_max > 0);
    struct queue *q = mem_new(sizeof *q + items_max * sizeof q->item[0]);
    q->room = items_max;
    pthread_mutex_init(&q->lock, NULL);
    cond_init(&q->more);
    return q;
}

void queue_free(struct queue *q)
{
    if (!q)
        return;
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->more);
    free(q);
}

bool queue_put(struct queue *q, void *item)
{
    CHECK(item);
    pthread_mutex_lock(&q->lock);
    bool fits = !q->closed && q->n < q->room;
    if (fits) {
        q->item[(q->first + q->n++) % q->room] = item;
        pthread_cond_signal(&q->more);
    }
    pthread_mutex_unlock(&q->lock);
    return fits;
}

void *queue_take(struct queue *q, uint64_t wait_ns)
{
    void *item = NULL;
    pthread_mutex_lock(&q->lock);
    uint64_t until = cond_deadline(wait_ns);
    while (q->n == 0 && !q->closed && wait_ns > 0)
        if (!cond_wait(&q->more, &q->lock, until))
            break;
    if (q->n) {
        item = q->item[q->first];
        q->first = (q->first + 1) % q->room;
        q->n--;
    }
    pthread_mutex_unlock(&q->lock);
    return item;
}

void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->more);
    pthread_mutex_unlock(&q->lock);
}

bool queue_closed(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    bool closed = q->closed;
    pthread_mutex_unlock(&q->lock);
    return closed;
}
