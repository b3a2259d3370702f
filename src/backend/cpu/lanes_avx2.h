/* lanes_avx2.h -- sixteen lanes in two registers.  What each function does: lanes_portable.h.
 *
 * DPBUSD, where it is defined, multiplies four bytes by four in one instruction, for which there are two encodings. */
#ifndef BACKEND_CPU_LANES_AVX2_H
#define BACKEND_CPU_LANES_AVX2_H

#include "backend/cpu/lanes.h"

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    __m256 a, b;
} vf;
typedef struct {
    __m256i a, b;
} vi;
typedef vi vb;

/* Codes of one panel alone fill the sixteen registers, so they are read again for each row. */
enum { TILE_STRIPS = 1, TILE_ROWS = 4, TILE_QUERIES = 3 };
#ifdef DPBUSD
enum { DOT_OFFSET_128 = 128 };
#else
enum { DOT_OFFSET_128 = 0 };
#endif

LANE vf vf_set(float x)
{
    return (vf){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}

LANE vf vf_load(const float *p)
{
    return (vf){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

LANE void vf_store(float *p, vf v)
{
    _mm256_storeu_ps(p, v.a);
    _mm256_storeu_ps(p + 8, v.b);
}

LANE vf vf_load_n(const float *p, unsigned n)
{
    float x[16] = {0};
    memcpy(x, p, n * sizeof *p);
    return vf_load(x);
}

LANE void vf_store_n(float *p, vf v, unsigned n)
{
    float x[16];
    vf_store(x, v);
    memcpy(p, x, n * sizeof *p);
}

LANE vf vf_add(vf x, vf y)
{
    return (vf){_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}

LANE vf vf_sub(vf x, vf y)
{
    return (vf){_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}

LANE vf vf_mul(vf x, vf y)
{
    return (vf){_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}

LANE vf vf_div(vf x, vf y)
{
    return (vf){_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}

LANE vf vf_max(vf x, vf y)
{
    return (vf){_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}

LANE vf vf_min(vf x, vf y)
{
    return (vf){_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
}

LANE vf vf_mad(vf x, vf y, vf z)
{
    return (vf){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}

LANE vf vf_abs(vf x)
{
    __m256 sign = _mm256_set1_ps(-0.0f);
    return (vf){_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}

LANE float vf_sum(vf v)
{
    __m256 x = _mm256_add_ps(v.a, v.b);
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
}

LANE float vf_most(vf v)
{
    __m256 x = _mm256_max_ps(v.a, v.b);
    __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_max_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_max_ss(y, _mm_movehdup_ps(y)));
}

LANE __m256 eight_kept(__m256 v, __m256i lane, int from, int to, float fill)
{
    __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32(from), lane), inside = _mm256_cmpgt_epi32(_mm256_set1_epi32(to), lane);
    return _mm256_blendv_ps(_mm256_set1_ps(fill), v, _mm256_castsi256_ps(_mm256_andnot_si256(below, inside)));
}

LANE vf vf_keep(vf v, int from, int to, float fill)
{
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return (vf){eight_kept(v.a, lane, from, to, fill),
                eight_kept(v.b, _mm256_add_epi32(lane, _mm256_set1_epi32(8)), from, to, fill)};
}

LANE vf vf_swap(vf v)
{
    return (vf){_mm256_permute_ps(v.a, 0xb1), _mm256_permute_ps(v.b, 0xb1)};
}

LANE vf vf_from(vi v)
{
    return (vf){_mm256_cvtepi32_ps(v.a), _mm256_cvtepi32_ps(v.b)};
}

LANE vi vi_round(vf v)
{
    return (vi){_mm256_cvtps_epi32(v.a), _mm256_cvtps_epi32(v.b)};
}

LANE vi vi_set(int32_t x)
{
    return (vi){_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}

LANE vi vi_add(vi x, vi y)
{
    return (vi){_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}

LANE vi vi_sub(vi x, vi y)
{
    return (vi){_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)};
}

LANE vi vi_shl(vi x, int n)
{
    return (vi){_mm256_slli_epi32(x.a, n), _mm256_slli_epi32(x.b, n)};
}

LANE int32_t vi_sum(vi v)
{
    __m256i x = _mm256_add_epi32(v.a, v.b);
    __m128i y = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    y = _mm_add_epi32(y, _mm_shuffle_epi32(y, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(y, _mm_shuffle_epi32(y, 0xb1)));
}

LANE vf vf_pow2(vi n)
{
    vi e = vi_shl(vi_add(n, vi_set(127)), 23);
    return (vf){_mm256_castsi256_ps(e.a), _mm256_castsi256_ps(e.b)};
}

LANE vf vf_f16(const void *p)
{
    const __m128i *q = p;
    return (vf){_mm256_cvtph_ps(_mm_loadu_si128(q)), _mm256_cvtph_ps(_mm_loadu_si128(q + 1))};
}

LANE vf vf_f16_n(const void *p, unsigned n)
{
    uint16_t x[16] = {0};
    memcpy(x, p, n * sizeof *x);
    return vf_f16(x);
}

LANE void vf_store_f16_n(uint8_t *p, vf v, unsigned n)
{
    uint16_t x[16];
    v = vf_max(vf_min(v, vf_set(65504)), vf_set(-65504));
    _mm_storeu_si128((void *)x, _mm256_cvtps_ph(v.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    _mm_storeu_si128((void *)(x + 8), _mm256_cvtps_ph(v.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    memcpy(p, x, n * sizeof *x);
}

LANE __m256 eight_bf16(const __m128i *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)), 16));
}

LANE vf vf_bf16(const void *p)
{
    return (vf){eight_bf16(p), eight_bf16((const __m128i *)p + 1)};
}

LANE vf vf_u8(const uint8_t *p)
{
    return vf_from((vi){_mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)p)),
                        _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)(p + 8)))});
}

LANE vf vf_i8(const uint8_t *p)
{
    return vf_from((vi){_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)p)),
                        _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(p + 8)))});
}

