/* video.c -- see video.h. */
#include "media/video.h"

#include "base/child.h"
#include "base/file.h"
#include "base/mem.h"
#include "media/video_talk.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

_Static_assert((int)VIDEO_CHOSEN_MAX == (int)VIDEO_WIRE_CHOSEN_MAX, "what may be chosen is what can be said");

struct video {
    struct child        child;
    struct video_talk   talk;
    struct video_limits limits;         /* no zeros left in it */
    struct video_info   info;
    uint32_t           *chosen;
    size_t              n_chosen, next;
};

static void fill(struct video_limits *l)
{
    l->pixels_max = l->pixels_max ? l->pixels_max : UINT64_C(1) << 26;
    l->frames_max = l->frames_max ? l->frames_max : UINT64_C(1) << 20;
    l->memory_bytes_max = l->memory_bytes_max ? l->memory_bytes_max : UINT64_C(2) << 30;
    l->seconds_max = l->seconds_max ? l->seconds_max : 120;
    CHECK(l->pixels_max <= VIDEO_PIXELS_MAX);
}

/* The process's end tells what broke off its answers. */
static bool broken(struct video *v, struct err *e)
{
    if (!v->talk.ended)
        return false;
    v->talk.ended = false;
    int status = child_end(&v->child);
    v->child.pid = 0;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
        return err_set(e, ERR_TIMEOUT, "decoding the video took more than %u s of computing", v->limits.seconds_max);
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        return err_set(e, ERR_INVALID, "the decoder crashed on the video (signal %d): it is broken, or made to do so", WTERMSIG(status));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return err_set(e, ERR_UNSUPPORTED, "hearth-video does not start: are FFmpeg's libraries installed as when it was built?");
    return false;
}

static bool start(struct video *v, struct str bytes, struct err *e)
{
    char *folder = v->limits.helper ? NULL : program_folder();
    char *path = folder ? path_join(folder, "hearth-video") : mem_copy(v->limits.helper, strlen(v->limits.helper));
    int   file = -1;
    bool  ok = file_kind(path) == FILE_PLAIN ||
              err_set(e, ERR_UNSUPPORTED, "videos are not decoded here, for there is no %s.  It is built where FFmpeg's libraries are: "
                      "libavformat-dev, libavcodec-dev, libavutil-dev and libswscale-dev on Debian, ffmpeg in Homebrew", path);
    ok = ok && (file = file_unnamed(bytes, e)) >= 0 && child_start(&v->child, path, file, e);
    if (!ok)
        v->child.pid = 0;
    if (file >= 0)
        close(file);
    free(folder);
    free(path);
    return ok;
}

bool video_open(struct video **out, struct video_info *info, struct str bytes, const struct video_limits *limits, struct err *e)
{
    struct video *v = mem_new(sizeof *v);
    v->limits = *limits;
    fill(&v->limits);
    const struct video_limits *l = &v->limits;
    struct video_wire_open     o = {l->pixels_max, l->frames_max, l->memory_bytes_max, l->seconds_max};
    bool                       ok = bytes.n > 0 || err_set(e, ERR_INVALID, "the video is an empty file");
    ok = ok && start(v, bytes, e);
    v->talk = (struct video_talk){.fd = v->child.socket, .left_ns = l->seconds_max * UINT64_C(1000000000), .stop = l->stop};
    ok = ok && ((video_talk_send(&v->talk, VIDEO_WIRE_OPEN, &o, sizeof o, e) && video_talk_info(&v->talk, l, &v->info, e)) || broken(v, e));
    if (!ok) {
        video_close(v);
        return false;
    }
    *info = v->info;
    *out = v;
    return true;
}

bool video_choose(struct video *v, const uint32_t *index, size_t n, struct err *e)
{
    CHECK(!v->chosen && n > 0 && n <= VIDEO_CHOSEN_MAX);
    for (size_t i = 0; i < n; i++)
        CHECK(index[i] < v->info.n_frame && (i == 0 || index[i] >= index[i - 1]));
    v->chosen = mem_array(n, sizeof *index);
    memcpy(v->chosen, index, n * sizeof *index);
    v->n_chosen = n;
    return video_talk_send(&v->talk, VIDEO_WIRE_CHOOSE, index, n * sizeof *index, e) || broken(v, e);
}

bool video_next(struct video *v, double *seconds, uint8_t *rgb, struct err *e)
{
    CHECK(v->next < v->n_chosen);
    if (!v->child.pid)
        return err_set(e, ERR_INVALID, "the video's decoder has ended");
    size_t bytes = (size_t)v->info.width * v->info.height * 3;
    return video_talk_frame(&v->talk, v->chosen[v->next++], seconds, rgb, bytes, e) || broken(v, e);
}

void video_close(struct video *v)
{
    if (!v)
        return;
    if (v->child.pid)
        child_end(&v->child);
    free(v->chosen);
    free(v);
}
