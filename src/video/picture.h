/* picture.h -- a decoded frame as people see it: RGB, turned as the file says. */
#ifndef VIDEO_PICTURE_H
#define VIDEO_PICTURE_H

#include "video/film.h"

#include <libavformat/avformat.h>
#include <libavutil/frame.h>
#include <libswscale/swscale.h>

struct picture {
    struct SwsContext *scale;
    uint32_t           width, height;       /* turned */
    int                from_width, from_height;
    bool               swapped, mirror_x, mirror_y;     /* rows become columns; then each goes the other way */
    uint8_t           *plain, *turned;
    int                stride;              /* of plain */
};

/* Takes size and direction from the first frame and its stream; all that follow must be alike. */
bool picture_open(struct picture *p, const AVFrame *frame, const AVStream *stream, struct film_why *why);
void picture_close(struct picture *p);
bool picture_read(struct picture *p, const AVFrame *frame, const uint8_t **rgb, struct film_why *why);

#endif
