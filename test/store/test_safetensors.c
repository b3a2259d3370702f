/* safetensors: what is listed, what is left out, and every way to be wrong. */
#include "store/safetensors.h"

#include "write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const good = "{\"__metadata__\":{\"format\":\"pt\"},"
                                "\"b.weight\":{\"dtype\":\"BF16\",\"shape\":[2,4],\"data_offsets\":[24,40]},"
                                "\"a.weight\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]},"
                                "\"mask\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[40,43]},"
                                "\"packed\":{\"dtype\":\"F4\",\"shape\":[2,4],\"data_offsets\":[43,47]},"
                                "\"one\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[47,49]}}   ";

static uint8_t *parse(const struct buf *file, size_t n, struct safetensors **s, struct err *e)
{
    uint8_t *p = malloc(n ? n : 1);
    if (n)
        memcpy(p, file->p, n);
    *s = NULL;
    *e = (struct err){0};
    if (!safetensors_parse(s, p, n, "x.safetensors", e))
        assert_null(*s);
    return p;
}

static void a_file_is_read(void **state)
{
    (void)state;
    struct buf          file;
    struct safetensors *s;
    struct err          e;
    struct tensor       t, again;
    buf_init(&file, 0);
    safetensors_write(good, 49, &file);
    uint8_t       *p = parse(&file, file.n, &s, &e);
    const uint8_t *data = p + 8 + strlen(good);
    assert_non_null(s);
    assert_int_equal(safetensors_len(s), 3);
    assert_true(str_is(safetensors_at(s, 0, &t), "b.weight"));
    assert_true(t.format == FORMAT_BF16 && t.n_dim == 2 && t.shape[0] == 2 && t.shape[1] == 4);
    assert_true(t.data == data + 24 && t.bytes == 16);
    assert_true(safetensors_find(s, STR("b.weight"), &again) && again.source_id == t.source_id);
    assert_true(safetensors_find(s, STR("a.weight"), &t) && t.format == FORMAT_F32 && t.bytes == 24);
    assert_true(t.source_id != again.source_id);
    assert_true(safetensors_find(s, STR("one"), &t) && t.format == FORMAT_F16 && t.n_dim == 0 && t.bytes == 2);
    assert_false(safetensors_find(s, STR("mask"), &t));
    assert_true(safetensors_has(s, STR("mask")) && safetensors_has(s, STR("packed")));
    assert_false(safetensors_has(s, STR("none")));
    assert_true(str_is(safetensors_metadata(s, "format"), "pt"));
    assert_null(safetensors_metadata(s, "none").p);
    safetensors_free(s);
    free(p);
    buf_drop(&file);
}

static void every_prefix_is_refused(void **state)
{
    (void)state;
    struct buf          file;
    struct safetensors *s;
    struct err          e;
    buf_init(&file, 0);
    safetensors_write(good, 49, &file);
    for (size_t n = 0; n <= file.n; n++) {
        uint8_t *p = parse(&file, n, &s, &e);
        assert_true((s != NULL) == (n == file.n));
        assert_true(s || (e.kind == ERR_CORRUPT && strncmp(e.text, "x.safetensors: ", 15) == 0));
        safetensors_free(s);
        free(p);
    }
    buf_drop(&file);
}

#define T(type, shape, from, to) \
    "{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}"

