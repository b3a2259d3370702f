/* weights.cpp -- from checkpoint tensors to MLX arrays.
 *
 * MLX's affine formats say code * scale + bias for groups of 32 (64, 128) numbers, the codes packed as one stream of bits,
 * lowest first.  GGUF's blocks of 32 are such groups as they stand: nothing is rounded.  Those of 256 with groups of 32
 * have scales that are products of two numbers: exact as float32, rounded to the scales' type otherwise.  Q6_K, with groups
 * of 16, has no counterpart and becomes plain numbers.  Formats whose scales lie apart are MLX's own: taken in as they lie. */
#include "backend/mlx/mlx.h"

#include <cstring>

namespace {

enum { GROUP = 32, BLOCK_MAX = 256 };

/* A block as groups: number i is code[i] * scale[i / GROUP] + bias[i / GROUP]. */
struct affine {
    uint8_t code[BLOCK_MAX];
    float   scale[BLOCK_MAX / GROUP], bias[BLOCK_MAX / GROUP];
};

float half_at(const uint8_t *p)
{
    mx::float16_t h;
    std::memcpy(&h, p, sizeof h);
    return static_cast<float>(h);
}

/* 32 codes of 4 bits: the low halves of 16 bytes, then the high ones.  high, if there, has a fifth bit of each. */
void nibbles(const uint8_t *q, const uint8_t *high, uint8_t *code)
{
    for (unsigned i = 0; i < GROUP; i++) {
        unsigned c = i < 16 ? q[i] & 15u : q[i - 16] >> 4;
        if (high)
            c |= (high[i / 8] >> (i % 8) & 1u) << 4;
        code[i] = static_cast<uint8_t>(c);
    }
}

/* Codes that mean code - zero. */
void centred(const uint8_t *p, float zero, affine &a)
{
    a.scale[0] = half_at(p);
    a.bias[0] = -zero * a.scale[0];
}

void take_Q4_0(const uint8_t *p, affine &a)
{
    centred(p, 8, a);
    nibbles(p + 2, nullptr, a.code);
}

void take_Q5_0(const uint8_t *p, affine &a)
{
    centred(p, 16, a);
    nibbles(p + 6, p + 2, a.code);
}

void take_Q8_0(const uint8_t *p, affine &a)
{
    centred(p, 128, a);
    for (unsigned i = 0; i < GROUP; i++)
        a.code[i] = p[2 + i] ^ 0x80;
}

void take_Q4_1(const uint8_t *p, affine &a)
{
    a.scale[0] = half_at(p);
    a.bias[0] = half_at(p + 2);
    nibbles(p + 4, nullptr, a.code);
}

void take_Q5_1(const uint8_t *p, affine &a)
{
    a.scale[0] = half_at(p);
    a.bias[0] = half_at(p + 2);
    nibbles(p + 8, p + 4, a.code);
}

/* Eight groups; scale and minimum of each in 6 bits: those of the first four in the low bits of bytes 0-3 and 4-7, of the
 * others in the halves of bytes 8-11 with their upper two bits on top of the first four's.  Two groups share 32 bytes of
 * q; bit g of high[i] is the fifth of number i of group g. */
void take_K(const uint8_t *p, const uint8_t *high, const uint8_t *q, affine &a)
{
    auto s = [p](unsigned i) { return unsigned{p[4 + i]}; };
    for (unsigned g = 0; g < 8; g++) {
        unsigned scale = g < 4 ? s(g) & 63 : (s(g + 4) & 15) | s(g - 4) >> 6 << 4;
        unsigned least = g < 4 ? s(g + 4) & 63 : s(g + 4) >> 4 | s(g) >> 6 << 4;
        a.scale[g] = half_at(p) * static_cast<float>(scale);
        a.bias[g] = -half_at(p + 2) * static_cast<float>(least);
        for (unsigned i = 0; i < GROUP; i++) {
            unsigned c = g % 2 ? q[g / 2 * 32 + i] >> 4 : q[g / 2 * 32 + i] & 15u;
            if (high)
                c |= (high[i] >> g & 1u) << 4;
            a.code[g * GROUP + i] = static_cast<uint8_t>(c);
        }
    }
}

void take_Q4_K(const uint8_t *p, affine &a)
{
    take_K(p, nullptr, p + 16, a);
}

void take_Q5_K(const uint8_t *p, affine &a)
{
    take_K(p, p + 16, p + 48, a);
}

/* Two halves of 128; low four bits in the halves of 64 bytes, two more in 32; a signed scale for 16 numbers. */
void numbers_Q6_K(const uint8_t *p, float *out)
{
    for (unsigned i = 0; i < BLOCK_MAX; i++) {
        unsigned half = i / 128, quarter = i / 32 % 4, at = i % 32;
        unsigned low = p[half * 64 + quarter % 2 * 32 + at] >> quarter / 2 * 4 & 15u;
        unsigned high = p[128 + half * 32 + at] >> quarter * 2 & 3u;
        float    scale = static_cast<float>(static_cast<int8_t>(p[192 + i / 16]));
        out[i] = half_at(p + 208) * scale * static_cast<float>(static_cast<int>(low | high << 4) - 32);
    }
}

/* How a format becomes arrays. */
struct recipe {
    int bits;                                       /* of a code; 0: plain numbers */
    void (*take)(const uint8_t *p, affine &a);      /* a block */
};

recipe recipe_of(enum format f)
{
    switch (f) {
    case FORMAT_Q4_0: return {4, take_Q4_0};
    case FORMAT_Q4_1: return {4, take_Q4_1};
    case FORMAT_Q5_0: return {5, take_Q5_0};
    case FORMAT_Q5_1: return {5, take_Q5_1};
    case FORMAT_Q8_0: return {8, take_Q8_0};
    case FORMAT_Q4_K: return {4, take_Q4_K};
    case FORMAT_Q5_K: return {5, take_Q5_K};
    default: return {0, nullptr};
    }
}

/* Appends codes of `bits` each to a stream of bits; whole bytes, as 8 codes always are. */
uint8_t *pack(const uint8_t *code, unsigned n, unsigned bits, uint8_t *out)
{
    uint32_t wait = 0;
    unsigned have = 0;
    for (unsigned i = 0; i < n; i++) {
        wait |= static_cast<uint32_t>(code[i]) << have;
        for (have += bits; have >= 8; have -= 8, wait >>= 8)
            *out++ = static_cast<uint8_t>(wait);
    }
    return out;
}

/* An array to be filled by the host. */
mx::array room(mx::Shape shape, mx::Dtype type)
{
    size_t bytes = mx::size_of(type);
    for (auto n : shape)
        bytes *= static_cast<size_t>(n);
    return mx::array(mx::allocator::malloc(bytes), std::move(shape), type);
}

piece quantised(const struct tensor &t, int out, int in, const recipe &r, mx::Dtype type)
{
    const struct format_info *f = format_info(t.format);
    mx::array      codes = room({out, in * r.bits / 32}, mx::uint32);
    mx::array      scales = room({out, in / GROUP}, mx::float32), biases = room({out, in / GROUP}, mx::float32);
    uint8_t       *c = codes.data<uint8_t>();
    float         *s = scales.data<float>(), *b = biases.data<float>();
    const uint8_t *p = static_cast<const uint8_t *>(t.data), *end = p + format_bytes(t.format, static_cast<size_t>(out) * static_cast<size_t>(in));
    affine         a = {};
    for (; p < end; p += f->block_bytes) {
        r.take(p, a);
        c = pack(a.code, f->block_values, static_cast<unsigned>(r.bits), c);
        for (unsigned g = 0; g < f->block_values / GROUP; g++) {
            *s++ = a.scale[g];
            *b++ = a.bias[g];
        }
    }
    return {codes, mx::astype(scales, type), mx::astype(biases, type), r.bits, GROUP};
}

mx::Dtype dtype_of(enum format f)
{
    return f == FORMAT_F16 ? mx::float16 : f == FORMAT_BF16 ? mx::bfloat16 : mx::float32;
}

mx::array copied(const void *from, mx::Shape shape, mx::Dtype type)
{
    mx::array x = room(std::move(shape), type);
    std::memcpy(x.data<void>(), from, x.nbytes());
    return x;
}

const char *mode_of(enum format f)
{
    switch (f) {
    case FORMAT_MXFP4: return "mxfp4";
    case FORMAT_MXFP8: return "mxfp8";
    case FORMAT_NVFP4: return "nvfp4";
    default: return "affine";
    }
}

/* MLX's own format. */
piece as_it_lies(const struct tensor &t, int out, int in, mx::Dtype type)
{
    const struct format_info *f = format_info(t.format);
    int       bits = static_cast<int>(f->bits), group = static_cast<int>(t.scales.group);
    mx::Shape groups = {out, in / group};
    mx::array codes = copied(t.data, {out, in * bits / 32}, mx::uint32);
    if (f->scale != SCALE_AFFINE)
        return {codes, copied(t.scales.scale, groups, mx::uint8), std::nullopt, bits, group, mode_of(t.format)};
    auto numbers = [&](const void *p) { return mx::astype(copied(p, groups, dtype_of(t.scales.as)), type); };
    return {codes, numbers(t.scales.scale), numbers(t.scales.bias), bits, group};
}

piece plain(const struct tensor &t, mx::Shape shape, mx::Dtype type)
{
    mx::array w = room(std::move(shape), dtype_of(t.format));
    if (t.format == FORMAT_Q6_K) {
        const uint8_t *p = static_cast<const uint8_t *>(t.data);
        for (size_t i = 0; i < w.size(); i += BLOCK_MAX, p += format_info(t.format)->block_bytes)
            numbers_Q6_K(p, w.data<float>() + i);
    } else {
        std::memcpy(w.data<void>(), t.data, w.nbytes());
    }
    return {mx::astype(w, type), std::nullopt, std::nullopt};
}

bool alike(const piece &a, const piece &b)
{
    return a.bits == b.bits && a.group == b.group && a.mode == b.mode;
}

/* Pieces that are alike as one, by `join`, which makes one array of several. */
template <typename F> piece joined(const std::vector<piece> &all, F join)
{
    piece                  one = all[0];
    std::vector<mx::array> w, scales, biases;
    for (const piece &p : all) {
        w.push_back(p.w);
        if (p.scales)
            scales.push_back(*p.scales);
        if (p.biases)
            biases.push_back(*p.biases);
    }
    one.w = join(w);
    if (one.scales)
        one.scales = join(scales);
    if (one.biases)
        one.biases = join(biases);
    return one;
}

piece below_each_other(const std::vector<piece> &all)
{
    return joined(all, [](const std::vector<mx::array> &x) { return mx::concatenate(x, 0); });
}

void evaluate(const std::vector<piece> &pieces)
{
    for (const piece &p : pieces) {
        mx::eval(p.w);
        if (p.scales)
            mx::eval(*p.scales);
        if (p.biases)
            mx::eval(*p.biases);
    }
}

#ifdef HEARTH_MLX_CUDA
/* What the host filled lies in memory that is moved page by page; what the device wrote does not. */
void on_device(piece &p)
{
    auto copy = [](const mx::array &x) {
        auto low = x.shape(), high = mx::Shape(x.ndim(), 0);
        high[0] = low[0] = x.shape(0) / 2;
        return mx::concatenate({mx::slice(x, mx::Shape(x.ndim(), 0), low), mx::slice(x, high, x.shape())}, 0);
    };
    p.w = copy(p.w);
    if (p.scales)
        p.scales = copy(*p.scales);
    if (p.biases)
        p.biases = copy(*p.biases);
}
#endif

/* Whether every expert has pieces like the first's, of as many rows. */
bool same_pieces(const held *expert, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (expert[i].pieces.size() != expert[0].pieces.size())
            return false;
        for (size_t k = 0; k < expert[0].pieces.size(); k++)
            if (!alike(expert[i].pieces[k], expert[0].pieces[k]) || expert[i].pieces[k].w.shape() != expert[0].pieces[k].w.shape())
                return false;
    }
    return true;
}

