/* picture.h -- pictures for tests, and what Pillow and transformers made of them (tools/media-goldens). */
#ifndef TEST_MEDIA_PICTURE_H
#define TEST_MEDIA_PICTURE_H

#include "base/buf.h"
#include "base/json.h"
#include "media/image.h"

/* Slopes and noise, the same as picture() in tools/media-goldens. */
struct image picture(uint32_t width, uint32_t height, uint32_t seed);

/* test/fixtures/media/goldens.json; ends the test when it is not there. */
struct json_doc *goldens(void);

/* A file of test/fixtures/media/files. */
struct buf fixture(const char *name);

/* Whether the bytes have that SHA-256, in hexadecimal. */
bool same_sha(const void *p, size_t n, json want);

#endif
