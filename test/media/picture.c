/* picture.c -- see picture.h. */
#include "picture.h"

#include "base/file.h"

#include <stdlib.h>

struct image picture(uint32_t width, uint32_t height, uint32_t seed)
{
    struct image i;
    struct err   e;
    CHECK(image_new(&i, width, height, UINT64_MAX, &e));
    uint8_t *p = i.rgb;
    for (uint64_t y = 0; y < height; y++)
        for (uint64_t x = 0; x < width; x++)
            for (uint64_t c = 0; c < 3; c++) {
                uint32_t noise = (uint32_t)(((y * width + x) * 3 + c + seed) * 2654435761u) >> 24;
                *p++ = (uint8_t)((((x * 3 + y * 2 + c * 40 + (uint64_t)seed * 17) & 255) * 3 + noise) >> 2);
            }
    return i;
}

static struct buf file_of(const char *folder, const char *name)
{
    char      *path = path_join(folder, name);
    struct buf b;
    struct err e;
    buf_init(&b, 0);
    CHECK(file_read(&b, path, 64 << 20, &e));
    free(path);
    return b;
}

struct json_doc *goldens(void)
{
    struct buf       b = file_of(FIXTURES "/media", "goldens.json");
    struct json_doc *doc;
    struct err       e;
    CHECK(json_parse(&doc, buf_view(&b), &e));
    buf_drop(&b);
    return doc;
}

struct buf fixture(const char *name)
{
    return file_of(FIXTURES "/media/files", name);
}

bool same_sha(const void *p, size_t n, json want)
{
    char hex[65];
    sha256_hex(sha256_of(p, n), hex);
    return json_is(want, hex);
}
