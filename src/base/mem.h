/* mem.h -- host memory, by size of the wish.
 *
 * Small things are simply had: when the system has no room for them, the program ends with a message.  Budgets (weights,
 * caches, bodies) are asked for with mem_try() and their owner reports the refusal. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/err.h"

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void *mem_new(size_t bytes);                        /* zeroed; never NULL; freed with free() */
void *mem_array(size_t n, size_t each);             /* the same; ends the program when n * each overflows */
void *mem_grow(void *p, size_t n, size_t each);     /* realloc to n * each; what is new is not zeroed */
char *mem_copy(const char *p, size_t n);            /* a copy with a NUL behind it */

/* Page-aligned, zeroed, on huge pages where the system gives them.  NULL when it does not fit. */
void *mem_try(size_t bytes);
void  mem_try_free(void *p, size_t bytes);          /* NULL is fine */

/* Has the system find pages for memory of mem_try() now, not when it is first written to; what it holds stays, and others
 * may use it meanwhile.  False: this system cannot. */
bool mem_populate(void *p, size_t bytes);

uint64_t mem_physical(void);                        /* bytes of RAM this process may use (cgroup limit included) */
uint64_t mem_available(void);                       /* bytes free for it now, caches the system would drop included */
uint64_t mem_resident(void);                        /* bytes this process holds in RAM now; 0 = not known */

#ifdef __cplusplus
}
#endif
#endif