piece as_numbers(const std::vector<piece> &pieces, mx::Dtype type)
{
    std::vector<piece> plain;
    for (const piece &p : pieces)
        plain.push_back({p.bits ? mx::dequantize(p.w, *p.scales, p.biases, p.group, p.bits, p.mode, std::nullopt, type) : p.w,
                         std::nullopt, std::nullopt});
    return below_each_other(plain);
}

} // namespace

uint64_t weights_bytes(const struct weight *w, const struct tensor part[], size_t n, uint64_t item)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t values = static_cast<uint64_t>(w->part_out[i]) * w->in;
        int      bits = recipe_of(part[i].format).bits;
        enum scale_kind apart = format_info(part[i].format)->scale;
        if (apart != SCALE_INSIDE)
            bytes += format_bytes(part[i].format, values) + values / part[i].scales.group * (apart == SCALE_AFFINE ? 2 * item : 1);
        else if (w->in == 1)
            bytes += values * sizeof(float);
        else
            bytes += bits ? values * static_cast<unsigned>(bits) / 8 + values / GROUP * 2 * item : values * item;
    }
    return bytes;
}

std::vector<piece> weights_take(const struct weight *w, const struct tensor part[], size_t n, mx::Dtype type)
{
    std::vector<piece> pieces;
    for (size_t i = 0; i < n; i++) {
        int    out = static_cast<int>(w->part_out[i]), in = static_cast<int>(w->in);
        recipe r = recipe_of(part[i].format);
        bool   apart = format_info(part[i].format)->scale != SCALE_INSIDE;
        piece  p = in == 1 ? plain(part[i], {out}, mx::float32) : apart ? as_it_lies(part[i], out, in, type)
                           : r.bits ? quantised(part[i], out, in, r, type) : plain(part[i], {out, in}, type);
        if (!pieces.empty() && alike(pieces.back(), p))
            pieces.back() = below_each_other({pieces.back(), p});
        else
            pieces.push_back(p);
    }
#ifdef HEARTH_MLX_CUDA
    for (piece &p : pieces)
        on_device(p);
#endif
    evaluate(pieces);
    return pieces;
}

void weights_gather(held *expert, size_t n, mx::Dtype type)
{
    if (!same_pieces(expert, n))
        for (size_t i = 0; i < n; i++)
            expert[i].pieces = {as_numbers(expert[i].pieces, type)};
    std::vector<piece> all;
    for (size_t k = 0; k < expert[0].pieces.size(); k++) {
        std::vector<piece> each;
        for (size_t i = 0; i < n; i++)
            each.push_back(expert[i].pieces[k]);
        all.push_back(joined(each, [](const std::vector<mx::array> &x) { return mx::stack(x, 0); }));
    }
    evaluate(all);
    for (size_t i = 0; i < n; i++)
        expert[i].pieces.clear();
    expert[0].pieces = std::move(all);
}
