/* test_image.c -- every kind of file against Pillow's pixels; every way to be wrong. */
#include "picture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* From a copy of exact size, so that a sanitizer sees a read past its end. */
static bool decode(struct image *out, const void *p, size_t n, struct image_limits limits, struct err *e)
{
    void *copy = malloc(n ? n : 1);
    if (n)
        memcpy(copy, p, n);
    *e = (struct err){0};
    *out = (struct image){0};
    bool ok = image_decode(out, copy, n, limits, e);
    free(copy);
    assert_true(ok ? out->rgb != NULL : out->rgb == NULL && e->text[0]);
    return ok;
}

static void files_give_pillows_pixels(void **state)
{
    (void)state;
    struct json_doc *doc = goldens();
    unsigned         n = 0, wrong = 0;
    for (struct json_iter it = json_iter(json_get(json_root(doc), "files")); json_next(&it); n++) {
        const char  *name = json_str(json_get(it.value, "file")).p;
        struct buf   file = fixture(name);
        struct image i;
        struct err   e;
        bool         ok = decode(&i, file.p, file.n, IMAGE_LIMITS, &e);
        bool         size = ok && i.width == json_int_or(json_get(it.value, "width"), 0) && i.height == json_int_or(json_get(it.value, "height"), 0);
        if (!size || !same_sha(i.rgb, (size_t)i.width * i.height * 3, json_get(it.value, "sha256"))) {
            printf("%s: %s %u x %u\n", name, ok ? "other pixels" : e.text, i.width, i.height);
            wrong++;
        }
        image_drop(&i);
        buf_drop(&file);
    }
    json_free(doc);
    printf("%u files\n", n);
    assert_true(n >= 75);
    assert_int_equal(wrong, 0);
}

/* What is cut off is refused, unless it is only what stands behind the pixels (in PNG the chunk that says it is the end, in
 * GIF the trailer and further frames; Pillow takes these too), and then the picture is whole. */
static void every_prefix_is_refused_or_whole(void **state)
{
    (void)state;
    struct json_doc *doc = goldens();
    unsigned         refused = 0, taken = 0;
    for (struct json_iter it = json_iter(json_get(json_root(doc), "files")); json_next(&it);) {
        const char *name = json_str(json_get(it.value, "file")).p;
        struct buf  file = fixture(name);
        bool        strict = str_ends(str_of(name), STR(".jpg")) || str_ends(str_of(name), STR(".webp"));
        bool        turned = str_starts(str_of(name), STR("turn_exif_after"));
        for (size_t n = 0; n < file.n; n++) {
            struct image i;
            struct err   e;
            if (!decode(&i, file.p, n, IMAGE_LIMITS, &e)) {
                assert_true(e.kind == ERR_INVALID || (e.kind == ERR_UNSUPPORTED && n < 12));
                refused++;
                continue;
            }
            assert_true(!strict || n + 1 == file.n);        /* WebP's chunks are padded to even sizes */
            assert_true(turned || same_sha(i.rgb, (size_t)i.width * i.height * 3, json_get(it.value, "sha256")));
            image_drop(&i);
            taken++;
        }
        buf_drop(&file);
    }
    json_free(doc);
    printf("%u prefixes refused, %u whole\n", refused, taken);
    assert_true(refused > 20000 && taken > 500);
}

/* The same file with bytes of its header replaced. */
static void refused(const char *name, size_t at, const void *bytes, size_t n, struct image_limits limits, enum err_kind kind, const char *why)
{
    struct buf   file = fixture(name);
    struct image i;
    struct err   e;
    if (n)
        memcpy(file.p + at, bytes, n);
    assert_false(decode(&i, file.p, file.n, limits, &e));
    if (e.kind != kind || !strstr(e.text, why))
        fail_msg("%s: \"%s\" does not say \"%s\"", name, e.text, why);
    buf_drop(&file);
}

static size_t place_of(const char *name, const char *what, size_t n)
{
    struct buf file = fixture(name);
    size_t     at = str_find(buf_view(&file), (struct str){what, n});
    assert_true(at != STR_NONE);
    buf_drop(&file);
    return at;
}

static void bombs_are_refused_before_memory_is_taken(void **state)
{
    (void)state;
    size_t sof = place_of("rgb444.jpg", "\xff\xc0", 2), vp8l = place_of("lossless.webp", "VP8L", 4);
    /* 10000 x 10000; a PNG's header is checked by its sum. */
    static const char png_size[] = "\0\0\x27\x10\0\0\x27\x10\x08\x02\0\0\0\x35\x2c\xf5\x70";
    refused("rgb8.png", 16, png_size, 17, IMAGE_LIMITS, ERR_INVALID, "PNG: it is 10000 x 10000 pixels, over the limit of 64000000");
    refused("rgb444.jpg", sof + 5, "\x27\x10\x27\x10", 4, IMAGE_LIMITS, ERR_INVALID, "JPEG: it is 10000 x 10000 pixels, over the limit");
    refused("plain.gif", 6, "\xff\xff\xff\xff", 4, IMAGE_LIMITS, ERR_INVALID, "GIF: it is 65535 x 65535 pixels, over the limit");
    refused("lossless.webp", vp8l + 9, "\xff\xff\xff\x0f", 4, IMAGE_LIMITS, ERR_INVALID, "WebP: it is 16384 x 16384 pixels, over the limit");
    struct image_limits few = {.bytes_max = 1 << 20, .pixels_max = 23 * 17 - 1}, small = {.bytes_max = 100, .pixels_max = 1000};
    refused("rgb8.png", 0, "", 0, few, ERR_INVALID, "it is 23 x 17 pixels, over the limit of 390");
    refused("rgb8.png", 0, "", 0, small, ERR_INVALID, "bytes, over the limit of 100");
}

