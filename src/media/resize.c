/* resize.c -- see resize.h.  Weights are worked out in double and made whole numbers of 22 bits, as Pillow does; the order of
 * every operation on them matters. */
#include "media/resize.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

enum { PRECISION = 22 };

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    return x < 2.0 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
}

static double sinc(double x)
{
    if (x == 0.0)
        return 1.0;
    x *= 3.14159265358979323846;
    return sin(x) / x;
}

static double lanczos(double x)
{
    return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

static const struct filter {
    double (*at)(double);
    double reach;
} filters[] = {[RESAMPLE_LANCZOS] = {lanczos, 3.0}, [RESAMPLE_BILINEAR] = {bilinear, 1.0}, [RESAMPLE_BICUBIC] = {bicubic, 2.0}};

/* For each of n pixels along one axis: which pixels of the source it is made of, and their weights. */
struct taps {
    struct tap {
        uint32_t from, n;
    } *tap;
    int32_t *weight;        /* `each` to a pixel */
    uint32_t each;
};

static void weights_make(const struct filter *f, const struct tap *t, double center, double inverse, double *real, int32_t *weight)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < t->n; i++) {
        real[i] = f->at(((double)i + (double)t->from - center + 0.5) * inverse);
        sum += real[i];
    }
    for (uint32_t i = 0; i < t->n; i++) {
        double w = (sum != 0.0 ? real[i] / sum : real[i]) * (1 << PRECISION);
        weight[i] = (int32_t)(w < 0 ? w - 0.5 : w + 0.5);
    }
}

/* Along an axis of `in` pixels that becomes `full` long: its pixels first to first + n - 1. */
static struct taps taps_make(const struct filter *f, uint32_t in, uint32_t full, uint32_t first, uint32_t n)
{
    double      scale = (double)in / full, stretch = scale < 1.0 ? 1.0 : scale, reach = f->reach * stretch, inverse = 1.0 / stretch;
    struct taps t = {.tap = mem_array(n, sizeof *t.tap), .each = (uint32_t)ceil(reach) * 2 + 1};
    double     *real = mem_array(t.each, sizeof *real);
    t.weight = mem_array((size_t)n * t.each, sizeof *t.weight);
    for (uint32_t i = 0; i < n; i++) {
        double center = ((double)(first + i) + 0.5) * scale, from = center - reach + 0.5, to = center + reach + 0.5;
        t.tap[i].from = from < 0 ? 0 : (uint32_t)from;
        t.tap[i].n = (to > in ? in : (uint32_t)to) - t.tap[i].from;
        weights_make(f, &t.tap[i], center, inverse, real, t.weight + (size_t)i * t.each);
    }
    free(real);
    return t;
}

static void taps_drop(struct taps *t)
{
    free(t->tap);
    free(t->weight);
}

static uint8_t clip8(int32_t sum)
{
    int32_t v = sum >> PRECISION;
    return v < 0 ? 0 : v > 255 ? 255 : (uint8_t)v;
}

static void row_resize(const uint8_t *in, const struct taps *t, uint32_t n, uint8_t *out)
{
    for (uint32_t x = 0; x < n; x++, out += 3) {
        const int32_t *w = t->weight + (size_t)x * t->each;
        const uint8_t *p = in + (size_t)t->tap[x].from * 3;
        int32_t        r = 1 << (PRECISION - 1), g = r, b = r;
        for (uint32_t i = 0; i < t->tap[x].n; i++, p += 3) {
            r += p[0] * w[i];
            g += p[1] * w[i];
            b += p[2] * w[i];
        }
        out[0] = clip8(r);
        out[1] = clip8(g);
        out[2] = clip8(b);
    }
}

/* The second pass's sources, which are the first's results: as many rows as it reads at once, row y at y modulo their
 * number. */
struct ring {
    uint8_t *row;
    int32_t *sum;
    size_t   row_bytes;
    uint32_t n, next;       /* next: the first row that is not there yet */
};

static void rows_blend(const struct ring *ring, const struct tap *t, const int32_t *weight, uint8_t *out)
{
    for (size_t i = 0; i < ring->row_bytes; i++)
        ring->sum[i] = 1 << (PRECISION - 1);
    for (uint32_t r = 0; r < t->n; r++) {
        const uint8_t *in = ring->row + (t->from + r) % ring->n * ring->row_bytes;
        for (size_t i = 0; i < ring->row_bytes; i++)
            ring->sum[i] += in[i] * weight[r];
    }
    for (size_t i = 0; i < ring->row_bytes; i++)
        out[i] = clip8(ring->sum[i]);
}

/* The first pass for row y of the source; it is left out where it would change nothing. */
static void row_across(const struct image *image, const struct resize *r, const struct taps *t, uint32_t y, uint8_t *out)
{
    const uint8_t *in = image->rgb + (size_t)y * image->width * 3;
    if (t->tap)
        row_resize(in, t, r->width, out);
    else
        memcpy(out, in + (size_t)r->x * 3, (size_t)r->width * 3);
}

static void both_passes(const struct image *image, const struct resize *r, const struct taps *across, uint8_t *out, size_t stride)
{
    struct taps down = taps_make(&filters[r->filter], image->height, r->full_height, r->y, r->height);
    struct ring ring = {.row_bytes = (size_t)r->width * 3, .n = down.each, .next = down.tap[0].from};
    ring.row = mem_array(ring.n, ring.row_bytes);
    ring.sum = mem_array(ring.row_bytes, sizeof *ring.sum);
    for (uint32_t y = 0; y < r->height; y++, out += stride) {
        const struct tap *t = &down.tap[y];
        for (; ring.next < t->from + t->n; ring.next++)
            row_across(image, r, across, ring.next, ring.row + ring.next % ring.n * ring.row_bytes);
        rows_blend(&ring, t, down.weight + (size_t)y * down.each, out);
    }
    free(ring.row);
    free(ring.sum);
    taps_drop(&down);
}

void resize(const struct image *image, const struct resize *r, uint8_t *out, size_t stride)
{
    struct taps across = {0};
    CHECK(r->filter >= RESAMPLE_LANCZOS && r->filter <= RESAMPLE_BICUBIC);
    CHECK(r->width && r->height && (uint64_t)r->x + r->width <= r->full_width && (uint64_t)r->y + r->height <= r->full_height);
    if (r->full_width != image->width)
        across = taps_make(&filters[r->filter], image->width, r->full_width, r->x, r->width);
    if (r->full_height != image->height)
        both_passes(image, r, &across, out, stride);
    else
        for (uint32_t y = 0; y < r->height; y++, out += stride)
            row_across(image, r, &across, r->y + y, out);
    taps_drop(&across);
}
