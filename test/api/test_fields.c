/* Every field of fields.def: its types, null, its neutral values, and what is refused. */
#include "api/fields.h"
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BOOL = 1, INT = 2, NUM = 4, STRING = 8, LIST = 16, OBJ = 32, ANY = 63 };
enum { HONOURED, NO_EFFECT, REFUSED };
enum { CHAT = FIELDS_CHAT, TEXT = FIELDS_TEXT, BOTH = FIELDS_CHAT | FIELDS_TEXT };

static const struct row { const char *name; unsigned where, types; int use; const char *neutral; } rows[] = {
#define FIELD(where, name, types, use, neutral) {#name, where, types, use, neutral},
#include "api/fields.def"
#undef FIELD
};
enum { N_ROW = sizeof rows / sizeof rows[0] };

/* One value of each type. */
static const struct { unsigned types; const char *text; } values[] = {
    {BOOL, "true"}, {INT | NUM, "3"}, {NUM, "0.5"}, {STRING, "\"required\""}, {LIST, "[7]"}, {OBJ, "{}"},
};

static bool check(const struct row *r, enum fields_where where, struct str value, struct buf *ignored, struct err *e)
{
    struct json_doc *d;
    struct buf       text;
    buf_init(&text, 0);
    buf_clear(ignored);
    const char *dot = strchr(r->name, '.');
    if (dot)
        buf_printf(&text, "{\"%.*s\":{\"%s\":%.*s}}", (int)(dot - r->name), r->name, dot + 1, (int)value.n, value.p);
    else
        buf_printf(&text, "{\"%s\":%.*s}", r->name, (int)value.n, value.p);
    assert_true(json_parse(&d, buf_view(&text), e));
    bool ok = fields_check(json_root(d), where, ignored, e);
    json_free(d);
    buf_drop(&text);
    return ok;
}

static bool is_neutral(const struct row *r, const char *value)
{
    char wrapped[64];
    snprintf(wrapped, sizeof wrapped, "[%s", value);
    return strncmp(r->neutral, wrapped, strlen(wrapped)) == 0;
}

static void check_row(const struct row *r, enum fields_where where)
{
    struct buf ignored;
    struct err e;
    buf_init(&ignored, 0);
    assert_true(check(r, where, STR("null"), &ignored, &e));
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        bool fits = r->types & values[i].types;
        bool ok = check(r, where, str_of(values[i].text), &ignored, &e);
        assert_true(ok == (r->use == NO_EFFECT || (fits && (r->use == HONOURED || is_neutral(r, values[i].text)))));
        assert_int_equal(ignored.n, 0);
        if (!ok)
            assert_string_equal(e.param, r->name);
        if (!ok && fits)
            assert_string_equal(e.code, "unsupported_parameter");
        if (!ok && !fits)
            assert_non_null(strstr(e.text, " must be "));
    }
    buf_drop(&ignored);
}

static void every_field_takes_its_types_and_no_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROW; i++) {
        if (rows[i].where & FIELDS_CHAT)
            check_row(&rows[i], FIELDS_CHAT);
        if (rows[i].where & FIELDS_TEXT)
            check_row(&rows[i], FIELDS_TEXT);
    }
}

static void every_neutral_value_passes(void **state)
{
    (void)state;
    unsigned n = 0;
    for (size_t i = 0; i < N_ROW; i++) {
        struct json_doc *d;
        struct buf       value, ignored;
        struct err       e;
        if (rows[i].use != REFUSED)
            continue;
        buf_init(&value, 0);
        buf_init(&ignored, 0);
        assert_true(json_parse(&d, str_of(rows[i].neutral), &e));
        for (struct json_iter it = json_iter(json_root(d)); json_next(&it); n++) {
            buf_clear(&value);
            json_print(it.value, &value);
            for (unsigned where = FIELDS_CHAT; where <= FIELDS_TEXT; where++)
                if (rows[i].where & where)
                    assert_true(check(&rows[i], (enum fields_where)where, buf_view(&value), &ignored, &e));
        }
        json_free(d);
        buf_drop(&value);
        buf_drop(&ignored);
    }
    assert_true(n > 25);
}

