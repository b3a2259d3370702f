/* step.h -- one run of the program for all who have a row in it: launched, and landed when its tokens are known. */
#ifndef ENGINE_STEP_H
#define ENGINE_STEP_H

#include "engine/state.h"

void step_init(struct step *step, const struct engine_plan *p);
void step_drop(struct step *step);
uint64_t step_bytes(const struct engine_plan *p);       /* host memory that step_init() takes */

/* Gives the planned rows their blocks, hands the batch to the backend.  What fails is told when the step lands. */
void step_launch(struct engine *g, struct step *step);

/* The batch of a step whose rows are planned, with their blocks; what a row computed is there. */
struct batch step_build(struct engine *g, struct step *step);
void         step_land_row(struct engine *g, const struct step *step, const struct step_row *r);

/* Waits for the flight, draws if the backend did not, tells the jobs.  Afterwards there is no flight. */
void step_land(struct engine *g);

#endif
