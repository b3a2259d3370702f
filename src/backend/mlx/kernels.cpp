/* kernels.cpp -- see kernels.h: the kernels' text, and how Metal and CUDA compile and launch it.
 *
 * A simdgroup is a warp: 32 lanes on both.  Numbers of 16 bits are read as integers and widened by hand, so that no type of
 * either language is needed. */
#include "backend/mlx/kernels.h"

#include <mlx/allocator.h>

#include <cstring>
#include <map>

#if defined(__APPLE__) && __has_include(<Metal/Metal.hpp>)
#define HAS_METAL 1
#include <mlx/backend/metal/device.h>
#include <mlx/backend/metal/metal.h>
#elif defined(HEARTH_MLX_CUDA)
#define HAS_CUDA 1
#include <mlx/backend/cuda/device.h>
#include <cuda.h>
#include <nvrtc.h>
#endif

namespace {

[[maybe_unused]] const char *const metal_dialect = R"(
#include <metal_stdlib>
using namespace metal;
#define FN inline
#define UNROLL _Pragma("unroll")
#define thread_float thread float *
#define shared_float threadgroup float *
#define GIVEN constant kernel_args &a
#define DEVICE device
#define SHARED threadgroup
#define BARRIER threadgroup_barrier(mem_flags::mem_threadgroup)
#define KERNEL(name) [[kernel]] void name
#define IN(i, type, name) const device type *name [[buffer(i)]],
#define OUT(i, type, name) device type *name [[buffer(i)]],
#define ARGS(i, type) constant type &a [[buffer(i)]], uint3 group [[threadgroup_position_in_grid]], \
    uint lane [[thread_index_in_simdgroup]], uint simd [[simdgroup_index_in_threadgroup]]
#define BEGIN
FN float real(uint x) { return as_type<float>(x); }
FN uint bits(float x) { return as_type<uint>(x); }
FN float across(float x, uint lanes) { return simd_shuffle_xor(x, ushort(lanes)); }
FN int across_int(int x, uint lanes) { return simd_shuffle_xor(x, ushort(lanes)); }
FN float half_real(ushort x) { return float(as_type<half>(x)); }
FN ushort real_half(float x) { return as_type<ushort>(half(x)); }
FN float root(float x) { return precise::rsqrt(x); }
FN float power(float x) { return exp(x); }
FN float cosine(float x) { return precise::cos(x); }
FN float sine(float x) { return precise::sin(x); }
FN float bent(float x) { return precise::tanh(x); }
)";

[[maybe_unused]] const char *const cuda_dialect = R"(
typedef unsigned int uint;
typedef unsigned short ushort;
#define FN __device__ __forceinline__
#define UNROLL _Pragma("unroll")
#define thread_float float *
#define shared_float float *
#define GIVEN const kernel_args &a
#define DEVICE
#define SHARED __shared__
#define BARRIER __syncthreads()
#define KERNEL(name) extern "C" __global__ void __launch_bounds__(SIMDS * 32) name
#define IN(i, type, name) const type *name,
#define OUT(i, type, name) type *name,
#define ARGS(i, type) const type a
#define BEGIN const uint lane = threadIdx.x % 32, simd = threadIdx.x / 32; const uint3 group = {blockIdx.x, blockIdx.y, blockIdx.z};
FN float real(uint x) { return __uint_as_float(x); }
FN uint bits(float x) { return __float_as_uint(x); }
FN float across(float x, uint lanes) { return __shfl_xor_sync(0xffffffffu, x, lanes); }
FN int across_int(int x, uint lanes) { return __shfl_xor_sync(0xffffffffu, x, lanes); }
FN float half_real(ushort x) { float y; asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x)); return y; }
FN ushort real_half(float x) { ushort y; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x)); return y; }
FN float root(float x) { return rsqrtf(x); }
FN float power(float x) { return __expf(x); }
FN float cosine(float x) { return cosf(x); }
FN float sine(float x) { return sinf(x); }
FN float bent(float x) { return tanhf(x); }
)";

