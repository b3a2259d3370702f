/* image.c -- see image.h. */
#include "media/decode.h"

#include "base/mem.h"

#include <inttypes.h>

static const struct kind {
    const char    *name;
    size_t         offset;
    struct str     bytes;
    image_decoder *decode;
} kinds[] = {
#define KIND(name, offset, bytes, decode) {name, offset, {bytes, sizeof(bytes) - 1}, decode},
#include "media/kinds.def"
#undef KIND
};

static const struct kind *kind_of(struct str file)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct kind *k = &kinds[i];
        if (file.n >= k->offset && str_starts((struct str){file.p + k->offset, file.n - k->offset}, k->bytes))
            return k;
    }
    return NULL;
}

const char *image_kind(const void *p, size_t n)
{
    const struct kind *k = kind_of((struct str){p, n});
    return k ? k->name : NULL;
}

static size_t image_bytes(const struct image *i)
{
    return (size_t)i->width * i->height * 3;
}

bool image_new(struct image *out, uint32_t width, uint32_t height, uint64_t pixels_max, struct err *e)
{
    struct image i = {.width = width, .height = height};
    uint64_t     pixels = (uint64_t)width * height;
    if (pixels == 0)
        return err_set(e, ERR_INVALID, "it is %" PRIu32 " x %" PRIu32 " pixels", width, height);
    if (pixels > pixels_max)
        return err_set(e, ERR_INVALID, "it is %" PRIu32 " x %" PRIu32 " pixels, over the limit of %" PRIu64, width, height, pixels_max);
    if (pixels > SIZE_MAX / 3 || !(i.rgb = mem_try(image_bytes(&i))))
        return err_set(e, ERR_MEMORY, "no memory for %" PRIu32 " x %" PRIu32 " pixels", width, height);
    *out = i;
    return true;
}

void image_drop(struct image *i)
{
    mem_try_free(i->rgb, image_bytes(i));
    *i = (struct image){0};
}

void row_expand(uint8_t *row, uint32_t n, const struct palette *palette)
{
    for (size_t i = n; i-- > 0;) {
        uint8_t v = row[i];
        if (palette)
            memcpy(row + 3 * i, palette->rgb[v], 3);
        else
            memset(row + 3 * i, v, 3);
    }
}

bool image_decode(struct image *out, const void *p, size_t n, struct image_limits limits, struct err *e)
{
    const struct kind *k = kind_of((struct str){p, n});
    struct orientation up = {0};
    struct image       i = {0};
    if (n > limits.bytes_max)
        return err_set(e, ERR_INVALID, "the picture's file has %zu bytes, over the limit of %zu", n, limits.bytes_max);
    if (!k)
        return err_set(e, ERR_UNSUPPORTED, "these %zu bytes are no picture known here (JPEG, PNG, WebP and GIF are)", n);
    if (!k->decode)
        return err_set(e, ERR_UNSUPPORTED, "%s: not read here (JPEG, PNG, WebP and GIF are)", k->name);
    if (!k->decode(&i, &up, (struct str){p, n}, limits.pixels_max, e) || !image_turn(&i, up, e)) {
        image_drop(&i);
        return err_in(e, "%s", k->name);
    }
    *out = i;
    return true;
}

struct sha256 image_hash(const struct image *i)
{
    struct sha256_run *h = sha256_new();
    uint8_t            head[8];
    for (unsigned k = 0; k < 4; k++) {
        head[k] = (uint8_t)(i->width >> 8 * k);
        head[4 + k] = (uint8_t)(i->height >> 8 * k);
    }
    sha256_start(h);
    sha256_add(h, head, sizeof head);
    sha256_add(h, i->rgb, image_bytes(i));
    struct sha256 s = sha256_end(h);
    sha256_free(h);
    return s;
}
