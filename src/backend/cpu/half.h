/* half.h -- 16-bit floats, one at a time.  The kernels convert sixteen at once where the machine can. */
#ifndef BACKEND_CPU_HALF_H
#define BACKEND_CPU_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint16_t u16_at(const void *p)
{
    const uint8_t *b = p;
    return (uint16_t)(b[0] | b[1] << 8);
}

static inline float bits_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float f16_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = (uint32_t)(h & 0x7fff) << 13;
    if (rest >= 0x7c00u << 13)
        return bits_float(sign | rest | 0x7f800000);
    return bits_float(sign | float_bits(bits_float(rest) * 0x1p112f));     /* the exponents' biases differ by 112 */
}

static inline float bf16_float(uint16_t h)
{
    return bits_float((uint32_t)h << 16);
}

/* Rounds to nearest, ties to even; what is too large becomes the largest number, not infinity. */
static inline uint16_t float_f16(float x)
{
    uint32_t bits = float_bits(x), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
    if (rest > 0x7f800000)
        return (uint16_t)(sign | 0x7e00);
    if (rest >= 0x477fe000)
        return (uint16_t)(sign | 0x7bff);
    if (rest < 0x38800000)      /* below the smallest normal half: let an addition round to its last place */
        return (uint16_t)(sign | (float_bits(bits_float(rest) + 0.5f) - 0x3f000000));
    return (uint16_t)(sign | ((rest + 0xfff + (rest >> 13 & 1) - (112u << 23)) >> 13));
}

#endif
