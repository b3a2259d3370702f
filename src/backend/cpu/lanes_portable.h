/* lanes_portable.h -- sixteen lanes in the compilers' own vectors, for machines that have no kernels of their own yet.
 *
 * LANES.  vf holds 16 floats, vi 16 integers, vb 64 bytes.  Lane r of a vi is bytes 4r .. 4r + 3 of a vb.  A mad may round
 * once or twice, but always the same way within a set. */
#ifndef BACKEND_CPU_LANES_PORTABLE_H
#define BACKEND_CPU_LANES_PORTABLE_H

#include "backend/cpu/half.h"
#include "backend/cpu/lanes.h"

#include <math.h>
#include <stdbool.h>

#pragma GCC diagnostic ignored "-Wpsabi"        /* nothing here is called across files */

#undef UNROLL
#define UNROLL          /* vectors are several registers here: no room to keep more than one tile */

typedef float    vf __attribute__((vector_size(64)));
typedef int32_t  vi __attribute__((vector_size(64)));
typedef uint8_t  vb __attribute__((vector_size(64)));
typedef uint16_t vw __attribute__((vector_size(64)));

enum { TILE_STRIPS = 1, TILE_ROWS = 4, TILE_QUERIES = 4, DOT_OFFSET_128 = 128 };

LANE vf vf_set(float x)
{
    return (vf){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}

LANE vf vf_load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

LANE void vf_store(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}

LANE vf vf_load_n(const float *p, unsigned n)
{
    vf v = vf_set(0);
    memcpy(&v, p, n * sizeof *p);
    return v;
}

LANE void vf_store_n(float *p, vf v, unsigned n)
{
    memcpy(p, &v, n * sizeof *p);
}

LANE vf vf_add(vf a, vf b)
{
    return a + b;
}

LANE vf vf_sub(vf a, vf b)
{
    return a - b;
}

LANE vf vf_mul(vf a, vf b)
{
    return a * b;
}

LANE vf vf_div(vf a, vf b)
{
    return a / b;
}

LANE vf vf_mad(vf a, vf b, vf c)
{
    return a * b + c;
}

LANE vf vf_choose(vi where, vf a, vf b)
{
    return (vf)((where & (vi)a) | (~where & (vi)b));
}

LANE vf vf_max(vf a, vf b)
{
    return vf_choose((vi)(a > b), a, b);
}

LANE vf vf_min(vf a, vf b)
{
    return vf_choose((vi)(a < b), a, b);
}

LANE vf vf_abs(vf a)
{
    return (vf)((vi)a & 0x7fffffff);
}

LANE float vf_sum(vf v)
{
    float s[8];
    for (unsigned i = 0; i < 8; i++)
        s[i] = v[i] + v[i + 8];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

LANE float vf_most(vf v)
{
    float most = v[0];
    for (unsigned i = 1; i < 16; i++)
        most = v[i] > most ? v[i] : most;
    return most;
}

/* Lanes from .. to - 1 of v, the others filled. */
LANE vf vf_keep(vf v, int from, int to, float fill)
{
    vi lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return vf_choose((vi)(lane >= from) & (vi)(lane < to), v, vf_set(fill));
}

/* Neighbours exchanged: 1 0 3 2 … */
LANE vf vf_swap(vf v)
{
    return (vf){v[1], v[0], v[3], v[2], v[5], v[4], v[7], v[6], v[9], v[8], v[11], v[10], v[13], v[12], v[15], v[14]};
}

LANE vf vf_from(vi v)
{
    return __builtin_convertvector(v, vf);
}

/* To the nearest, ties to even; for |v| below 2^22. */
LANE vi vi_round(vf v)
{
    return (vi)(v + 12582912.0f) - 0x4b400000;
}

/* 2^n for n in -126 .. 127. */
LANE vf vf_pow2(vi n)
{
    return (vf)((n + 127) << 23);
}

LANE vf vf_f16(const void *p)
{
    vf v;
    for (unsigned i = 0; i < 16; i++)
        v[i] = f16_float(u16_at((const uint8_t *)p + 2 * (size_t)i));
    return v;
}

LANE vf vf_f16_n(const void *p, unsigned n)
{
    vf v = vf_set(0);
    for (unsigned i = 0; i < n; i++)
        v[i] = f16_float(u16_at((const uint8_t *)p + 2 * (size_t)i));
    return v;
}

LANE void vf_store_f16_n(uint8_t *p, vf v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint16_t h = float_f16(v[i]);
        memcpy(p + 2 * (size_t)i, &h, sizeof h);
    }
}

LANE vf vf_bf16(const void *p)
{
    vf v;
    for (unsigned i = 0; i < 16; i++)
        v[i] = bf16_float(u16_at((const uint8_t *)p + 2 * (size_t)i));
    return v;
}

LANE vf vf_u8(const uint8_t *p)
{
    vf v;
    for (unsigned i = 0; i < 16; i++)
        v[i] = (float)p[i];
    return v;
}

LANE vf vf_i8(const uint8_t *p)
{
    vf v;
    for (unsigned i = 0; i < 16; i++)
        v[i] = (float)(int8_t)p[i];
    return v;
}

LANE void vi_store_i8(int8_t *p, vi v)
{
    for (unsigned i = 0; i < 16; i++)
        p[i] = (int8_t)v[i];
}

LANE vi vi_set(int32_t x)
{
    return (vi){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}

LANE vi vi_add(vi a, vi b)
{
    return a + b;
}

LANE vi vi_sub(vi a, vi b)
{
    return a - b;
}

LANE vi vi_shl(vi a, int n)
{
    return a << n;
}

LANE int32_t vi_sum(vi v)
{
    int32_t s = 0;
    for (unsigned i = 0; i < 16; i++)
        s += v[i];
    return s;
}

/* Byte j of each lane. */
LANE vi vi_byte(vb v, int j)
{
    return ((vi)v >> 8 * j) & 255;
}

/* Of bytes, the 8-bit floats (4 bits of exponent, 3 of fraction) that they are: the exponents' biases differ by 120. */
LANE vf vf_e4m3(vi v)
{
    return (vf)((v & 0x7f) << 20 | (v & 0x80) << 24) * 0x1p120f;
}

LANE vb vb_load(const uint8_t *p)
{
    vb v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* `keep`, a pattern without bits that come from a neighbour byte, of each byte after a shift left (right when negative). */
LANE vb vb_bits(vb v, int left, uint8_t keep)
{
    vw w = (vw)v;
    w = left >= 0 ? w << left : w >> -left;
    return (vb)w & keep;
}

LANE vb vb_or(vb a, vb b)
{
    return a | b;
}

/* Entry v of a table of sixteen, for each byte v. */
LANE vb vb_find(vb v, const uint8_t table[16])
{
    for (unsigned i = 0; i < 64; i++)
        v[i] = table[v[i] & 15];
    return v;
}

/* Each lane plus its four bytes (codes below 64) times four int8. */
LANE vi vi_dot(vi sum, vb codes, const int8_t *a)
{
    for (int j = 0; j < 4; j++)
        sum += vi_byte(codes, j) * a[j];
    return sum;
}

/* The same for codes of a whole byte; what they stand for is DOT_OFFSET_128 less. */
LANE vi vi_dot_wide(vi sum, vb codes, const int8_t *a)
{
    return vi_dot(sum, codes, a);
}

#endif
