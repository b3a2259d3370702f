/* warm.h -- the first steps of an engine, taken before anybody waits for them. */
#ifndef APP_WARM_H
#define APP_WARM_H

#include "engine/engine.h"

/* Runs one short job to its end on a started engine: memory is touched for the first time and the engine learns what its
 * steps cost.  False: the job failed, and so would everybody's. */
MUST_USE bool warm_up(struct engine *g, struct err *e);

#endif