static const struct { const char *header; size_t data; enum err_kind kind; const char *text; } wrong[] = {
    {"{\"a\":", 0, ERR_CORRUPT, "its header is not valid JSON"},
    {"[]", 0, ERR_CORRUPT, "its header is an array, not an object"},
    {"", 0, ERR_CORRUPT, "its header is not valid JSON: it is empty"},
    {"{\"a\xFF\":1}", 0, ERR_CORRUPT, "its header is not valid JSON"},
    {"{\"\":" T("F32", "[1]", "0", "4") "}", 4, ERR_CORRUPT, "an empty name"},
    {"{\"a\\u0000b\":" T("F32", "[1]", "0", "4") "}", 4, ERR_CORRUPT, "a name with control characters"},
    {"{\"a\":1}", 0, ERR_CORRUPT, "tensor a: it is a whole number, not an object"},
    {"{\"a\":{}}", 0, ERR_CORRUPT, "tensor a: its dtype is absent"},
    {"{\"a\":" T("F31", "[1]", "0", "4") "}", 4, ERR_UNSUPPORTED, "tensor a: unknown type \"F31\""},
    {"{\"a.weight\":" T("I8", "[4]", "0", "4") "}", 4, ERR_UNSUPPORTED,
     "tensor a.weight: weights of type I8 cannot be read"},
    {"{\"a\":" T("F32", "7", "0", "4") "}", 4, ERR_CORRUPT, "tensor a: its shape is a whole number"},
    {"{\"a\":" T("F32", "[1,-1]", "0", "4") "}", 4, ERR_CORRUPT, "tensor a: axis 1 of its shape is not a count"},
    {"{\"a\":" T("F32", "[1,1,1,1,1,1]", "0", "4") "}", 4, ERR_UNSUPPORTED, "tensor a: it has 6 axes; up to 5"},
    {"{\"a\":" T("F32", "[0]", "0", "0") "}", 0, ERR_UNSUPPORTED, "tensor a: axis 0 is empty"},
    {"{\"a\":" T("F32", "[4294967296]", "0", "17179869184") "}", 4, ERR_UNSUPPORTED, "axis 0 is 4294967296 long"},
    {"{\"a\":" T("F32", "[1]", "0", "-4") "}", 4, ERR_CORRUPT, "tensor a: its data_offsets are not two counts"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, ERR_CORRUPT, "are not two counts"},
    {"{\"a\":" T("F32", "[1]", "8", "4") "}", 8, ERR_CORRUPT, "tensor a: it ends (4) before it begins (8)"},
    {"{\"a\":" T("F32", "[2]", "0", "4") "}", 4, ERR_CORRUPT,
     "tensor a: its shape needs 8 bytes (F32), its offsets hold 4"},
    {"{\"a\":" T("F32", "[2]", "0", "8") "}", 4, ERR_CORRUPT,
     "tensor a: 8 bytes at offset 0 pass the end of the data (4 bytes)"},
    {"{\"a\":" T("F32", "[1]", "18446744073709551612", "18446744073709551616") "}", 4, ERR_CORRUPT, "not two counts"},
    {"{\"a\":" T("F32", "[4294967295,4294967295,4294967295]", "0", "4") "}", 4, ERR_CORRUPT,
     "tensor a: the product of its axes overflows"},
    {"{\"a\":" T("F4", "[3]", "0", "2") "}", 2, ERR_CORRUPT, "rows of 3 values are not whole blocks of 2 (F4)"},
    {"{\"a\":" T("F32", "[1]", "0", "4") ",\"a\":" T("F32", "[1]", "4", "8") "}", 8, ERR_CORRUPT,
     "tensor names: a is there twice"},
    {"{\"a\":" T("F32", "[2]", "0", "8") ",\"b\":" T("F32", "[2]", "4", "12") "}", 12, ERR_CORRUPT,
     "tensor b: it overlaps a"},
    {"{\"a\":" T("F32", "[2]", "0", "8") ",\"b\":" T("I64", "[1]", "4", "12") "}", 12, ERR_CORRUPT,
     "tensor b: it overlaps a"},
    {"{\"a\":" T("F32", "[1]", "0", "4") ",\"b\":" T("F32", "[1]", "8", "12") "}", 12, ERR_CORRUPT,
     "tensor b: 4 bytes before it belong to none"},
    {"{\"a\":" T("F32", "[1]", "0", "4") "}", 7, ERR_CORRUPT, "the last 3 bytes belong to no tensor"},
    {"{\"__metadata__\":[]}", 0, ERR_CORRUPT, "__metadata__ is an array, not an object"},
    {"{\"__metadata__\":{\"a\":1}}", 0, ERR_CORRUPT, "__metadata__ holds a whole number; only strings"},
};

static void expect(const struct buf *file, enum err_kind kind, const char *text)
{
    struct safetensors *s;
    struct err          e;
    uint8_t            *p = parse(file, file->n, &s, &e);
    if (s)
        fail_msg("accepted, but expected: %s", text);
    if (e.kind != kind || strncmp(e.text, "x.safetensors: ", 15) != 0 || !strstr(e.text, text))
        fail_msg("kind %d: %s\nexpected: %s", e.kind, e.text, text);
    free(p);
}

static void false_headers_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct buf file;
        buf_init(&file, 0);
        safetensors_write(wrong[i].header, wrong[i].data, &file);
        expect(&file, wrong[i].kind, wrong[i].text);
        buf_drop(&file);
    }
}

static void false_lengths_are_refused(void **state)
{
    (void)state;
    struct buf file;
    buf_init(&file, 0);
    const uint64_t huge = UINT64_MAX;
    buf_append(&file, &huge, 8);
    buf_append(&file, "{}", 2);
    expect(&file, ERR_CORRUPT, "its header claims 18446744073709551615 bytes, the file has 2");
    buf_clear(&file);
    const uint64_t long_header = 100000001;
    buf_append(&file, &long_header, 8);
    memset(buf_reserve(&file, long_header), ' ', long_header);
    file.n += long_header;
    expect(&file, ERR_CORRUPT, "its header of 100000001 bytes is over the limit of 100000000");
    buf_clear(&file);
    buf_printf(&file, "version 1\noid sha256:00\nsize 4\n");
    expect(&file, ERR_CORRUPT, "it is a Git LFS pointer");
    buf_drop(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(false_headers_are_refused),
        cmocka_unit_test(false_lengths_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
