/* exif.h -- which way is up: EXIF's tag Orientation, or XMP's where EXIF has none, as Pillow looks for it.  Metadata that
 * cannot be read say nothing; they never make a picture fail. */
#ifndef MEDIA_EXIF_H
#define MEDIA_EXIF_H

#include "media/image.h"

struct orientation {
    uint8_t exif, xmp;      /* 1 to 8 as in EXIF; 0: not said */
};

/* A TIFF structure, with or without "Exif\0\0" before it. */
void exif_read(struct orientation *up, struct str exif);
void xmp_read(struct orientation *up, struct str xmp);

/* EXIF in hexadecimal behind three line feeds, which is how ImageMagick used to put it into PNG texts. */
void exif_read_hex(struct orientation *up, struct str text);

/* Turns and mirrors the picture upright.  False (ERR_MEMORY): no room, and it is as it was. */
MUST_USE bool image_turn(struct image *i, struct orientation up, struct err *e);

#endif
