/* jobs.h -- the life of a job outside the steps: taken from the queue, ended, counted. */
#ifndef ENGINE_JOBS_H
#define ENGINE_JOBS_H

#include "engine/state.h"

void jobs_take_in(struct engine *g);            /* from the queue into the lines */
void jobs_add(struct engine *g, struct seq *s); /* one that was taken from the queue */
void jobs_end_gone(struct engine *g);           /* the cancelled and those whose deadline passed */
void jobs_end_all(struct engine *g);

/* Lets go of the job's blocks, counts, says END, frees it.  e: why, for END_FAILED. */
void jobs_end(struct engine *g, struct seq *s, enum end_reason why, const struct err *e);

void jobs_publish(struct engine *g);            /* the figures, for other threads */

#endif
