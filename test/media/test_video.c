/* Videos by the real helper: each frame of test/fixtures/media says its own number (tools/make-videos).  And by helpers that crash,
 * hang and talk nonsense. */
#include "media/video.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct buf fixture(const char *name)
{
    struct buf b;
    struct err e;
    char      *path = path_join(FIXTURES "/media", name);
    buf_init(&b, 0);
    if (!file_read(&b, path, 1 << 24, &e))
        fail_msg("%s", e.text);
    free(path);
    return b;
}

static bool open_bytes(struct video **v, struct video_info *info, struct str bytes, struct err *e)
{
    return video_open(v, info, bytes, &(struct video_limits){.helper = HELPER, .seconds_max = 60}, e);
}

static struct video *open_name(const char *name, struct video_info *info)
{
    struct err    e;
    struct video *v;
    struct buf    b = fixture(name);
    if (!open_bytes(&v, info, buf_view(&b), &e))
        fail_msg("%s: %s", name, e.text);
    buf_drop(&b);
    return v;
}

/* What square (x, y) of a picture of columns x rows squares shows. */
static unsigned square(const uint8_t *rgb, const struct video_info *i, unsigned columns, unsigned rows, unsigned x, unsigned y)
{
    size_t row = (2 * y + 1) * i->height / (2 * rows), column = (2 * x + 1) * i->width / (2 * columns);
    const uint8_t *p = rgb + (row * i->width + column) * 3;
    assert_true(p[0] < 100 || p[0] > 155);
    return p[0] > 127;
}

static unsigned number(const uint8_t *rgb, const struct video_info *i)
{
    unsigned n = 0;
    for (unsigned bit = 0; bit < 12; bit++)
        n |= square(rgb, i, 4, 3, bit % 4, bit / 4) << bit;
    return n;
}

/* The frames chosen are those that come. */
static void shows(const char *name, const uint32_t *index, size_t n)
{
    struct video_info info;
    struct err        e;
    struct video     *v = open_name(name, &info);
    uint8_t          *rgb = mem_new((size_t)info.width * info.height * 3);
    double            before = -1, seconds;
    assert_true(video_choose(v, index, n, &e));
    for (size_t i = 0; i < n; i++) {
        if (!video_next(v, &seconds, rgb, &e))
            fail_msg("%s, frame %u: %s", name, index[i], e.text);
        if (number(rgb, &info) != index[i])
            fail_msg("%s: frame %u for %u", name, number(rgb, &info), index[i]);
        assert_true(i == 0 || seconds > before || index[i] == index[i - 1]);
        before = seconds;
    }
    free(rgb);
    video_close(v);
}

static void shows_every(const char *name, uint32_t n_frame, uint32_t step)
{
    uint32_t index[512], n = 0;
    for (uint32_t i = step / 2 < n_frame ? step / 2 : 0; i < n_frame; i += step)
        index[n++] = i;
    shows(name, index, n);
}

static void frames_are_counted_and_found(void **state)
{
    static const struct { const char *name; uint32_t n_frame, width, height; double fps; } files[] = {
        {"count.mp4", 300, 640, 480, 30}, {"open_gop.mp4", 120, 64, 48, 30}, {"vp9.webm", 100, 64, 48, 30}, {"vp8.webm", 100, 64, 48, 30},
        {"av1.mp4", 30, 64, 48, 30}, {"mpeg4.avi", 100, 64, 48, 30}, {"upright.mp4", 5, 64, 48, 30},
    };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct video_info info;
        video_close(open_name(files[i].name, &info));
        if (info.n_frame != files[i].n_frame || fabs(info.fps - files[i].fps) > 1e-9)
            fail_msg("%s: %llu frames, %g a second", files[i].name, (unsigned long long)info.n_frame, info.fps);
        assert_int_equal(info.width, files[i].width);
        assert_int_equal(info.height, files[i].height);
        assert_true(fabs(info.seconds - files[i].n_frame / files[i].fps) < 0.002);
        shows_every(files[i].name, files[i].n_frame, 1);
        shows_every(files[i].name, files[i].n_frame, 7);
        shows_every(files[i].name, files[i].n_frame, 45);
        shows(files[i].name, (uint32_t[]){files[i].n_frame - 1, files[i].n_frame - 1}, 2);
    }
    shows("count.mp4", (uint32_t[]){0, 0, 59, 60, 61, 61, 61, 179, 180, 298, 299, 299}, 12);
    shows_every("short.gif", 12, 1);
}

