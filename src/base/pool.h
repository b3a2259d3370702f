/* pool.h -- a few threads for host work: parsing, templates, tokenizing, writing answers. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pool;

/* ERR_IO when a thread could not be started. */
MUST_USE bool pool_open(struct pool **out, unsigned n_thread, size_t jobs_max, struct err *e);

/* Finishes every job already taken, then ends the threads. */
void pool_close(struct pool *p);

/* Has `run(arg)` called soon on one of the threads.  False: jobs_max wait already, or the pool is closing. */
MUST_USE bool pool_run(struct pool *p, void (*run)(void *arg), void *arg);

#ifdef __cplusplus
}
#endif
#endif
