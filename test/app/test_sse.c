/* Server-sent events: every kind of line, cut at every place. */
#include "app/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* The data of all events, a '|' behind each. */
static void note(void *ctx, struct str data)
{
    buf_str(ctx, data);
    buf_char(ctx, '|');
}

/* In pieces of `step` bytes. */
static void reads(struct str text, const char *want, size_t step)
{
    struct sse s;
    struct buf got;
    buf_init(&got, 0);
    buf_char(&got, '|');
    sse_init(&s, 1000, note, &got);
    for (size_t i = 0; i < text.n; i += step)
        assert_true(sse_feed(&s, (struct str){text.p + i, text.n - i < step ? text.n - i : step}));
    assert_string_equal(got.p, want);
    sse_drop(&s);
    buf_drop(&got);
}

static const struct {
    struct str  text;
    const char *want;
} cases[] = {
    {STR("data: a\n\ndata: [DONE]\n\n"), "|a|[DONE]|"},
    {STR("data: a\r\n\r\ndata: b\r\n\r\n"), "|a|b|"},
    {STR("data: a\r\rdata: b\r\r"), "|a|b|"},
    {STR("data: a\r\n\ndata: b\n\r\n"), "|a|b|"},
    {STR(": ping\n\n:\n\ndata: a\n: between\ndata: b\n\n"), "|a\nb|"},
    {STR("data:a\ndata:  two\n\n"), "|a\n two|"},
    {STR("data\n\ndata:\ndata\n\n"), "||\n|"},
    {STR("\xEF\xBB\xBF" "data: a\n\n\xEF\xBB\xBF" "data: b\n\n"), "|a|"},
    {STR("event: x\nid: 1\nretry: 5\ndatum: no\n data: no\nDATA: no\ndata: yes\n\n"), "|yes|"},
    {STR("\n\n\r\n\ndata: a\n\n\n\n"), "|a|"},
    {STR("data: whole\n\ndata: cut off\n"), "|whole|"},
    {STR("data: whole\n\ndata: cut"), "|whole|"},
    {STR("data: {\"a\": \"b: c\"}\n\n"), "|{\"a\": \"b: c\"}|"},
    {STR("data: a\0b\n\n"), "|a"},
};

static void all_kinds_of_lines_wherever_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t step = 1; step <= cases[i].text.n; step++)
            reads(cases[i].text, cases[i].want, step);
}

static void too_long_is_said_and_reset_helps(void **state)
{
    (void)state;
    struct sse s;
    struct buf got;
    buf_init(&got, 0);
    sse_init(&s, 16, note, &got);
    assert_true(sse_feed(&s, STR("data: 0123456789")));
    assert_false(sse_feed(&s, STR("0")));
    sse_reset(&s);
    assert_true(sse_feed(&s, STR("data: 01234567\n")));
    assert_false(sse_feed(&s, STR("data: 01234567\n")));
    sse_reset(&s);
    assert_true(sse_feed(&s, STR("data: fits\n\n")));
    assert_string_equal(got.p, "fits|");
    sse_drop(&s);
    buf_drop(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_of_lines_wherever_they_are_cut),
        cmocka_unit_test(too_long_is_said_and_reset_helps),
    };
    return cmocka_run_group_tests_name("app/sse", tests, NULL, NULL);
}
