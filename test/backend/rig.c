/* rig.c -- see rig.h. */
#include "rig.h"

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

void rig_fill(enum format f, size_t n, uint64_t seed, char *out)
{
    const struct format_info *info = format_info(f);
    for (size_t i = 0; i < n; i += info->block_values, out += info->block_bytes) {
        if (info->block_values == 1) {
            fill_float(f, rig_normal(&seed), out);
            continue;
        }
        for (size_t k = 0; k < info->block_bytes; k++)
            out[k] = (char)rig_random(&seed);
        fill_scales(f, out, &seed);
    }
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
        uint64_t    id64 = hash64(name, strlen(name), o->seed);
        size_t      count = (size_t)w->part_out[p.n] * w->in, bytes = format_bytes(f, count);
        char       *data = mem_new(bytes + 1);
        if (!o->blank)
            rig_fill(f, count, id64, data + 1);     /* data may be unaligned: so it is */
        r->data = mem_grow(r->data, r->n_data + 1, sizeof *r->data);
        r->data[r->n_data++] = data;
        p.part[p.n] = (struct tensor){.data = data + 1, .bytes = bytes, .shape = {w->part_out[p.n], w->in}, .format = f,
                                      .n_dim = w->in == 1 ? 1 : 2, .source_id = id64};
    }
    return p;
}

bool rig_open(struct rig *r, const struct prog *p, const struct rig_opts *o)
{
    const struct bundle *b = prog_bundle(p);
    struct backend_opts  opts = {.n_thread = o->n_thread, .precision = o->precision, .pack = o->pack};
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
