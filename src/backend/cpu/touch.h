/* touch.h -- has the pages of the states found before they are wanted.
 *
 * A system gives memory when it is first written to, and clears it then.  Every layer's states come to a new page at the
 * same token, so that a step in which that happens takes 150 ms longer (28 pages of 2 MB, Qwen3-0.6B, measured).  A thread of
 * the lowest priority goes ahead of the blocks in use, in the order in which they are given out. */
#ifndef BACKEND_CPU_TOUCH_H
#define BACKEND_CPU_TOUCH_H

#include "backend/cpu/cpu.h"

struct touch;

/* The states are borrowed until touch_stop().  NULL: this machine does without. */
struct touch *touch_start(const struct states *state, size_t n_state, uint32_t n_block);
void          touch_stop(struct touch *t);      /* NULL is fine */

#endif
