/* picture.c -- see picture.h. */
#include "video/picture.h"

#include "video/source.h"

#include <libavutil/display.h>
#include <stdlib.h>
#include <string.h>

/* The matrix takes (x, y) to (a x + c y, b x + d y): ISO/IEC 14496-12, 6.2.2.  Of turns only quarters are followed. */
static void direction(struct picture *p, const AVStream *stream)
{
    const int32_t *m = NULL;
#if LIBAVFORMAT_VERSION_MAJOR >= 61
    const AVPacketSideData *side = av_packet_side_data_get(stream->codecpar->coded_side_data, stream->codecpar->nb_coded_side_data,
                                                           AV_PKT_DATA_DISPLAYMATRIX);
    m = side && side->size >= 9 * sizeof *m ? (const int32_t *)(const void *)side->data : NULL;
#else
    size_t bytes = 0;
    m = (const int32_t *)(const void *)av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &bytes);
    m = bytes >= 9 * sizeof *m ? m : NULL;
#endif
    if (!m)
        return;
    int64_t a = m[0], b = m[1], c = m[3], d = m[4];
    p->swapped = llabs(b) + llabs(c) > llabs(a) + llabs(d);
    p->mirror_x = p->swapped ? c < 0 : a < 0;
    p->mirror_y = p->swapped ? b < 0 : d < 0;
}

bool picture_open(struct picture *p, const AVFrame *frame, const AVStream *stream, struct film_why *why)
{
    direction(p, stream);
    p->from_width = frame->width;
    p->from_height = frame->height;
    p->width = (uint32_t)(p->swapped ? frame->height : frame->width);
    p->height = (uint32_t)(p->swapped ? frame->width : frame->height);
    p->stride = (frame->width * 3 + 63) / 64 * 64;
    p->plain = av_malloc_array((size_t)frame->height + 1, (size_t)p->stride);       /* a row more: swscale writes in wide pieces */
    p->turned = av_malloc_array((size_t)frame->height, (size_t)frame->width * 3);
    return (p->plain && p->turned) || why_av(why, AVERROR(ENOMEM), "a frame of the video");
}

void picture_close(struct picture *p)
{
    sws_freeContext(p->scale);
    av_freep(&p->plain);
    av_freep(&p->turned);
}

static void turn(struct picture *p)
{
    uint8_t *out = p->turned;
    for (uint32_t y = 0; y < p->height; y++)
        for (uint32_t x = 0; x < p->width; x++, out += 3) {
            uint32_t u = p->mirror_x ? p->width - 1 - x : x, v = p->mirror_y ? p->height - 1 - y : y;
            uint32_t row = p->swapped ? u : v, column = p->swapped ? v : u;
            memcpy(out, p->plain + (size_t)row * (size_t)p->stride + (size_t)column * 3, 3);
        }
}

bool picture_read(struct picture *p, const AVFrame *frame, const uint8_t **rgb, struct film_why *why)
{
    if (frame->width != p->from_width || frame->height != p->from_height)
        return why_set(why, VIDEO_WIRE_UNSUPPORTED, "the video's frames change their size from %d x %d to %d x %d", p->from_width,
                       p->from_height, frame->width, frame->height);
    p->scale = sws_getCachedContext(p->scale, frame->width, frame->height, (enum AVPixelFormat)frame->format, frame->width, frame->height,
                                    AV_PIX_FMT_RGB24, SWS_BILINEAR, NULL, NULL, NULL);
    if (!p->scale)
        return why_set(why, VIDEO_WIRE_UNSUPPORTED, "the video's kind of pixels is not read here");
    int        *table, *own, range, own_range, brightness, contrast, saturation;
    if (sws_getColorspaceDetails(p->scale, &own, &own_range, &table, &range, &brightness, &contrast, &saturation) >= 0) {
        bool full = frame->color_range == AVCOL_RANGE_JPEG || own_range;
        sws_setColorspaceDetails(p->scale, sws_getCoefficients((int)frame->colorspace), full, table, range, brightness, contrast, saturation);
    }
    uint8_t *to[4] = {p->plain};
    int      stride[4] = {p->stride};
    int      code = sws_scale(p->scale, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, to, stride);
    if (code < 0)
        return why_av(why, code, "a frame's colours");
    turn(p);
    *rgb = p->turned;
    return true;
}
