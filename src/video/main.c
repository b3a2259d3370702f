/* main.c -- hearth-video: base/video_wire.h's other end.  Started by media/video.c and by nobody else. */
#include "base/child.h"
#include "video/film.h"

#include <libavutil/log.h>
#include <stdlib.h>
#include <unistd.h>

enum { FINE, BAD_CALL = 2 };

static bool take(void *out, size_t n)
{
    for (uint8_t *at = out; n;) {
        ssize_t some = read(CHILD_SOCKET, at, n);
        if (some <= 0)
            return false;
        at += some;
        n -= (size_t)some;
    }
    return true;
}

static bool give(const void *p, size_t n)
{
    for (const uint8_t *at = p; n;) {
        ssize_t some = write(CHILD_SOCKET, at, n);
        if (some <= 0)
            return false;
        at += some;
        n -= (size_t)some;
    }
    return true;
}

static bool give_head(enum video_wire_kind kind, size_t bytes)
{
    struct video_wire_head h = {VIDEO_WIRE_MAGIC, VIDEO_WIRE_VERSION, kind, (uint32_t)bytes};
    return give(&h, sizeof h);
}

static bool take_head(struct video_wire_head *h, enum video_wire_kind kind)
{
    return take(h, sizeof *h) && h->magic == VIDEO_WIRE_MAGIC && h->version == VIDEO_WIRE_VERSION && h->kind == (uint32_t)kind;
}

static int fail(const struct film_why *why)
{
    struct video_wire_failed f = {.why = why->kind};
    size_t                   n = strlen(why->text);
    (void)(give_head(VIDEO_WIRE_FAILED, sizeof f + n) && give(&f, sizeof f) && give(why->text, n));
    return FINE;
}

static int show(struct film *f, const struct video_wire_info *info, struct film_why *why)
{
    static uint32_t        index[VIDEO_WIRE_CHOSEN_MAX];
    struct video_wire_head h;
    if (!take_head(&h, VIDEO_WIRE_CHOOSE) || h.bytes > sizeof index || !take(index, h.bytes))
        return BAD_CALL;
    size_t bytes = (size_t)info->width * info->height * 3;
    for (size_t i = 0; i < h.bytes / sizeof index[0]; i++) {
        struct video_wire_frame frame = {.index = index[i]};
        const uint8_t          *rgb;
        if (index[i] >= info->n_frame || (i > 0 && index[i] < index[i - 1]))
            return BAD_CALL;
        if (!film_frame(f, index[i], &frame.seconds, &rgb, why))
            return fail(why);
        if (!give_head(VIDEO_WIRE_FRAME, sizeof frame + bytes) || !give(&frame, sizeof frame) || !give(rgb, bytes))
            return BAD_CALL;
    }
    return FINE;
}

int main(void)
{
    struct video_wire_head h;
    struct video_wire_open o;
    struct video_wire_info info = {0};
    struct film_why        why;
    struct film           *f;
    if (!take_head(&h, VIDEO_WIRE_OPEN) || h.bytes != sizeof o || !take(&o, sizeof o))
        return BAD_CALL;
    av_log_set_level(AV_LOG_QUIET);
    child_cage((unsigned)o.seconds_max, o.memory_bytes_max);
    if (!film_open(&f, CHILD_FILE, &o, &info, &why))
        return fail(&why);
    int status = give_head(VIDEO_WIRE_INFO, sizeof info) && give(&info, sizeof info) ? show(f, &info, &why) : BAD_CALL;
    film_close(f);
    return status;
}
