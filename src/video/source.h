/* source.h -- the packets of a file's one video stream. */
#ifndef VIDEO_SOURCE_H
#define VIDEO_SOURCE_H

#include "video/film.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

struct source {
    int              fd;
    int64_t          at;                /* in the file */
    AVIOContext     *io;
    AVFormatContext *format;
    AVStream        *stream;
    AVPacket        *packet;
};

bool source_open(struct source *s, int fd, struct film_why *why);
void source_close(struct source *s);

/* The stream's next packet, in s->packet until the next call.  1: there is one; 0: the file is over; -1: it is broken. */
int source_next(struct source *s, struct film_why *why);

/* Does the packet give a picture that is shown? */
bool source_shown(const struct source *s);

bool why_set(struct film_why *why, enum video_wire_why kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same for what a function of libav* says. */
bool why_av(struct film_why *why, int code, const char *doing);

#endif
