/* Any bytes as what hearth-video says: an answer to OPEN, then frames.  Whatever is taken keeps to the limits, and a refusal has a
 * printable reason. */
#include "base/child.h"
#include "media/video_talk.h"

#include <math.h>
#include <unistd.h>

enum { SIDE_MAX = 64, FRAMES = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool check_refusal(const struct err *e)
{
    CHECK(e->kind != ERR_NONE && e->text[0] && strlen(e->text) < sizeof e->text);
    for (const char *p = e->text; *p; p++)
        CHECK(*p >= ' ' && *p < 127);
    return false;
}

static bool read_frame(struct video_talk *t, const struct video_info *i, uint32_t index)
{
    static const uint8_t mark = 0xA5;
    uint8_t              rgb[SIDE_MAX * SIDE_MAX * 3 + 1];
    size_t               bytes = (size_t)i->width * i->height * 3;
    double               seconds = -1;
    struct err           e = {0};
    rgb[bytes] = mark;
    if (!video_talk_frame(t, index, &seconds, rgb, bytes, &e))
        return check_refusal(&e);
    CHECK(rgb[bytes] == mark && isfinite(seconds) && seconds >= 0);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct video_limits l = {.pixels_max = SIDE_MAX * SIDE_MAX, .frames_max = 1000};
    struct video_info   i;
    struct err          e = {0};
    int                 fd = file_unnamed((struct str){(const char *)data, n}, &e);
    CHECK(fd >= 0);
    struct video_talk t = {.fd = fd, .left_ns = UINT64_MAX};
    if (video_talk_info(&t, &l, &i, &e)) {
        CHECK(i.width && i.height && (uint64_t)i.width * i.height <= l.pixels_max && i.n_frame && i.n_frame <= l.frames_max);
        CHECK(isfinite(i.fps) && i.fps > 0 && isfinite(i.seconds) && i.seconds > 0);
        for (uint32_t k = 0; k < FRAMES && read_frame(&t, &i, k); k++) {}
    } else {
        check_refusal(&e);
    }
    close(fd);
    return 0;
}
