/* png.c -- PNG by libpng's low-level interface (its simplified one applies gAMA, which Pillow does not).
 *
 * Rows are read straight into the picture's own, in a form of at most three bytes a pixel, and made RGB in place.  libpng
 * answers errors by a jump, so what lives across it is in one struct. */
#include "media/decode.h"

#include <setjmp.h>
#include <stdlib.h>

#include <png.h>

/* Texts and profiles may be packed: what one may take unpacked, and how many are kept. */
enum { CHUNK_BYTES_MAX = 1 << 20, CHUNKS_MAX = 64 };

/* libpng wants no more at once than a row, of at most a million pixels, unless a chunk lies about its length. */
enum { MEMORY_MAX = 16 << 20 };

/* Of the file for one row, besides four times its bytes.  With the last one libpng unpacks all that is left of the pixels'
 * data, which nobody wants: a thousand bytes for each one there. */
enum { ROW_MORE = 256 << 10 };

struct reader {
    png_structp   png;
    png_infop     info;
    jmp_buf       jump;
    struct err   *e;
    struct str    left;         /* of the file */
    size_t        row_left;     /* of it, for the row that is being read */
    struct image *out;
    bool          done;         /* the pixels are there; what is wrong behind them does not matter */
};

static _Noreturn void failed(png_structp png, png_const_charp text)
{
    struct reader *r = png_get_error_ptr(png);
    err_set(r->e, ERR_INVALID, "%s", text);
    longjmp(r->jump, 1);
}

static void quiet(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void bytes_read(png_structp png, png_bytep to, size_t n)
{
    struct reader *r = png_get_io_ptr(png);
    if (n > r->left.n)
        png_error(png, "it is truncated");
    if (n > r->row_left)
        png_error(png, "its data go on behind the last row");
    r->row_left -= n;
    memcpy(to, r->left.p, n);
    r->left = (struct str){r->left.p + n, r->left.n - n};
}

static void *memory_take(png_structp png, png_alloc_size_t n)
{
    (void)png;
    return n <= MEMORY_MAX ? malloc(n) : NULL;
}

static void memory_give(png_structp png, void *p)
{
    (void)png;
    free(p);
}

/* Has rows come as RGB, or as one byte a pixel, or (grey of 16 bits) as two. */
static void form_set(struct reader *r)
{
    int type = png_get_color_type(r->png, r->info), depth = png_get_bit_depth(r->png, r->info);
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_packing(r->png);
    else if (type == PNG_COLOR_TYPE_GRAY && depth < 8)
        png_set_expand_gray_1_2_4_to_8(r->png);
    else if (type != PNG_COLOR_TYPE_GRAY)
        png_set_strip_16(r->png);
    png_set_strip_alpha(r->png);
}

static void palette_read(struct reader *r, struct palette *p)
{
    png_colorp color;
    int        n = 0;
    *p = (struct palette){0};
    png_get_PLTE(r->png, r->info, &color, &n);
    for (int i = 0; i < n && i < 256; i++) {
        p->rgb[i][0] = color[i].red;
        p->rgb[i][1] = color[i].green;
        p->rgb[i][2] = color[i].blue;
    }
}

/* Grey of 16 bits is clipped, not scaled: so does Pillow, whose mode "I;16" holds numbers, not shades. */
static void row_clip(uint8_t *row, uint32_t n)
{
    for (size_t i = 0; i < n; i++)
        row[i] = row[2 * i] ? 255 : row[2 * i + 1];
}

static void rows_finish(struct reader *r)
{
    struct image  *i = r->out;
    struct palette palette;
    int            type = png_get_color_type(r->png, r->info);
    size_t         row_bytes = (size_t)i->width * 3;
    if (png_get_channels(r->png, r->info) == 3)
        return;
    palette_read(r, &palette);
    for (uint8_t *row = i->rgb; row < i->rgb + row_bytes * i->height; row += row_bytes) {
        if (png_get_bit_depth(r->png, r->info) == 16)
            row_clip(row, i->width);
        row_expand(row, i->width, type == PNG_COLOR_TYPE_PALETTE ? &palette : NULL);
    }
}

static void pixels_read(struct reader *r)
{
    struct image *i = r->out;
    form_set(r);
    int passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    size_t row_bytes = (size_t)i->width * 3;
    CHECK(png_get_rowbytes(r->png, r->info) <= row_bytes);
    while (passes-- > 0)
        for (uint32_t y = 0; y < i->height; y++) {
            r->row_left = 4 * row_bytes + ROW_MORE;
            png_read_row(r->png, i->rgb + y * row_bytes, NULL);
        }
    r->row_left = SIZE_MAX;
    rows_finish(r);
}

static void texts_read(struct reader *r, struct orientation *up)
{
    png_textp text = NULL;
    int       n = 0;
    png_get_text(r->png, r->info, &text, &n);
    for (int i = 0; i < n; i++) {
        struct str value = str_of(text[i].text);
        if (strcmp(text[i].key, "XML:com.adobe.xmp") == 0)
            xmp_read(up, value);
        else if (strcmp(text[i].key, "Raw profile type exif") == 0 && !up->exif)
            exif_read_hex(up, value);
    }
}

static void metadata_read(struct reader *r, struct orientation *up)
{
    png_bytep   exif;
    png_uint_32 n;
    if (png_get_eXIf_1(r->png, r->info, &n, &exif))
        exif_read(up, (struct str){(const char *)exif, n});
    texts_read(r, up);
}

static bool picture_read(struct reader *r, uint64_t pixels_max)
{
    if (setjmp(r->jump))
        return r->done;
    png_read_info(r->png, r->info);
    if (!image_new(r->out, png_get_image_width(r->png, r->info), png_get_image_height(r->png, r->info), pixels_max, r->e))
        return false;
    pixels_read(r);
    r->done = true;
    png_read_end(r->png, r->info);
    return true;
}

static bool metadata_try(struct reader *r, struct orientation *up)
{
    if (setjmp(r->jump))
        return false;
    metadata_read(r, up);
    return true;
}

bool png_decode(struct image *out, struct orientation *up, struct str file, uint64_t pixels_max, struct err *e)
{
    struct reader r = {.e = e, .left = file, .row_left = SIZE_MAX, .out = out};
    r.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &r, failed, quiet, NULL, memory_take, memory_give);
    r.info = r.png ? png_create_info_struct(r.png) : NULL;
    bool ok = r.info || err_set(e, ERR_MEMORY, "no memory for libpng");
    if (ok) {
        png_set_read_fn(r.png, &r, bytes_read);
        png_set_chunk_malloc_max(r.png, CHUNK_BYTES_MAX);
        png_set_chunk_cache_max(r.png, CHUNKS_MAX);
        ok = picture_read(&r, pixels_max) && metadata_try(&r, up);
    }
    png_destroy_read_struct(&r.png, &r.info, NULL);
    if (!ok)
        image_drop(out);
    return ok;
}