/* What tells of the frames lies behind the frames, and far behind. */
static void long_files_are_gone_about_in(void **state)
{
    enum { GAP = 4 << 20 };
    (void)state;
    struct buf        b = fixture("count.mp4"), wide;
    struct video     *v;
    struct video_info info;
    struct err        e;
    size_t at = str_find(buf_view(&b), STR("moov")) - 4;
    buf_init(&wide, 0);
    buf_append(&wide, b.p, at);
    buf_append(&wide, (uint8_t[]){GAP >> 24, GAP >> 16 & 255, GAP >> 8 & 255, GAP & 255}, 4);
    buf_str(&wide, STR("free"));
    memset(buf_reserve(&wide, GAP - 8), 0, GAP - 8);
    wide.n += GAP - 8;
    buf_append(&wide, b.p + at, b.n - at);
    if (!open_bytes(&v, &info, buf_view(&wide), &e))
        fail_msg("%s", e.text);
    assert_int_equal(info.n_frame, 300);
    uint8_t *rgb = mem_new((size_t)info.width * info.height * 3);
    double   seconds;
    assert_true(video_choose(v, (uint32_t[]){3, 200}, 2, &e));
    assert_true(video_next(v, &seconds, rgb, &e) && number(rgb, &info) == 3);
    assert_true(video_next(v, &seconds, rgb, &e) && number(rgb, &info) == 200);
    free(rgb);
    video_close(v);
    buf_drop(&b);
    buf_drop(&wide);
}

static void times_are_the_files_own(void **state)
{
    struct video_info info;
    struct err        e;
    struct video     *v = open_name("steps.mp4", &info);
    uint8_t          *rgb = mem_new((size_t)info.width * info.height * 3);
    uint32_t          index[60];
    (void)state;
    assert_int_equal(info.n_frame, 60);
    assert_true(fabs(info.fps - 59 / (97 / 30.)) < 0.01 * info.fps);        /* the last is shown at 59 + 2 * 19 */
    for (uint32_t i = 0; i < 60; i++)
        index[i] = i;
    assert_true(video_choose(v, index, 60, &e));
    for (uint32_t i = 0; i < 60; i++) {
        double seconds;
        assert_true(video_next(v, &seconds, rgb, &e));
        assert_int_equal(number(rgb, &info), i);
        assert_true(fabs(seconds - (i + 2 * (i / 3)) / 30.) < 1e-3);
    }
    free(rgb);
    video_close(v);
}

