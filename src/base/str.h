/* str.h -- a piece of text that somebody else owns: bytes and a length, no NUL promised. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

struct str {
    const char *p;
    size_t      n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})

static inline struct str str_of(const char *z)
{
    struct str s = {z, z ? strlen(z) : 0};
    return s;
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_is(struct str a, const char *z)
{
    return str_eq(a, str_of(z));
}

static inline bool str_starts(struct str a, struct str prefix)
{
    return a.n >= prefix.n && (prefix.n == 0 || memcmp(a.p, prefix.p, prefix.n) == 0);
}

static inline bool str_ends(struct str a, struct str tail)
{
    return a.n >= tail.n && (tail.n == 0 || memcmp(a.p + a.n - tail.n, tail.p, tail.n) == 0);
}

#define STR_NONE SIZE_MAX
size_t     str_find(struct str a, struct str what);     /* first place, or STR_NONE */
struct str str_trim(struct str a);                      /* without ASCII white space at both ends */

/* Whole numbers and numbers in text, nothing before or behind.  False: not one, or out of range. */
bool str_i64(struct str a, int64_t *out);
bool str_u64(struct str a, uint64_t *out);
bool str_f64(struct str a, double *out);

#ifdef __cplusplus
}
#endif
#endif