const char *const kernels_text = R"(
struct kernel_args {
    int   rows, n, k, in_stride, out_stride, add_stride, q, key, value, table, window, splits;
    float eps, scale, factor;
};
struct say_args { int n, at, x[900]; };

#if BF16
FN float lift(ushort x) { return real(uint(x) << 16); }
FN ushort lower(float x)
{
    uint u = bits(x);
    return ushort((u & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : (u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}
#else
FN float lift(ushort x) { return half_real(x); }
FN ushort lower(float x) { return real_half(x); }
#endif

FN float sum_of_all(float x)
{
    for (uint d = 16; d; d /= 2)
        x += across(x, d);
    return x;
}

FN void lift8(uint4 p, thread_float y)
{
    uint w[4] = {p.x, p.y, p.z, p.w};
    UNROLL
    for (int i = 0; i < 4; i++) {
        y[2 * i] = lift(ushort(w[i] & 0xffffu));
        y[2 * i + 1] = lift(ushort(w[i] >> 16));
    }
}

/* ---- what the batch says, copied to the device ---- */
#if defined(SAY)
KERNEL(hearth_say)(OUT(0, int, out) ARGS(1, say_args))
{
    BEGIN
    for (int i = int(simd * 32 + lane); i < a.n; i += SIMDS * 32)
        out[a.at + i] = a.x[i];
}
#endif

/* ---- rows of numbers, moved as bits, into those rows of a state that `slot` lists ---- */
#if defined(WRITE)
KERNEL(hearth_write)(OUT(0, item_t, state) IN(1, item_t, rows) IN(2, int, slot) ARGS(3, kernel_args))
{
    BEGIN
    long to = long(slot[group.x]) * a.k, from = long(group.x) * a.in_stride;
    for (int i = int(simd * 32 + lane); i < a.k; i += SIMDS * 32)
        state[to + i] = rows[from + long(i) * a.add_stride];
}
#endif

/* ---- rows of a table of 4-bit codes; a token below 0 is what row -1-token of the draw before gave ---- */
#if defined(EMBED)
KERNEL(hearth_embed)(IN(0, uint, w) IN(1, ushort, scales) IN(2, ushort, biases) IN(3, int, token) IN(4, int, drawn)
                     OUT(5, ushort, out) ARGS(6, kernel_args))
{
    BEGIN
    int row = int(group.x), id = token[row];
    if (id < 0)
        id = max(drawn[-1 - id], 0);
    for (int c = int(simd * 32 + lane); c < a.k / 8; c += SIMDS * 32) {
        uint  q = w[long(id) * (a.k / 8) + c];
        long  g = long(id) * (a.k / GROUP) + c * 8 / GROUP;
        float s = lift(scales[g]), b = lift(biases[g]);
        UNROLL
        for (int i = 0; i < 8; i++) {
            float x = lift(lower(float(q >> (4 * i) & 15u) * s + b));
            out[row * a.out_stride + c * 8 + i] = lower(x * a.scale);
        }
    }
}
#endif

/* ---- rows times a matrix of 4-bit codes, with what comes before and after ----
 * A simdgroup has R rows of the matrix and TILE rows of the run; its lanes share k, 8 numbers side by side each.  A code of 4 bits becomes a number by
 * being put into the last bits of 2^23.  NORM: x is over its root mean square, times norm.  GLU: the matrix's halves are gate
 * and up.  ADD: out = add + …. */
#if defined(MATVEC)
#define VALUES (R * TILE)
#define WORDS (TILE < 8 ? 4 : 2)       /* of 8 codes, that a lane fetches at a time */

/* A step of the sums over the lanes: each keeps half of what it has to add up, until it has its own part of the values. */
#define FOLD(d)                                                                                                       \
    if (VALUES * 2 * d / 32 > 1) {                                                                                    \
        UNROLL                                                                                                        \
        for (int i = 0; i < VALUES * d / 32; i++) {                                                                   \
            float mine = lane & d ? acc[i + VALUES * d / 32] : acc[i], other = lane & d ? acc[i] : acc[i + VALUES * d / 32]; \
            acc[i] = mine + across(other, d);                                                                         \
        }                                                                                                             \
    } else {                                                                                                          \
        acc[0] += across(acc[0], d);                                                                                  \
    }

FN float gate(float x)
{
#if GLU == 2
    return 0.5f * x * (1 + bent(0.79788456f * (x + 0.044715f * x * x * x)));
#else
    return x / (1 + power(-x));
#endif
}

FN void unpack(uint code, float s0, float b, thread_float v)
{
    float s1 = s0 * 0.0625f, s2 = s1 * 0.0625f, s3 = s2 * 0.0625f;
    UNROLL
    for (int h = 0; h < 2; h++) {
        uint u = h ? code >> 16 : code;
        v[4 * h] = (real((u & 0xfu) | 0x4b000000u) - 8388608.0f) * s0 + b;
        v[4 * h + 1] = (real((u & 0xf0u) | 0x4b000000u) - 8388608.0f) * s1 + b;
        v[4 * h + 2] = (real((u & 0xf00u) | 0x4b000000u) - 8388608.0f) * s2 + b;
        v[4 * h + 3] = (real((u & 0xf000u) | 0x4b000000u) - 8388608.0f) * s3 + b;
    }
}

/* The lane's part of the sums: value r * TILE + m is of the simdgroup's row r of the matrix and of row m of the run. */
FN void put(thread_float acc, thread_float square, int first, int m0, int n_out, const DEVICE float *bias, const DEVICE ushort *add,
            DEVICE out_t *out, uint lane, GIVEN)
{
    const int each = VALUES >= 32 ? VALUES / 32 : 1, outs = GLU ? R / 2 : R;
    UNROLL
    for (int i = 0; i < (VALUES >= 32 ? VALUES / 32 : 1); i++) {
        int   at = VALUES >= 32 ? int(lane) * each + i : int(lane) * VALUES / 32, r = at / TILE, m = at % TILE;
        float y = acc[i];
        bool  mine = VALUES >= 32 || lane % (VALUES >= 32 ? 1 : 32 / VALUES) == 0;
#if NORM
        float by = square[0];
        UNROLL
        for (int j = 1; j < TILE; j++)
            by = m == j ? square[j] : by;
        y *= by;
#endif
#if BIAS
        y += bias[min(first + r % outs, n_out - 1) + r / outs * n_out];
#endif
#if GLU
        float up = across(y, 16);
        y = gate(lift(lower(y))) * lift(lower(up));
        mine = mine && lane < 16;
#endif
        if (mine && m0 + m < a.rows && first + r % outs < n_out) {
#if ADD
            y = lift(lower(y)) + lift(add[(m0 + m) * a.add_stride + first + r % outs]);
#endif
            out[long(m0 + m) * a.out_stride + first + r % outs] = LOWER(y);
        }
    }
}

KERNEL(hearth_matvec)(IN(0, uint, w) IN(1, ushort, scales) IN(2, ushort, biases) IN(3, ushort, x) IN(4, ushort, norm)
                      IN(5, float, bias) IN(6, ushort, add) OUT(7, out_t, out) ARGS(8, kernel_args))
{
    BEGIN
    const int outs = GLU ? R / 2 : R;
    int   m0 = int(group.y) * TILE, n_out = GLU ? a.n / 2 : a.n, first = (int(group.x) * SIMDS + int(simd)) * outs;
    if (first >= n_out)
        return;
    float acc[VALUES], square[TILE];
    long  row[R];
    UNROLL
    for (int i = 0; i < VALUES; i++)
        acc[i] = 0;
    UNROLL
    for (int r = 0; r < R; r++)
        row[r] = min(first + r % outs, n_out - 1) + r / outs * n_out;
    UNROLL
    for (int m = 0; m < TILE; m++)
        square[m] = 0;
    for (int base = int(lane) * 8; base < a.k; base += 256 * WORDS) {
        uint q[R][WORDS];
        UNROLL
        for (int j = 0; j < WORDS; j++) {
            UNROLL
            for (int r = 0; r < R; r++)
                q[r][j] = w[row[r] * (a.k / 8) + min(base + j * 256, a.k - 8) / 8];
        }
        UNROLL
        for (int j = 0; j < WORDS; j++) {
            float v[R][8];
            int   k = base + j * 256;
            if (k >= a.k)
                break;
            UNROLL
            for (int r = 0; r < R; r++) {
                long g = row[r] * (a.k / GROUP) + k / GROUP;
                unpack(q[r][j], lift(scales[g]), lift(biases[g]), v[r]);
            }
#if NORM
            float nw[8];
            lift8(*(const DEVICE uint4 *)(norm + k), nw);
#endif
            UNROLL
            for (int m = 0; m < TILE; m++) {
                float y[8];
                lift8(*(const DEVICE uint4 *)(x + min(m0 + m, a.rows - 1) * a.in_stride + k), y);
#if NORM
                UNROLL
                for (int i = 0; i < 8; i++) {
                    square[m] += y[i] * y[i];
                    y[i] *= nw[i];
                }
#endif
                UNROLL
                for (int r = 0; r < R; r++) {
                    UNROLL
                    for (int i = 0; i < 8; i++)
                        acc[r * TILE + m] += v[r][i] * y[i];
                }
            }
        }
    }
    FOLD(16)
    FOLD(8)
    FOLD(4)
    FOLD(2)
    FOLD(1)
#if NORM
    UNROLL
    for (int m = 0; m < TILE; m++)
        square[m] = root(sum_of_all(square[m]) / float(a.k) + a.eps);
#endif
    put(acc, square, first, m0, n_out, bias, add, out, lane, a);
}
#endif

/* ---- attention of one row over its blocks: group (row, key head, part of the sequence) ----
 * Queries and the key are normalised head by head (NORM) and turned (ROPE); key and value are written into the state.  Lane l
 * has numbers l * E .. of a head.  Every simdgroup has its own records; what it found is merged at the end. */
#if defined(ATTEND)
#define E (DIM / 32)
FN void load_row(const DEVICE ushort *p, thread_float y)
{
#if DIM == 64
    uint u = *(const DEVICE uint *)p;
    y[0] = lift(ushort(u & 0xffffu));
    y[1] = lift(ushort(u >> 16));
#elif DIM == 128
    uint2 u = *(const DEVICE uint2 *)p;
    y[0] = lift(ushort(u.x & 0xffffu));
    y[1] = lift(ushort(u.x >> 16));
    y[2] = lift(ushort(u.y & 0xffffu));
    y[3] = lift(ushort(u.y >> 16));
#else
    UNROLL
    for (int i = 0; i < E; i++)
        y[i] = lift(p[i]);
#endif
}

FN void turn(thread_float y, const DEVICE float *freq, float at, float factor, uint lane)
{
    UNROLL
    for (int i = 0; i < E; i++) {
#if INTERLEAVED
        if (i % 2)
            continue;
        int   j = (int(lane) * E + i) / 2;
        float c = cosine(at * freq[j]) * factor, s = sine(at * freq[j]) * factor, u = y[i], v = y[i + 1];
        y[i] = u * c - v * s;
        y[i + 1] = v * c + u * s;
#else
        int   j = int(lane % 16) * E + i;
        float c = cosine(at * freq[j]) * factor, s = sine(at * freq[j]) * factor, other = across(y[i], 16);
        y[i] = lane < 16 ? y[i] * c - other * s : y[i] * c + other * s;
#endif
    }
}

/* Queries, the key and the value of one key head, as the state holds them, into `head`; queries by the scale. */
FN void prepare(const DEVICE ushort *in, const DEVICE float *q_norm, const DEVICE float *k_norm, const DEVICE float *freq, DEVICE ushort *keys,
                DEVICE ushort *values, long record, int at, int kv, bool writes, shared_float head, uint lane, uint simd, GIVEN)
{
    for (int h = int(simd); h < SHARE + 2; h += SIMDS) {
        bool  query = h < SHARE, value = h == SHARE + 1;
        int   col = (query ? a.q + (kv * SHARE + h) * DIM : (value ? a.value : a.key) + kv * DIM) + int(lane) * E;
        float y[E];
        load_row(in + col, y);
        if (!value) {
#if NORM
            float square = 0;
            UNROLL
            for (int i = 0; i < E; i++)
                square += y[i] * y[i];
            float by = root(sum_of_all(square) / float(DIM) + a.eps);
            UNROLL
            for (int i = 0; i < E; i++)
                y[i] *= by * (query ? q_norm : k_norm)[int(lane) * E + i];
#endif
#if ROPE
            turn(y, freq, float(at), a.factor, lane);
#endif
        }
        long to = record * a.k + kv * DIM + int(lane) * E;
        UNROLL
        for (int i = 0; i < E; i++) {
            ushort low = lower(y[i]);
            head[h * DIM + int(lane) * E + i] = lift(low) * (query ? a.scale : 1);
            if (!query && writes)
                (value ? values : keys)[to + i] = low;
        }
    }
}

/* Records from .. end of the sequence, those that are this simdgroup's, four at a time. */
FN void add_records(thread_float q, thread_float acc, thread_float m, thread_float l, const DEVICE ushort *keys, const DEVICE ushort *values,
                    const DEVICE int *blocks, int from, int end, int col, uint simd, GIVEN)
{
    for (int t = from + int(simd); t < end; t += 4 * SIMDS) {
        float k[4 * E], v[4 * E];
        UNROLL
        for (int u = 0; u < 4; u++) {
            int  r = min(t + u * SIMDS, end - 1);
            long at = (long(blocks[r / BLOCK]) * BLOCK + r % BLOCK) * a.k + col;
            load_row(keys + at, k + u * E);
            load_row(values + at, v + u * E);
        }
        UNROLL
        for (int g = 0; g < SHARE; g++) {
            float s[4], top = m[g];
            UNROLL
            for (int u = 0; u < 4; u++) {
                float p = 0;
                UNROLL
                for (int i = 0; i < E; i++)
                    p += q[g * E + i] * k[u * E + i];
                s[u] = t + u * SIMDS < end ? sum_of_all(p) : -1e30f;
                top = max(top, s[u]);
            }
            float shrink = power(m[g] - top);
            m[g] = top;
            l[g] *= shrink;
            UNROLL
            for (int i = 0; i < E; i++)
                acc[g * E + i] *= shrink;
            UNROLL
            for (int u = 0; u < 4; u++) {
                float p = t + u * SIMDS < end ? power(s[u] - top) : 0;
                l[g] += p;
                UNROLL
                for (int i = 0; i < E; i++)
                    acc[g * E + i] += p * v[u * E + i];
            }
        }
    }
}

/* The row's own record, which lies in `head`. */
FN void add_own(thread_float q, thread_float acc, thread_float m, thread_float l, shared_float head, int mine)
{
    UNROLL
    for (int g = 0; g < SHARE; g++) {
        float p = 0;
        UNROLL
        for (int i = 0; i < E; i++)
            p += q[g * E + i] * head[SHARE * DIM + mine + i];
        p = sum_of_all(p);
        float top = max(m[g], p), shrink = power(m[g] - top), by = power(p - top);
        m[g] = top;
        l[g] = l[g] * shrink + by;
        UNROLL
        for (int i = 0; i < E; i++)
            acc[g * E + i] = acc[g * E + i] * shrink + by * head[(SHARE + 1) * DIM + mine + i];
    }
}

/* What the simdgroups found, of head g of those that share a key head: number d of what comes out. */
FN void together(shared_float found, shared_float most, shared_float total, DEVICE ushort *out, DEVICE float *parts, int g, int d, GIVEN)
{
    float top = most[g], sum = 0, all = 0;
    for (int s = 1; s < SIMDS; s++)
        top = max(top, most[s * SHARE + g]);
    for (int s = 0; s < SIMDS; s++) {
        float by = power(most[s * SHARE + g] - top);
        sum += by * found[s * DIM + d];
        all += by * total[s * SHARE + g];
    }
    if (a.splits == 1) {
        out[d] = lower(sum / all);
    } else {
        parts[d] = sum;
        if (d == 0) {
            parts[DIM] = top;
            parts[DIM + 1] = all;
        }
    }
}

KERNEL(hearth_attend)(IN(0, ushort, in) IN(1, float, q_norm) IN(2, float, k_norm) IN(3, float, freq) IN(4, int, position)
                      IN(5, int, table) OUT(6, ushort, keys) OUT(7, ushort, values) OUT(8, ushort, out) OUT(9, float, parts)
                      ARGS(10, kernel_args))
{
    BEGIN
    SHARED float head[(SHARE + 2) * DIM];
    SHARED float found[SIMDS * DIM];
    SHARED float most[SIMDS * SHARE];
    SHARED float total[SIMDS * SHARE];
    int   row = int(group.x), kv = int(group.y), part = int(group.z), at = position[row], mine = int(lane) * E;
    const DEVICE int *blocks = table + row * a.table;
    prepare(in + row * a.in_stride, q_norm, k_norm, freq, keys, values, long(blocks[at / BLOCK]) * BLOCK + at % BLOCK, at, kv, part == 0,
            head, lane, simd, a);
    BARRIER;
    float q[SHARE * E], acc[SHARE * E], m[SHARE], l[SHARE];
    UNROLL
    for (int g = 0; g < SHARE; g++) {
        m[g] = -1e30f;
        l[g] = 0;
        UNROLL
        for (int i = 0; i < E; i++) {
            q[g * E + i] = head[g * DIM + mine + i];
            acc[g * E + i] = 0;
        }
    }
    int first = a.window && at >= a.window ? at - a.window + 1 : 0, each = (at - first + a.splits - 1) / a.splits;
    int from = first + part * each;
    add_records(q, acc, m, l, keys, values, blocks, from, min(from + each, at), kv * DIM + mine, simd, a);
    if (simd == 0 && part == a.splits - 1)
        add_own(q, acc, m, l, head, mine);
    UNROLL
    for (int g = 0; g < SHARE; g++)
        if (lane == 0) {
            most[simd * SHARE + g] = m[g];
            total[simd * SHARE + g] = l[g];
        }
    UNROLL
    for (int g = 0; g < SHARE; g++) {
        UNROLL
        for (int i = 0; i < E; i++)
            found[int(simd) * DIM + mine + i] = acc[g * E + i];
        BARRIER;
        int h = kv * SHARE + g;
        for (int d = int(simd * 32 + lane); d < DIM; d += SIMDS * 32)
            together(found, most, total, out + row * a.out_stride + h * DIM,
                     parts + ((long(row) * a.n + h) * a.splits + part) * (DIM + 2), g, d, a);
        BARRIER;
    }
}

KERNEL(hearth_merge)(IN(0, float, parts) OUT(1, ushort, out) ARGS(2, kernel_args))
{
    BEGIN
    int row = int(group.x), h = int(group.y);
    const DEVICE float *p = parts + (long(row) * a.n + h) * a.splits * (DIM + 2);
    float top = -1e30f;
    for (int s = 0; s < a.splits; s++)
        top = max(top, p[s * (DIM + 2) + DIM]);
    for (int d = int(simd * 32 + lane); d < DIM; d += SIMDS * 32) {
        float sum = 0, all = 0;
        for (int s = 0; s < a.splits; s++) {
            float by = power(p[s * (DIM + 2) + DIM] - top);
            sum += by * p[s * (DIM + 2) + d];
            all += by * p[s * (DIM + 2) + DIM + 1];
        }
        out[row * a.out_stride + h * DIM + d] = lower(sum / all);
    }
}
#endif

/* ---- the largest logit, the lowest id among equals; what is not a number is passed over; -1: infinite, or there is none */
#if defined(LARGEST)
FN bool better(float x, int i, float y, int j)
{
    return x > y || (x == y && i < j);
}

KERNEL(hearth_largest)(IN(0, float, logits) OUT(1, int, out) OUT(2, int, host) ARGS(3, kernel_args))
{
    BEGIN
    SHARED float most[SIMDS];
    SHARED int   which[SIMDS];
    int   row = int(group.x), id = a.n;
    float top = -real(0x7f800000u);
    for (int i = int(simd * 32 + lane); i < a.n; i += SIMDS * 32) {
        float x = logits[long(row) * a.in_stride + i];
        if (x > top) {
            top = x;
            id = i;
        }
    }
    for (uint d = 16; d; d /= 2) {
        float x = across(top, d);
        int   i = across_int(id, d);
        if (better(x, i, top, id)) {
            top = x;
            id = i;
        }
    }
    if (lane == 0) {
        most[simd] = top;
        which[simd] = id;
    }
    BARRIER;
    if (simd == 0 && lane == 0) {
        for (int s = 1; s < SIMDS; s++)
            if (better(most[s], which[s], top, id)) {
                top = most[s];
                id = which[s];
            }
        id = id < a.n && top < real(0x7f800000u) ? id : -1;
        out[row] = id;
        host[row] = id;
    }
}
#endif
)";

unsigned made;

/* The whole of a variant. */
[[maybe_unused]] std::string source_of(const launch &l, const char *dialect)
{
    return dialect + l.options + kernels_text;
}

#if HAS_CUDA

void check(CUresult r, const char *what)
{
    const char *name = "?";
    if (r != CUDA_SUCCESS) {
        cuGetErrorName(r, &name);
        throw std::runtime_error(std::string(what) + ": " + name);
    }
}

std::string compiled(const std::string &source)
{
    int       major = 0, minor = 0;
    CUdevice  device;
    check(cuCtxGetDevice(&device), "cuCtxGetDevice");
    check(cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device), "the device's age");
    check(cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device), "the device's age");
    std::string  arch = "--gpu-architecture=sm_" + std::to_string(major) + std::to_string(minor);
    const char  *options[] = {arch.c_str(), "--std=c++17", "-default-device"};
    nvrtcProgram p;
    size_t       n = 0;
    nvrtcCreateProgram(&p, source.c_str(), "hearth.cu", 0, nullptr, nullptr);
    if (nvrtcCompileProgram(p, 3, options) != NVRTC_SUCCESS) {
        nvrtcGetProgramLogSize(p, &n);
        std::string log(n, ' ');
        nvrtcGetProgramLog(p, log.data());
        nvrtcDestroyProgram(&p);
        throw std::runtime_error(log.substr(0, 1500));
    }
    nvrtcGetCUBINSize(p, &n);
    std::string code(n, ' ');
    nvrtcGetCUBIN(p, code.data());
    nvrtcDestroyProgram(&p);
    return code;
}

