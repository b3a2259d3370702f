/* gif.c -- GIF's first frame by giflib.
 *
 * As Pillow has it: the canvas is the logical screen, wider where the frame passes it; outside the frame lies the
 * transparent colour, or else the first; a file without a palette is grey. */
#include "media/decode.h"

#include <inttypes.h>

#include <gif_lib.h>

static int bytes_read(GifFileType *gif, GifByteType *to, int n)
{
    struct str *left = gif->UserData;
    size_t      take = (size_t)n < left->n ? (size_t)n : left->n;
    memcpy(to, left->p, take);
    *left = (struct str){left->p + take, left->n - take};
    return (int)take;
}

static bool failed(const GifFileType *gif, struct err *e)
{
    const char *text = GifErrorString(gif->Error);
    bool        short_ = gif->Error == D_GIF_ERR_READ_FAILED || gif->Error == D_GIF_ERR_EOF_TOO_SOON;
    return err_set(e, ERR_INVALID, "%s", short_ ? "it is truncated" : text ? text : "its data are broken");
}

static bool extension_read(GifFileType *gif, int *transparent, struct err *e)
{
    GifByteType         *block;
    GraphicsControlBlock control;
    int                  code;
    if (DGifGetExtension(gif, &code, &block) != GIF_OK)
        return failed(gif, e);
    while (block) {
        if (code == GRAPHICS_EXT_FUNC_CODE && DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK)
            *transparent = control.TransparentColor;
        if (DGifGetExtensionNext(gif, &block) != GIF_OK)
            return failed(gif, e);
    }
    return true;
}

/* Everything before the first frame's pixels. */
static bool frame_find(GifFileType *gif, int *transparent, struct err *e)
{
    GifRecordType what;
    *transparent = NO_TRANSPARENT_COLOR;
    for (;;) {
        if (DGifGetRecordType(gif, &what) != GIF_OK)
            return failed(gif, e);
        if (what == IMAGE_DESC_RECORD_TYPE)
            return DGifGetImageDesc(gif) == GIF_OK || failed(gif, e);
        if (what == TERMINATE_RECORD_TYPE)
            return err_set(e, ERR_INVALID, "it has no frame");
        if (what == EXTENSION_RECORD_TYPE && !extension_read(gif, transparent, e))
            return false;
    }
}

static bool row_read(GifFileType *gif, struct image *out, uint32_t y, struct err *e)
{
    const GifImageDesc *f = &gif->Image;
    uint8_t            *row = out->rgb + ((size_t)f->Top + y) * out->width * 3;
    return DGifGetLine(gif, row + f->Left, f->Width) == GIF_OK || failed(gif, e);
}

static bool rows_read(GifFileType *gif, struct image *out, struct err *e)
{
    static const struct {
        uint8_t from, step;
    } plain[] = {{0, 1}}, interlaced[] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};
    uint32_t height = (uint32_t)gif->Image.Height;
    for (unsigned pass = 0; pass < (gif->Image.Interlace ? 4 : 1); pass++) {
        unsigned step = gif->Image.Interlace ? interlaced[pass].step : plain[pass].step;
        for (uint32_t y = gif->Image.Interlace ? interlaced[pass].from : plain[pass].from; y < height; y += step)
            if (!row_read(gif, out, y, e))
                return false;
    }
    return true;
}

/* False: there is none, or it says of each number that it is that shade of grey, which is as good as none. */
static bool palette_read(const GifFileType *gif, struct palette *p)
{
    const ColorMapObject *map = gif->Image.ColorMap ? gif->Image.ColorMap : gif->SColorMap;
    bool                  needed = false;
    *p = (struct palette){0};
    for (int i = 0; map && i < map->ColorCount && i < 256; i++) {
        const GifColorType *c = &map->Colors[i];
        memcpy(p->rgb[i], (uint8_t[]){c->Red, c->Green, c->Blue}, 3);
        needed = needed || c->Red != i || c->Green != i || c->Blue != i;
    }
    return needed;
}

static bool picture_read(GifFileType *gif, struct image *out, uint64_t pixels_max, struct err *e)
{
    struct palette      palette;
    const GifImageDesc *f = &gif->Image;
    int                 transparent;
    if (!frame_find(gif, &transparent, e))
        return false;
    if (f->Left < 0 || f->Top < 0 || f->Width <= 0 || f->Height <= 0)
        return err_set(e, ERR_INVALID, "its frame is %d x %d pixels", f->Width, f->Height);
    int width = f->Left + f->Width > gif->SWidth ? f->Left + f->Width : gif->SWidth;
    int height = f->Top + f->Height > gif->SHeight ? f->Top + f->Height : gif->SHeight;
    if (!image_new(out, (uint32_t)width, (uint32_t)height, pixels_max, e))
        return false;
    size_t row_bytes = (size_t)out->width * 3;
    for (uint32_t y = 0; y < out->height && transparent > 0; y++)
        memset(out->rgb + y * row_bytes, transparent, out->width);
    if (!rows_read(gif, out, e))
        return false;
    bool colours = palette_read(gif, &palette);
    for (uint32_t y = 0; y < out->height; y++)
        row_expand(out->rgb + y * row_bytes, out->width, colours ? &palette : NULL);
    return true;
}

bool gif_decode(struct image *out, struct orientation *up, struct str file, uint64_t pixels_max, struct err *e)
{
    int          code = 0;
    GifFileType *gif = DGifOpen(&file, bytes_read, &code);
    (void)up;
    if (!gif)
        return err_set(e, ERR_INVALID, "%s", code == D_GIF_ERR_READ_FAILED ? "it is truncated" : "its header is broken");
    bool ok = picture_read(gif, out, pixels_max, e);
    DGifCloseFile(gif, &code);
    if (!ok)
        image_drop(out);
    return ok;
}
