/* lanes_neon.h -- sixteen lanes in four registers, for ARM with dot products.  What each function does: lanes_portable.h.
 *
 * Register k holds lanes 4k .. 4k + 3.  A mad rounds once. */
#ifndef BACKEND_CPU_LANES_NEON_H
#define BACKEND_CPU_LANES_NEON_H

#include "backend/cpu/lanes.h"

#include <arm_neon.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    float32x4_t v[4];
} vf;
typedef struct {
    int32x4_t v[4];
} vi;
typedef struct {
    uint8x16_t v[4];
} vb;

/* Three queries: 24 of 32 registers are sums.  Four rows: see linear_neon.inc.h; six where a product takes two rows. */
#ifdef SMMLA
enum { TILE_ROWS = 6 };
#else
enum { TILE_ROWS = 4 };
#endif
enum { TILE_STRIPS = 1, TILE_QUERIES = 3, DOT_OFFSET_128 = 0 };
#define TILE_FAST "backend/cpu/linear_neon.inc.h"

/* f of each register of x; of x and y; of x and the same n. */
#define EACH(f, x)         {{f((x).v[0]), f((x).v[1]), f((x).v[2]), f((x).v[3])}}
#define EACH_TWO(f, x, y)  {{f((x).v[0], (y).v[0]), f((x).v[1], (y).v[1]), f((x).v[2], (y).v[2]), f((x).v[3], (y).v[3])}}
#define EACH_WITH(f, x, n) {{f((x).v[0], n), f((x).v[1], n), f((x).v[2], n), f((x).v[3], n)}}

LANE vf vf_set(float x)
{
    float32x4_t four = vdupq_n_f32(x);
    return (vf){{four, four, four, four}};
}

LANE vf vf_load(const float *p)
{
    return (vf){{vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}};
}

LANE void vf_store(float *p, vf v)
{
    vst1q_f32(p, v.v[0]);
    vst1q_f32(p + 4, v.v[1]);
    vst1q_f32(p + 8, v.v[2]);
    vst1q_f32(p + 12, v.v[3]);
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

LANE vf vf_add(vf a, vf b)
{
    return (vf)EACH_TWO(vaddq_f32, a, b);
}

LANE vf vf_sub(vf a, vf b)
{
    return (vf)EACH_TWO(vsubq_f32, a, b);
}

LANE vf vf_mul(vf a, vf b)
{
    return (vf)EACH_TWO(vmulq_f32, a, b);
}

LANE vf vf_div(vf a, vf b)
{
    return (vf)EACH_TWO(vdivq_f32, a, b);
}

LANE vf vf_max(vf a, vf b)
{
    return (vf)EACH_TWO(vmaxq_f32, a, b);
}

LANE vf vf_min(vf a, vf b)
{
    return (vf)EACH_TWO(vminq_f32, a, b);
}

LANE vf vf_mad(vf a, vf b, vf c)
{
    return (vf){{vfmaq_f32(c.v[0], a.v[0], b.v[0]), vfmaq_f32(c.v[1], a.v[1], b.v[1]),
                 vfmaq_f32(c.v[2], a.v[2], b.v[2]), vfmaq_f32(c.v[3], a.v[3], b.v[3])}};
}

LANE vf vf_abs(vf a)
{
    return (vf)EACH(vabsq_f32, a);
}

LANE float vf_sum(vf v)
{
    float32x4_t s = vaddq_f32(vaddq_f32(v.v[0], v.v[2]), vaddq_f32(v.v[1], v.v[3]));
    float32x2_t t = vadd_f32(vget_low_f32(s), vget_high_f32(s));
    return vget_lane_f32(t, 0) + vget_lane_f32(t, 1);
}

LANE float vf_most(vf v)
{
    return vmaxvq_f32(vmaxq_f32(vmaxq_f32(v.v[0], v.v[1]), vmaxq_f32(v.v[2], v.v[3])));
}

LANE vf vf_keep(vf v, int from, int to, float fill)
{
    static const int32_t lane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    vf                   out;
    UNROLL for (int k = 0; k < 4; k++) {
        int32x4_t at = vld1q_s32(lane + 4 * k);
        uint32x4_t kept = vandq_u32(vcgeq_s32(at, vdupq_n_s32(from)), vcltq_s32(at, vdupq_n_s32(to)));
        out.v[k] = vbslq_f32(kept, v.v[k], vdupq_n_f32(fill));
    }
    return out;
}

LANE vf vf_swap(vf v)
{
    return (vf)EACH(vrev64q_f32, v);
}

LANE vf vf_from(vi v)
{
    return (vf)EACH(vcvtq_f32_s32, v);
}

LANE vi vi_round(vf v)
{
    return (vi)EACH(vcvtnq_s32_f32, v);
}

LANE vi vi_set(int32_t x)
{
    int32x4_t four = vdupq_n_s32(x);
    return (vi){{four, four, four, four}};
}

LANE vi vi_add(vi a, vi b)
{
    return (vi)EACH_TWO(vaddq_s32, a, b);
}

LANE vi vi_sub(vi a, vi b)
{
    return (vi)EACH_TWO(vsubq_s32, a, b);
}

LANE vi vi_shl(vi a, int n)
{
    return (vi)EACH_WITH(vshlq_s32, a, vdupq_n_s32(n));
}

LANE int32_t vi_sum(vi v)
{
    return vaddvq_s32(vaddq_s32(vaddq_s32(v.v[0], v.v[1]), vaddq_s32(v.v[2], v.v[3])));
}

LANE vf vf_pow2(vi n)
{
    vi e = vi_shl(vi_add(n, vi_set(127)), 23);
    return (vf)EACH(vreinterpretq_f32_s32, e);
}

/* Every ARMv8 converts halves. */
LANE float32x4_t four_f16(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

LANE vf vf_f16(const void *p)
{
    const uint16_t *h = p;
    return (vf){{four_f16(h), four_f16(h + 4), four_f16(h + 8), four_f16(h + 12)}};
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
    UNROLL for (int k = 0; k < 4; k++)
        vst1_u16(x + 4 * k, vreinterpret_u16_f16(vcvt_f16_f32(v.v[k])));
    memcpy(p, x, n * sizeof *x);
}

LANE float32x4_t four_bf16(const uint16_t *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}

LANE vf vf_bf16(const void *p)
{
    const uint16_t *h = p;
    return (vf){{four_bf16(h), four_bf16(h + 4), four_bf16(h + 8), four_bf16(h + 12)}};
}

LANE vf vf_u8(const uint8_t *p)
{
    uint8x16_t b = vld1q_u8(p);
    uint16x8_t low = vmovl_u8(vget_low_u8(b)), high = vmovl_u8(vget_high_u8(b));
    return (vf){{vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))), vcvtq_f32_u32(vmovl_u16(vget_high_u16(low))),
                 vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))), vcvtq_f32_u32(vmovl_u16(vget_high_u16(high)))}};
}

