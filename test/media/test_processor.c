/* test_processor.c -- processors against transformers' own, and every setting that is refused. */
#include "picture.h"

#include "base/mem.h"
#include "media/processor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint32_t number(json of, const char *key)
{
    return (uint32_t)json_int_or(json_get(of, key), 0);
}

/* The processor of the golden's "config". */
static struct processor *processor_of(const struct json_doc *doc, json golden)
{
    json                   at = json_find(json_get(json_root(doc), "configs"), json_str(json_get(golden, "config")));
    struct processor_files files = {.config = json_get(at, "config"), .image = json_get(at, "image"), .video = json_get(at, "video")};
    struct processor      *p;
    struct err             e;
    if (!processor_new(&p, &files, &e))
        fail_msg("%s: %s", json_str(json_get(golden, "config")).p, e.text);
    return p;
}

/* Patches as bytes, out of pixels: the order of processor_patches() said another way. */
static void rows_of_bytes(const struct processor_fit *fit, const uint8_t *pixels, uint8_t *out)
{
    uint32_t patch = fit->height / fit->grid_h, temporal = fit->patch_width / (3 * patch * patch);
    for (uint32_t i = 0; i < fit->n_patch; i++) {
        struct processor_place at = processor_place(fit, i);
        for (uint32_t k = 0; k < fit->patch_width; k++) {
            uint32_t x = k % patch, y = k / patch % patch, c = k / (patch * patch * temporal);
            *out++ = pixels[((size_t)(at.row * patch + y) * fit->width + at.col * patch + x) * 3 + c];
        }
    }
}

static bool picture_is_right(const struct processor *p, const struct processor_fit *fit, json golden)
{
    size_t       values = (size_t)fit->n_patch * fit->patch_width;
    struct image image = picture(number(golden, "width"), number(golden, "height"), 0);
    uint8_t     *pixels = mem_array(fit->n_run, fit->run_bytes), *bytes = mem_array(fit->n_run, values);
    float       *floats = mem_array(fit->n_run, values * sizeof *floats);
    processor_resize(p, fit, &image, pixels);
    for (uint32_t r = 0; r < fit->n_run; r++) {
        rows_of_bytes(fit, pixels + r * fit->run_bytes, bytes + r * values);
        processor_patches(p, fit, pixels + r * fit->run_bytes, floats + r * values);
    }
    bool same = same_sha(bytes, fit->n_run * values, json_get(golden, "pixels"));
    bool close = same_sha(floats, fit->n_run * values * sizeof *floats, json_get(golden, "floats"));
    if (!same || !close)
        printf("  pixels %s, floats %s\n", same ? "right" : "wrong", close ? "right" : "wrong");
    image_drop(&image);
    free(pixels);
    free(bytes);
    free(floats);
    return same && close;
}

static void pictures_are_transformers(void **state)
{
    (void)state;
    struct json_doc *doc = goldens();
    unsigned         n = 0, wrong = 0;
    for (struct json_iter it = json_iter(json_get(json_root(doc), "pictures")); json_next(&it); n++) {
        json                 g = it.value;
        struct processor    *p = processor_of(doc, g);
        struct processor_fit fit;
        struct err           e = {0};
        bool                 ok = processor_fit(p, number(g, "width"), number(g, "height"), &fit, &e) && fit.n_run == number(g, "runs") &&
                  fit.grid_h == number(g, "grid_h") && fit.grid_w == number(g, "grid_w") && fit.n_row == number(g, "rows") && fit.grid_t == 1;
        if (!ok || !picture_is_right(p, &fit, g)) {
            printf("%s, %u x %u: %u runs of %u x %u, %u rows %s\n", json_str(json_get(g, "config")).p, number(g, "width"), number(g, "height"),
                   fit.n_run, fit.grid_h, fit.grid_w, fit.n_row, e.text);
            wrong++;
        }
        processor_free(p);
    }
    json_free(doc);
    printf("%u pictures\n", n);
    assert_true(n >= 50);
    assert_int_equal(wrong, 0);
}

