/* memory.h -- what an engine will take, decided before anything is allocated. */
#ifndef ENGINE_MEMORY_H
#define ENGINE_MEMORY_H

#include "engine/engine.h"

/* o with its zeroes filled in.  ERR_INVALID for what contradicts itself or the model. */
MUST_USE bool memory_opts(const struct model *m, const struct engine_opts *o, struct engine_opts *out, struct err *e);

/* Sizes an engine on backend b.  What does not fit shrinks in this order, and what was asked for by number never
 * does:
 *   1. the pool of blocks, from every sequence at full length down to one sequence at full length; before it the snapshots,
 *      from four a sequence down to what a quarter of the memory that the rest leaves holds;
 *   2. the context, by halves, down to 1024 tokens;
 *   3. the rows of a step, by halves, down to 64, or to the number of sequences;
 *   4. the sequences, by halves, down to one.
 * When no limit was given, the pool takes at most half of what weights and scratch leave free (more only if one
 * sequence would not fit), so that the machine remains usable.  ERR_MEMORY: the table. */
MUST_USE bool memory_plan(const struct model *m, const struct engine_opts *o, struct backend *b,
                          struct engine_plan *out, struct err *e);

struct plan_opts memory_plan_opts(const struct engine_plan *p);
struct plan_opts memory_tower_opts(const struct model *m, const struct engine_plan *p);
struct plan_opts memory_aside_opts(const struct model *m, const struct engine_plan *p);     /* aside.h; token_max 0: none */

#endif
