/* decode.h -- what the decoders of the room share; nobody else includes it. */
#ifndef MEDIA_DECODE_H
#define MEDIA_DECODE_H

#include "media/exif.h"
#include "media/image.h"

/* A file's pixels as stored, and what its metadata say of which way is up.  False: e is filled and out->rgb is NULL. */
typedef bool image_decoder(struct image *out, struct orientation *up, struct str file, uint64_t pixels_max, struct err *e);
image_decoder jpeg_decode, png_decode, webp_decode, gif_decode;

/* Colours of a palette: those the file names; the others are black, as Pillow has them. */
struct palette {
    uint8_t rgb[256][3];
};

/* Makes a row of n bytes one of n pixels in place: by palette, or grey when that is NULL. */
void row_expand(uint8_t *row, uint32_t n, const struct palette *palette);

#endif
