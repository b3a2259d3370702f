/* video.h -- frames of a video, decoded by a process of its own.
 *
 * What decodes (hearth-video, FFmpeg's libraries) runs beside us with the file in an open descriptor and nothing else: no
 * network, no file system, limited time and memory.  A file that breaks or blocks it ends it, not us.
 *
 * A video is read in three steps: open tells how many frames there are, the caller chooses which it wants by the rule of its
 * model, and these come one by one, so that memory holds one frame, however many are wanted. */
#ifndef MEDIA_VIDEO_H
#define MEDIA_VIDEO_H

#include "base/str.h"
#include "base/threads.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A frame's length is said in 32 bits. */
#define VIDEO_PIXELS_MAX (UINT64_C(1) << 30)

/* Zeros mean what stands in brackets. */
struct video_limits {
    const char        *helper;              /* hearth-video's path (beside this program) */
    uint64_t           pixels_max;          /* of one frame (2^26); at most VIDEO_PIXELS_MAX */
    uint64_t           frames_max;          /* in the file (2^20) */
    uint64_t           memory_bytes_max;    /* of the helper (2 GiB; UINT64_MAX: no limit) */
    unsigned           seconds_max;         /* that we wait for the helper, and that it computes, over all (120) */
    const atomic_word *stop;                /* once not 0, waiting ends within 50 ms with ERR_GONE (NULL: nobody stops it) */
};

struct video_info {
    uint32_t width, height;                 /* of a frame as it is shown: rotation applied */
    uint64_t n_frame;                       /* that are shown: counted, whatever the file says of itself; at least 1 */
    double   fps;                           /* mean over the file; > 0 */
    double   seconds;                       /* > 0 */
};

struct video;

/* bytes: the file, wanted during the call only; limits->stop is borrowed until video_close().
 *
 * ERR_UNSUPPORTED: there is no helper (the text says what to install), or no decoder for it.  ERR_INVALID: it is no video, is
 * broken, or breaks a limit (ERR_TOO_LARGE).  ERR_TIMEOUT, ERR_GONE.  ERR_IO: the system refused a process. */
MUST_USE bool video_open(struct video **out, struct video_info *info, struct str bytes, const struct video_limits *limits, struct err *e);
void          video_close(struct video *v);         /* at any time, ends the helper; NULL is fine */

/* Once.  n numbers of frames in the order in which they are shown, each below n_frame and none below the one before it; one may
 * stand several times.  n at most VIDEO_CHOSEN_MAX. */
enum { VIDEO_CHOSEN_MAX = 1 << 16 };
MUST_USE bool video_choose(struct video *v, const uint32_t *index, size_t n, struct err *e);

/* The next frame chosen, n calls after video_choose(); rgb has width * height * 3 bytes, rows from the top.  *seconds: when
 * it is shown, from the first frame's time on.  A frame that the file holds but that cannot be decoded is an error. */
MUST_USE bool video_next(struct video *v, double *seconds, uint8_t *rgb, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
