/* clock.h -- time, and a way to put another one in its place for tests. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct clock {
    uint64_t (*ns)(void *ctx);
    void *ctx;
};

struct clock clock_real(void);      /* monotonic */
uint64_t     clock_unix_s(void);    /* seconds since 1970, for time stamps */

static inline uint64_t clock_ns(struct clock c)
{
    return c.ns(c.ctx);
}

#ifdef __cplusplus
}
#endif
#endif
