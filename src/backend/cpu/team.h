/* team.h -- threads that walk through a list of steps together.
 *
 * A step is cut into pieces.  Every worker has a range of them, which he takes one after the other, so that he reads on
 * and on through memory and finds in his cache what he wrote before; whoever has none left takes from the end of another's.
 * The next step begins when all are done.  Nobody waits for a thread, only for pieces: a thread that another process has
 * pushed off its core comes back later and joins in where the others are.  What a piece computes must not depend on who
 * computes it. */
#ifndef BACKEND_CPU_TEAM_H
#define BACKEND_CPU_TEAM_H

#include "base/err.h"

#include <stdint.h>

struct team;

struct work {
    uint32_t n_step;
    uint32_t (*pieces)(void *ctx, uint32_t step);       /* 0: nothing to do; TEAM_END: nor behind it.  Asked once, when all before is done */
    void (*piece)(void *ctx, uint32_t step, uint32_t i, unsigned worker);   /* worker: 0 .. team_size() - 1 */
    void *ctx;
};

enum { TEAM_MAX = 256 };

#define TEAM_END UINT32_MAX

/* n threads, the caller of team_run() being one of them. */
MUST_USE bool team_open(struct team **out, unsigned n, struct err *e);
void          team_close(struct team *t);       /* NULL is fine */
unsigned      team_size(const struct team *t);
void          team_run(struct team *t, const struct work *w);

/* Where the range of a worker begins when there are n pieces; it ends where the next worker's begins. */
static inline uint32_t team_first(unsigned n_worker, uint32_t n, unsigned worker)
{
    return (uint32_t)((uint64_t)n * worker / n_worker);
}

#endif
