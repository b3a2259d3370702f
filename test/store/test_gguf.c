/* GGUF: every format and value type is read back; every way to be wrong is named. */
#include "store/gguf.h"

#include "write.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Parses a copy of exact size, so that a sanitizer sees a read past its end.  *g NULL on failure. */
/* Formats that GGUF has come first. */
enum { N_GGUF = 0
#define FORMAT(...) + 1
#define CODES(...)
#include "base/formats.def"
#undef FORMAT
};

static uint8_t *parse(const struct buf *file, size_t n, struct gguf **g, struct err *e)
{
    uint8_t *p = malloc(n ? n : 1);
    if (n)
        memcpy(p, file->p, n);
    *g = NULL;
    *e = (struct err){0};
    if (!gguf_parse(g, p, n, "x.gguf", e))
        assert_null(*g);
    return p;
}

/* Writes o, expects that kind and the piece of text, behind the file's name. */
static void refuse(struct gguf_out *o, enum err_kind kind, const char *text)
{
    struct buf   file;
    struct gguf *g;
    struct err   e;
    buf_init(&file, 0);
    gguf_write(o, &file);
    uint8_t *p = parse(&file, file.n, &g, &e);
    if (g)
        fail_msg("accepted, but expected: %s", text);
    if (e.kind != kind || strncmp(e.text, "x.gguf: ", 8) != 0 || !strstr(e.text, text))
        fail_msg("kind %d: %s\nexpected: %s", e.kind, e.text, text);
    free(p);
    buf_drop(&file);
    gguf_out_drop(o);
}

static void every_format_is_read(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        struct gguf_out o;
        struct gguf    *g;
        struct err      e;
        struct buf      file;
        gguf_out_init(&o, version);
        for (int f = 0; f < N_GGUF; f++)
            gguf_put_tensor(&o, format_info((enum format)f)->name, (enum format)f, 3, 512);
        buf_init(&file, 0);
        gguf_write(&o, &file);
        uint8_t *p = parse(&file, file.n, &g, &e);
        assert_non_null(g);
        assert_int_equal(gguf_n_tensors(g), N_GGUF);
        uint64_t ids = 0;
        for (size_t i = 0; i < N_GGUF; i++) {
            struct tensor t, again;
            assert_true(str_is(gguf_tensor_at(g, i, &t), format_info((enum format)i)->name));
            assert_int_equal(t.format, i);
            assert_int_equal(t.n_dim, 2);
            assert_int_equal(t.shape[0], 3);
            assert_int_equal(t.shape[1], 512);
            assert_int_equal(t.bytes, format_bytes((enum format)i, 3 * 512));
            assert_int_equal(((const uint8_t *)t.data - p) % 32, 0);
            for (size_t k = 0; k < t.bytes; k++)
                assert_int_equal(((const uint8_t *)t.data)[k], k & 0x7F);
            assert_true(gguf_tensor_find(g, format_info((enum format)i)->name, &again));
            assert_true(again.data == t.data && again.source_id == t.source_id);
            assert_int_not_equal(t.source_id, ids);
            ids = t.source_id;
        }
        gguf_free(g);
        free(p);
        buf_drop(&file);
        gguf_out_drop(&o);
    }
}

static void put_every_value(struct gguf_out *o)
{
    const int8_t   i8 = -7;
    const int16_t  i16 = -700;
    const int32_t  i32 = -70000;
    const int64_t  i64 = -7000000000;
    const uint8_t  u8 = 250, yes = 1;
    const uint16_t u16 = 65000;
    const uint64_t u64 = 1ull << 63;
    const double   f64 = 0.1;
    const int16_t  some[] = {-1, 2, 300};
    const char    *words[] = {"one", "", "three"};
    gguf_put_value(o, STR("u8"), GGUF_U8, &u8, sizeof u8);
    gguf_put_value(o, STR("i8"), GGUF_I8, &i8, sizeof i8);
    gguf_put_value(o, STR("u16"), GGUF_U16, &u16, sizeof u16);
    gguf_put_value(o, STR("i16"), GGUF_I16, &i16, sizeof i16);
    gguf_put_u32(o, "u32", 4000000000u);
    gguf_put_value(o, STR("i32"), GGUF_I32, &i32, sizeof i32);
    gguf_put_f32(o, "f32", 0.5f);
    gguf_put_value(o, STR("bool"), GGUF_BOOL, &yes, sizeof yes);
    gguf_put_str(o, "string", "text");
    gguf_put_value(o, STR("u64"), GGUF_U64, &u64, sizeof u64);
    gguf_put_value(o, STR("i64"), GGUF_I64, &i64, sizeof i64);
    gguf_put_value(o, STR("f64"), GGUF_F64, &f64, sizeof f64);
    gguf_put_array(o, "some", GGUF_I16, 3, some, sizeof some);
    gguf_put_strs(o, "words", words, 3);
}