/* Which features LLaVA 1.6 takes out of its tiles. */
static void maps_are_the_models(void **state)
{
    (void)state;
    struct json_doc *doc = goldens();
    unsigned         n = 0, wrong = 0;
    for (struct json_iter it = json_iter(json_get(json_root(doc), "maps")); json_next(&it); n++) {
        struct processor    *p = processor_of(doc, it.value);
        struct processor_fit fit;
        struct err           e;
        assert_true(processor_fit(p, number(it.value, "width"), number(it.value, "height"), &fit, &e));
        uint32_t *source = mem_array(fit.n_row, sizeof *source);
        for (uint32_t i = 0; i < fit.n_row; i++)
            source[i] = processor_source(&fit, i);
        if (fit.n_row != number(it.value, "rows") || !same_sha(source, fit.n_row * sizeof *source, json_get(it.value, "sources"))) {
            printf("%u x %u: %u rows\n", number(it.value, "width"), number(it.value, "height"), fit.n_row);
            wrong++;
        }
        free(source);
        processor_free(p);
    }
    json_free(doc);
    assert_true(n >= 90);
    assert_int_equal(wrong, 0);
}

static struct processor_clip clip_of(json g)
{
    return (struct processor_clip){number(g, "frames"), json_num_or(json_get(g, "fps"), 0), number(g, "width"), number(g, "height")};
}

static bool clip_is_right(const struct processor *p, json g, const uint64_t *index, uint32_t n)
{
    struct processor_clip clip = clip_of(g);
    struct processor_wish wish = {.fps = json_num_or(json_get(g, "wish_fps"), 0), .frames_max = number(g, "wish_max")};
    struct processor_fit  fit;
    struct err            e;
    json                  grid = json_get(g, "grid");
    double               *second = mem_array(n, sizeof *second), interval = json_num_or(json_get(g, "interval"), 0);
    if (!processor_fit_video(p, &clip, &wish, n, &fit, &e))
        return false;
    processor_pair_seconds(&clip, index, n, second);
    bool right = n == number(g, "count") && same_sha(index, n * sizeof *index, json_get(g, "indices")) &&
                 same_sha(second, fit.grid_t * sizeof *second, json_get(g, "seconds")) && fit.grid_t == (uint32_t)json_int_or(json_at(grid, 0), 0) &&
                 fit.grid_h == (uint32_t)json_int_or(json_at(grid, 1), 0) && fit.grid_w == (uint32_t)json_int_or(json_at(grid, 2), 0) &&
                 fabs(processor_pair_interval(&clip, n) / interval - 1) < 1e-12;
    if (!right)
        printf("  %u frames, grid %u %u %u, interval %g\n", n, fit.grid_t, fit.grid_h, fit.grid_w, processor_pair_interval(&clip, n));
    free(second);
    return right;
}

static void videos_are_sampled_as_by_transformers(void **state)
{
    (void)state;
    struct json_doc *doc = goldens();
    unsigned         n = 0, wrong = 0;
    for (struct json_iter it = json_iter(json_get(json_root(doc), "clips")); json_next(&it); n++) {
        struct processor     *p = processor_of(doc, it.value);
        struct processor_clip clip = clip_of(it.value);
        struct processor_wish wish = {.fps = json_num_or(json_get(it.value, "wish_fps"), 0), .frames_max = number(it.value, "wish_max")};
        uint64_t             *index = mem_array(processor_frames_max(p, &wish), sizeof *index);
        uint32_t              count = 0;
        struct err            e;
        assert_true(processor_choose(p, &clip, &wish, index, &count, &e));
        if (!clip_is_right(p, it.value, index, count)) {
            printf("%s: %u frames at %g, %u x %u, wish %g %u\n", json_str(json_get(it.value, "config")).p, (unsigned)clip.n_frame, clip.fps,
                   clip.width, clip.height, wish.fps, wish.frames_max);
            wrong++;
        }
        free(index);
        processor_free(p);
    }
    json_free(doc);
    printf("%u clips\n", n);
    assert_true(n >= 300);
    assert_int_equal(wrong, 0);
}

