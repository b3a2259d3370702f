/* arena.h -- memory that goes away together.
 *
 * Four lifetimes have one each: process, request, step, call.  A pointer into an arena is good until arena_reset() or
 * arena_drop().  Not thread-safe. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct arena_block;

struct arena {
    struct arena_block *block;      /* newest first */
    size_t              used, bytes, bytes_max;
};

/* bytes_max 0: no limit.  Nothing is allocated yet. */
void arena_init(struct arena *a, size_t bytes_max);
void arena_drop(struct arena *a);

/* Forgets everything, keeps the newest block: an arena that is reset each step stops allocating after its largest. */
void arena_reset(struct arena *a);

/* Zeroed, aligned for anything.  NULL only when bytes_max would be passed. */
void *arena_new(struct arena *a, size_t bytes);
char *arena_copy(struct arena *a, const char *p, size_t n);     /* with a NUL behind it; NULL as arena_new */

#ifdef __cplusplus
}
#endif
#endif