static void check_arrays(const struct gguf *g)
{
    struct gguf_value v;
    assert_true(gguf_find(g, "some", &v) && v.array && v.type == GGUF_I16 && v.n == 3);
    assert_true(gguf_array_num(&v, 0) == -1 && gguf_array_num(&v, 2) == 300);
    assert_true(gguf_find(g, "words", &v) && v.array && v.type == GGUF_STRING && v.n == 3);
    assert_true(gguf_array_num(&v, 1) == 0);
    const uint8_t *at = v.p;
    assert_true(str_is(gguf_array_str(&at), "one"));
    assert_int_equal(gguf_array_str(&at).n, 0);
    assert_true(str_is(gguf_array_str(&at), "three"));
    assert_false(gguf_find(g, "none", &v));
}

static void every_value_is_read(void **state)
{
    (void)state;
    struct gguf_out   o;
    struct gguf      *g;
    struct gguf_value v;
    struct err        e;
    struct buf        file;
    gguf_out_init(&o, 3);
    put_every_value(&o);
    buf_init(&file, 0);
    gguf_write(&o, &file);
    uint8_t *p = parse(&file, file.n, &g, &e);
    assert_non_null(g);
    assert_int_equal(gguf_n_keys(g), 14);
    assert_true(str_is(gguf_key_at(g, 4, &v), "u32") && v.type == GGUF_U32 && v.n == 1 && !v.array);
    assert_int_equal(gguf_int(g, "u8", 0), 250);
    assert_int_equal(gguf_int(g, "i8", 0), -7);
    assert_int_equal(gguf_int(g, "u16", 0), 65000);
    assert_int_equal(gguf_int(g, "i16", 0), -700);
    assert_int_equal(gguf_int(g, "u32", 0), 4000000000);
    assert_int_equal(gguf_int(g, "i32", 0), -70000);
    assert_int_equal(gguf_int(g, "i64", 0), -7000000000);
    assert_int_equal(gguf_int(g, "u64", 5), 5);
    assert_true(gguf_num(g, "u64", 0) == 0x1p63);
    assert_true(gguf_num(g, "i8", 0) == -7);
    assert_true(gguf_num(g, "f32", 0) == 0.5);
    assert_true(gguf_num(g, "f64", 0) == 0.1);
    assert_true(gguf_num(g, "string", 9) == 9);
    assert_int_equal(gguf_int(g, "f32", 9), 9);
    assert_int_equal(gguf_int(g, "bool", 9), 9);
    assert_int_equal(gguf_int(g, "some", 9), 9);
    assert_true(gguf_bool(g, "bool", false));
    assert_true(gguf_bool(g, "u8", true));
    assert_true(str_is(gguf_str(g, "string"), "text"));
    assert_null(gguf_str(g, "words").p);
    assert_null(gguf_str(g, "none").p);
    check_arrays(g);
    gguf_free(g);
    free(p);
    buf_drop(&file);
    gguf_out_drop(&o);
}

static void every_prefix_is_refused(void **state)
{
    (void)state;
    struct gguf_out o;
    struct gguf    *g;
    struct err      e;
    struct buf      file;
    gguf_out_init(&o, 3);
    put_every_value(&o);
    gguf_put_tensor(&o, "one", FORMAT_F32, 2, 3);
    gguf_put_tensor(&o, "two", FORMAT_Q4_0, 0, 64);
    buf_init(&file, 0);
    gguf_write(&o, &file);
    for (size_t n = 0; n <= file.n; n++) {
        uint8_t *p = parse(&file, n, &g, &e);
        assert_true((g != NULL) == (n == file.n));
        assert_true(g || (e.kind == ERR_CORRUPT && strncmp(e.text, "x.gguf: ", 8) == 0));
        gguf_free(g);
        free(p);
    }
    buf_drop(&file);
    gguf_out_drop(&o);
}