static void frames_become_rows(void **state)
{
    (void)state;
    struct json_doc *doc = goldens();
    for (struct json_iter it = json_iter(json_get(json_root(doc), "videos")); json_next(&it);) {
        json                  g = it.value;
        uint32_t              n = number(g, "frames");
        struct processor     *p = processor_of(doc, g);
        struct processor_clip clip = {n, 24, number(g, "width"), number(g, "height")};
        struct processor_wish wish = {0};
        struct processor_fit  fit;
        struct err            e;
        assert_true(processor_fit_video(p, &clip, &wish, n, &fit, &e));
        size_t   frame = fit.run_bytes / 2, values = (size_t)fit.n_patch * fit.patch_width;
        uint8_t *pixels = mem_array(fit.n_run, fit.run_bytes);
        float   *rows = mem_array(fit.n_run, values * sizeof *rows);
        for (uint32_t i = 0; i < 2 * fit.n_run; i++) {
            struct image image = picture(clip.width, clip.height, number(g, "seed") + (i < n ? i : n - 1));
            processor_resize_frame(p, &fit, &image, pixels + i * frame);
            image_drop(&image);
        }
        for (uint32_t r = 0; r < fit.n_run; r++)
            processor_patches(p, &fit, pixels + r * fit.run_bytes, rows + r * values);
        assert_int_equal(fit.grid_t, json_int_or(json_at(json_get(g, "grid"), 0), 0));
        assert_int_equal(fit.n_row, fit.grid_t * fit.grid_h * fit.grid_w / 4);
        assert_true(same_sha(rows, fit.n_run * values * sizeof *rows, json_get(g, "floats")));
        free(pixels);
        free(rows);
        processor_free(p);
    }
    json_free(doc);
}

static bool made(const char *text, struct processor **p, struct err *e)
{
    struct json_doc *doc;
    CHECK(json_parse(&doc, str_of(text), e));
    json                   at = json_root(doc);
    struct processor_files files = {.config = json_get(at, "config"), .image = json_get(at, "image"), .video = json_get(at, "video"),
                                    .both = json_get(at, "both")};
    bool ok = processor_new(p, &files, e);
    json_free(doc);
    return ok;
}