void *kernel_of(mx::Stream, const launch &l)
{
    static std::map<std::string, CUmodule> modules;
    auto it = modules.find(l.options);
    if (it == modules.end()) {
        CUmodule m;
        check(cuModuleLoadData(&m, compiled(source_of(l, cuda_dialect)).data()), "a kernel's code");
        it = modules.emplace(l.options, m).first;
    }
    CUfunction f;
    check(cuModuleGetFunction(&f, it->second, l.name.c_str()), l.name.c_str());
    return f;
}

void hand_over(mx::Stream s, const launch &l, const mx::array &all)
{
    auto &encoder = mx::cu::get_command_encoder(s);
    std::array<void *, 12> memory;
    std::array<void *, 13> params;
    size_t n = 0;
    for (const place &p : l.buffer) {
        memory[n] = mx::gpu_ptr<char>(const_cast<mx::array &>(*p.a)) + p.at;
        params[n] = &memory[n];
        n++;
    }
    params[n] = const_cast<void *>(l.args);
    encoder.set_output_array(all);
    for (const place &p : l.buffer)
        if (p.role == place::WRITTEN)
            encoder.set_output_array(*p.a);
        else if (p.role == place::READ)
            encoder.set_input_array(*p.a);
    encoder.add_kernel_node_raw(static_cast<CUfunction>(l.ready), {l.grid[0], l.grid[1], l.grid[2]}, {l.simds * 32, 1, 1}, {0, 0, 0}, 0,
                                params.data());
}