static void what_is_no_picture_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t      n;
        const char *why;
    } cases[] = {
        {"", 0, "these 0 bytes are no picture"},
        {"hello", 5, "no picture known here"},
        {"BM\x46\0\0\0", 6, "BMP: not read here (JPEG, PNG, WebP and GIF are)"},
        {"\0\0\0\x1c" "ftypheic\0\0\0\0", 16, "HEIC: not read here"},
        {"\0\0\0\x1c" "ftypisom\0\0\0\0", 16, "MP4 video: not read here"},
        {"%PDF-1.7", 8, "PDF: not read here"},
        {"<svg xmlns", 10, "SVG: not read here"},
        {"<!DOCTYPE html>", 15, "HTML: not read here"},
        {"II*\0\x08\0\0\0", 8, "TIFF: not read here"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct image out;
        struct err   e;
        assert_false(decode(&out, cases[i].bytes, cases[i].n, IMAGE_LIMITS, &e));
        assert_int_equal(e.kind, ERR_UNSUPPORTED);
        if (!strstr(e.text, cases[i].why))
            fail_msg("\"%s\" does not say \"%s\"", e.text, cases[i].why);
    }
    assert_string_equal(image_kind("\xff\xd8\xff\xe0", 4), "JPEG");
    assert_null(image_kind("\xff\xd8", 2));
}

/* A scan's header, repeated: each would cost a pass over the whole picture. */
static void a_jpeg_of_a_thousand_scans_is_refused(void **state)
{
    (void)state;
    struct buf   file = fixture("progressive.jpg"), bomb;
    struct image i;
    struct err   e;
    size_t       from = str_find(buf_view(&file), (struct str){"\xff\xda", 2});
    /* The last scan of all, which refines: from its header to the end. */
    size_t last = from;
    for (size_t at = from; at + 1 < file.n; at++)
        if ((uint8_t)file.p[at] == 0xff && (uint8_t)file.p[at + 1] == 0xda)
            last = at;
    buf_init(&bomb, 0);
    buf_append(&bomb, file.p, last);
    for (unsigned k = 0; k < 1000; k++)
        buf_append(&bomb, file.p + last, file.n - 2 - last);
    buf_append(&bomb, "\xff\xd9", 2);
    assert_false(decode(&i, bomb.p, bomb.n, IMAGE_LIMITS, &e));
    assert_non_null(strstr(e.text, "more than 100 scans"));
    buf_drop(&bomb);
    buf_drop(&file);
}

/* Any single byte may be wrong; what comes of it is a picture or a reason. */
static void broken_bytes_never_break_more(void **state)
{
    (void)state;
    struct json_doc *doc = goldens();
    uint32_t         dice = 1;
    for (struct json_iter it = json_iter(json_get(json_root(doc), "files")); json_next(&it);) {
        struct buf file = fixture(json_str(json_get(it.value, "file")).p);
        for (unsigned k = 0; k < 60; k++) {
            struct image        i;
            struct err          e;
            struct image_limits limits = {.bytes_max = 1 << 20, .pixels_max = 100000};
            dice = dice * 1664525 + 1013904223;
            char *at = file.p + dice % file.n, was = *at;
            *at = (char)(dice >> 24);
            if (decode(&i, file.p, file.n, limits, &e))
                image_drop(&i);
            *at = was;
        }
        buf_drop(&file);
    }
    json_free(doc);
}

static struct sha256 hash_of(const char *name)
{
    struct buf   file = fixture(name);
    struct image i;
    struct err   e;
    assert_true(decode(&i, file.p, file.n, IMAGE_LIMITS, &e));
    struct sha256 s = image_hash(&i);
    image_drop(&i);
    buf_drop(&file);
    return s;
}

static bool same_hash(struct sha256 a, struct sha256 b)
{
    return memcmp(a.byte, b.byte, sizeof a.byte) == 0;
}

static void the_hash_is_of_what_is_seen(void **state)
{
    (void)state;
    struct sha256 plain = hash_of("rgb8.png");
    assert_true(same_hash(plain, hash_of("rgb8_laced.png")) && same_hash(plain, hash_of("gamma.png")) && same_hash(plain, hash_of("rgba8.png")));
    assert_false(same_hash(plain, hash_of("turn_exif.png")));
    struct image wide = picture(8, 4, 0), high = {.width = 4, .height = 8, .rgb = wide.rgb};
    assert_false(same_hash(image_hash(&wide), image_hash(&high)));
    struct sha256 before = image_hash(&wide);
    wide.rgb[95] ^= 1;
    assert_false(same_hash(before, image_hash(&wide)));
    image_drop(&wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_give_pillows_pixels),
        cmocka_unit_test(every_prefix_is_refused_or_whole),
        cmocka_unit_test(bombs_are_refused_before_memory_is_taken),
        cmocka_unit_test(what_is_no_picture_is_named),
        cmocka_unit_test(a_jpeg_of_a_thousand_scans_is_refused),
        cmocka_unit_test(broken_bytes_never_break_more),
        cmocka_unit_test(the_hash_is_of_what_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