static void alignment_is_honoured(void **state)
{
    (void)state;
    struct gguf_out o;
    struct gguf    *g;
    struct err      e;
    struct buf      file;
    gguf_out_init(&o, 3);
    o.alignment = 256;
    gguf_put_u32(&o, "general.alignment", 256);
    gguf_put_tensor(&o, "one", FORMAT_F32, 0, 1);
    gguf_put_tensor(&o, "two", FORMAT_F32, 0, 1);
    buf_init(&file, 0);
    gguf_write(&o, &file);
    uint8_t      *p = parse(&file, file.n, &g, &e);
    struct tensor t;
    assert_non_null(g);
    assert_true(gguf_tensor_find(g, "two", &t));
    assert_int_equal(((const uint8_t *)t.data - p) % 256, 0);
    gguf_free(g);
    free(p);
    buf_drop(&file);
    gguf_out_drop(&o);
    static const uint32_t bad[] = {0, 24, 33, 0xFFFFFFFF};
    for (size_t i = 0; i < 4; i++) {
        gguf_out_init(&o, 3);
        gguf_put_u32(&o, "general.alignment", bad[i]);
        refuse(&o, ERR_CORRUPT, "general.alignment is no power of two");
    }
    gguf_out_init(&o, 3);
    gguf_put_str(&o, "general.alignment", "32");
    refuse(&o, ERR_CORRUPT, "general.alignment is no power of two");
}

static void false_headers_are_refused(void **state)
{
    (void)state;
    struct gguf_out o;
    gguf_out_init(&o, 1);
    refuse(&o, ERR_UNSUPPORTED, "GGUF version 1 (2 and 3 can be read)");
    gguf_out_init(&o, 4);
    refuse(&o, ERR_UNSUPPORTED, "GGUF version 4");
    gguf_out_init(&o, 0x03000000);
    refuse(&o, ERR_UNSUPPORTED, "big-endian");
    gguf_out_init(&o, 3);
    o.n_key = UINT64_MAX;
    refuse(&o, ERR_CORRUPT, "key 0: 8 bytes at offset 24 pass the end of the file");
    gguf_out_init(&o, 3);
    o.n_tensor = UINT64_MAX;
    refuse(&o, ERR_CORRUPT, "tensor 0: 8 bytes at offset 24 pass the end of the file");

    struct err   e;
    struct gguf *g = NULL;
    assert_false(gguf_parse(&g, (const uint8_t *)"PK\3\4 a zip file, say", 20, "x.gguf", &e));
    assert_string_equal(e.text, "x.gguf: not a GGUF file (its first bytes are not \"GGUF\")");
}

static void refuse_value(uint32_t type, const void *p, size_t n, enum err_kind kind, const char *text)
{
    struct gguf_out o;
    gguf_out_init(&o, 3);
    gguf_put_value(&o, STR("some.key"), type, p, n);
    refuse(&o, kind, text);
}

static void false_keys_are_refused(void **state)
{
    (void)state;
    struct gguf_out o;
    const uint8_t   two = 2, truth[] = {1, 0, 3};
    refuse_value(GGUF_BOOL, &two, 1, ERR_CORRUPT, "key some.key: a truth value is 2");
    refuse_value(GGUF_TYPE_COUNT, NULL, 0, ERR_CORRUPT, "key some.key: unknown value type 13");
    refuse_value(GGUF_F64, NULL, 0, ERR_CORRUPT, "key some.key: 1 values pass the end of the file");
    const uint64_t huge = UINT64_MAX;
    refuse_value(GGUF_STRING, &huge, 8, ERR_CORRUPT, "key some.key: string 0 of 1: 18446744073709551615 bytes");

    gguf_out_init(&o, 3);
    gguf_put_array(&o, "a", GGUF_BOOL, 3, truth, 3);
    refuse(&o, ERR_CORRUPT, "key a: a truth value is 3");
    gguf_out_init(&o, 3);
    gguf_put_array(&o, "a", GGUF_U32, 0x4000000000000001, truth, 3);
    refuse(&o, ERR_CORRUPT, "key a: 4611686018427387905 values pass the end of the file");
    gguf_out_init(&o, 3);
    gguf_put_array(&o, "a", GGUF_STRING, UINT64_MAX, NULL, 0);
    refuse(&o, ERR_CORRUPT, "key a: string 0 of 18446744073709551615");
    gguf_out_init(&o, 3);
    gguf_put_array(&o, "a", GGUF_ARRAY, 1, truth, 3);
    refuse(&o, ERR_UNSUPPORTED, "key a: arrays of arrays cannot be read");
    gguf_out_init(&o, 3);
    gguf_put_u32(&o, "a", 1);
    gguf_put_u32(&o, "b", 1);
    gguf_put_u32(&o, "a", 1);
    refuse(&o, ERR_CORRUPT, "keys: a is there twice");

    static const struct { struct str key; const char *text; } names[] = {
        {{"", 0}, "key 0: an empty name"},
        {{"a\xFFz", 3}, "key 0: a name that is not UTF-8"},
        {{"a\nb", 3}, "key 0: a name with control characters"},
    };
    for (size_t i = 0; i < 3; i++) {
        gguf_out_init(&o, 3);
        gguf_put_value(&o, names[i].key, GGUF_U8, &two, 1);
        refuse(&o, ERR_CORRUPT, names[i].text);
    }
}

