/* exif.c -- see exif.h. */
#include "media/exif.h"

#include "base/buf.h"
#include "base/mem.h"

enum { TAG_ORIENTATION = 0x0112, ENTRY_BYTES = 12, HEADER_BYTES = 8 };
enum { TIFF_SHORT = 3, TIFF_LONG = 4, TIFF_SIGNED_SHORT = 8, TIFF_SIGNED_LONG = 9 };

struct tiff {
    const uint8_t *p;
    size_t         n;
    bool           big;     /* endian */
};

static uint32_t tiff_get(const struct tiff *t, size_t at, unsigned bytes)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint32_t)t->p[at + i] << 8 * (t->big ? bytes - 1 - i : i);
    return v;
}

/* The value of an entry that holds one whole number, or 0. */
static uint32_t entry_value(const struct tiff *t, size_t at)
{
    uint32_t type = tiff_get(t, at + 2, 2), count = tiff_get(t, at + 4, 4);
    if (count != 1)
        return 0;
    if (type == TIFF_SHORT || type == TIFF_SIGNED_SHORT)
        return tiff_get(t, at + 8, 2);
    return type == TIFF_LONG || type == TIFF_SIGNED_LONG ? tiff_get(t, at + 8, 4) : 0;
}

static uint8_t tiff_orientation(const struct tiff *t)
{
    size_t   at = tiff_get(t, 4, 4);
    uint32_t value = 0;
    if (at > t->n - 2)
        return 0;
    uint32_t n = tiff_get(t, at, 2);
    at += 2;
    for (; n-- > 0 && t->n - at >= ENTRY_BYTES; at += ENTRY_BYTES)
        if (tiff_get(t, at, 2) == TAG_ORIENTATION)
            value = entry_value(t, at);
    return value <= 8 ? (uint8_t)value : 1;
}

void exif_read(struct orientation *up, struct str exif)
{
    while (str_starts(exif, STR("Exif\0\0")))
        exif = (struct str){exif.p + 6, exif.n - 6};
    if (exif.n < HEADER_BYTES)
        return;
    struct tiff t = {.p = (const uint8_t *)exif.p, .n = exif.n, .big = memcmp(exif.p, "MM\0*", 4) == 0};
    if (t.big || memcmp(exif.p, "II*\0", 4) == 0)
        up->exif = tiff_orientation(&t);
}

void xmp_read(struct orientation *up, struct str xmp)
{
    size_t at;
    while ((at = str_find(xmp, STR("tiff:Orientation"))) != STR_NONE) {
        xmp = (struct str){xmp.p + at + 16, xmp.n - at - 16};
        size_t skip = str_starts(xmp, STR("=\"")) ? 2 : str_starts(xmp, STR(">")) ? 1 : 0;
        if (skip && xmp.n > skip && xmp.p[skip] >= '0' && xmp.p[skip] <= '9') {
            up->xmp = (uint8_t)(xmp.p[skip] - '0');
            return;
        }
    }
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void exif_read_hex(struct orientation *up, struct str text)
{
    struct buf bytes;
    int        lines = 0, half = -1;
    buf_init(&bytes, 0);
    for (size_t i = 0; i < text.n; i++) {
        int d = lines == 3 ? digit(text.p[i]) : -1;
        if (lines < 3) {
            lines += text.p[i] == '\n';
        } else if (d >= 0 && half >= 0) {
            buf_char(&bytes, (char)(half << 4 | d));
            half = -1;
        } else if (d >= 0) {
            half = d;
        }
    }
    if (bytes.n)
        exif_read(up, buf_view(&bytes));
    buf_drop(&bytes);
}

/* Pixel (x, y) of the upright picture is pixel (a, b) of the stored one, where (a, b) is (x, y) or, from 5 on, (y, x), and
 * each may count from the far end. */
bool image_turn(struct image *i, struct orientation up, struct err *e)
{
    unsigned o = up.exif ? up.exif : up.xmp;
    if (o < 2 || o > 8)
        return true;
    bool         swap = o >= 5, flip_a = o == 2 || o == 3 || o == 7 || o == 8, flip_b = o == 3 || o == 4 || o == 6 || o == 7;
    struct image turned;
    uint32_t     width = swap ? i->height : i->width, height = swap ? i->width : i->height;
    if (!image_new(&turned, width, height, UINT64_MAX, e))
        return false;
    ptrdiff_t      row = (ptrdiff_t)i->width * 3, a_step = flip_a ? -3 : 3, b_step = flip_b ? -row : row;
    const uint8_t *from = i->rgb + (flip_a ? row - 3 : 0) + (flip_b ? row * ((ptrdiff_t)i->height - 1) : 0);
    ptrdiff_t      x_step = swap ? b_step : a_step, y_step = swap ? a_step : b_step;
    uint8_t       *to = turned.rgb;
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++, to += 3)
            memcpy(to, from + (ptrdiff_t)y * y_step + (ptrdiff_t)x * x_step, 3);
    image_drop(i);
    *i = turned;
    return true;
}
