/* rig.c -- see rig.h. */
#include "proof/rig.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t rig_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

float rig_normal(uint64_t *state)
{
    float x = 0;
    for (int i = 0; i < 4; i++)
        x += (float)(rig_random(state) >> 40) * 0x1p-24f - 0.5f;
    return x * 1.7320508f;
}

void rig_shuffle(uint32_t *out, uint32_t n, uint64_t seed)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)(rig_random(&seed) % (i + 1));
        out[i] = out[at];
        out[at] = i;
    }
}

/* A half-precision number of 1.0 … 2.0 times two to the (exponent - 15). */
static void put_f16(char *p, unsigned exponent, bool negative, uint64_t random)
{
    uint16_t bits = (uint16_t)((unsigned)negative << 15 | exponent << 10 | (unsigned)(random & 1023));
    memcpy(p, &bits, 2);
}

static void fill_float(enum format f, float x, char *out)
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    uint16_t half = (uint16_t)(bits >> 16);         /* BF16, cut */
    if (f == FORMAT_F16) {
        int exponent = (int)(bits >> 23 & 255) - 112;
        half = exponent <= 0 ? 0 : (uint16_t)((bits >> 16 & 0x8000) | (unsigned)exponent << 10 | (bits >> 13 & 1023));
    }
    if (f == FORMAT_F32)
        memcpy(out, &x, 4);
    else
        memcpy(out, &half, 2);
}

/* Sets the scales of a block of random bytes: weights come out near zero on average and below 1 or so. */
static void fill_scales(enum format f, char *block, uint64_t *seed)
{
    static const struct { uint8_t at, scale, min; } how[FORMAT_COUNT] = {
        [FORMAT_Q4_0] = {0, 8, 0}, [FORMAT_Q4_1] = {0, 8, 11}, [FORMAT_Q5_0] = {0, 7, 0},  [FORMAT_Q5_1] = {0, 7, 11},
        [FORMAT_Q8_0] = {0, 4, 0}, [FORMAT_Q4_K] = {0, 3, 6},  [FORMAT_Q5_K] = {0, 2, 6}, [FORMAT_Q6_K] = {208, 1, 0},
    };
    uint64_t random = rig_random(seed);
    bool     parts = f == FORMAT_Q4_K || f == FORMAT_Q5_K, minus = how[f].min == 0 && random >> 63;
    put_f16(block + how[f].at, how[f].scale, minus, random);
    if (how[f].min)
        put_f16(block + how[f].at + 2, how[f].min, !parts, random >> 20);
}

static void fill(enum format f, size_t n, uint64_t seed, char *out)
{
    const struct format_info *info = format_info(f);
    for (size_t i = 0; i < n; i += info->block_values, out += info->block_bytes) {
        if (info->block_values == 1) {
            fill_float(f, rig_normal(&seed), out);
            continue;
        }
        for (size_t k = 0; k < info->block_bytes; k++)
            out[k] = (char)rig_random(&seed);
        for (size_t k = 0; f == FORMAT_MXFP8 && k < info->block_bytes; k++)
            out[k] ^= (out[k] & 0x7f) == 0x7f;      /* not a number in E4M3: no quantiser writes it */
        if (info->scale == SCALE_INSIDE)
            fill_scales(f, out, &seed);
    }
}

/* Scales (and biases) of n groups, so that numbers are near zero on average and below 1 or so. */
static void fill_apart(const struct tensor *t, size_t n, uint64_t seed, char *scale, char *bias)
{
    const struct format_info *info = format_info(t->format);
    for (size_t i = 0; i < n; i++) {
        uint64_t random = rig_random(&seed);
        float    x = (1 + (float)(random & 1023) / 1024) / (float)(1u << info->bits);
        if (info->scale == SCALE_AFFINE) {
            size_t each = format_info(t->scales.as)->block_bytes;
            fill_float(t->scales.as, random >> 63 ? -x : x, scale + i * each);
            fill_float(t->scales.as, (random >> 63 ? x : -x) * (float)(1u << info->bits) / 2, bias + i * each);
        } else if (info->scale == SCALE_E8M0) {
            scale[i] = (char)((info->bits == 4 ? 123 : 117) + random % 3);
        } else {
            scale[i] = (char)((random & 0x80) | 3 << 3 | (random & 15));
        }
    }
}

