/* hash.h -- SHA-256 for identity, a fast 64-bit hash for tables in memory (never an identity). */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/err.h"
#include "base/str.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sha256 {
    uint8_t byte[32];
};

struct sha256_run;                                  /* a hash being computed; not thread-safe */
struct sha256_run *sha256_new(void);
void               sha256_free(struct sha256_run *h);
void               sha256_start(struct sha256_run *h);
void               sha256_add(struct sha256_run *h, const void *p, size_t n);
struct sha256      sha256_end(struct sha256_run *h);

struct sha256 sha256_of(const void *p, size_t n);
void          sha256_hex(struct sha256 s, char out[65]);

uint64_t hash64(const void *p, size_t n, uint64_t seed);

#ifdef __cplusplus
}
#endif
#endif