#elif HAS_METAL

void *kernel_of(mx::Stream s, const launch &l)
{
    auto &device = mx::metal::device(s.device);
    auto *library = device.get_library("hearth " + l.options, [&] { return source_of(l, metal_dialect); });
    return device.get_kernel(l.name, library, l.name + l.options);
}

void hand_over(mx::Stream s, const launch &l, const mx::array &all)
{
    auto &encoder = mx::metal::get_command_encoder(s);
    encoder.set_compute_pipeline_state(static_cast<MTL::ComputePipelineState *>(l.ready));
    int i = 0;
    for (const place &p : l.buffer) {
        if (p.role == place::WRITTEN || p.a->buffer().ptr() == all.buffer().ptr())
            encoder.set_output_array(const_cast<mx::array &>(*p.a), i, static_cast<int64_t>(p.at));
        else
            encoder.set_input_array(*p.a, i, static_cast<int64_t>(p.at));
        i++;
    }
    encoder.set_bytes(static_cast<const uint8_t *>(l.args), static_cast<int>(l.args_bytes), i);
    encoder.dispatch_threadgroups(MTL::Size(l.grid[0], l.grid[1], l.grid[2]), MTL::Size(l.simds * 32, 1, 1));
}

#else

void *kernel_of(mx::Stream, const launch &)
{
    throw std::logic_error("kernels have no form for this machine");
}

