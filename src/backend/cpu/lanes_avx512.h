/* lanes_avx512.h -- sixteen lanes in one register.  What each function does: lanes_portable.h. */
#ifndef BACKEND_CPU_LANES_AVX512_H
#define BACKEND_CPU_LANES_AVX512_H

#include "backend/cpu/lanes.h"

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef __m512  vf;
typedef __m512i vi;
typedef __m512i vb;

/* 2 x 6: 12 whole-number sums, 12 sums of groups, the codes of a line and what is in flight fill the 32 registers.  From the
 * cache that is 72 to 80 % of the machine's rate of products; 80 and 73 % is all that 8 products and 2 or 3 float
 * operations a group leave on a Zen 4, where they share two pipes (lab/linear.c). */
enum { TILE_STRIPS = 2, TILE_ROWS = 6, TILE_QUERIES = 8, DOT_OFFSET_128 = 128 };
#define ATTEND_PAIRS "backend/cpu/attend_pairs.inc.h"
#define LINEAR_PAIRS "backend/cpu/linear_pairs.inc.h"

LANE __mmask16 lanes_below(unsigned n)
{
    return (__mmask16)((1u << n) - 1);
}

LANE vf vf_set(float x)
{
    return _mm512_set1_ps(x);
}

LANE vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

LANE void vf_store(float *p, vf v)
{
    _mm512_storeu_ps(p, v);
}

LANE vf vf_load_n(const float *p, unsigned n)
{
    return _mm512_maskz_loadu_ps(lanes_below(n), p);
}

LANE void vf_store_n(float *p, vf v, unsigned n)
{
    _mm512_mask_storeu_ps(p, lanes_below(n), v);
}

LANE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}

LANE vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}

LANE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}

LANE vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}

LANE vf vf_mad(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

LANE vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}

LANE vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}

LANE vf vf_abs(vf a)
{
    return _mm512_abs_ps(a);
}

LANE float vf_sum(vf v)
{
    return _mm512_reduce_add_ps(v);
}

LANE float vf_most(vf v)
{
    return _mm512_reduce_max_ps(v);
}

LANE vf vf_keep(vf v, int from, int to, float fill)
{
    return _mm512_mask_blend_ps((__mmask16)(lanes_below((unsigned)to) & ~lanes_below((unsigned)from)), vf_set(fill), v);
}

LANE vf vf_swap(vf v)
{
    return _mm512_permute_ps(v, 0xb1);
}

LANE vf vf_from(vi v)
{
    return _mm512_cvtepi32_ps(v);
}

LANE vi vi_round(vf v)
{
    return _mm512_cvtps_epi32(v);
}

LANE vf vf_pow2(vi n)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23));
}

LANE vf vf_f16(const void *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256(p));
}

LANE vf vf_f16_n(const void *p, unsigned n)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes_below(n), p));
}

LANE void vf_store_f16_n(uint8_t *p, vf v, unsigned n)
{
    vf most = vf_set(65504);
    v = vf_max(vf_min(v, most), _mm512_sub_ps(_mm512_setzero_ps(), most));
    _mm256_mask_storeu_epi16(p, lanes_below(n), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

LANE vf vf_bf16(const void *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p)), 16));
}

LANE vf vf_u8(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)p)));
}

LANE vf vf_i8(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)p)));
}

LANE void vi_store_i8(int8_t *p, vi v)
{
    _mm_storeu_si128((void *)p, _mm512_cvtepi32_epi8(v));
}

LANE vi vi_set(int32_t x)
{
    return _mm512_set1_epi32(x);
}

LANE vi vi_add(vi a, vi b)
{
    return _mm512_add_epi32(a, b);
}

LANE vi vi_sub(vi a, vi b)
{
    return _mm512_sub_epi32(a, b);
}

LANE vi vi_shl(vi a, int n)
{
    return _mm512_sll_epi32(a, _mm_cvtsi32_si128(n));
}

LANE int32_t vi_sum(vi v)
{
    return _mm512_reduce_add_epi32(v);
}

LANE vi vi_byte(vb v, int j)
{
    return _mm512_and_si512(_mm512_srl_epi32(v, _mm_cvtsi32_si128(8 * j)), _mm512_set1_epi32(255));
}

LANE void vf_store_bf16(uint8_t *p, vf v)
{
    _mm256_storeu_si256((void *)p, (__m256i)_mm512_cvtneps_pbh(v));
}

LANE vb vb_load_n(const uint8_t *p, unsigned n)
{
    return _mm512_maskz_loadu_epi32(lanes_below(n), p);
}

LANE vb vb_low_halves(vb v)
{
    return _mm512_and_si512(v, _mm512_set1_epi32(0xffff));
}

/* In each lane two bf16 of a times two of b, added to the sum one after the other. */
LANE vf vf_dot_pairs(vf sum, vb a, vb b)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

LANE vf vf_e4m3(vi v)
{
    vi bits = _mm512_or_si512(_mm512_slli_epi32(_mm512_and_si512(v, _mm512_set1_epi32(0x7f)), 20),
                              _mm512_slli_epi32(_mm512_and_si512(v, _mm512_set1_epi32(0x80)), 24));
    return _mm512_mul_ps(_mm512_castsi512_ps(bits), _mm512_set1_ps(0x1p120f));
}

LANE vb vb_load(const uint8_t *p)
{
    return _mm512_loadu_si512(p);
}

LANE vb vb_none(void)
{
    return _mm512_setzero_si512();
}

/* 16-bit numbers of a and b by turns: of their low halves, or of their high ones. */
LANE vb vb_zip(vb a, vb b, const bool high)
{
    const vb each = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3,
                                     34, 2, 33, 1, 32, 0);
    return _mm512_permutex2var_epi16(a, high ? _mm512_add_epi16(each, _mm512_set1_epi16(16)) : each, b);
}

LANE vb vb_bits(vb v, int left, uint8_t keep)
{
    vb w = left >= 0 ? _mm512_sll_epi16(v, _mm_cvtsi32_si128(left)) : _mm512_srl_epi16(v, _mm_cvtsi32_si128(-left));
    return _mm512_and_si512(w, _mm512_set1_epi8((char)keep));
}

LANE vb vb_or(vb a, vb b)
{
    return _mm512_or_si512(a, b);
}

LANE vb vb_find(vb v, const uint8_t table[16])
{
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const void *)table)), v);
}

LANE vi vi_dot(vi sum, vb codes, const int8_t *a)
{
    int32_t four;
    memcpy(&four, a, sizeof four);
    return _mm512_dpbusd_epi32(sum, codes, _mm512_set1_epi32(four));
}

LANE vi vi_dot_wide(vi sum, vb codes, const int8_t *a)
{
    return vi_dot(sum, codes, a);
}

#endif
