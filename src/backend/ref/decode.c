/* decode.c -- the formats of checkpoints, as floats.
 *
 * Block layouts are those of the GGUF specification; half-precision scales come first (last in Q6_K), little-endian.
 * Formats with scales apart: formats.def; floats of 4 and 8 bits: OCP Microscaling Formats. */
#include "backend/ref/ref.h"

#include <math.h>

#include <string.h>

static float f16_at(const uint8_t *p)
{
    uint32_t h = (uint32_t)p[0] | (uint32_t)p[1] << 8;
    uint32_t sign = (h & 0x8000u) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff, bits;
    if (exponent == 0) {
        float tiny = (float)fraction * 0x1p-24f;
        return sign ? -tiny : tiny;
    }
    bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void decode_F32(const uint8_t *p, float *out)
{
    memcpy(out, p, sizeof *out);
}

static void decode_F16(const uint8_t *p, float *out)
{
    *out = f16_at(p);
}

static void decode_BF16(const uint8_t *p, float *out)
{
    uint32_t bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 24;
    memcpy(out, &bits, sizeof *out);
}

/* 32 numbers, 4 bits each: the low halves of 16 bytes, then the high ones.  high, if there, has a fifth bit of each. */
static void nibbles(const uint8_t *q, const uint8_t *high, int *out)
{
    for (unsigned i = 0; i < 32; i++) {
        out[i] = i < 16 ? q[i] & 15 : q[i - 16] >> 4;
        if (high)
            out[i] |= (high[i / 8] >> (i % 8) & 1) << 4;
    }
}

static void decode_Q4_0(const uint8_t *p, float *out)
{
    const float d = f16_at(p);
    int         q[32];
    nibbles(p + 2, NULL, q);
    for (unsigned i = 0; i < 32; i++)
        out[i] = (float)(q[i] - 8) * d;
}

static void decode_Q4_1(const uint8_t *p, float *out)
{
    const float d = f16_at(p), m = f16_at(p + 2);
    int         q[32];
    nibbles(p + 4, NULL, q);
    for (unsigned i = 0; i < 32; i++)
        out[i] = (float)q[i] * d + m;
}

static void decode_Q5_0(const uint8_t *p, float *out)
{
    const float d = f16_at(p);
    int         q[32];
    nibbles(p + 6, p + 2, q);
    for (unsigned i = 0; i < 32; i++)
        out[i] = (float)(q[i] - 16) * d;
}

static void decode_Q5_1(const uint8_t *p, float *out)
{
    const float d = f16_at(p), m = f16_at(p + 2);
    int         q[32];
    nibbles(p + 8, p + 4, q);
    for (unsigned i = 0; i < 32; i++)
        out[i] = (float)q[i] * d + m;
}

static void decode_Q8_0(const uint8_t *p, float *out)
{
    const float d = f16_at(p);
    for (unsigned i = 0; i < 32; i++)
        out[i] = (float)(int8_t)p[2 + i] * d;
}

/* The scale and the minimum of part k of 8, 6 bits each: the first four lie in the low bits of bytes 0-3 and 4-7, the
 * others in the halves of bytes 8-11, their upper two bits on top of the first four's. */
static void scale_min(const uint8_t *s, unsigned k, float *scale, float *min)
{
    if (k < 4) {
        *scale = (float)(s[k] & 63);
        *min = (float)(s[k + 4] & 63);
    } else {
        *scale = (float)((s[k + 4] & 15) | s[k - 4] >> 6 << 4);
        *min = (float)(s[k + 4] >> 4 | s[k] >> 6 << 4);
    }
}

/* 256 numbers in 8 parts of 32; two parts share 32 bytes of q.  high, if there, has bit k of byte i for number i of
 * part k. */
static void decode_parts(const uint8_t *p, const uint8_t *high, const uint8_t *q, float *out)
{
    for (unsigned k = 0; k < 8; k++) {
        float scale, min;
        scale_min(p + 4, k, &scale, &min);
        scale *= f16_at(p);
        min *= f16_at(p + 2);
        for (unsigned i = 0; i < 32; i++) {
            int x = k % 2 ? q[k / 2 * 32 + i] >> 4 : q[k / 2 * 32 + i] & 15;
            if (high)
                x |= (high[i] >> k & 1) << 4;
            out[k * 32 + i] = scale * (float)x - min;
        }
    }
}

static void decode_Q4_K(const uint8_t *p, float *out)
{
    decode_parts(p, NULL, p + 16, out);
}

static void decode_Q5_K(const uint8_t *p, float *out)
{
    decode_parts(p, p + 16, p + 48, out);
}

/* 256 numbers in two halves of four quarters of 32; a scale for 16 numbers.  Quarters 0 and 1 have their low four bits
 * in the low halves of 64 bytes, 2 and 3 in the high halves; two more bits of all four lie in one byte. */
static void decode_Q6_K(const uint8_t *p, float *out)
{
    const uint8_t *low = p, *high = p + 128, *scale = p + 192;
    const float    d = f16_at(p + 208);
    for (unsigned i = 0; i < 256; i++) {
        unsigned half = i / 128, quarter = i / 32 % 4, at = i % 32;
        unsigned four = low[half * 64 + quarter % 2 * 32 + at] >> (quarter / 2 * 4) & 15;
        unsigned two = high[half * 32 + at] >> (quarter * 2) & 3;
        out[i] = d * (float)(int8_t)scale[i / 16] * (float)((int)(four | two << 4) - 32);
    }
}

/* Sign, exponents with a bias, fraction; the smallest exponent has no hidden 1.  There are no infinities. */
static float small_float(unsigned code, unsigned exponent_bits, unsigned fraction_bits, int bias)
{
    unsigned fraction = code & ((1u << fraction_bits) - 1), exponent = code >> fraction_bits & ((1u << exponent_bits) - 1);
    unsigned hidden = exponent ? 1u << fraction_bits : 0;
    float    x = ldexpf((float)(hidden | fraction), (int)(exponent ? exponent : 1) - bias - (int)fraction_bits);
    return code >> (exponent_bits + fraction_bits) & 1 ? -x : x;
}

static float number_at(enum format f, const void *from, size_t i)
{
    float x;
    ref_decode(f, (const char *)from + format_bytes(f, i), 1, &x);
    return x;
}

static unsigned code_at(const uint8_t *row, unsigned bits, size_t i)
{
    size_t   at = i * bits;
    unsigned code = row[at / 8] >> at % 8;
    if (at % 8 + bits > 8)
        code |= (unsigned)row[at / 8 + 1] << (8 - at % 8);
    return code & ((1u << bits) - 1);
}

/* Group g of the row that t begins with. */
static void decode_group(const struct tensor *t, size_t g, float *out)
{
    const struct format_info *info = format_info(t->format);
    const uint8_t            *byte = t->scales.scale;
    float                     scale, bias = 0;
    if (info->scale == SCALE_AFFINE) {
        scale = number_at(t->scales.as, t->scales.scale, g);
        bias = number_at(t->scales.as, t->scales.bias, g);
    } else {
        scale = info->scale == SCALE_E8M0 ? ldexpf(1, byte[g] - 127) : small_float(byte[g], 4, 3, 7);
    }
    for (size_t i = g * t->scales.group; i < (g + 1) * t->scales.group; i++) {
        unsigned code = code_at(t->data, info->bits, i);
        if (info->scale == SCALE_AFFINE)
            out[i] = scale * (float)code + bias;
        else
            out[i] = scale * (info->bits == 4 ? small_float(code, 2, 1, 1) : small_float(code, 4, 3, 7));
    }
}

void ref_decode(enum format f, const void *from, size_t n, float *out)
{
    static void (*const decode[FORMAT_COUNT])(const uint8_t *, float *) = {
#define FORMAT(name, text, values, bytes, gguf) [FORMAT_##name] = decode_##name,
#define CODES(...)
#include "base/formats.def"
#undef FORMAT
    };
    const struct format_info *info = format_info(f);
    CHECK(n % info->block_values == 0 && decode[f]);
    const uint8_t *p = from;
    for (size_t i = 0; i < n; i += info->block_values, p += info->block_bytes)
        decode[f](p, out + i);
}

void ref_decode_row(const struct tensor *t, uint64_t row, uint32_t in, float *out)
{
    const struct tensor at = tensor_from_row(t, row, in);
    if (format_info(t->format)->scale == SCALE_INSIDE)
        ref_decode(t->format, at.data, in, out);
    else
        for (size_t g = 0; g < in / t->scales.group; g++)
            decode_group(&at, g, out);
}
