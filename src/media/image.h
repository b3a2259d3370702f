/* image.h -- a picture in memory: decoded from a file's bytes, upright, 8 bits of red, green and blue.
 *
 * The pixels are those that Pillow gives for Image.open(…), ImageOps.exif_transpose(…), convert("RGB"), which is what
 * transformers' load_image() does: alpha is dropped, not blended; a 16-bit grey picture is clipped at 255, other 16-bit ones
 * keep their high bytes; CMYK and YCCK are inverted as Adobe writes them; of a GIF or an animated WebP the first frame
 * counts, on a canvas of its own; EXIF's (or else XMP's) orientation is applied.  gAMA, iCCP and other colour spaces are not.
 *
 * Every function may be called from any thread. */
#ifndef MEDIA_IMAGE_H
#define MEDIA_IMAGE_H

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Rows from the top, three bytes a pixel, nothing between rows.  No side is 0. */
struct image {
    uint32_t width, height;
    uint8_t *rgb;
};

/* What a file may ask for.  Both are checked before memory for it is taken; while it is decoded, a picture of n pixels takes
 * at most about 12 n bytes (a progressive JPEG; the others 3 n to 7 n). */
struct image_limits {
    size_t   bytes_max;         /* of the file */
    uint64_t pixels_max;        /* of the picture, width times height */
};
#define IMAGE_LIMITS ((struct image_limits){.bytes_max = (size_t)64 << 20, .pixels_max = 64000000})

/* Decodes a JPEG, PNG, WebP or GIF file, told apart by its content alone.
 *
 * False: nothing was made.  ERR_INVALID: broken, truncated or over a limit.  ERR_UNSUPPORTED: something else than a picture,
 * or a kind of picture that is not read here.  The text begins with what the file is, as "JPEG: …". */
MUST_USE bool image_decode(struct image *out, const void *p, size_t n, struct image_limits limits, struct err *e);

/* One of width x height, its pixels not set.  False (ERR_INVALID): a side is 0, or it is over pixels_max. */
MUST_USE bool image_new(struct image *out, uint32_t width, uint32_t height, uint64_t pixels_max, struct err *e);
void          image_drop(struct image *i);      /* an empty one is fine */

/* What the bytes begin like: "JPEG", "PNG", "BMP", "HEIC", "PDF", …, or NULL when nothing known. */
const char *image_kind(const void *p, size_t n);

/* The identity of what is seen: over width, height and pixels.  The same picture in another wrapping has the same. */
struct sha256 image_hash(const struct image *i);

#ifdef __cplusplus
}
#endif
#endif