static void settings_are_refused_in_words(void **state)
{
    (void)state;
#define Q(type, rest) "{\"config\":{\"model_type\":\"" type "\"},\"image\":{" rest "}}"
#define SQUARE(type, more, rest) "{\"config\":{\"model_type\":\"" type "\"," more "\"vision_config\":{\"patch_size\":14,\"image_size\":56}},\"image\":{" rest "}}"
    static const struct {
        const char   *text;
        enum err_kind kind;
        const char   *why;
    } cases[] = {
        {"{\"config\":{\"model_type\":\"pixtral\"}}", ERR_UNSUPPORTED, "models of type \"pixtral\""},
        {"{\"config\":{}}", ERR_UNSUPPORTED, "models of type \"\""},
        {"{\"config\":{\"model_type\":\"gemma3\"}}", ERR_INVALID, "no preprocessor_config.json"},
        {"{\"config\":{\"model_type\":\"qwen3_vl\"},\"image\":[]}", ERR_INVALID, "no preprocessor_config.json"},
        {Q("qwen3_vl", "\"patch_size\":0"), ERR_INVALID, "\"patch_size\" is not a count from 1 to 256"},
        {Q("qwen3_vl", "\"patch_size\":\"16\""), ERR_INVALID, "\"patch_size\" is not a count"},
        {Q("qwen3_vl", "\"temporal_patch_size\":1"), ERR_UNSUPPORTED, "\"temporal_patch_size\": 1 is not done here"},
        {Q("qwen3_vl", "\"resample\":0"), ERR_UNSUPPORTED, "\"resample\": 0 is not done here"},
        {Q("qwen3_vl", "\"image_mean\":[0.5,0.5]"), ERR_INVALID, "\"image_mean\" has 2 numbers, not 3"},
        {Q("qwen3_vl", "\"image_std\":[0.5,0,0.5]"), ERR_INVALID, "\"image_std\" is not a number from"},
        {Q("qwen3_vl", "\"do_resize\":false"), ERR_UNSUPPORTED, "\"do_resize\": false is not done here"},
        {Q("qwen3_vl", "\"do_normalize\":1"), ERR_INVALID, "\"do_normalize\" is"},
        {Q("qwen2_5_vl", "\"min_pixels\":4000000"), ERR_INVALID, "at most 1003520 pixels are allowed and at least 4000000"},
        {Q("qwen2_5_vl", "\"max_pixels\":-3"), ERR_INVALID, "\"max_pixels\" is not a count"},
        {Q("qwen2_5_vl", "\"fps\":0"), ERR_INVALID, "for videos: \"fps\" is not a number"},
        {Q("llava", ""), ERR_INVALID, "does not say vision_config.patch_size"},
        {SQUARE("llava", "", "\"size\":56"), ERR_INVALID, "pictures of 224 x 224 pixels are made for a tower that reads 56 x 56"},
        {SQUARE("llava", "", "\"size\":56,\"crop_size\":55"), ERR_INVALID, "are not whole patches of 14"},
        {SQUARE("llava", "", "\"size\":56,\"crop_size\":56,\"do_pad\":true"), ERR_UNSUPPORTED, "\"do_pad\": true is not done here"},
        {SQUARE("llava", "", "\"size\":{\"shortest_edge\":56,\"longest_edge\":99},\"crop_size\":56"), ERR_UNSUPPORTED, "longest_edge"},
        {SQUARE("llava", "", "\"size\":99999,\"crop_size\":56"), ERR_INVALID, "\"size\" is not a count from 1 to 16384"},
        {SQUARE("llava", "", "\"size\":56,\"crop_size\":56,\"do_center_crop\":false"), ERR_UNSUPPORTED, "\"do_center_crop\": false"},
        {SQUARE("llava", "\"vision_feature_select_strategy\":\"full\",", "\"size\":56,\"crop_size\":56"), ERR_UNSUPPORTED, "select_strategy"},
        {SQUARE("llava_next", "", "\"size\":60,\"crop_size\":56"), ERR_UNSUPPORTED, "tiles of 56 x 56 pixels cut from 60 x 60"},
        {SQUARE("llava_next", "", "\"size\":56,\"crop_size\":56,\"image_grid_pinpoints\":[]"), ERR_INVALID, "list of 1 to 64 sizes"},
        {SQUARE("llava_next", "", "\"size\":56,\"crop_size\":56,\"image_grid_pinpoints\":[[56,112],[57,112]]"), ERR_UNSUPPORTED, "size 1 is not two"},
        {SQUARE("llava_next", "", "\"size\":56,\"crop_size\":56,\"image_grid_pinpoints\":[[56,56]]"), ERR_UNSUPPORTED, "size 0 is not two"},
        {SQUARE("llava_next", "", "\"size\":56,\"crop_size\":56,\"image_grid_pinpoints\":[[56]]"), ERR_INVALID, "size 0 is not two counts"},
        {SQUARE("gemma3", "\"mm_tokens_per_image\":4,", "\"size\":56,\"do_pan_and_scan\":true"), ERR_UNSUPPORTED, "\"do_pan_and_scan\": true"},
        {SQUARE("gemma3", "\"mm_tokens_per_image\":5,", "\"size\":56"), ERR_INVALID, "4 x 4 patches cannot be pooled to 5 tokens"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct processor *p;
        struct err        e;
        assert_false(made(cases[i].text, &p, &e));
        if (e.kind != cases[i].kind || !strstr(e.text, cases[i].why))
            fail_msg("%s\n\"%s\" does not say \"%s\"", cases[i].text, e.text, cases[i].why);
    }
}

static void shapes_are_refused_in_words(void **state)
{
    (void)state;
    struct processor    *p;
    struct processor_fit fit;
    struct err           e;
    assert_true(made(Q("qwen2_5_vl", ""), &p, &e));
    assert_false(processor_fit(p, 0, 5, &fit, &e));
    assert_false(processor_fit(p, 20100, 100, &fit, &e));
    assert_non_null(strstr(e.text, "20100 x 100 pixels, is too long and thin"));
    assert_true(processor_fit(p, 20000, 100, &fit, &e));
    struct processor_wish wish = {0}, endless = {.fps = INFINITY};
    struct processor_clip clip = {10, 25, 64, 64}, empty = {0, 25, 64, 64}, still = {10, 0, 64, 64};
    uint64_t              index[768];
    uint32_t              n;
    assert_false(processor_choose(p, &empty, &wish, index, &n, &e));
    assert_false(processor_choose(p, &still, &wish, index, &n, &e));
    assert_false(processor_choose(p, &clip, &endless, index, &n, &e));
    assert_false(processor_fit_video(p, &clip, &wish, 0, &fit, &e));
    processor_free(p);
    assert_true(made(SQUARE("llava", "", "\"size\":56,\"crop_size\":56"), &p, &e));
    assert_false(processor_has_video(p) || processor_choose(p, &clip, &wish, index, &n, &e));
    assert_non_null(strstr(e.text, "pictures, not videos"));
    processor_free(p);
}

/* A video of one frame, a ceiling to a frame's pixels, and the rule of shares. */
static void wishes_of_videos(void **state)
{
    (void)state;
    static const char *const types[] = {Q("qwen2_5_vl", ""), Q("qwen3_vl", "\"patch_size\":16")};
    for (size_t i = 0; i < 2; i++) {
        struct processor     *p;
        struct processor_fit  fit, less;
        struct err            e;
        struct processor_clip one = {1, 25, 640, 480}, many = {1000, 25, 1920, 1080};
        struct processor_wish wish = {0}, small = {.frame_pixels_max = 128 * 128};
        uint64_t              index[768], last = 0;
        uint32_t              n;
        assert_true(made(types[i], &p, &e) && processor_has_video(p));
        assert_true(processor_choose(p, &one, &wish, index, &n, &e) && n == 1 && index[0] == 0);
        assert_true(processor_fit_video(p, &one, &wish, 1, &fit, &e) && fit.n_run == 1 && fit.run_frames == 2);
        assert_true(processor_choose(p, &many, &wish, index, &n, &e) && n == 80);
        for (uint32_t k = 0; k < n; last = index[k++])
            assert_true(index[k] < many.n_frame && (k == 0 || index[k] > last));
        assert_true(processor_fit_video(p, &many, &wish, n, &fit, &e) && processor_fit_video(p, &many, &small, n, &less, &e));
        assert_true((uint64_t)less.width * less.height <= 128 * 128 && less.n_row <= fit.n_row);
        processor_free(p);
    }
}

static bool same_key(struct sha256 a, struct sha256 b)
{
    return memcmp(a.byte, b.byte, sizeof a.byte) == 0;
}

static void keys_tell_settings_and_pictures_apart(void **state)
{
    (void)state;
    static const char *const texts[] = {
        Q("qwen3_vl", "\"size\":{\"shortest_edge\":4096,\"longest_edge\":65536}"), Q("qwen3_vl", "\"min_pixels\":4096,\"max_pixels\":65537"),
        Q("qwen3_vl", "\"min_pixels\":4096,\"max_pixels\":65536,\"image_mean\":0.5"), Q("qwen2_5_vl", "\"min_pixels\":4096,\"max_pixels\":65536"),
    };
    struct processor *p[4], *same;
    struct err        e;
    struct sha256     images[2] = {{{1}}, {{2}}}, turned[2] = {{{2}}, {{1}}};
    double            seconds[2] = {0, 0.5}, others[2] = {0, 0.6};
    for (size_t i = 0; i < 4; i++) {
        assert_true(made(texts[i], &p[i], &e));
        for (size_t k = 0; k < i; k++)
            assert_false(same_key(processor_key(p[i]), processor_key(p[k])));
    }
    assert_true(made("{\"config\":{\"model_type\":\"qwen3_vl_moe\"},\"both\":{\"image_processor\":{\"min_pixels\":4096,\"max_pixels\":65536}}}", &same, &e));
    assert_true(same_key(processor_key(p[0]), processor_key(same)));
    struct sha256 key = processor_item_key(p[0], images, seconds, 2);
    assert_true(same_key(key, processor_item_key(same, images, seconds, 2)));
    assert_false(same_key(key, processor_item_key(p[1], images, seconds, 2)) || same_key(key, processor_item_key(p[0], turned, seconds, 2)) ||
                 same_key(key, processor_item_key(p[0], images, others, 2)) || same_key(key, processor_item_key(p[0], images, NULL, 2)) ||
                 same_key(key, processor_item_key(p[0], images, seconds, 1)));
    for (size_t i = 0; i < 4; i++)
        processor_free(p[i]);
    processor_free(same);
    assert_true(processor_knows(STR("gemma3")) && !processor_knows(STR("gemma")) && !processor_knows(STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_are_transformers),       cmocka_unit_test(maps_are_the_models),
        cmocka_unit_test(videos_are_sampled_as_by_transformers), cmocka_unit_test(frames_become_rows),
        cmocka_unit_test(settings_are_refused_in_words),   cmocka_unit_test(shapes_are_refused_in_words),
        cmocka_unit_test(wishes_of_videos),                cmocka_unit_test(keys_tell_settings_and_pictures_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
