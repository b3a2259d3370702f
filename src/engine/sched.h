/* sched.h -- who runs, and which rows a step has. */
#ifndef ENGINE_SCHED_H
#define ENGINE_SCHED_H

#include "engine/state.h"

/* Takes waiting jobs whose turn it is while there is room for them.  Nobody passes the one whose turn it is.  A client
 * that has none or few running gets the place of one that has more by two at least: that one's youngest is put back. */
void sched_admit(struct engine *g);

/* Chooses the next step's rows: one for every sequence that draws, the guesses that pay, and of the prompts as much as
 * the step's time allows.  Their blocks are available.  0: nothing to run, or the flight must land first because blocks
 * have run out. */
uint32_t sched_plan(struct engine *g, struct step_row *row);

#endif
