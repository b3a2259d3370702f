/* clock.c -- see clock.h. */
#include "base/clock.h"

#include <time.h>

static uint64_t monotonic_ns(void *ctx)
{
    (void)ctx;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct clock clock_real(void)
{
    return (struct clock){.ns = monotonic_ns};
}

uint64_t clock_unix_s(void)
{
    return (uint64_t)time(NULL);
}
