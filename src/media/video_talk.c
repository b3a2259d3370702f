/* video_talk.c -- see video_talk.h. */
#include "media/video_talk.h"

#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOK_MS = 50 };

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0      /* there the socket was told (base/child.c) */
#endif

static bool ended(struct video_talk *t, struct err *e)
{
    t->ended = true;
    return err_set(e, ERR_INVALID, "the decoder ended in the middle of it");
}

static bool nonsense(struct video_talk *t, const char *what, struct err *e)
{
    t->ended = true;
    return err_set(e, ERR_INTERNAL, "hearth-video answers with nonsense (%s): is it of the same build?", what);
}

/* Until something can be read or written; looks at the stop word now and then. */
static bool wait_for(struct video_talk *t, short what, struct err *e)
{
    for (;;) {
        if (t->stop && atomic_load_explicit(t->stop, memory_order_relaxed) != 0)
            return err_set(e, ERR_GONE, "stopped");
        uint64_t      before = clock_ns(clock_real());
        struct pollfd p = {.fd = t->fd, .events = what};
        int           n = poll(&p, 1, LOOK_MS);
        uint64_t      took = clock_ns(clock_real()) - before;
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return err_os(e, "waiting for hearth-video");
        if (took >= t->left_ns)
            return err_set(e, ERR_TIMEOUT, "decoding the video took too long");
        t->left_ns -= took;
    }
}

static bool take(struct video_talk *t, void *out, size_t n, struct err *e)
{
    for (uint8_t *at = out; n;) {
        if (!wait_for(t, POLLIN, e))
            return false;
        ssize_t some = read(t->fd, at, n);
        if (some > 0) {
            at += some;
            n -= (size_t)some;
        } else if (some == 0 || (errno != EAGAIN && errno != EINTR)) {
            return ended(t, e);
        }
    }
    return true;
}

static bool give(struct video_talk *t, const void *p, size_t n, struct err *e)
{
    for (const uint8_t *at = p; n;) {
        if (!wait_for(t, POLLOUT, e))
            return false;
        ssize_t some = send(t->fd, at, n, MSG_NOSIGNAL);
        if (some > 0) {
            at += some;
            n -= (size_t)some;
        } else if (errno != EAGAIN && errno != EINTR) {
            return ended(t, e);
        }
    }
    return true;
}

bool video_talk_send(struct video_talk *t, enum video_wire_kind kind, const void *p, size_t n, struct err *e)
{
    struct video_wire_head h = {VIDEO_WIRE_MAGIC, VIDEO_WIRE_VERSION, kind, (uint32_t)n};
    return give(t, &h, sizeof h, e) && give(t, p, n, e);
}

/* ---- what it says ------------------------------------------------------------------------------------------------- */

/* Why it gave up; the words are of the file's making in part. */
static bool refused(struct video_talk *t, uint32_t bytes, struct err *e)
{
    static const enum err_kind kinds[VIDEO_WIRE_WHYS] = {ERR_INVALID, ERR_UNSUPPORTED, ERR_TOO_LARGE};
    struct video_wire_failed   f;
    char                       text[VIDEO_WIRE_TEXT_MAX + 1];
    if (bytes <= sizeof f || bytes > sizeof f + VIDEO_WIRE_TEXT_MAX)
        return nonsense(t, "an error of that length", e);
    uint32_t n = bytes - (uint32_t)sizeof f;
    if (!take(t, &f, sizeof f, e) || !take(t, text, n, e))
        return false;
    for (uint32_t i = 0; i < n; i++)
        text[i] = text[i] >= ' ' && text[i] < 127 ? text[i] : '?';
    text[n] = '\0';
    return f.why < VIDEO_WIRE_WHYS ? err_set(e, kinds[f.why], "%s", text) : nonsense(t, "an error of no kind", e);
}

static bool expect(struct video_talk *t, enum video_wire_kind kind, size_t bytes, struct err *e)
{
    struct video_wire_head h;
    if (!take(t, &h, sizeof h, e))
        return false;
    if (h.magic != VIDEO_WIRE_MAGIC || h.version != VIDEO_WIRE_VERSION)
        return nonsense(t, "another version", e);
    if (h.kind == VIDEO_WIRE_FAILED)
        return refused(t, h.bytes, e);
    return (h.kind == kind && h.bytes == bytes) || nonsense(t, "a message of another kind or length", e);
}

bool video_talk_info(struct video_talk *t, const struct video_limits *l, struct video_info *out, struct err *e)
{
    struct video_wire_info i;
    if (!expect(t, VIDEO_WIRE_INFO, sizeof i, e) || !take(t, &i, sizeof i, e))
        return false;
    bool fits = i.width && i.height && (uint64_t)i.width * i.height <= l->pixels_max && i.n_frame && i.n_frame <= l->frames_max;
    if (!fits || !isfinite(i.fps) || !isfinite(i.seconds) || i.fps <= 0 || i.seconds <= 0)
        return nonsense(t, "numbers out of their limits", e);
    *out = (struct video_info){.width = i.width, .height = i.height, .n_frame = i.n_frame, .fps = i.fps, .seconds = i.seconds};
    return true;
}

bool video_talk_frame(struct video_talk *t, uint32_t index, double *seconds, uint8_t *rgb, size_t bytes, struct err *e)
{
    struct video_wire_frame f;
    if (!expect(t, VIDEO_WIRE_FRAME, sizeof f + bytes, e) || !take(t, &f, sizeof f, e))
        return false;
    if (f.index != index || !isfinite(f.seconds) || f.seconds < 0)
        return nonsense(t, "another frame", e);
    *seconds = f.seconds;
    return take(t, rgb, bytes, e);
}