char *rig_tensor(enum format f, uint32_t rows, uint32_t in, uint64_t seed, bool blank, struct tensor *out)
{
    static const enum format  as[] = {FORMAT_BF16, FORMAT_F16, FORMAT_F32};
    const struct format_info *info = format_info(f);
    size_t                    n = (size_t)rows * in;
    uint64_t                  choice = seed >> 32;
    *out = (struct tensor){.bytes = format_bytes(f, n), .shape = {rows, in}, .format = f, .n_dim = in == 1 ? 1 : 2,
                           .source_id = seed};
    size_t codes = out->bytes, n_scale = 0, each = 1;
    if (info->scale != SCALE_INSIDE) {
        uint32_t fits = info->group_min;
        while (fits * 2 <= info->group_max && in % (fits * 2) == 0)
            fits *= 2;
        out->scales.group = info->group_min;
        while (out->scales.group < fits && rig_random(&choice) % 2)
            out->scales.group *= 2;
        n_scale = n / out->scales.group;
        if (info->scale == SCALE_AFFINE)
            out->scales.as = as[rig_random(&choice) % 3];
        each = info->scale == SCALE_AFFINE ? format_info(out->scales.as)->block_bytes : 1;
        out->bytes += n_scale * each * (info->scale == SCALE_AFFINE ? 2 : 1);
    }
    char *memory = mem_new(out->bytes + 1), *scale = memory + 1 + codes, *bias = scale + n_scale * each;
    out->data = memory + 1;
    if (n_scale) {
        out->scales.scale = scale;
        out->scales.bias = info->scale == SCALE_AFFINE ? bias : NULL;
    }
    if (!blank)
        fill(f, n, seed, memory + 1);
    if (!blank && n_scale)
        fill_apart(out, n_scale, seed, scale, bias);
    return memory;
}

/* Experts differ in their numbers, but are quantised alike: what the upper half of a seed decides. */
static uint64_t seed_of(const struct weight *w, unsigned part, uint64_t seed)
{
    char          name[256];
    struct weight first = *w;
    first.expert = 0;
    weight_name(w, part, name, sizeof name);
    uint64_t own = hash64(name, strlen(name), seed);
    weight_name(&first, part, name, sizeof name);
    return (hash64(name, strlen(name), seed) & ~(uint64_t)UINT32_MAX) | (own & UINT32_MAX);
}

/* The parts of weight w, of random numbers that depend on their names and the seed. */
static struct parts make_parts(struct rig *r, const struct weight *w, const struct rig_opts *o)
{
    struct parts p = {.n = 0};
    char         name[256];
    for (; p.n < 4 && w->part[p.n]; p.n++) {
        weight_name(w, (unsigned)p.n, name, sizeof name);
        bool single = format_info(o->format)->block_values == 1;
        enum format f = strncmp(name, "in.", 3) == 0 || (w->in == 1 && !single) ? FORMAT_F32 : o->format;
        r->data = mem_grow(r->data, r->n_data + 1, sizeof *r->data);
        r->data[r->n_data++] = rig_tensor(f, w->part_out[p.n], w->in, seed_of(w, (unsigned)p.n, o->seed), o->blank,
                                          &p.part[p.n]);
    }
    return p;
}

bool rig_open(struct rig *r, const struct prog *p, const struct rig_opts *o)
{
    const struct bundle *b = prog_bundle(p);
    struct backend_opts  opts = {.n_thread = o->n_thread, .precision = o->precision, .kv_format = o->kv_format, .pack = o->pack};
    size_t               n = bundle_n_weights(b);
    struct parts        *parts = mem_array(n, sizeof *parts);
    struct err           e = {0};
    *r = (struct rig){.type = o->type};
    bool ok = r->type->open(&r->backend, &opts, &e);
    for (size_t i = 0; i < n; i++)
        parts[i] = make_parts(r, bundle_weight_at(b, (wt){(uint16_t)(i + 1)}), o);
    if (ok && o->pack.path && o->type->expect)
        o->type->expect(r->backend, b, parts);
    for (size_t i = 0; ok && i < n; i++)
        ok = r->type->adopt(r->backend, b, (wt){(uint16_t)(i + 1)}, parts[i].part, parts[i].n, &e);
    free(parts);
    ok = ok && r->type->reserve(r->backend, b, &o->plan, o->n_block, &e) &&
         r->type->compile(r->backend, p, &o->plan, &r->plan, &e);
    if (!ok) {
        if (o->why)
            *o->why = e;
        else
            fprintf(stderr, "%s: %s\n", o->type->name, e.text);
        rig_close(r);
    }
    return ok;
}

void rig_close(struct rig *r)
{
    if (r->plan)
        r->type->plan_free(r->plan);
    if (r->backend)
        r->type->close(r->backend);
    for (size_t i = 0; i < r->n_data; i++)
        free(r->data[i]);
    free(r->data);
    *r = (struct rig){0};
}