/* No name stands twice for one endpoint. */
static void names_are_single(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROW; i++)
        for (size_t k = 0; k < i; k++)
            assert_false((rows[i].where & rows[k].where) && strcmp(rows[i].name, rows[k].name) == 0);
}

static void numbers_are_equal_by_value(void **state)
{
    (void)state;
    const struct row length = {.name = "length_penalty"}, best = {.name = "best_of"};
    struct buf       ignored;
    struct err       e;
    buf_init(&ignored, 0);
    assert_true(check(&length, FIELDS_CHAT, STR("1.0"), &ignored, &e));
    assert_true(check(&best, FIELDS_TEXT, STR("1.0"), &ignored, &e));
    assert_false(check(&length, FIELDS_CHAT, STR("1.5"), &ignored, &e));
    buf_drop(&ignored);
}

static void put_unknown(struct buf *text, int n)
{
    buf_clear(text);
    for (int i = 0; i < n; i++)
        buf_printf(text, "%s\"unknown%d\":1", i ? "," : "{", i);
    buf_char(text, '}');
}

/* Unknown names: those that fit a header are listed, in order and never beyond its size. */
static void unknown_names_are_listed(void **state)
{
    (void)state;
    struct json_doc *d;
    struct buf       text, ignored;
    struct err       e;
    buf_init(&text, 0);
    buf_init(&ignored, 256);
    assert_true(json_parse(&d, STR("{\"b\":1,\"a\\r\\nX: y\":1,\"\":1,\"Z-1.x\":null,\"caf\xC3\xA9\":2}"), &e));
    assert_true(fields_check(json_root(d), FIELDS_CHAT, &ignored, &e));
    assert_string_equal(ignored.p, "b, Z-1.x");
    json_free(d);
    buf_clear(&ignored);
    put_unknown(&text, 256);
    assert_true(json_parse(&d, buf_view(&text), &e));
    assert_true(fields_check(json_root(d), FIELDS_TEXT, &ignored, &e));
    assert_true(ignored.n > 100 && ignored.n <= 256);
    json_free(d);
    put_unknown(&text, 257);
    assert_true(json_parse(&d, buf_view(&text), &e));
    assert_false(fields_check(json_root(d), FIELDS_TEXT, &ignored, &e));
    json_free(d);
    buf_drop(&text);
    buf_drop(&ignored);
}

/* The log names each unknown field once, however often it comes. */
static void the_log_says_it_once(void **state)
{
    (void)state;
    FILE *f = tmpfile();
    assert_non_null(f);
    struct log log = {.level = LOG_WARN, .fd = fileno(f)};
    struct rig r;
    char       text[4096];
    rig_init(&r, &(struct rig_opts){.log = &log});
    rig_script(&r, "<eos>");
    for (int i = 0; i < 3; i++) {
        struct memory_reply m;
        memory_reply_init(&m, "POST", "/v1/completions", STR("{\"prompt\":\"a\",\"zork\":1,\"blorb\":2}"));
        rig_serve(&r, &m);
        assert_non_null(strstr(m.headers.p, "X-Ignored-Fields: zork, blorb\n"));
        memory_reply_drop(&m);
    }
    rig_drop(&r);
    rewind(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    const char *zork = strstr(text, "zork"), *blorb = strstr(text, "blorb");
    assert_true(zork && blorb);
    assert_null(strstr(zork + 1, "zork"));
    assert_null(strstr(blorb + 1, "blorb"));
    fclose(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_takes_its_types_and_no_others),
        cmocka_unit_test(every_neutral_value_passes),
        cmocka_unit_test(names_are_single),
        cmocka_unit_test(numbers_are_equal_by_value),
        cmocka_unit_test(unknown_names_are_listed),
        cmocka_unit_test(the_log_says_it_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
