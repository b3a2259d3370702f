/* Quantised weights: how their parts become one tensor, and what does not fit together. */
#include "store/quant.h"

#include "store/checkpoint.h"
#include "store/safetensors.h"
#include "write.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char bytes[4096];

/* A tensor as a file claims it to be; n_dim ends at the first axis of 0. */
struct claim {
    const char *name;
    int         format;
    uint32_t    shape[4];
};

enum { CLAIMS_MAX = 8 };

static size_t each_bytes(int format)
{
    return format < FORMAT_COUNT ? format_info((enum format)format)->block_bytes : format == SAFETENSORS_U8 ? 1 : 4;
}

static size_t entries(const struct claim *claim, struct tensor_entry *out)
{
    size_t n = 0;
    for (; n < CLAIMS_MAX && claim[n].name; n++) {
        struct tensor t = {.data = bytes + n, .format = (enum format)claim[n].format, .source_id = n + 1};
        t.bytes = each_bytes(claim[n].format);
        for (; t.n_dim < 4 && claim[n].shape[t.n_dim]; t.n_dim++) {
            t.shape[t.n_dim] = claim[n].shape[t.n_dim];
            t.bytes *= t.shape[t.n_dim];
        }
        out[n] = (struct tensor_entry){str_of(claim[n].name), t};
    }
    return n;
}

static bool join(const struct claim *claim, const char *config, struct tensor_entry out[CLAIMS_MAX], size_t *n, struct err *e)
{
    struct json_doc *doc;
    *n = entries(claim, out);
    assert_true(json_parse(&doc, str_of(config), e));
    bool ok = quant_join(out, n, json_root(doc), e);
    json_free(doc);
    return ok;
}

#define WORDS(name, ...)  {name ".weight", SAFETENSORS_U32, {__VA_ARGS__}}
#define SCALES(name, ...) {name ".scales", FORMAT_BF16, {__VA_ARGS__}}
#define BIASES(name, ...) {name ".biases", FORMAT_BF16, {__VA_ARGS__}}
#define SMALL(name, ...)  {name ".scales", SAFETENSORS_U8, {__VA_ARGS__}}

