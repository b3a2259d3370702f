/* source.c -- see source.h.  The file is read through one descriptor and by no protocol of FFmpeg's, so that no list in it (of
 * segments, of other files) leads anywhere. */
#include "video/source.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { IO_BYTES = 1 << 16, OTHERS_MAX = 1 << 22, STREAMS_MAX = 64 };

/* What people have videos in.  The rest of FFmpeg's formats is a wide field for accidents. */
static const char formats[] = "mov,matroska,avi,mpegts,mpeg,flv,ogg,asf,gif,ivf,apng";
static const char codecs[] = "h264,hevc,libdav1d,av1,vp8,vp9,mpeg4,msmpeg4v3,msmpeg4v2,h263,flv,mpeg1video,mpeg2video,mjpeg,theora,"
                             "wmv1,wmv2,wmv3,vc1,prores,ffv1,rawvideo,png,apng,gif";

bool why_set(struct film_why *why, enum video_wire_why kind, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    why->kind = kind;
    vsnprintf(why->text, sizeof why->text, fmt, args);
    va_end(args);
    return false;
}

bool why_av(struct film_why *why, int code, const char *doing)
{
    char text[128] = "";
    if (code == AVERROR(ENOMEM))
        return why_set(why, VIDEO_WIRE_TOO_LARGE, "%s takes more memory than it may have", doing);
    av_strerror(code, text, sizeof text);
    return why_set(why, VIDEO_WIRE_INVALID, "%s fails: %s", doing, text);
}

static int io_read(void *ctx, uint8_t *out, int n)
{
    struct source *s = ctx;
    ssize_t        got = pread(s->fd, out, (size_t)n, s->at);
    if (got <= 0)
        return got == 0 ? AVERROR_EOF : AVERROR(errno);
    s->at += got;
    return (int)got;
}

static int64_t io_seek(void *ctx, int64_t to, int whence)
{
    struct source *s = ctx;
    int64_t        bytes = lseek(s->fd, 0, SEEK_END);      /* not fstat(): what call that is differs, and the cage names calls */
    if (bytes < 0)
        return AVERROR(errno);
    if (whence == AVSEEK_SIZE)
        return bytes;
    int64_t from = whence == SEEK_CUR ? s->at : whence == SEEK_END ? bytes : 0;
    if (to < -from || to > INT64_MAX - from)
        return AVERROR(EINVAL);
    return s->at = from + to;
}

static bool demuxer_open(struct source *s, struct film_why *why)
{
    AVDictionary *options = NULL;
    uint8_t      *room = av_malloc(IO_BYTES);
    s->io = room ? avio_alloc_context(room, IO_BYTES, 0, s, io_read, NULL, io_seek) : NULL;
    s->format = avformat_alloc_context();
    s->packet = av_packet_alloc();
    if (!s->io || !s->format || !s->packet)
        return why_av(why, AVERROR(ENOMEM), "reading the video");
    s->format->pb = s->io;
    s->format->flags |= AVFMT_FLAG_CUSTOM_IO;
    s->format->max_streams = STREAMS_MAX;
    av_dict_set(&options, "format_whitelist", formats, 0);
    av_dict_set(&options, "codec_whitelist", codecs, 0);
    av_dict_set(&options, "protocol_whitelist", "none", 0);
    int code = avformat_open_input(&s->format, NULL, NULL, &options);
    av_dict_free(&options);
    if (code == AVERROR_INVALIDDATA || code == AVERROR(EINVAL))
        return why_set(why, VIDEO_WIRE_INVALID, "it is no video of a kind that is read here, or broken at its beginning");
    return code >= 0 || why_av(why, code, "reading the video's beginning");
}

static bool stream_find(struct source *s, struct film_why *why)
{
    int code = avformat_find_stream_info(s->format, NULL);
    if (code < 0)
        return why_av(why, code, "looking for the video in the file");
    code = av_find_best_stream(s->format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (code < 0 || s->format->streams[code]->disposition & AV_DISPOSITION_ATTACHED_PIC)
        return why_set(why, VIDEO_WIRE_INVALID, "there is no video in the file");
    s->stream = s->format->streams[code];
    for (unsigned i = 0; i < s->format->nb_streams; i++)
        s->format->streams[i]->discard = i == (unsigned)code ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    return true;
}

bool source_open(struct source *s, int fd, struct film_why *why)
{
    *s = (struct source){.fd = fd};
    if (demuxer_open(s, why) && stream_find(s, why))
        return true;
    source_close(s);
    return false;
}

void source_close(struct source *s)
{
    avformat_close_input(&s->format);
    av_packet_free(&s->packet);
    if (s->io)
        av_freep(&s->io->buffer);
    avio_context_free(&s->io);
}

int source_next(struct source *s, struct film_why *why)
{
    for (int i = 0; i < OTHERS_MAX; i++) {
        av_packet_unref(s->packet);
        int code = av_read_frame(s->format, s->packet);
        if (code == AVERROR_EOF)
            return 0;
        if (code < 0) {
            why_av(why, code, "reading on in the video");
            return -1;
        }
        if (s->packet->stream_index != s->stream->index)
            continue;
        if (s->packet->flags & AV_PKT_FLAG_CORRUPT) {
            why_set(why, VIDEO_WIRE_INVALID, "the video is broken, or ends in the middle of a frame");
            return -1;
        }
        return 1;
    }
    why_set(why, VIDEO_WIRE_INVALID, "the file goes on without a frame");
    return -1;
}

bool source_shown(const struct source *s)
{
    const AVPacket *p = s->packet;
    if (p->flags & AV_PKT_FLAG_DISCARD || p->size == 0)
        return false;
    /* VP8 keeps frames that are only referred to in packets of their own: RFC 6386, 9.1, show_frame. */
    return s->stream->codecpar->codec_id != AV_CODEC_ID_VP8 || (p->data[0] >> 4 & 1) != 0;
}
