/* dice.h -- chance that repeats: the same seed throws the same numbers (SplitMix64, Steele, Lea and Flood 2014). */
#ifndef APP_DICE_H
#define APP_DICE_H

#include <stdint.h>

static inline uint64_t dice_next(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* Evenly from (0, 1]. */
static inline double dice_unit(uint64_t *state)
{
    return (double)((dice_next(state) >> 11) + 1) * 0x1p-53;
}

#endif