/* Frame 2 has one white square, the second of the first row. */
static void rotation_is_applied(void **state)
{
    static const struct { const char *name; unsigned columns, rows, x, y; } files[] = {
        {"upright.mp4", 4, 3, 1, 0}, {"quarter.mp4", 3, 4, 2, 1}, {"half.mp4", 4, 3, 2, 2}, {"mirror.mp4", 4, 3, 2, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct video_info info;
        struct err        e;
        double            seconds;
        struct video     *v = open_name(files[i].name, &info);
        uint8_t           rgb[64 * 48 * 3];
        assert_int_equal(info.width, files[i].columns * 16);
        assert_int_equal(info.height, files[i].rows * 16);
        assert_true(video_choose(v, &(uint32_t){2}, 1, &e) && video_next(v, &seconds, rgb, &e));
        for (unsigned y = 0; y < files[i].rows; y++)
            for (unsigned x = 0; x < files[i].columns; x++)
                if (square(rgb, &info, files[i].columns, files[i].rows, x, y) != (x == files[i].x && y == files[i].y))
                    fail_msg("%s: square %u, %u", files[i].name, x, y);
        video_close(v);
    }
}

static void memory_holds_one_frame(void **state)
{
    (void)state;
    struct rusage few, many;
    shows_every("count.mp4", 300, 18);
    getrusage(RUSAGE_CHILDREN, &few);
    uint64_t ours = mem_resident();
    shows_every("count.mp4", 256, 1);       /* 236 MB of pixels */
    getrusage(RUSAGE_CHILDREN, &many);
    assert_true(mem_resident() < ours + (8 << 20));
    assert_true(many.ru_maxrss < few.ru_maxrss + (16 << 10));
}

/* ---- files that are not right ------------------------------------------------------------------------------------- */

static void refused(struct str bytes, enum err_kind kind, const char *part)
{
    struct video     *v;
    struct video_info info;
    struct err        e = {0};
    if (open_bytes(&v, &info, bytes, &e))
        fail_msg("a broken file of %zu bytes was opened: %s", bytes.n, part);
    if (e.kind != kind || !strstr(e.text, part))
        fail_msg("kind %d: \"%s\" has no \"%s\"", e.kind, e.text, part);
}

static void what_is_no_video_is_refused(void **state)
{
    (void)state;
    uint8_t noise[5000];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(i * 2654435761u >> 13);
    refused((struct str){NULL, 0}, ERR_INVALID, "empty");
    refused((struct str){(char *)noise, sizeof noise}, ERR_INVALID, "no video of a kind");
    refused(STR("hello"), ERR_INVALID, "no video of a kind");
    refused(STR("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n"), ERR_INVALID, "no video of a kind");
    refused(STR("ffconcat version 1.0\nfile /etc/passwd\n"), ERR_INVALID, "no video of a kind");
    refused(STR("\x89PNG\r\n\x1A\n\0\0\0\rIHDR"), ERR_INVALID, "");
}

static void truncated_files_are_refused(void **state)
{
    (void)state;
    struct buf b = fixture("count.mp4"), f = fixture("front.mp4"), w = fixture("vp9.webm"), g = fixture("short.gif");
    for (size_t i = 1; i < 10; i++)
        refused((struct str){b.p, b.n * i / 10}, ERR_INVALID, "");      /* what tells of the frames lies at its end */
    for (size_t cut = 1; cut < 200; cut += 7)
        refused((struct str){f.p, f.n - cut}, ERR_INVALID, "");
    shows_every("front.mp4", 60, 1);
    /* WebM does not say how many frames there are. */
    struct video     *v;
    struct video_info info;
    struct err        e;
    refused((struct str){g.p, 20}, ERR_INVALID, "");
    if (open_bytes(&v, &info, (struct str){w.p, w.n * 2 / 3}, &e)) {
        assert_true(info.n_frame < 100);
        video_close(v);
    } else {
        assert_int_equal(e.kind, ERR_INVALID);
    }
    buf_drop(&b);
    buf_drop(&f);
    buf_drop(&w);
    buf_drop(&g);
}

static uint64_t next_random(uint64_t *s)
{
    *s = *s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *s >> 33;
}

/* Opened or refused, decoded or not: it ends, and with words. */
static void any_damage_ends_well(void **state)
{
    static const char *const names[] = {"upright.mp4", "vp9.webm", "vp8.webm", "mpeg4.avi", "short.gif", "open_gop.mp4"};
    uint64_t seed = 1;
    (void)state;
    for (size_t i = 0; i < 48; i++) {
        struct buf        b = fixture(names[i % 6]);
        struct video     *v;
        struct video_info info;
        struct err        e = {0};
        for (int k = 0; k < 20; k++)
            b.p[next_random(&seed) % b.n] = (char)next_random(&seed);
        bool ok = open_bytes(&v, &info, buf_view(&b), &e);
        buf_drop(&b);
        if (ok) {
            uint8_t *rgb = mem_new((size_t)info.width * info.height * 3);
            uint32_t last = (uint32_t)(info.n_frame - 1);
            double   seconds;
            ok = video_choose(v, (uint32_t[]){0, last / 2, last}, 3, &e);
            for (int k = 0; k < 3 && ok; k++)
                ok = video_next(v, &seconds, rgb, &e);
            free(rgb);
            video_close(v);
        }
        if (!ok && (!e.text[0] || e.kind == ERR_INTERNAL || e.kind == ERR_IO))
            fail_msg("%s: kind %d, %s", names[i % 6], e.kind, e.text);
    }
}

static void limits_hold(void **state)
{
    (void)state;
    struct buf        b = fixture("count.mp4"), g = fixture("short.gif");
    struct video     *v;
    struct video_info info;
    struct err        e;
    assert_false(video_open(&v, &info, buf_view(&b), &(struct video_limits){.helper = HELPER, .pixels_max = 640 * 480 - 1}, &e));
    assert_int_equal(e.kind, ERR_TOO_LARGE);
    assert_non_null(strstr(e.text, "640 x 480"));
    assert_false(video_open(&v, &info, buf_view(&b), &(struct video_limits){.helper = HELPER, .frames_max = 299}, &e));
    assert_int_equal(e.kind, ERR_TOO_LARGE);
    assert_true(video_open(&v, &info, buf_view(&b), &(struct video_limits){.helper = HELPER, .frames_max = 300, .pixels_max = 640 * 480}, &e));
    video_close(v);
    memcpy(g.p + 6, "\xE0\x2E\xE0\x2E", 4);
    refused(buf_view(&g), ERR_TOO_LARGE, "12000 x 12000");
    memset(g.p + 6, 0xFF, 4);
    refused(buf_view(&g), ERR_INVALID, "");
    assert_false(video_open(&v, &info, buf_view(&b), &(struct video_limits){.helper = "/nowhere/hearth-video"}, &e));
    assert_int_equal(e.kind, ERR_UNSUPPORTED);
    assert_non_null(strstr(e.text, "libavformat-dev"));
    buf_drop(&b);
    buf_drop(&g);
}

/* ---- helpers that are not right ----------------------------------------------------------------------------------- */

/* Opens with a helper that is this shell script; how long that took. */
static uint64_t with_script(const char *script, const struct video_limits *limits, struct err *e)
{
    char              path[] = "/tmp/hearth-test-XXXXXX";
    struct video     *v;
    struct video_info info;
    int               fd = mkstemp(path);
    assert_true(fd >= 0 && fchmod(fd, 0700) == 0);
    assert_int_equal(write(fd, script, strlen(script)), (ssize_t)strlen(script));
    close(fd);
    struct video_limits l = *limits;
    uint64_t            began = clock_ns(clock_real());
    l.helper = path;
    assert_false(video_open(&v, &info, STR("some bytes"), &l, e));
    unlink(path);
    return clock_ns(clock_real()) - began;
}

static void *stop_soon(void *word)
{
    usleep(200000);
    atomic_store((atomic_word *)word, 1);
    return NULL;
}

static void helpers_that_fail_harm_nobody(void **state)
{
    struct video_limits soon = {.seconds_max = 1}, late = {.seconds_max = 300};
    struct err          e;
    (void)state;
    assert_true(with_script("#!/bin/sh\nexec sleep 1000\n", &soon, &e) < UINT64_C(30000000000));
    assert_int_equal(e.kind, ERR_TIMEOUT);
    with_script("#!/bin/sh\nkill -SEGV $$\n", &late, &e);
    assert_int_equal(e.kind, ERR_INVALID);
    assert_non_null(strstr(e.text, "crashed"));
    with_script("#!/bin/sh\nkill -XCPU $$\n", &late, &e);
    assert_int_equal(e.kind, ERR_TIMEOUT);
    with_script("#!/bin/sh\nexit 0\n", &late, &e);
    assert_int_equal(e.kind, ERR_INVALID);
    with_script("#!/bin/sh\nexit 127\n", &late, &e);
    assert_int_equal(e.kind, ERR_UNSUPPORTED);
    with_script("#!/bin/sh\nexec cat /dev/zero >&0\n", &late, &e);
    assert_int_equal(e.kind, ERR_INTERNAL);
    assert_non_null(strstr(e.text, "nonsense"));
    with_script("no program at all", &late, &e);
    assert_int_equal(e.kind, ERR_IO);
    /* No descriptor of ours, and no environment. */
    assert_int_equal(dup2(STDERR_FILENO, 25), 25);
    with_script("#!/bin/sh\n[ ! -e /proc/$$/fd/25 ] && [ -z \"$HOME\" ] && [ \"$(cat <&3)\" = 'some bytes' ] && kill -SEGV $$\nexit 127\n", &late, &e);
    close(25);
    assert_int_equal(e.kind, ERR_INVALID);

    atomic_word stop = 0;
    pthread_t   thread;
    late.stop = &stop;
    assert_true(thread_start(&thread, "stop", stop_soon, &stop, &e));
    assert_true(with_script("#!/bin/sh\nexec sleep 1000\n", &late, &e) < UINT64_C(60000000000));
    assert_int_equal(e.kind, ERR_GONE);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_counted_and_found),
        cmocka_unit_test(long_files_are_gone_about_in),
        cmocka_unit_test(times_are_the_files_own),
        cmocka_unit_test(rotation_is_applied),
        cmocka_unit_test(memory_holds_one_frame),
        cmocka_unit_test(what_is_no_video_is_refused),
        cmocka_unit_test(truncated_files_are_refused),
        cmocka_unit_test(any_damage_ends_well),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(helpers_that_fail_harm_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
