/* film.c -- see film.h. */
#include "video/film.h"

#include "video/picture.h"
#include "video/source.h"

#include <math.h>
#include <stdlib.h>

/* So many frames at the end may be missing from what the decoder gives: some files count what is never shown. */
enum { TAIL_FRAMES = 2 };

struct key {
    int64_t pts, dts;
};

struct film {
    struct video_wire_open limits;
    struct source          source;
    AVCodecContext        *decoder;
    AVFrame               *frame;
    struct picture         picture;
    int64_t               *pts;         /* of all frames, sorted */
    struct key            *key;         /* key frames, as they come */
    size_t                 n_pts, pts_room, n_key, key_room;
    bool                   timed;       /* each frame has a time stamp of its own; else frames are counted as they come out */
    bool                   no_seek;     /* a seek went wrong once */
    bool                   over;        /* the decoder gave its last */
    bool                   have;        /* f->frame holds one */
    uint64_t               n_out;       /* frames given since the beginning, where they are counted */
    double                 fps;
};

/* ---- the table of frames ------------------------------------------------------------------------------------------ */

static void *grown(void *at, size_t n, size_t *room, size_t each)
{
    if (n < *room)
        return at;
    size_t more = *room ? *room * 2 : 1024;
    void  *p = av_realloc_array(at, more, each);
    *room = p ? more : *room;
    return p;
}