static void parts_become_one(void **state)
{
    (void)state;
    static const struct { const char *config; struct claim claim[CLAIMS_MAX]; enum format format; uint32_t group, in; } good[] = {
        {"{\"quantization\":{\"bits\":4,\"group_size\":64}}", {SCALES("x", 3, 2), WORDS("x", 3, 16), BIASES("x", 3, 2)},
         FORMAT_A4, 64, 128},
        {"{\"quantization\":{\"bits\":3,\"group_size\":32,\"mode\":\"affine\"}}",
         {WORDS("x", 3, 3), SCALES("x", 3, 1), BIASES("x", 3, 1)}, FORMAT_A3, 32, 32},
        {"{\"quantization\":{\"bits\":2,\"group_size\":128}}", {WORDS("x", 2, 3, 8), SCALES("x", 2, 3, 1), BIASES("x", 2, 3, 1)},
         FORMAT_A2, 128, 128},
        {"{\"quantization\":{\"bits\":2,\"group_size\":32,\"x\":{\"bits\":5,\"group_size\":64}}}",
         {WORDS("x", 3, 10), SCALES("x", 3, 1), BIASES("x", 3, 1)}, FORMAT_A5, 64, 64},
        {"{\"quantization\":{\"bits\":4,\"group_size\":32,\"mode\":\"mxfp4\",\"x\":{\"bits\":6,\"group_size\":64}}}",
         {WORDS("x", 3, 12), SCALES("x", 3, 1), BIASES("x", 3, 1)}, FORMAT_A6, 64, 64},
        {"{\"quantization\":{\"bits\":4,\"group_size\":64,\"x\":true}}", {WORDS("x", 3, 8), SCALES("x", 3, 1), BIASES("x", 3, 1)},
         FORMAT_A4, 64, 64},
        {"{\"quantization_config\":{\"bits\":8,\"group_size\":64}}", {WORDS("x", 3, 16), SCALES("x", 3, 1), BIASES("x", 3, 1)},
         FORMAT_A8, 64, 64},
        {"{\"quantization\":{\"mode\":\"mxfp4\"}}", {WORDS("x", 3, 8), SMALL("x", 3, 2)}, FORMAT_MXFP4, 32, 64},
        {"{\"quantization\":{\"mode\":\"mxfp8\",\"bits\":8,\"group_size\":32}}", {WORDS("x", 3, 16), SMALL("x", 3, 2)},
         FORMAT_MXFP8, 32, 64},
        {"{\"quantization\":{\"mode\":\"nvfp4\"}}", {WORDS("x", 3, 8), SMALL("x", 3, 4)}, FORMAT_NVFP4, 16, 64},
        {"{\"quantization_config\":{\"quant_method\":\"mxfp4\"}}",
         {{"x_blocks", SAFETENSORS_U8, {2, 3, 2, 16}}, {"x_scales", SAFETENSORS_U8, {2, 3, 2}}}, FORMAT_MXFP4, 32, 64},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct tensor_entry out[CLAIMS_MAX], was[CLAIMS_MAX];
        struct err          e;
        size_t              n, n_was = entries(good[i].claim, was), all = 0, codes = 0;
        if (!join(good[i].claim, good[i].config, out, &n, &e))
            fail_msg("%zu: %s", i, e.text);
        const struct tensor *t = &out[0].tensor;
        struct tensor_piece  piece[TENSOR_PIECES_MAX];
        assert_int_equal(n, 1);
        assert_true(str_is(out[0].name, good[i].format == FORMAT_MXFP4 && n_was == 2 && t->n_dim == 3 ? "x" : "x.weight"));
        assert_int_equal(t->format, good[i].format);
        assert_int_equal(t->scales.group, good[i].group);
        assert_int_equal(t->shape[t->n_dim - 1], good[i].in);
        assert_int_equal(tensor_pieces(t, piece), n_was);
        for (size_t k = 0; k < n_was; k++) {
            all += was[k].tensor.bytes;
            codes += was[k].tensor.data == t->data ? was[k].tensor.bytes : 0;
            for (size_t p = 1; p < n_was; p++)
                assert_true(piece[p].p != was[k].tensor.data || piece[p].n == was[k].tensor.bytes);
        }
        assert_int_equal(t->bytes, all);
        assert_int_equal(piece[0].n, codes);
        assert_true(t->scales.scale == was[good[i].claim[0].format == FORMAT_BF16 ? 0 : 1].tensor.data);
        assert_int_equal(t->scales.as, t->scales.bias ? FORMAT_BF16 : 0);
    }
}

