/* hash.c -- SHA-256 from OpenSSL; the table hash multiplies and folds eight bytes at a time.
 *
 * OpenSSL calls the functions used here old, but the ones it recommends allocate at every start, and keys of cache
 * blocks are computed where nothing may be allocated. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/hash.h"

#include "base/mem.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sha256_run {
    SHA256_CTX ctx;
};

struct sha256_run *sha256_new(void)
{
    return mem_new(sizeof(struct sha256_run));
}

void sha256_free(struct sha256_run *h)
{
    free(h);
}

void sha256_start(struct sha256_run *h)
{
    CHECK(SHA256_Init(&h->ctx) == 1);
}

void sha256_add(struct sha256_run *h, const void *p, size_t n)
{
    CHECK(SHA256_Update(&h->ctx, p, n) == 1);
}

struct sha256 sha256_end(struct sha256_run *h)
{
    struct sha256 out;
    CHECK(SHA256_Final(out.byte, &h->ctx) == 1);
    return out;
}

struct sha256 sha256_of(const void *p, size_t n)
{
    struct sha256_run *h = sha256_new();
    sha256_start(h);
    sha256_add(h, p, n);
    struct sha256 out = sha256_end(h);
    sha256_free(h);
    return out;
}

void sha256_hex(struct sha256 s, char out[65])
{
    for (int i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", s.byte[i]);
}

uint64_t hash64(const void *p, size_t n, uint64_t seed)
{
    const uint8_t *b = p;
    uint64_t       h = seed ^ (n * 0x9E3779B97F4A7C15u);
    while (n) {
        uint64_t word = 0;
        size_t   take = n < 8 ? n : 8;
        memcpy(&word, b, take);
        unsigned __int128 m = (unsigned __int128)(h ^ word ^ 0xA0761D6478BD642Fu) * 0xE7037ED1A0B428DBu;
        h = (uint64_t)m ^ (uint64_t)(m >> 64);
        b += take;
        n -= take;
    }
    h ^= h >> 32;
    return h * 0x9E3779B97F4A7C15u;
}
