/* turns.h -- who is next, fair by client.
 *
 * A client with a hundred jobs waits like one with a single one: next is a job of the client that has the fewest
 * running; among equals the clients take turns, and within a client the oldest job goes first.  A job that was put
 * back (its blocks were needed) stands at the head of its client's line again.
 *
 * Nothing is allocated after turns_init().  Engine thread only. */
#ifndef ENGINE_TURNS_H
#define ENGINE_TURNS_H

#include <stdbool.h>
#include <stdint.h>

struct seq;

struct turn {                       /* one client with live jobs */
    uint64_t     client;
    uint32_t     n_running, n_waiting;
    uint64_t     looked_at;         /* when the tower last looked for it (look.h) */
    struct seq  *first, *last;      /* its waiting jobs, through seq.next and seq.prev */
    struct turn *next, *prev;       /* in the line of clients with waiting jobs */
    struct turn *chain;             /* in its slot of the table, or in the list of unused ones */
};

struct turns {
    struct turn  *all, *unused;
    struct turn **slot;
    uint32_t      slot_mask;
    struct turn  *first, *last;     /* the line: whose turn was longest ago, first */
    uint32_t      n_waiting;
};

void turns_init(struct turns *t, uint32_t jobs_max);
void turns_drop(struct turns *t);

/* A job's way: add, then take and end, maybe with put_back and take again in between; or add, then remove. */
void turns_add(struct turns *t, struct seq *s);         /* joins the end of its client's line */
void turns_take(struct turns *t, struct seq *s);        /* a waiting job runs now; its client goes to the line's end */
void turns_put_back(struct turns *t, struct seq *s);    /* a running job waits again, first of its client's */
void turns_remove(struct turns *t, struct seq *s);      /* a waiting job is gone */
void turns_end(struct turns *t, struct seq *s);         /* a running job is gone */

struct seq *turns_next(const struct turns *t);          /* the job whose turn it is; NULL: none waits */

/* Whom to put back: the youngest job of the client with the most running; among equals the one with the youngest
 * job. */
struct seq *turns_victim(struct seq *const run[], uint32_t n);

#endif
