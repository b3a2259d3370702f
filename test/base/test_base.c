/* Text, JSON, UTF-8, memory, queues: what every room stands on. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/pool.h"
#include "base/queue.h"
#include "base/tensor.h"
#include "base/utf8.h"

#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

static void buf_stops_at_its_limit(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 8);
    assert_true(buf_append(&b, "12345", 5));
    assert_false(buf_append(&b, "6789", 4));
    assert_false(buf_append(&b, "6", 1));
    assert_true(b.full);
    assert_string_equal(b.p, "12345");
    buf_clear(&b);
    assert_true(buf_printf(&b, "%d%s", 12, "abcdef"));
    assert_false(buf_char(&b, '!'));
    buf_drop(&b);
}

static void arena_keeps_to_its_limit(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 10000);
    assert_non_null(arena_new(&a, 100));
    assert_null(arena_new(&a, 20000));
    char *s = arena_copy(&a, "hearth", 6);
    assert_string_equal(s, "hearth");
    for (int i = 0; i < 1000; i++)
        arena_new(&a, 64);
    assert_true(a.bytes <= 10000);
    arena_reset(&a);
    assert_non_null(arena_new(&a, 100));
    arena_drop(&a);
}

static void numbers_in_text(void **state)
{
    (void)state;
    int64_t  i;
    uint64_t u;
    double   d;
    assert_true(str_i64(STR("-42"), &i) && i == -42);
    assert_false(str_i64(STR("42x"), &i));
    assert_false(str_i64(STR(" 42"), &i));
    assert_false(str_i64(STR(""), &i));
    assert_false(str_i64(STR("99999999999999999999"), &i));
    assert_false(str_u64(STR("-1"), &u));
    assert_true(str_f64(STR("1e-3"), &d) && d == 1e-3);
    assert_false(str_f64(STR("nan"), &d));
}

static void utf8_cleans_as_python_does(void **state)
{
    (void)state;
    static const struct { struct str in; const char *out; } cases[] = {
        {STR("a\xC3\xA9z"), "a\xC3\xA9z"},
        {STR("\xC0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {STR("\xE2\x82"), "\xEF\xBF\xBD"},
        {STR("\xF0\x9F\x98x"), "\xEF\xBF\xBDx"},
        {STR("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {STR("\xF4\x90\x80\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf b;
        buf_init(&b, 0);
        utf8_clean(cases[i].in, &b);
        assert_string_equal(b.p, cases[i].out);
        buf_drop(&b);
    }
    assert_int_equal(utf8_tail(STR("ab\xF0\x9F\x98")), 3);
    assert_int_equal(utf8_tail(STR("ab\xC3")), 1);
    assert_int_equal(utf8_tail(STR("ab\xC3\xA9")), 0);
    assert_int_equal(utf8_tail(STR("ab\xA9")), 0);
    for (uint32_t cp = 0; cp < 0x110000; cp += cp < 0x3000 ? 1 : 97) {
        if (cp >= 0xD800 && cp < 0xE000)
            continue;
        char       s[4];
        uint32_t   back;
        unsigned   n = utf8_encode(cp, s);
        struct str v = {s, n};
        assert_int_equal(utf8_decode(v, &back), n);
        assert_int_equal(back, cp);
    }
}

static void json_reads_and_refuses(void **state)
{
    (void)state;
    struct json_doc *d;
    struct err       e;
    assert_true(json_parse(&d, STR("{\"a\":1,\"a\":2,\"b\":[1.5,-3,\"x\",null,true]}"), &e));
    json r = json_root(d);
    assert_int_equal(json_int_or(json_get(r, "a"), 0), 2);
    assert_int_equal(json_len(json_get(r, "b")), 5);
    assert_true(json_num_or(json_at(json_get(r, "b"), 0), 0) == 1.5);
    assert_int_equal(json_int_or(json_at(json_get(r, "b"), 1), 0), -3);
    assert_true(json_is(json_at(json_get(r, "b"), 2), "x"));
    assert_int_equal(json_type(json_get(json_get(r, "none"), "deeper")), JSON_ABSENT);
    assert_null(json_str(json_get(r, "b")).p);
    json_free(d);

    static const char *const bad[] = {"", "{", "[1,]", "{\"a\":1}x", "\"\\ud800\"", "01", "nan", "\"\xff\""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(json_parse(&d, str_of(bad[i]), &e));
    struct buf deep;
    buf_init(&deep, 0);
    for (int i = 0; i < 1000000; i++)
        buf_char(&deep, '[');
    for (int i = 0; i < 1000000; i++)
        buf_char(&deep, ']');
    assert_false(json_parse(&d, buf_view(&deep), &e));
    assert_string_equal(e.text, "JSON is nested deeper than 128");
    buf_drop(&deep);
}

static void json_writes(void **state)
{
    (void)state;
    struct buf       b;
    struct json_out *w = json_out_new();
    buf_init(&b, 0);
    json_open(w, NULL, '{');
    json_put_str(w, "s", STR("q\"\n\xff"));
    json_open(w, "a", '[');
    json_put_int(w, NULL, -7);
    json_put_num(w, NULL, 0.1);
    json_put_num(w, NULL, INFINITY);
    json_put_bool(w, NULL, false);
    json_close(w);
    json_close(w);
    assert_true(json_out_write(w, &b));
    assert_string_equal(b.p, "{\"s\":\"q\\\"\\n\xEF\xBF\xBD\",\"a\":[-7,0.1,null,false]}");
    json_out_free(w);
    buf_drop(&b);
}

static void hashes(void **state)
{
    (void)state;
    char hex[65];
    sha256_hex(sha256_of("abc", 3), hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_true(hash64("abcdefgh", 8, 1) != hash64("abcdefgh", 8, 2));
    assert_true(hash64("abcdefgh", 8, 1) != hash64("abcdefgi", 8, 1));
}

static void queue_is_bounded_and_in_order(void **state)
{
    (void)state;
    struct queue *q = queue_new(2);
    int           a, b, c;
    assert_true(queue_put(q, &a));
    assert_true(queue_put(q, &b));
    assert_false(queue_put(q, &c));
    assert_ptr_equal(queue_take(q, 0), &a);
    assert_true(queue_put(q, &c));
    queue_close(q);
    assert_false(queue_put(q, &a));
    assert_ptr_equal(queue_take(q, UINT64_MAX), &b);
    assert_ptr_equal(queue_take(q, UINT64_MAX), &c);
    assert_null(queue_take(q, UINT64_MAX));
    queue_free(q);
}

static void count(void *arg)
{
    atomic_fetch_add((_Atomic int *)arg, 1);
}

static void pool_runs_everything_it_took(void **state)
{
    (void)state;
    struct pool *p;
    struct err   e;
    _Atomic int  n = 0;
    int          taken = 0;
    assert_true(pool_open(&p, 3, 64, &e));
    for (int i = 0; i < 1000; i++)
        taken += pool_run(p, count, (void *)&n);
    pool_close(p);
    assert_true(taken > 0);
    assert_int_equal(n, taken);
}

static void formats(void **state)
{
    (void)state;
    assert_int_equal(format_bytes(FORMAT_Q4_0, 64), 36);
    assert_int_equal(format_bytes(FORMAT_Q6_K, 512), 420);
    assert_string_equal(format_info(FORMAT_BF16)->name, "BF16");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf_stops_at_its_limit), cmocka_unit_test(arena_keeps_to_its_limit),
        cmocka_unit_test(numbers_in_text),        cmocka_unit_test(utf8_cleans_as_python_does),
        cmocka_unit_test(json_reads_and_refuses), cmocka_unit_test(json_writes),
        cmocka_unit_test(hashes),                 cmocka_unit_test(queue_is_bounded_and_in_order),
        cmocka_unit_test(pool_runs_everything_it_took), cmocka_unit_test(formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
