/* webp.c -- WebP by libwebp; of an animation the first frame, on a black canvas (transparent, once alpha is dropped). */
#include "media/decode.h"

#include <inttypes.h>

#include <webp/decode.h>
#include <webp/demux.h>

static void chunk_read(const WebPDemuxer *d, const char *name, void read(struct orientation *, struct str), struct orientation *up)
{
    WebPChunkIterator c;
    if (WebPDemuxGetChunk(d, name, 1, &c))
        read(up, (struct str){(const char *)c.chunk.bytes, c.chunk.size});
    WebPDemuxReleaseChunkIterator(&c);
}

static const char *status_text(VP8StatusCode s)
{
    switch (s) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED: return "it is truncated";
    case VP8_STATUS_OUT_OF_MEMORY: return "no memory to decode it";
    case VP8_STATUS_UNSUPPORTED_FEATURE: return "it has a feature that libwebp does not know";
    default: return "its data are broken";
    }
}

static bool frame_decode(const WebPIterator *f, struct image *out, struct err *e)
{
    WebPDecoderConfig config;
    size_t            stride = (size_t)out->width * 3, at = (size_t)f->y_offset * stride + (size_t)f->x_offset * 3;
    CHECK(WebPInitDecoderConfig(&config));
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = out->rgb + at;
    config.output.u.RGBA.stride = (int)stride;
    config.output.u.RGBA.size = stride * (size_t)f->height - (size_t)f->x_offset * 3;
    VP8StatusCode s = WebPDecode(f->fragment.bytes, f->fragment.size, &config);
    WebPFreeDecBuffer(&config.output);
    return s == VP8_STATUS_OK || err_set(e, ERR_INVALID, "%s", status_text(s));
}

static bool picture_read(const WebPDemuxer *d, struct image *out, uint64_t pixels_max, struct err *e)
{
    WebPIterator          f;
    WebPBitstreamFeatures real;
    uint32_t              width = WebPDemuxGetI(d, WEBP_FF_CANVAS_WIDTH), height = WebPDemuxGetI(d, WEBP_FF_CANVAS_HEIGHT);
    bool                  ok = WebPDemuxGetFrame(d, 1, &f) || err_set(e, ERR_INVALID, "it has no frame");
    /* What the frame's header says is what is decoded, so it must be what the container says. */
    ok = ok && (WebPGetFeatures(f.fragment.bytes, f.fragment.size, &real) == VP8_STATUS_OK || err_set(e, ERR_INVALID, "its data are broken"));
    ok = ok && ((real.width == f.width && real.height == f.height && f.x_offset >= 0 && f.y_offset >= 0 &&
                 (uint64_t)f.x_offset + (uint64_t)f.width <= width && (uint64_t)f.y_offset + (uint64_t)f.height <= height) ||
                err_set(e, ERR_INVALID, "a frame of %d x %d contradicts its container", real.width, real.height));
    ok = ok && image_new(out, width, height, pixels_max, e) && frame_decode(&f, out, e);
    WebPDemuxReleaseIterator(&f);
    return ok;
}

bool webp_decode(struct image *out, struct orientation *up, struct str file, uint64_t pixels_max, struct err *e)
{
    WebPData     data = {(const uint8_t *)file.p, file.n};
    WebPDemuxer *d = WebPDemux(&data);
    if (!d)
        return err_set(e, ERR_INVALID, "it is truncated or broken");
    chunk_read(d, "EXIF", exif_read, up);
    chunk_read(d, "XMP ", xmp_read, up);
    bool ok = picture_read(d, out, pixels_max, e);
    WebPDemuxDelete(d);
    if (!ok)
        image_drop(out);
    return ok;
}
