/* random.h -- bytes that nobody can foretell, from the system: for ids and seeds. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void     random_bytes(void *out, size_t n);     /* ends the program when the system has none */
uint64_t random_u64(void);

#ifdef __cplusplus
}
#endif
#endif