static bool note(struct film *f, struct film_why *why)
{
    const AVPacket *p = f->source.packet;
    if (f->n_pts >= f->limits.frames_max)
        return why_set(why, VIDEO_WIRE_TOO_LARGE, "the video has more than %llu frames", (unsigned long long)f->limits.frames_max);
    int64_t *pts = grown(f->pts, f->n_pts, &f->pts_room, sizeof *pts);
    if (!pts)
        return why_av(why, AVERROR(ENOMEM), "counting the frames");
    f->pts = pts;
    f->pts[f->n_pts++] = p->pts;
    f->timed = f->timed && p->pts != AV_NOPTS_VALUE;
    if (p->flags & AV_PKT_FLAG_KEY) {
        struct key *key = grown(f->key, f->n_key, &f->key_room, sizeof *key);
        if (!key)
            return why_av(why, AVERROR(ENOMEM), "counting the frames");
        f->key = key;
        f->key[f->n_key++] = (struct key){p->pts, p->dts == AV_NOPTS_VALUE ? p->pts : p->dts};
    }
    return true;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool count(struct film *f, struct film_why *why)
{
    int more;
    f->timed = true;
    int64_t all = 0;
    while ((more = source_next(&f->source, why)) > 0) {
        all++;
        if (source_shown(&f->source) && !note(f, why))
            return false;
    }
    if (more < 0)
        return false;
    if (f->n_pts == 0)
        return why_set(why, VIDEO_WIRE_INVALID, "there is no frame in the video");
    if (all < f->source.stream->nb_frames)
        return why_set(why, VIDEO_WIRE_INVALID, "the video ends after %lld of %lld frames", (long long)all, (long long)f->source.stream->nb_frames);
    qsort(f->pts, f->n_pts, sizeof *f->pts, by_time);
    for (size_t i = 1; i < f->n_pts && f->timed; i++)
        f->timed = f->pts[i] > f->pts[i - 1];
    return true;
}

/* ---- decoding ----------------------------------------------------------------------------------------------------- */

static bool decoder_open(struct film *f, struct film_why *why)
{
    const AVCodecParameters *p = f->source.stream->codecpar;
    const AVCodec           *codec = avcodec_find_decoder(p->codec_id);
    if (!codec)
        return why_set(why, VIDEO_WIRE_UNSUPPORTED, "FFmpeg here has no decoder for %s", avcodec_get_name(p->codec_id));
    f->decoder = avcodec_alloc_context3(codec);
    f->frame = av_frame_alloc();
    if (!f->decoder || !f->frame)
        return why_av(why, AVERROR(ENOMEM), "decoding the video");
    int code = avcodec_parameters_to_context(f->decoder, p);
    if (code < 0)
        return why_av(why, code, "decoding the video");
    f->decoder->pkt_timebase = f->source.stream->time_base;
    f->decoder->thread_count = 1;       /* no threads in the cage */
    f->decoder->max_pixels = (int64_t)f->limits.pixels_max;
    f->decoder->codec_whitelist = av_strdup(f->source.format->codec_whitelist);
    code = avcodec_open2(f->decoder, codec, NULL);
    if (code >= 0)
        return true;
    if (code == AVERROR(EINVAL))
        return why_set(why, VIDEO_WIRE_UNSUPPORTED, "videos in %s are not decoded here, or its settings are broken", avcodec_get_name(p->codec_id));
    return why_av(why, code, "starting the decoder");
}

/* Back to the beginning, or to the key frame's. */
static bool rewind_to(struct film *f, const struct key *key, struct film_why *why)
{
    f->over = f->have = false;
    f->n_out = 0;
    if (key && av_seek_frame(f->source.format, f->source.stream->index, key->dts, AVSEEK_FLAG_BACKWARD) >= 0) {
        avcodec_flush_buffers(f->decoder);
        return true;
    }
    /* Opened anew: not every format finds its beginning again. */
    int fd = f->source.fd;
    f->no_seek = f->no_seek || key;
    avcodec_flush_buffers(f->decoder);
    source_close(&f->source);
    return source_open(&f->source, fd, why);
}

static bool feed(struct film *f, struct film_why *why)
{
    int more = source_next(&f->source, why);
    if (more < 0)
        return false;
    int code = avcodec_send_packet(f->decoder, more ? f->source.packet : NULL);
    /* A packet that cannot be decoded: the frames behind it may be well, and the one that is wanted is looked at. */
    if (code == AVERROR_INVALIDDATA || code == AVERROR_EOF)
        return true;
    return code >= 0 || why_av(why, code, "decoding the video");
}

/* The next frame that comes out, in f->frame; f->over: there is none. */
static bool advance(struct film *f, struct film_why *why)
{
    f->have = false;
    while (!f->over) {
        int code = avcodec_receive_frame(f->decoder, f->frame);
        if (code >= 0) {
            f->have = true;
            f->n_out++;
            return true;
        }
        if (code == AVERROR_EOF)
            f->over = true;
        else if (code != AVERROR(EAGAIN) && code != AVERROR_INVALIDDATA)
            return why_av(why, code, "decoding the video");
        else if (!feed(f, why))
            return false;
    }
    return true;
}

static int64_t time_of(const AVFrame *frame)
{
    return frame->pts != AV_NOPTS_VALUE ? frame->pts : frame->best_effort_timestamp;
}

/* How far f->frame is from the frame wanted: < 0 before it, 0 it, > 0 behind. */
static int compare(const struct film *f, uint64_t index)
{
    if (!f->timed)
        return f->n_out - 1 < index ? -1 : f->n_out - 1 > index;
    int64_t t = time_of(f->frame), want = f->pts[index];
    return t < want ? -1 : t > want;
}

/* The last key frame before the wanted one, should decoding from there be shorter than going on. */
static const struct key *short_cut(const struct film *f, uint64_t index)
{
    const struct key *best = NULL;
    if (!f->timed || f->no_seek)
        return NULL;
    for (size_t i = 0; i < f->n_key; i++)
        if (f->key[i].pts <= f->pts[index] && (!best || f->key[i].pts > best->pts))
            best = &f->key[i];
    bool ahead = best && (!f->have || best->pts > time_of(f->frame));
    return ahead && best->pts > f->pts[0] ? best : NULL;
}

static bool missing(struct film_why *why, uint64_t index)
{
    return why_set(why, VIDEO_WIRE_INVALID, "frame %llu of the video cannot be decoded", (unsigned long long)index);
}

/* Goes on until the frame comes out.  *late: what came is behind it. */
static bool go_on(struct film *f, uint64_t index, bool *late, struct film_why *why)
{
    AVFrame *last = av_frame_alloc();
    bool     ok = last != NULL || why_av(why, AVERROR(ENOMEM), "decoding the video");
    while (ok && !(f->have && compare(f, index) >= 0)) {
        if (f->have) {
            av_frame_unref(last);
            av_frame_move_ref(last, f->frame);
        }
        ok = advance(f, why);
        if (ok && f->over)
            break;
    }
    if (ok && f->over && last->data[0]) {
        av_frame_unref(f->frame);
        av_frame_move_ref(f->frame, last);
        uint64_t tail = index >= TAIL_FRAMES ? index - TAIL_FRAMES : 0;
        f->have = f->timed ? time_of(f->frame) >= f->pts[tail] : f->n_out - 1 >= tail;
    }
    *late = ok && f->have && !f->over && compare(f, index) > 0;
    av_frame_free(&last);
    return ok && (f->have || missing(why, index));
}

static bool find(struct film *f, uint64_t index, struct film_why *why)
{
    bool late = false;
    if (f->have && (compare(f, index) == 0 || f->over))
        return f->over ? go_on(f, index, &late, why) : true;
    const struct key *key = short_cut(f, index);
    if (key && !rewind_to(f, key, why))
        return false;
    if (!go_on(f, index, &late, why))
        return false;
    if (late && key) {
        f->no_seek = true;
        if (!rewind_to(f, NULL, why) || !go_on(f, index, &late, why))
            return false;
    }
    return !late || missing(why, index);
}

/* ---- what others call --------------------------------------------------------------------------------------------- */

/* The mean, unless what the file says is as good: that is exact where time stamps are rounded. */
static void measure(struct film *f, struct video_wire_info *info)
{
    const AVStream *s = f->source.stream;
    double          said = s->avg_frame_rate.den ? av_q2d(s->avg_frame_rate) : 0, unit = av_q2d(s->time_base);
    double          long_s = f->timed ? (double)(f->pts[f->n_pts - 1] - f->pts[0]) * unit : 0;
    double          mean = long_s > 0 ? (double)(f->n_pts - 1) / long_s : 0;
    bool            said_well = isfinite(said) && said > 0 && (mean <= 0 || fabs(said / mean - 1) < 0.01);
    f->fps = said_well ? said : mean > 0 && isfinite(mean) ? mean : 1;
    info->n_frame = f->n_pts;
    info->fps = f->fps;
    info->seconds = f->timed ? long_s + 1 / f->fps : (double)f->n_pts / f->fps;
}

static bool start(struct film *f, int fd, struct video_wire_info *info, struct film_why *why)
{
    if (!source_open(&f->source, fd, why))
        return false;
    const AVCodecParameters *p = f->source.stream->codecpar;
    if (p->width <= 0 || p->height <= 0)
        return why_set(why, VIDEO_WIRE_INVALID, "the video does not say how large its frames are");
    if ((uint64_t)p->width * (uint64_t)p->height > f->limits.pixels_max)
        return why_set(why, VIDEO_WIRE_TOO_LARGE, "the video's frames of %d x %d pixels are over the limit of %llu pixels", p->width, p->height,
                       (unsigned long long)f->limits.pixels_max);
    if (!count(f, why) || !decoder_open(f, why) || !rewind_to(f, NULL, why) || !find(f, 0, why))
        return false;
    measure(f, info);
    return picture_open(&f->picture, f->frame, f->source.stream, why) &&
           (info->width = f->picture.width, info->height = f->picture.height, true);
}

bool film_open(struct film **out, int fd, const struct video_wire_open *limits, struct video_wire_info *info, struct film_why *why)
{
    struct film *f = *out = calloc(1, sizeof *f);
    if (!f)
        return why_av(why, AVERROR(ENOMEM), "reading the video");
    f->limits = *limits;
    if (start(f, fd, info, why))
        return true;
    film_close(f);
    return false;
}

bool film_frame(struct film *f, uint64_t index, double *seconds, const uint8_t **rgb, struct film_why *why)
{
    if (!find(f, index, why))
        return false;
    if (f->frame->decode_error_flags)
        return missing(why, index);
    *seconds = f->timed ? (double)(f->pts[index] - f->pts[0]) * av_q2d(f->source.stream->time_base) : (double)index / f->fps;
    return picture_read(&f->picture, f->frame, rgb, why);
}

void film_close(struct film *f)
{
    picture_close(&f->picture);
    avcodec_free_context(&f->decoder);
    av_frame_free(&f->frame);
    source_close(&f->source);
    av_free(f->pts);
    av_free(f->key);
    free(f);
}
