/* test_resize.c -- resizing against Pillow's pixels, and windows against the whole. */
#include "picture.h"

#include "base/mem.h"
#include "media/resize.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint32_t number(json of, const char *key)
{
    return (uint32_t)json_int_or(json_get(of, key), 0);
}

static void sizes_are_pillows(void **state)
{
    (void)state;
    struct json_doc *doc = goldens();
    unsigned         n = 0, wrong = 0;
    for (struct json_iter it = json_iter(json_get(json_root(doc), "resize")); json_next(&it); n++) {
        struct image  image = picture(number(it.value, "width"), number(it.value, "height"), 0);
        struct resize r = resize_whole((enum resample)number(it.value, "filter"), number(it.value, "to_width"), number(it.value, "to_height"));
        size_t        bytes = (size_t)r.width * r.height * 3;
        uint8_t      *out = mem_new(bytes);
        resize(&image, &r, out, (size_t)r.width * 3);
        if (!same_sha(out, bytes, json_get(it.value, "sha256"))) {
            printf("%u x %u to %u x %u by filter %d\n", image.width, image.height, r.width, r.height, (int)r.filter);
            wrong++;
        }
        free(out);
        image_drop(&image);
    }
    json_free(doc);
    assert_int_equal(n, 36);
    assert_int_equal(wrong, 0);
}

static void a_window_is_a_piece_of_the_whole(void **state)
{
    (void)state;
    static const uint32_t full[][2] = {{90, 70}, {23, 19}, {41, 19}, {23, 31}, {41, 31}, {7, 300}};
    struct image          image = picture(41, 31, 0);
    for (size_t k = 0; k < sizeof full / sizeof *full; k++) {
        uint32_t      w = full[k][0], h = full[k][1];
        struct resize whole = resize_whole(RESAMPLE_BICUBIC, w, h);
        struct resize part = {RESAMPLE_BICUBIC, w, h, w / 3, h / 4, w / 2, h / 3};
        size_t        stride = (size_t)part.width * 3 + 5;
        uint8_t      *all = mem_array((size_t)w * h, 3), *piece = mem_array(part.height, stride);
        resize(&image, &whole, all, (size_t)w * 3);
        resize(&image, &part, piece, stride);
        for (uint32_t y = 0; y < part.height; y++) {
            assert_memory_equal(piece + y * stride, all + ((size_t)(part.y + y) * w + part.x) * 3, (size_t)part.width * 3);
            for (size_t x = (size_t)part.width * 3; x < stride; x++)
                assert_int_equal(piece[y * stride + x], 0);
        }
        free(all);
        free(piece);
    }
    image_drop(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_pillows),
        cmocka_unit_test(a_window_is_a_piece_of_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