LANE void vi_store_i8(int8_t *p, vi v)
{
    __m256i w = _mm256_permute4x64_epi64(_mm256_packs_epi32(v.a, v.b), 0xd8);
    _mm_storeu_si128((void *)p, _mm_packs_epi16(_mm256_castsi256_si128(w), _mm256_extracti128_si256(w, 1)));
}

LANE vi vi_byte(vb v, int j)
{
    __m256i low = _mm256_set1_epi32(255);
    return (vi){_mm256_and_si256(_mm256_srli_epi32(v.a, 8 * j), low), _mm256_and_si256(_mm256_srli_epi32(v.b, 8 * j), low)};
}

LANE __m256 half_e4m3(__m256i v)
{
    __m256i bits = _mm256_or_si256(_mm256_slli_epi32(_mm256_and_si256(v, _mm256_set1_epi32(0x7f)), 20),
                                   _mm256_slli_epi32(_mm256_and_si256(v, _mm256_set1_epi32(0x80)), 24));
    return _mm256_mul_ps(_mm256_castsi256_ps(bits), _mm256_set1_ps(0x1p120f));
}

LANE vf vf_e4m3(vi v)
{
    return (vf){half_e4m3(v.a), half_e4m3(v.b)};
}

LANE vb vb_load(const uint8_t *p)
{
    return (vb){_mm256_loadu_si256((const void *)p), _mm256_loadu_si256((const void *)(p + 32))};
}

LANE __m256i half_bits(__m256i v, int left, uint8_t keep)
{
    v = left >= 0 ? _mm256_slli_epi16(v, left) : _mm256_srli_epi16(v, -left);
    return _mm256_and_si256(v, _mm256_set1_epi8((char)keep));
}

LANE vb vb_bits(vb v, int left, uint8_t keep)
{
    return (vb){half_bits(v.a, left, keep), half_bits(v.b, left, keep)};
}

LANE vb vb_or(vb x, vb y)
{
    return (vb){_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)};
}

LANE vb vb_find(vb v, const uint8_t table[16])
{
    __m256i t = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)table));
    return (vb){_mm256_shuffle_epi8(t, v.a), _mm256_shuffle_epi8(t, v.b)};
}

LANE __m256i four_of(const int8_t *a)
{
    int32_t four;
    memcpy(&four, a, sizeof four);
    return _mm256_set1_epi32(four);
}

#ifdef DPBUSD
LANE vi vi_dot(vi sum, vb codes, const int8_t *a)
{
    return (vi){DPBUSD(sum.a, codes.a, four_of(a)), DPBUSD(sum.b, codes.b, four_of(a))};
}

LANE vi vi_dot_wide(vi sum, vb codes, const int8_t *a)
{
    return vi_dot(sum, codes, a);
}
#else
/* Two products of a code below 64 and an int8 fit 16 bits. */
LANE __m256i half_dot(__m256i sum, __m256i codes, __m256i four)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(codes, four), _mm256_set1_epi16(1)));
}

LANE vi vi_dot(vi sum, vb codes, const int8_t *a)
{
    return (vi){half_dot(sum.a, codes.a, four_of(a)), half_dot(sum.b, codes.b, four_of(a))};
}

/* Codes of a whole byte lose their offset first; the sign goes over to the other factor, 128 * 127 * 2 just fits. */
LANE __m256i half_dot_wide(__m256i sum, __m256i codes, __m256i four)
{
    __m256i x = _mm256_xor_si256(codes, _mm256_set1_epi8((char)0x80));
    return half_dot(sum, _mm256_abs_epi8(x), _mm256_sign_epi8(four, x));
}

LANE vi vi_dot_wide(vi sum, vb codes, const int8_t *a)
{
    return (vi){half_dot_wide(sum.a, codes.a, four_of(a)), half_dot_wide(sum.b, codes.b, four_of(a))};
}
#endif

#endif
