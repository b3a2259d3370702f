/* jpeg.c -- JPEG by libjpeg's own interface with its defaults, which gives Pillow's pixels.
 *
 * libjpeg answers errors by a jump, so what lives across it is in one struct.  What it only warns of (corrupt data within a
 * scan) gives grey patches there, as everywhere else; a file that ends early is an error. */
#include "media/decode.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>
#include <jerror.h>

/* An encoder makes about ten scans; each costs a pass over all of the picture, however few bytes it has. */
enum { SCANS_MAX = 100, APP1 = JPEG_APP0 + 1 };

struct reader {
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr         error;
    struct jpeg_source_mgr        source;
    struct jpeg_progress_mgr      progress;
    jmp_buf                       jump;
    struct err                   *e;
    struct image                 *out;
    uint8_t                      *cmyk;        /* one row */
};

static struct reader *reader_of(j_common_ptr c)
{
    return c->client_data;
}

static void failed(j_common_ptr c)
{
    char text[JMSG_LENGTH_MAX];
    c->err->format_message(c, text);
    err_set(reader_of(c)->e, ERR_INVALID, "%s", text);
    longjmp(reader_of(c)->jump, 1);
}

static _Noreturn void refuse(j_common_ptr c, const char *why)
{
    err_set(reader_of(c)->e, ERR_INVALID, "%s", why);
    longjmp(reader_of(c)->jump, 1);
}

static void quiet(j_common_ptr c)
{
    (void)c;
}

static void quiet_level(j_common_ptr c, int level)
{
    (void)c;
    (void)level;
}

static void nothing(j_decompress_ptr c)
{
    (void)c;
}

static boolean at_end(j_decompress_ptr c)
{
    refuse((j_common_ptr)c, "it is truncated");
}

static void skip(j_decompress_ptr c, long n)
{
    if (n <= 0)
        return;
    if ((unsigned long)n > c->src->bytes_in_buffer)
        refuse((j_common_ptr)c, "it is truncated");
    c->src->next_input_byte += n;
    c->src->bytes_in_buffer -= (size_t)n;
}

static void scans_count(j_common_ptr c)
{
    if (((j_decompress_ptr)c)->input_scan_number > SCANS_MAX)
        refuse(c, "it has more than 100 scans");
}

static void reader_init(struct reader *r, struct str file)
{
    r->c.err = jpeg_std_error(&r->error);
    r->error.error_exit = failed;
    r->error.output_message = quiet;
    r->error.emit_message = quiet_level;
    r->c.client_data = r;
    r->source = (struct jpeg_source_mgr){
        .next_input_byte = (const JOCTET *)file.p, .bytes_in_buffer = file.n, .init_source = nothing,
        .fill_input_buffer = at_end, .skip_input_data = skip, .resync_to_restart = jpeg_resync_to_restart, .term_source = nothing,
    };
    r->progress.progress_monitor = scans_count;
}

static void markers_read(const struct jpeg_decompress_struct *c, struct orientation *up)
{
    static const struct str xmp = {"http://ns.adobe.com/xap/1.0/", 29};
    for (jpeg_saved_marker_ptr m = c->marker_list; m; m = m->next) {
        struct str s = {(const char *)m->data, m->data_length};
        if (m->marker == APP1 && str_starts(s, STR("Exif\0\0")) && !up->exif)
            exif_read(up, s);
        else if (m->marker == APP1 && str_starts(s, xmp))
            xmp_read(up, (struct str){s.p + xmp.n, s.n - xmp.n});
    }
}

static uint8_t part(uint8_t ink, unsigned light)
{
    unsigned t = ink * light + 128;
    return (uint8_t)(light - (((t >> 8) + t) >> 8));
}

/* Adobe writes inks inverted, and everybody has followed. */
static void row_from_cmyk(const uint8_t *cmyk, uint32_t n, uint8_t *rgb)
{
    for (; n-- > 0; cmyk += 4, rgb += 3)
        for (unsigned k = 0; k < 3; k++)
            rgb[k] = part((uint8_t)~cmyk[k], cmyk[3]);
}

static void pixels_read(struct reader *r)
{
    struct image *i = r->out;
    jpeg_start_decompress(&r->c);
    if (r->c.output_width != i->width || r->c.output_height != i->height)
        refuse((j_common_ptr)&r->c, "its size changes");
    for (uint32_t y = 0; y < i->height; y++) {
        uint8_t *row = i->rgb + (size_t)y * i->width * 3;
        JSAMPROW to = r->cmyk ? r->cmyk : row;
        jpeg_read_scanlines(&r->c, &to, 1);
        if (r->cmyk)
            row_from_cmyk(r->cmyk, i->width, row);
    }
    jpeg_finish_decompress(&r->c);
}

static bool picture_read(struct reader *r, struct orientation *up, uint64_t pixels_max)
{
    struct jpeg_decompress_struct *c = &r->c;
    if (setjmp(r->jump))
        return false;
    jpeg_create_decompress(c);
    c->src = &r->source;
    c->progress = &r->progress;
    jpeg_save_markers(c, APP1, 0xffff);
    jpeg_read_header(c, TRUE);
    markers_read(c, up);
    if (c->num_components != 1 && c->num_components != 3 && c->num_components != 4)
        return err_set(r->e, ERR_UNSUPPORTED, "it has %d colour components (1, 3 and 4 are read)", c->num_components);
    if (!image_new(r->out, c->image_width, c->image_height, pixels_max, r->e))
        return false;
    c->out_color_space = c->num_components == 4 ? JCS_CMYK : JCS_RGB;
    if (c->num_components == 4 && !(r->cmyk = malloc((size_t)c->image_width * 4)))
        return err_set(r->e, ERR_MEMORY, "no memory for a row");
    pixels_read(r);
    return true;
}

bool jpeg_decode(struct image *out, struct orientation *up, struct str file, uint64_t pixels_max, struct err *e)
{
    struct reader r = {.e = e, .out = out};
    reader_init(&r, file);
    bool ok = picture_read(&r, up, pixels_max);
    jpeg_destroy_decompress(&r.c);
    free(r.cmyk);
    if (!ok)
        image_drop(out);
    return ok;
}