void hand_over(mx::Stream, const launch &, const mx::array &) {}

#endif

#if HAS_CUDA
/* Memory of the host's that the device writes into over the bus. */
struct box : mailbox {
    int32_t  *room = nullptr;
    mx::array a;

    explicit box(int n) : a(mx::zeros({1}, mx::int32))
    {
        mx::eval(a);            /* makes the device's context this thread's */
        check(cuMemHostAlloc(reinterpret_cast<void **>(&room), static_cast<size_t>(n) * 4, CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP),
              "memory of the host");
        std::memset(room, 0, static_cast<size_t>(n) * 4);
    }
    ~box() override { cuMemFreeHost(room); }
    int32_t *host() override { return room; }
    place    device() override { return {&a, static_cast<size_t>(reinterpret_cast<char *>(room) - mx::gpu_ptr<char>(a)), place::KEPT}; }
};
#else
/* Memory is one. */
struct box : mailbox {
    mx::array a;

    explicit box(int n) : a(mx::zeros({n}, mx::int32)) { mx::eval(a); }
    int32_t *host() override { return a.data<int32_t>(); }
    place    device() override { return {&a, 0, place::WRITTEN}; }
};
#endif

} // namespace

std::unique_ptr<mailbox> mailbox_new(int n)
{
    return std::make_unique<box>(n);
}

bool kernels_here(const struct backend *b)
{
#if HAS_CUDA
    return b->gpu;
#elif HAS_METAL
    return b->gpu && mx::metal::is_available();
#else
    (void)b;
    return false;
#endif
}

unsigned kernels_attend_simds()
{
#if HAS_CUDA
    return 16;
#else
    return 8;           /* a group's threads share fewer registers there */
#endif
}

void kernel_launch(mx::Stream s, launch &l, const mx::array &all)
{
    if (!l.ready) {
        l.ready = kernel_of(s, l);
        made++;
    }
    hand_over(s, l, all);
}

unsigned kernels_made()
{
    return made;
}
