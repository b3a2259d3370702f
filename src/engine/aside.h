/* aside.h -- a picture whose tokens see each other is read by a run of its own, in pieces between the steps.
 *
 * Such a picture cannot be cut between runs, and where others draw, a step that held it whole would keep them waiting.  So the
 * text program is compiled a second time, for one sequence and one picture, and its run stops when its time is over and goes on
 * behind the next step, as the tower's does.  Where nobody draws, or it fits, it is read in a step as everything is.
 *
 * While its picture is read aside, a sequence is in no step. */
#ifndef ENGINE_ASIDE_H
#define ENGINE_ASIDE_H

#include "engine/seq.h"

struct engine;

/* What it takes: 0 where no picture must be read whole. */
MUST_USE bool aside_open(struct engine *g, struct err *e);
void          aside_close(struct engine *g);

/* s reads its next n tokens aside; their blocks are available and there is none aside. */
void aside_begin(struct engine *g, struct seq *s, uint32_t n);

/* Goes on for about so long.  False: there is none. */
bool aside_slice(struct engine *g, uint64_t ns);

/* s is no longer to be read. */
void aside_leave(struct engine *g, struct seq *s);

#endif