static void others_stay_as_they_are(void **state)
{
    (void)state;
    static const struct claim claim[CLAIMS_MAX] = {
        {"a.weight", FORMAT_BF16, {3, 64}}, WORDS("x", 3, 8), {"mask", SAFETENSORS_U8, {7}}, {"a.scales", FORMAT_F32, {3}},
        SCALES("x", 3, 1), {"ids", SAFETENSORS_I32, {7}}, BIASES("x", 3, 1), {"x.bias", FORMAT_BF16, {3}}};
    struct tensor_entry out[CLAIMS_MAX];
    struct err          e;
    size_t              n;
    assert_true(join(claim, "{\"quantization\":{\"bits\":4,\"group_size\":64}}", out, &n, &e));
    assert_int_equal(n, 4);
    assert_true(str_is(out[0].name, "a.weight") && str_is(out[1].name, "x.weight"));
    assert_true(str_is(out[2].name, "a.scales") && str_is(out[3].name, "x.bias"));
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
#define FOUR "{\"quantization\":{\"bits\":4,\"group_size\":64}}"
    static const struct { const char *config; struct claim claim[CLAIMS_MAX]; enum err_kind kind; const char *text; } wrong[] = {
        {FOUR, {WORDS("x", 3, 8)}, ERR_UNSUPPORTED, "tensor x.weight: it is U32, but there is no x.scales"},
        {FOUR, {WORDS("x", 3, 8), SCALES("x", 3, 1)}, ERR_CORRUPT, "tensor x.weight: there is no x.biases"},
        {FOUR, {{"x.weight", SAFETENSORS_U8, {3, 8}}}, ERR_UNSUPPORTED, "tensor x.weight: weights of type U8 cannot be read"},
        {FOUR, {WORDS("x", 3, 8), SMALL("x", 3, 1)}, ERR_UNSUPPORTED, "x.weight: its scales are U8, but quantization says affine"},
        {"{\"quantization\":{\"mode\":\"mxfp4\"}}", {WORDS("x", 3, 8), SCALES("x", 3, 2)}, ERR_UNSUPPORTED,
         "its scales are BF16, but quantization says floats"},
        {"{\"quantization\":{\"mode\":\"mxfp4\"}}", {WORDS("x", 3, 8), SMALL("x", 3, 2), BIASES("x", 3, 2)}, ERR_UNSUPPORTED,
         "it has biases"},
        {FOUR, {WORDS("x", 3, 8), SCALES("x", 3, 1), BIASES("x", 3, 2)}, ERR_CORRUPT, "its biases are not of the type and shape"},
        {FOUR, {WORDS("x", 3, 8), SCALES("x", 3, 1), {"x.biases", FORMAT_F32, {3, 1}}}, ERR_CORRUPT, "its biases are not"},
        {FOUR, {WORDS("x", 3, 8), SCALES("x", 4, 1), BIASES("x", 4, 1)}, ERR_CORRUPT, "do not make groups of 64"},
        {FOUR, {WORDS("x", 3, 16), SCALES("x", 3, 1), BIASES("x", 3, 1)}, ERR_CORRUPT,
         "tensor x.weight: 16 words and 1 scales a row do not make groups of 64 numbers of 4 bits, as quantization says"},
        {"{\"quantization\":{\"mode\":\"mxfp4\"}}", {WORDS("x", 8), SMALL("x", 2)}, ERR_CORRUPT, "do not make groups"},
        {"{}", {WORDS("x", 3, 8), SCALES("x", 3, 1), BIASES("x", 3, 1)}, ERR_CORRUPT, "the configuration has no quantization"},
        {"{\"quantization\":4}", {WORDS("x", 3, 8), SCALES("x", 3, 1), BIASES("x", 3, 1)}, ERR_CORRUPT, "has no quantization"},
        {"{\"quantization\":{\"bits\":4,\"group_size\":64,\"x\":false}}", {WORDS("x", 3, 8), SCALES("x", 3, 1), BIASES("x", 3, 1)},
         ERR_CORRUPT, "quantization says that it is not"},
        {"{\"quantization\":{\"bits\":7,\"group_size\":64}}", {WORDS("x", 3, 14), SCALES("x", 3, 1), BIASES("x", 3, 1)},
         ERR_UNSUPPORTED, "tensor x.weight: quantization affine with 7 bits in groups of 64 is not known here"},
        {"{\"quantization\":{\"bits\":4,\"group_size\":96}}", {WORDS("x", 3, 12), SCALES("x", 3, 1), BIASES("x", 3, 1)},
         ERR_UNSUPPORTED, "affine with 4 bits in groups of 96"},
        {"{\"quantization\":{\"mode\":\"mxfp8\",\"group_size\":64}}", {WORDS("x", 3, 16), SMALL("x", 3, 1)}, ERR_UNSUPPORTED,
         "mxfp8 with 8 bits in groups of 64"},
        {"{\"quantization\":{\"mode\":\"nvfp4\"}}", {WORDS("x", 3, 6), SMALL("x", 3, 3)}, ERR_UNSUPPORTED, "rows of 48 numbers"},
        {"{\"quantization\":{\"mode\":\"abc\"}}", {WORDS("x", 3, 8), SCALES("x", 3, 1), BIASES("x", 3, 1)}, ERR_UNSUPPORTED,
         "mode is \"abc\""},
        {"{\"quantization\":{\"bits\":\"4\"}}", {WORDS("x", 3, 8), SCALES("x", 3, 1), BIASES("x", 3, 1)}, ERR_CORRUPT,
         "are not both counts"},
        {"{\"quantization\":{\"bits\":4,\"group_size\":-1}}", {WORDS("x", 3, 8), SCALES("x", 3, 1), BIASES("x", 3, 1)}, ERR_CORRUPT,
         "are not both counts"},
        {"{\"quantization_config\":{\"quant_method\":\"gptq\"}}", {{"a", FORMAT_F32, {1}}, {"x.qweight", SAFETENSORS_I32, {3, 8}}},
         ERR_UNSUPPORTED, "tensor x.qweight: it is I32, quantised by \"gptq\" (quantization_config), which is not known here"},
        {"{\"quantization_config\":{\"quant_method\":\"fp8\"}}", {{"a", FORMAT_F32, {1}}}, ERR_UNSUPPORTED,
         "quant_method \"fp8\" is not known here"},
        {"{}", {{"x_blocks", SAFETENSORS_U8, {2, 3, 2, 16}}}, ERR_UNSUPPORTED, "tensor x_blocks: it is U8, but there is no x_scales"},
        {"{}", {{"x_blocks", SAFETENSORS_U8, {2, 3, 2, 15}}, {"x_scales", SAFETENSORS_U8, {2, 3, 2}}}, ERR_CORRUPT, "of mxfp4"},
        {"{}", {{"x_blocks", SAFETENSORS_U8, {2, 3, 2, 16}}, {"x_scales", SAFETENSORS_U8, {2, 3, 1}}}, ERR_CORRUPT, "of mxfp4"},
        {"{}", {{"x_blocks", SAFETENSORS_U8, {2, 3, 2, 16}}, {"x_scales", SAFETENSORS_U32, {2, 3, 2}}}, ERR_CORRUPT, "of mxfp4"},
        {"{}", {{"a", FORMAT_F32, {1}}, {"a", FORMAT_F32, {1}}}, ERR_CORRUPT, "tensor names: a is there twice"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct tensor_entry out[CLAIMS_MAX];
        struct err          e = {0};
        size_t              n;
        if (join(wrong[i].claim, wrong[i].config, out, &n, &e))
            fail_msg("%zu was taken, but expected: %s", i, wrong[i].text);
        if (e.kind != wrong[i].kind || !strstr(e.text, wrong[i].text))
            fail_msg("%zu: kind %d: %s\nexpected: %s", i, e.kind, e.text, wrong[i].text);
    }
}

static void put_shard(const char *folder, const char *name, const char *header, size_t n)
{
    struct buf file;
    buf_init(&file, 0);
    safetensors_write(header, n, &file);
    folder_put(folder, name, buf_view(&file));
    buf_drop(&file);
}

/* Where a writer of shards cuts, it does not look at what belongs together. */
static void parts_may_lie_in_several_files(void **state)
{
    (void)state;
    char              *folder = folder_new();
    struct checkpoint *c;
    struct err         e;
    struct tensor      t;
    folder_put(folder, "config.json", STR("{\"quantization\":{\"bits\":4,\"group_size\":32}}"));
    put_shard(folder, "s-1.safetensors",
              "{\"x.weight\":{\"dtype\":\"U32\",\"shape\":[2,4],\"data_offsets\":[0,32]},"
              "\"x.biases\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[32,40]}}", 40);
    put_shard(folder, "s-2.safetensors", "{\"x.scales\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]}}", 8);
    if (!checkpoint_open(&c, folder, &e))
        fail_msg("%s", e.text);
    assert_int_equal(checkpoint_len(c), 1);
    assert_int_equal(checkpoint_bytes(c), 48);
    assert_true(checkpoint_find(c, "x.weight", &t) && t.format == FORMAT_A4 && t.shape[0] == 2 && t.shape[1] == 32);
    assert_true(t.scales.as == FORMAT_F32 && *(const uint8_t *)t.scales.bias == 32 && *(const uint8_t *)t.scales.scale == 0);
    struct sha256 first = checkpoint_key(c), second;
    checkpoint_close(c);

    /* The same bytes, said to be other numbers. */
    folder_put(folder, "config.json", STR("{\"quantization\":{\"bits\":2,\"group_size\":64}}"));
    assert_true(checkpoint_open(&c, folder, &e));
    assert_true(checkpoint_find(c, "x.weight", &t) && t.format == FORMAT_A2 && t.shape[1] == 64);
    second = checkpoint_key(c);
    assert_memory_not_equal(&first, &second, sizeof first);
    checkpoint_close(c);

    folder_cut(folder, "s-2.safetensors");
    assert_false(checkpoint_open(&c, folder, &e));
    assert_non_null(strstr(e.text, "tensor x.weight: it is U32, but there is no x.scales"));
    assert_non_null(strstr(e.text, folder));
    folder_free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_become_one),
        cmocka_unit_test(others_stay_as_they_are),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(parts_may_lie_in_several_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
