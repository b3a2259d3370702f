/* film.h -- a video file, its frames in the order in which they are shown (FFmpeg's libav*).  Only hearth-video has this inside.
 *
 * A frame's number is its place among the time stamps of all packets that give a picture, sorted.  To find them the file is
 * read once through without decoding; then it is decoded from the nearest key frame before each frame that is wanted. */
#ifndef VIDEO_FILM_H
#define VIDEO_FILM_H

#include "base/video_wire.h"

#include <stdbool.h>

struct film;

/* Why it cannot be done, once. */
struct film_why {
    enum video_wire_why kind;
    char                text[VIDEO_WIRE_TEXT_MAX + 1];
};

bool film_open(struct film **out, int fd, const struct video_wire_open *limits, struct video_wire_info *info, struct film_why *why);
void film_close(struct film *f);

/* index: not below the last one's.  *rgb: width * height * 3 bytes, good until the next call. */
bool film_frame(struct film *f, uint64_t index, double *seconds, const uint8_t **rgb, struct film_why *why);

#endif
