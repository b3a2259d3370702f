/* pack.c -- see pack.h.
 *
 * Every quantised block is first read into the plain form of `struct group` (32 codes, their scales), then put into the
 * panel; so a format is one reader here, and one line in panels.def.  Where scales lie apart, a reader reads codes only. */
#include "backend/cpu/pack.h"

#include "backend/cpu/half.h"

#include <string.h>

#define ALWAYS inline __attribute__((always_inline))

/* 32 numbers of one row.  Code k is byte k % 4 of word k / 4: readers and panels both work on four codes at once, which
 * fills a panel five times as fast as single bytes do. */
struct group {
    uint32_t word[GROUP / 4];
    uint16_t d, m;              /* f16: of the group, or of the 8 groups that it is one of */
    uint8_t  scale, min;        /* two-level formats; halves: the second scale */
};

static const struct panel_layout layouts[FORMAT_COUNT] = {
#define PANEL(format, quants, scales, tops, offset, minimum, halves, as, codes) \
    [FORMAT_##format] = {quants, scales, tops, offset, minimum, halves, AS_##as, CODES_##codes},
#include "backend/cpu/panels.def"
#undef PANEL
};

const struct panel_layout *panel_layout(enum format f)
{
    return layouts[f].quants ? &layouts[f] : NULL;
}

static ALWAYS enum format panel_format(enum format f)
{
    return f == FORMAT_A2 || f == FORMAT_A3 ? FORMAT_A4 : f;
}

/* How rows of t will lie: everything that depends on its format alone. */
static struct panels panels_of(const struct tensor *t, uint32_t in)
{
    struct panels              p = {.format = panel_format(t->format)};
    const struct panel_layout *l = panel_layout(p.format);
    size_t                     bytes = (size_t)in * format_info(p.format)->block_bytes * PANEL_ROWS;
    if (l && l->as == AS_GIVEN) {
        p.scales = (struct panel_scales){.as = (uint8_t)t->scales.as,
                                         .bytes = (uint16_t)(2 * STRIP_ROWS * format_info(t->scales.as)->block_bytes)};
        while (((uint32_t)GROUP << p.scales.shift) < t->scales.group)
            p.scales.shift++;
        bytes = PANEL_STRIPS * ((size_t)in / GROUP * l->quants + (size_t)in / t->scales.group * p.scales.bytes);
    } else if (l) {
        bytes = PANEL_STRIPS * ((size_t)in / GROUP * (l->quants + l->scales) + (size_t)in / (8 * GROUP) * l->tops);
    }
    p.panel_bytes = (bytes + PANEL_ALIGN - 1) / PANEL_ALIGN * PANEL_ALIGN;
    return p;
}

static uint32_t u32_at(const uint8_t *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* Bits 0 to 3 of x as bit 4 of four bytes. */
static uint32_t fifths(uint32_t x)
{
    return ((x & 15) * 0x00204081u & 0x01010101u) << 4;
}

/* Low halves of 16 bytes, then the high ones; the fifth bits are those of `high`. */
static ALWAYS void read_nibbles(const uint8_t *q, uint32_t high, uint32_t *word)
{
    for (unsigned i = 0; i < 4; i++) {
        uint32_t x = u32_at(q + 4 * i);
        word[i] = (x & 0x0f0f0f0f) | fifths(high >> 4 * i);
        word[i + 4] = (x >> 4 & 0x0f0f0f0f) | fifths(high >> (16 + 4 * i));
    }
}

static void read_Q4_0(const uint8_t *row, uint32_t g, struct group *out)
{
    const uint8_t *b = row + (size_t)g * 18;
    out->d = u16_at(b);
    read_nibbles(b + 2, 0, out->word);
}

static void read_Q4_1(const uint8_t *row, uint32_t g, struct group *out)
{
    const uint8_t *b = row + (size_t)g * 20;
    out->d = u16_at(b);
    out->m = u16_at(b + 2);
    read_nibbles(b + 4, 0, out->word);
}

static void read_Q5_0(const uint8_t *row, uint32_t g, struct group *out)
{
    const uint8_t *b = row + (size_t)g * 22;
    out->d = u16_at(b);
    read_nibbles(b + 6, u32_at(b + 2), out->word);
}

static void read_Q5_1(const uint8_t *row, uint32_t g, struct group *out)
{
    const uint8_t *b = row + (size_t)g * 24;
    out->d = u16_at(b);
    out->m = u16_at(b + 2);
    read_nibbles(b + 8, u32_at(b + 4), out->word);
}

static void read_Q8_0(const uint8_t *row, uint32_t g, struct group *out)
{
    const uint8_t *b = row + (size_t)g * 34;
    out->d = u16_at(b);
    for (unsigned i = 0; i < 8; i++)
        out->word[i] = u32_at(b + 2 + 4 * i) ^ 0x80808080;
}

/* Part k of the 8 in a block of 256: its 6-bit scale and minimum, and 4 bits of its codes. */
static void read_part(const uint8_t *b, const uint8_t *q, unsigned k, struct group *out)
{
    const uint8_t *s = b + 4;
    out->d = u16_at(b);
    out->m = u16_at(b + 2);
    out->scale = k < 4 ? s[k] & 63 : (uint8_t)((s[k + 4] & 15) | s[k - 4] >> 6 << 4);
    out->min = k < 4 ? s[k + 4] & 63 : (uint8_t)(s[k + 4] >> 4 | s[k] >> 6 << 4);
    for (unsigned i = 0; i < 8; i++)
        out->word[i] = u32_at(q + k / 2 * GROUP + 4 * i) >> k % 2 * 4 & 0x0f0f0f0f;
}

static void read_Q4_K(const uint8_t *row, uint32_t g, struct group *out)
{
    const uint8_t *b = row + (size_t)(g / 8) * 144;
    read_part(b, b + 16, g % 8, out);
}

static void read_Q5_K(const uint8_t *row, uint32_t g, struct group *out)
{
    const uint8_t *b = row + (size_t)(g / 8) * 176;
    read_part(b, b + 48, g % 8, out);
    for (unsigned i = 0; i < 8; i++)
        out->word[i] |= (u32_at(b + 16 + 4 * i) >> g % 8 & 0x01010101) << 4;
}

static void read_Q6_K(const uint8_t *row, uint32_t g, struct group *out)
{
    const uint8_t *b = row + (size_t)(g / 8) * 210;
    unsigned       half = g % 8 / 4, quarter = g % 4;
    out->d = u16_at(b + 208);
    out->scale = b[192 + g % 8 * 2];
    out->min = b[192 + g % 8 * 2 + 1];
    for (unsigned i = 0; i < 8; i++) {
        uint32_t low = u32_at(b + half * 64 + quarter % 2 * GROUP + 4 * i) >> quarter / 2 * 4 & 0x0f0f0f0f;
        out->word[i] = low | (u32_at(b + 128 + half * GROUP + 4 * i) >> quarter * 2 & 0x03030303) << 4;
    }
}

/* Four codes of `bits` bits each, one a byte. */
static ALWAYS uint32_t spread(uint32_t x, const unsigned bits)
{
    const uint32_t low = (1u << bits) - 1;
    return (x & low) | (x >> bits & low) << 8 | (x >> 2 * bits & low) << 16 | (x >> 3 * bits & low) << 24;
}

/* A whole group's codes are a whole number of words: no byte beyond is touched. */
static ALWAYS void read_codes(const unsigned bits, const uint8_t *row, uint32_t g, struct group *out)
{
    const uint8_t *p = row + (size_t)g * 4 * bits;
    for (unsigned i = 0; i < GROUP / 4; i++) {
        unsigned at = 4 * bits * i, n = (at % 8 + 4 * bits + 7) / 8;
        uint32_t x = 0;
        for (unsigned k = 0; k < n; k++)
            x |= (uint32_t)p[at / 8 + k] << 8 * k;
        out->word[i] = bits == 8 ? x : spread(x >> at % 8, bits);
    }
}

#define FORMAT(...)
#define CODES(name, text, bits, ...) \
    static void read_##name(const uint8_t *row, uint32_t g, struct group *out) { read_codes(bits, row, g, out); }
#include "base/formats.def"
#undef FORMAT

static void put_u16(uint8_t *p, unsigned i, uint16_t x)
{
    memcpy(p + (size_t)i * 2, &x, sizeof x);
}

static void put_u32(uint8_t *p, unsigned i, uint32_t x)
{
    memcpy(p + (size_t)i * 4, &x, sizeof x);
}

/* Row r's codes; `more` gets the bits beyond four. */
static ALWAYS void put_codes(uint8_t *panel, const struct panel_layout *l, const struct panel_place *at, unsigned r,
                             const uint32_t word[GROUP / 4])
{
    uint8_t *to = panel + at->codes, *more = panel + at->more;
    uint32_t high[2] = {0, 0};
    for (unsigned x = 0; x < 4; x++) {
        uint32_t a = word[2 * x], b = word[2 * x + 1];
        if (l->quants == 512) {
            put_u32(to + x * at->codes_step, r, a);
            put_u32(to + x * at->codes_step + 64, r, b);
            continue;
        }
        put_u32(to + x * at->codes_step, r, (a & 0x0f0f0f0f) | (b & 0x0f0f0f0f) << 4);
        if (l->quants == 320)
            high[0] |= (a >> 4 & 0x01010101) << 2 * x | (b >> 4 & 0x01010101) << (2 * x + 1);
        else
            high[x / 2] |= (a >> 4 & 0x03030303) << x % 2 * 4 | (b >> 4 & 0x03030303) << (x % 2 * 4 + 2);
    }
    if (l->quants == 320 || l->quants == 384)
        put_u32(more, r, high[0]);
    if (l->quants == 384)
        put_u32(more + 64, r, high[1]);
}

static ALWAYS void put_scales(uint8_t *panel, const struct panel_layout *l, const struct panel_place *at, unsigned r,
                              const struct group *g)
{
    uint8_t *scales = panel + at->scales, *tops = panel + at->tops;
    if (l->tops == 0) {
        put_u16(scales, r, g->d);
        if (l->minimum)
            put_u16(scales + 32, r, g->m);
        return;
    }
    scales[r] = g->scale;
    scales[16 + r] = g->min;
    put_u16(tops, r, g->d);
    if (l->minimum)
        put_u16(tops + 32, r, g->m);
}

typedef void (*reader_fn)(const uint8_t *row, uint32_t g, struct group *out);

/* One panel from as many rows of the file; rows that are not there stay zero. */
static ALWAYS void fill_with(reader_fn read, const struct panel_layout *l, size_t row_bytes, uint8_t *panel, uint32_t in,
                             const uint8_t *row, unsigned n_row)
{
    for (uint32_t g = 0; g < in / GROUP; g++)
        for (unsigned r = 0; r < n_row; r++) {
            struct panel_place at = panel_place(l, g, r / STRIP_ROWS);
            struct group       x = {{0}, 0, 0, 0, 0};
            read(row + r * row_bytes, g, &x);
            put_codes(panel, l, &at, r % STRIP_ROWS, x.word);
            put_scales(panel, l, &at, r % STRIP_ROWS, &x);
        }
}

static struct panel_place place_in(const struct panels *p, const struct panel_layout *l, size_t group, unsigned strip)
{
    return l->as == AS_GIVEN ? panel_place_given(l, &p->scales, group, strip) : panel_place(l, group, strip);
}

/* 2^(x - 127), half of it where codes stand for twice the number, as BF16; 255, which is no number, stays infinite. */
static uint16_t e8m0_bf16(uint8_t x, bool half)
{
    if (half && x != 255)
        return (uint16_t)(x > 1 ? (x - 1) << 7 : x == 1 ? 0x40 : 0x20);
    return (uint16_t)(x > 0 ? x << 7 : 0x40);
}

/* Half of an 8-bit float, as BF16: exponents are biased by 7 here, by 127 there. */
static uint16_t half_e4m3_bf16(uint8_t x)
{
    float y = bits_float((uint32_t)(x & 0x7f) << 20) * 0x1p119f;
    return (uint16_t)(float_bits(x & 0x80 ? -y : y) >> 16);
}

/* Row r's scales of group g, those that lie apart in the file. */
static void put_apart(uint8_t *panel, const struct panels *p, const struct panel_layout *l, const struct tensor *t, uint32_t g,
                      unsigned r)
{
    const struct panel_place at = place_in(p, l, g, r / STRIP_ROWS);
    uint8_t                 *to = panel + at.scales;
    const uint8_t           *scale = t->scales.scale, *bias = t->scales.bias;
    unsigned                 lane = r % STRIP_ROWS;
    if (l->as == AS_GIVEN) {
        size_t each = p->scales.bytes / (2 * STRIP_ROWS), i = g >> p->scales.shift;
        memcpy(to + lane * each, scale + i * each, each);
        memcpy(to + p->scales.bytes / 2 + lane * each, bias + i * each, each);
    } else if (l->halves) {
        put_u16(to, lane, half_e4m3_bf16(scale[2 * g]));
        put_u16(to + 32, lane, half_e4m3_bf16(scale[2 * g + 1]));
    } else {
        put_u16(to, lane, e8m0_bf16(scale[g], l->codes == CODES_E2M1));
    }
}

/* The same where scales lie apart. */
static ALWAYS void fill_apart(reader_fn read, const struct panel_layout *l, const struct panels *p, uint8_t *panel,
                              const struct tensor *from, uint32_t in, unsigned n_row)
{
    for (unsigned r = 0; r < n_row; r++) {
        const struct tensor t = tensor_from_row(from, r, in);
        for (uint32_t g = 0; g < in / GROUP; g++) {
            struct panel_place at = place_in(p, l, g, r / STRIP_ROWS);
            struct group       x;
            read(t.data, g, &x);
            put_codes(panel, l, &at, r % STRIP_ROWS, x.word);
            put_apart(panel, p, l, &t, g, r);
        }
    }
}

typedef void (*fill_fn)(const struct panels *p, uint8_t *panel, const struct tensor *from, uint32_t in, unsigned n_row);

/* A loop for each format, in which the compiler knows reader and layout; layouts of formats that are not quantised are
 * empty and these loops never called. */
#define FORMAT(name, text, values, ...) FILL_##values(name)
#define FILL_1(name)
#define FILL_256(name) FILL_32(name)
#define FILL_32(name) \
    static void fill_##name(const struct panels *p, uint8_t *panel, const struct tensor *from, uint32_t in, unsigned n_row) \
    { \
        (void)p; \
        fill_with(read_##name, &layouts[FORMAT_##name], format_bytes(FORMAT_##name, in), panel, in, from->data, n_row); \
    }
#define CODES(name, ...) \
    static void fill_##name(const struct panels *p, uint8_t *panel, const struct tensor *from, uint32_t in, unsigned n_row) \
    { \
        fill_apart(read_##name, &layouts[panel_format(FORMAT_##name)], p, panel, from, in, n_row); \
    }
#include "base/formats.def"
#undef FORMAT
#undef FILL_32

static const fill_fn fills[FORMAT_COUNT] = {
#define FORMAT(name, text, values, ...) FILL_##values(name)
#define FILL_32(name)    [FORMAT_##name] = fill_##name,
#define CODES(name, ...) [FORMAT_##name] = fill_##name,
#include "base/formats.def"
#undef FORMAT
};

/* By rows, as they lie in the file, in squares that stay in the nearest cache. */
static void fill_plain(uint8_t *panel, enum format f, uint32_t in, const uint8_t *row, unsigned n_row)
{
    size_t each = format_info(f)->block_bytes;
    for (uint32_t from = 0; from < in; from += GROUP)
        for (unsigned r = 0; r < n_row; r++)
            for (uint32_t k = from; k < in && k < from + GROUP; k++)
                if (each == 2)
                    memcpy(panel + ((size_t)k * PANEL_ROWS + r) * 2, row + ((size_t)r * in + k) * 2, 2);
                else
                    memcpy(panel + ((size_t)k * PANEL_ROWS + r) * 4, row + ((size_t)r * in + k) * 4, 4);
}

/* Whether rows of both lie in the same panels. */
static bool alike(const struct panels *a, const struct panels *b)
{
    return a->format == b->format && a->scales.as == b->scales.as && a->scales.shift == b->scales.shift;
}

/* Adds rows: to the part before where they continue its panels, else as a part of their own. */
static void add_part(struct packed *m, const struct tensor *t, uint32_t rows)
{
    struct panels  own = panels_of(t, m->in), *last = m->n_part ? &m->part[m->n_part - 1] : NULL;
    if (last && alike(last, &own) && last->rows % PANEL_ROWS == 0)
        last->rows += rows;
    else {
        last = &m->part[m->n_part++];
        *last = own;
        last->at = m->out;
        last->rows = rows;
    }
    uint32_t n_panel = (rows + PANEL_ROWS - 1) / PANEL_ROWS;
    last->n_panel += n_panel;
    m->bytes += n_panel * last->panel_bytes;
    m->out += rows;
}

void pack_plan(const struct weight *w, const struct tensor part[], size_t n, struct packed *out)
{
    *out = (struct packed){.in = w->in};
    if (w->in == 1 && (w->data || n > 0))
        add_part(out, &(struct tensor){.format = FORMAT_F32}, w->out);
    else
        for (size_t i = 0; i < n; i++)
            add_part(out, &part[i], w->part_out[i]);
}

static float plain_at(enum format f, const uint8_t *p)
{
    if (f == FORMAT_F32) {
        float x;
        memcpy(&x, p, sizeof x);
        return x;
    }
    return f == FORMAT_F16 ? f16_float(u16_at(p)) : bf16_float(u16_at(p));
}

static void fill_vector(const struct weight *w, const struct tensor part[], size_t n, float *to)
{
    if (w->data)
        memcpy(to, w->data, w->out * sizeof *to);
    for (size_t i = 0, at = 0; i < n; i++)
        for (uint32_t r = 0; r < w->part_out[i]; r++)
            to[at++] = plain_at(part[i].format, (const uint8_t *)part[i].data + r * format_info(part[i].format)->block_bytes);
}

struct filling {
    const struct weight *w;
    const struct tensor *part;
    size_t               n;
    uint32_t             in;
    uint8_t             *to[4];
};

static uint32_t fill_pieces(void *ctx, uint32_t step)
{
    const struct filling *f = ctx;
    return (f->w->part_out[step] + PANEL_ROWS - 1) / PANEL_ROWS;
}

static void fill_piece(void *ctx, uint32_t step, uint32_t i, unsigned worker)
{
    (void)worker;
    const struct filling *f = ctx;
    uint32_t              first = i * PANEL_ROWS, left = f->w->part_out[step] - first;
    unsigned              n_row = left < PANEL_ROWS ? left : PANEL_ROWS;
    const struct tensor   from = tensor_from_row(&f->part[step], first, f->in);
    const struct panels   like = panels_of(&from, f->in);
    uint8_t              *panel = f->to[step] + like.panel_bytes * i;
    if (fills[from.format])
        fills[from.format](&like, panel, &from, f->in, n_row);
    else
        fill_plain(panel, from.format, f->in, from.data, n_row);
}

void pack_at(struct packed *plan, const uint8_t *at)
{
    for (uint32_t i = 0; i < plan->n_part; i++) {
        plan->part[i].p = at;
        at += plan->part[i].n_panel * plan->part[i].panel_bytes;
    }
}

void pack_fill(struct packed *plan, const struct weight *w, const struct tensor part[], uint8_t *to, struct team *t)
{
    pack_at(plan, to);
    size_t n = 0;
    while (n < 4 && w->part_out[n] > 0)
        n++;
    if (plan->in == 1) {
        fill_vector(w, part, w->data ? 0 : n, (float *)(void *)to);
        return;
    }
    struct filling f = {.w = w, .part = part, .n = n, .in = plan->in};
    uint8_t       *at = to;
    for (size_t i = 0; i < n; i++) {
        f.to[i] = at;
        at += (w->part_out[i] + PANEL_ROWS - 1) / PANEL_ROWS * panels_of(&part[i], plan->in).panel_bytes;
    }
    team_run(t, &(struct work){.n_step = (uint32_t)n, .pieces = fill_pieces, .piece = fill_piece, .ctx = &f});
}

static unsigned code_at(const uint8_t *panel, const struct panel_layout *l, const struct panel_place *at, unsigned r, unsigned k)
{
    const uint8_t *q = panel + at->codes, *more = panel + at->more;
    unsigned       s = k / 4, i = r * 4 + k % 4;
    if (l->quants == 512)
        return q[s / 2 * at->codes_step + s % 2 * 64 + i];
    unsigned c = q[s / 2 * at->codes_step + i] >> s % 2 * 4 & 15;
    if (l->quants == 320)
        c |= (more[i] >> s & 1u) << 4;
    else if (l->quants == 384)
        c |= (more[s / 4 * 64 + i] >> s % 4 * 2 & 3u) << 4;
    return c;
}

static float scale_at(enum format as, const uint8_t *p, unsigned r)
{
    return plain_at(as, p + r * format_info(as)->block_bytes);
}

/* Scales of both halves of a group, and its minimum. */
static void scales_of_group(const uint8_t *panel, const struct panels *p, const struct panel_layout *l,
                            const struct panel_place *at, unsigned r, float d[2], float *m)
{
    const uint8_t *scales = panel + at->scales, *tops = panel + at->tops;
    *m = 0;
    if (l->tops == 0) {
        enum format as = l->as == AS_GIVEN ? (enum format)p->scales.as : (enum format)l->as;
        size_t      second = STRIP_ROWS * format_info(as)->block_bytes;
        d[0] = scale_at(as, scales, r);
        d[1] = l->halves ? scale_at(as, scales + second, r) : d[0];
        *m = l->minimum ? scale_at(as, scales + second, r) : 0;
        return;
    }
    float top = f16_float(u16_at(tops + r * 2));
    d[0] = d[1] = top * (l->halves ? (float)(int8_t)scales[r] : (float)scales[r]);
    if (l->halves)
        d[1] = top * (float)(int8_t)scales[16 + r];
    else
        *m = -(f16_float(u16_at(tops + 32 + r * 2)) * (float)scales[16 + r]);
}

static float code_value(const struct panel_layout *l, unsigned code)
{
    static const uint8_t doubled[16] = E2M1_DOUBLED;
    if (l->codes == CODES_E4M3) {
        float x = bits_float((code & 0x7f) << 20) * 0x1p120f;
        return code & 0x80 ? -x : x;
    }
    return (float)((int)(l->codes == CODES_E2M1 ? doubled[code] : code) - (int)l->offset);
}

static void row_of_group(const uint8_t *panel, const struct panels *p, const struct panel_layout *l, size_t g, unsigned row,
                         float *out)
{
    const struct panel_place at = place_in(p, l, g, row / STRIP_ROWS);
    float                    d[2], m;
    scales_of_group(panel, p, l, &at, row % STRIP_ROWS, d, &m);
    for (unsigned k = 0; k < GROUP; k++)
        out[k] = d[k / 16] * code_value(l, code_at(panel, l, &at, row % STRIP_ROWS, k)) + m;
}

void pack_row(const struct packed *m, uint32_t row, float *out)
{
    const struct panels *p = m->part;
    while (row >= p->at + p->rows)
        p++;
    row -= p->at;
    const uint8_t             *panel = p->p + row / PANEL_ROWS * p->panel_bytes;
    unsigned                   r = row % PANEL_ROWS;
    const struct panel_layout *l = panel_layout(p->format);
    size_t                     each = format_info(p->format)->block_bytes;
    for (uint32_t k = 0; !l && k < m->in; k++)
        out[k] = plain_at(p->format, panel + ((size_t)k * PANEL_ROWS + r) * each);
    for (uint32_t g = 0; l && g < m->in / GROUP; g++)
        row_of_group(panel, p, l, g, r, out + (size_t)g * GROUP);
}
