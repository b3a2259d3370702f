/* resize.h -- a picture in another size, bit for bit as Pillow up to 12 makes it (Resample.c: antialiased, two passes, the
 * horizontal one first, weights of 22 bits, each pass rounded to 8 bits). */
#ifndef MEDIA_RESIZE_H
#define MEDIA_RESIZE_H

#include "media/image.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Numbered as Pillow and the configurations have them. */
enum resample { RESAMPLE_LANCZOS = 1, RESAMPLE_BILINEAR = 2, RESAMPLE_BICUBIC = 3 };

/* The window of width x height at (x, y) of what `image` is when it is made full_width x full_height: resizing and cutting in
 * one go, without the memory and the work for what is cut off.  The window lies within. */
struct resize {
    enum resample filter;
    uint32_t      full_width, full_height;
    uint32_t      x, y, width, height;
};

/* `image` whole in another size. */
static inline struct resize resize_whole(enum resample filter, uint32_t width, uint32_t height)
{
    struct resize r = {filter, width, height, 0, 0, width, height};
    return r;
}

/* Writes the window's rows at out, `stride` bytes apart. */
void resize(const struct image *image, const struct resize *r, uint8_t *out, size_t stride);

#ifdef __cplusplus
}
#endif
#endif