LANE vf vf_i8(const uint8_t *p)
{
    int8x16_t b = vreinterpretq_s8_u8(vld1q_u8(p));
    int16x8_t low = vmovl_s8(vget_low_s8(b)), high = vmovl_s8(vget_high_s8(b));
    return (vf){{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
                 vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))}};
}

LANE void vi_store_i8(int8_t *p, vi v)
{
    int16x8_t low = vcombine_s16(vmovn_s32(v.v[0]), vmovn_s32(v.v[1]));
    int16x8_t high = vcombine_s16(vmovn_s32(v.v[2]), vmovn_s32(v.v[3]));
    vst1q_s8(p, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
}

LANE int32x4_t four_byte(uint8x16_t v, int j)
{
    uint32x4_t moved = vshlq_u32(vreinterpretq_u32_u8(v), vdupq_n_s32(-8 * j));
    return vreinterpretq_s32_u32(vandq_u32(moved, vdupq_n_u32(255)));
}

LANE vi vi_byte(vb v, int j)
{
    return (vi)EACH_WITH(four_byte, v, j);
}

LANE float32x4_t four_e4m3(int32x4_t v)
{
    uint32x4_t x = vreinterpretq_u32_s32(v), sign = vshlq_n_u32(vandq_u32(x, vdupq_n_u32(0x80)), 24);
    uint32x4_t rest = vshlq_n_u32(vandq_u32(x, vdupq_n_u32(0x7f)), 20);
    return vmulq_n_f32(vreinterpretq_f32_u32(vorrq_u32(sign, rest)), 0x1p120f);
}

LANE vf vf_e4m3(vi v)
{
    return (vf)EACH(four_e4m3, v);
}

LANE vb vb_load(const uint8_t *p)
{
    return (vb){{vld1q_u8(p), vld1q_u8(p + 16), vld1q_u8(p + 32), vld1q_u8(p + 48)}};
}

/* Here bytes are shifted one by one: a right shift may leave nothing to be masked. */
LANE vb vb_bits(vb v, int left, uint8_t keep)
{
    v = (vb)EACH_WITH(vshlq_u8, v, vdupq_n_s8((int8_t)left));
    if (left < 0 && keep == 255 >> -left)
        return v;
    return (vb)EACH_WITH(vandq_u8, v, vdupq_n_u8(keep));
}

LANE vb vb_or(vb a, vb b)
{
    return (vb)EACH_TWO(vorrq_u8, a, b);
}

LANE uint8x16_t sixteen_find(uint8x16_t v, uint8x16_t table)
{
    return vqtbl1q_u8(table, v);
}

LANE vb vb_find(vb v, const uint8_t table[16])
{
    return (vb)EACH_WITH(sixteen_find, v, vld1q_u8(table));
}

LANE vi vi_dot(vi sum, vb codes, const int8_t *a)
{
    int32_t four;
    memcpy(&four, a, sizeof four);
    int8x16_t q = vreinterpretq_s8_s32(vdupq_n_s32(four));
    UNROLL for (int k = 0; k < 4; k++)
        sum.v[k] = vdotq_s32(sum.v[k], vreinterpretq_s8_u8(codes.v[k]), q);
    return sum;
}

/* Codes of a whole byte without their offset are just int8. */
LANE vb vb_centred(vb codes)
{
    return (vb)EACH_WITH(veorq_u8, codes, vdupq_n_u8(0x80));
}

LANE vi vi_dot_wide(vi sum, vb codes, const int8_t *a)
{
    return vi_dot(sum, vb_centred(codes), a);
}

#endif
