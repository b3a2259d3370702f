/* video_talk.h -- our side of base/video_wire.h: messages to and from a process that may be in anybody's hands.
 *
 * Nothing of what it says is believed: numbers are bounded, texts are made printable, and waiting has an end. */
#ifndef MEDIA_VIDEO_TALK_H
#define MEDIA_VIDEO_TALK_H

#include "base/video_wire.h"
#include "media/video.h"

#ifdef __cplusplus
extern "C" {
#endif

struct video_talk {
    int                fd;
    uint64_t           left_ns;         /* of waiting, over all */
    const atomic_word *stop;            /* NULL: nobody stops it */
    bool               ended;           /* the other side did, or stopped making sense: how the process ended may say more than *e */
};

MUST_USE bool video_talk_send(struct video_talk *t, enum video_wire_kind kind, const void *p, size_t n, struct err *e);

/* An answer that breaks `limits` is refused as nonsense: the other side knows them. */
MUST_USE bool video_talk_info(struct video_talk *t, const struct video_limits *limits, struct video_info *out, struct err *e);

/* rgb: bytes of them. */
MUST_USE bool video_talk_frame(struct video_talk *t, uint32_t index, double *seconds, uint8_t *rgb, size_t bytes, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