static void refuse_place(const struct gguf_place *x, enum err_kind kind, const char *text)
{
    struct gguf_out o;
    gguf_out_init(&o, 3);
    gguf_put_tensor(&o, "good", FORMAT_F32, 2, 32);
    gguf_put_place(&o, x);
    refuse(&o, kind, text);
}

static void false_places_are_refused(void **state)
{
    (void)state;
    const uint64_t big = 1ull << 33;
    refuse_place(&(struct gguf_place){STR("bad"), 77, 1, {32}, 0}, ERR_UNSUPPORTED, "tensor bad: type 77 (unknown)");
    refuse_place(&(struct gguf_place){STR("bad"), 10, 1, {256}, 0}, ERR_UNSUPPORTED, "tensor bad: type 10 (Q2_K)");
    refuse_place(&(struct gguf_place){STR("bad"), 4, 1, {256}, 0}, ERR_UNSUPPORTED, "tensor bad: type 4 (unknown)");
    refuse_place(&(struct gguf_place){STR("bad"), 0, 5, {1, 1, 1, 1, 1}, 0}, ERR_CORRUPT,
                 "tensor bad: it claims 5 axes; GGUF has at most 4");
    refuse_place(&(struct gguf_place){STR("bad"), 0, 1, {8}, 8}, ERR_CORRUPT,
                 "tensor bad: its offset 8 is not a multiple of 32");
    refuse_place(&(struct gguf_place){STR("bad"), 0, 1, {8}, 32}, ERR_CORRUPT, "tensor bad: it overlaps good");
    refuse_place(&(struct gguf_place){STR("bad"), 0, 1, {8}, 256}, ERR_CORRUPT,
                 "tensor bad: 32 bytes at offset 256 pass the end of the data (256 bytes)");
    refuse_place(&(struct gguf_place){STR("bad"), 0, 1, {8}, UINT64_MAX - 31}, ERR_CORRUPT, "pass the end of the data");
    refuse_place(&(struct gguf_place){STR("bad"), 2, 2, {33, 2}, 0}, ERR_CORRUPT,
                 "tensor bad: rows of 33 values are not whole blocks of 32 (Q4_0)");
    refuse_place(&(struct gguf_place){STR("bad"), 12, 2, {128, 2}, 0}, ERR_CORRUPT, "not whole blocks of 256 (Q4_K)");
    refuse_place(&(struct gguf_place){STR("bad"), 0, 2, {big, big}, 0}, ERR_CORRUPT,
                 "tensor bad: the product of its axes overflows");
    refuse_place(&(struct gguf_place){STR("bad"), 0, 1, {1ull << 62}, 0}, ERR_CORRUPT, "overflows");
    refuse_place(&(struct gguf_place){STR("bad"), 0, 1, {big}, 0}, ERR_UNSUPPORTED,
                 "tensor bad: axis 0 is 8589934592 long, over 32 bits");
    refuse_place(&(struct gguf_place){STR("bad"), 0, 2, {8, 0}, 0}, ERR_UNSUPPORTED, "tensor bad: axis 0 is empty");
    refuse_place(&(struct gguf_place){STR("good"), 0, 1, {8}, 0}, ERR_CORRUPT, "tensor names: good is there twice");
    refuse_place(&(struct gguf_place){{"\xC3(", 2}, 0, 1, {8}, 0}, ERR_CORRUPT, "tensor 1: a name that is not UTF-8");
    refuse_place(&(struct gguf_place){{"", 0}, 0, 1, {8}, 0}, ERR_CORRUPT, "tensor 1: an empty name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_is_read),      cmocka_unit_test(every_value_is_read),
        cmocka_unit_test(every_prefix_is_refused),   cmocka_unit_test(alignment_is_honoured),
        cmocka_unit_test(false_headers_are_refused), cmocka_unit_test(false_keys_are_refused),
        cmocka_unit_test(false_places_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
