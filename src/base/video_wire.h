/* video_wire.h -- what media/video.c and hearth-video say to each other, through the socket of base/child.h.
 *
 * Each message is a head and `bytes` behind it, all in the machine's own order, for both run on it.
 *
 *   we say     it says
 *   OPEN       INFO, or FAILED
 *   CHOOSE     FRAME for each number of CHOOSE, in that order, or FAILED instead of one
 *
 * After FAILED it ends.  Whoever finds another version in a head ends, too. */
#ifndef BASE_VIDEO_WIRE_H
#define BASE_VIDEO_WIRE_H

#include <stdint.h>

enum { VIDEO_WIRE_MAGIC = 0x44495668, VIDEO_WIRE_VERSION = 1, VIDEO_WIRE_CHOSEN_MAX = 1 << 16, VIDEO_WIRE_TEXT_MAX = 255 };

enum video_wire_kind { VIDEO_WIRE_OPEN = 1, VIDEO_WIRE_INFO, VIDEO_WIRE_CHOOSE, VIDEO_WIRE_FRAME, VIDEO_WIRE_FAILED };

struct video_wire_head {
    uint32_t magic, version, kind, bytes;
};

struct video_wire_open {
    uint64_t pixels_max, frames_max, memory_bytes_max, seconds_max;
};

struct video_wire_info {
    uint64_t n_frame;
    double   fps, seconds;
    uint32_t width, height;
};

/* CHOOSE: uint32_t each, none below the one before it. */

/* Behind it width * height * 3 bytes. */
struct video_wire_frame {
    double   seconds;
    uint64_t index;
};

enum video_wire_why { VIDEO_WIRE_INVALID, VIDEO_WIRE_UNSUPPORTED, VIDEO_WIRE_TOO_LARGE, VIDEO_WIRE_WHYS };

/* Behind it a text without a NUL. */
struct video_wire_failed {
    uint32_t why;
};

#endif
