/* The language: small templates and what Jinja2 3.1.6 makes of them in transformers' environment. */
#include "chat.h"

#include "base/threads.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char values[] =
    "{\"s\": \"Hello, World\", \"u\": \"Z\\u00fcrich \\u00df \\u03a3\\u0391\\u03a3\", \"n\": null, \"i\": 7,"
    " \"f\": 2.5, \"b\": true, \"l\": [3, 1, 2, 1], \"e\": \"\", \"d\": {\"x\": 1, \"y\": \"two\", \"items\": [1]},"
    " \"ld\": [{\"k\": \"B\", \"v\": 2}, {\"k\": \"a\", \"v\": 1}, {\"k\": \"b\", \"v\": 3}], \"h\": \"<a&'\\\"\"}";

struct example {
    const char *source, *want;
};

static void check_all(const struct example *at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct rendering r = chat_render(at[i].source, values, NULL);
        if (!r.ok)
            fail_msg("%s\n%s", at[i].source, r.err.text);
        if (!str_is(buf_view(&r.out.text), at[i].want))
            fail_msg("%s\ngives: %s\nnot:   %s", at[i].source, r.out.text.n ? r.out.text.p : "", at[i].want);
        chat_drop(&r);
    }
}
#define CHECK_ALL(table) check_all(table, sizeof(table) / sizeof *(table))

static void white_space(void **state)
{
    (void)state;
    static const struct example table[] = {
#include "white_space.def"
    };
    CHECK_ALL(table);
}

static void statements(void **state)
{
    (void)state;
    static const struct example table[] = {
#include "statements.def"
    };
    CHECK_ALL(table);
}

static void expressions(void **state)
{
    (void)state;
    static const struct example table[] = {
#include "expressions.def"
    };
    CHECK_ALL(table);
}

static void filters_and_tests(void **state)
{
    (void)state;
    static const struct example table[] = {
#include "filters.def"
    };
    CHECK_ALL(table);
}

static void methods(void **state)
{
    (void)state;
    static const struct example table[] = {
#include "methods.def"
    };
    CHECK_ALL(table);
}

static void errors(void **state)
{
    (void)state;
    static const struct example table[] = {
#include "errors.def"
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct rendering r = chat_render(table[i].source, values, NULL);
        if (r.ok)
            fail_msg("%s\ngives: %s\nnot an error", table[i].source, r.out.text.n ? r.out.text.p : "");
        if (!str_is(str_of(r.err.text), table[i].want) || r.err.kind != ERR_INVALID)
            fail_msg("%s\nfails with: %s\nnot:        %s", table[i].source, r.err.text, table[i].want);
    }
}

static void time_is_an_input(void **state)
{
    (void)state;
    struct rendering r = chat_render("{{ strftime_now('%Y-%m-%d %H:%M:%S %B %b %A %j %% %-d %f %q') }}", "{}", NULL);
    assert_true(r.ok);
    assert_string_equal(r.out.text.p, "2025-06-30 12:00:00 June Jun Monday 181 % 30 000000 %q");
    chat_drop(&r);
}

static void names_that_are_read(void **state)
{
    (void)state;
    struct template *t;
    struct err       e;
    struct str       source = STR("{% set a = 1 %}{{ a }}{% if tools is defined %}{{ x.y }}{% endif %}{# z #}");
    assert_true(template_new(&t, source, &e));
    assert_true(template_uses(t, "a"));
    assert_true(template_uses(t, "tools"));
    assert_true(template_uses(t, "x"));
    assert_false(template_uses(t, "y"));
    assert_false(template_uses(t, "z"));
    assert_false(template_uses(t, "nothing"));
    template_free(t);
    template_free(NULL);
}

static void nothing_at_all(void **state)
{
    (void)state;
    struct rendering r = chat_render("{# only a comment #}", "{}", NULL);
    assert_true(r.ok);
    assert_int_equal(r.out.text.n, 0);
    assert_int_equal(r.out.n_run, 0);
    chat_drop(&r);
}

static void bytes_that_are_no_text(void **state)
{
    (void)state;
    struct template *t;
    struct err       e;
    assert_false(template_new(&t, STR("a\xFF"), &e));
    assert_string_equal(e.text, "line 1: the template is not UTF-8");
}

/* Several threads render one template at once, each with values of its own. */
struct job {
    const struct template *t;
    unsigned               number;
};

static void *render_often(void *arg)
{
    const struct job *job = arg;
    for (unsigned i = 0; i < 200; i++) {
        char             input[64], want[64];
        struct json_doc *doc;
        struct rendered  out;
        struct err       e;
        snprintf(input, sizeof input, "{\"x\": %u, \"l\": [%u, %u]}", job->number, i, job->number);
        snprintf(want, sizeof want, "%u:%u,%u,.UE\xCC\x88", job->number, i, job->number);
        CHECK(json_parse(&doc, str_of(input), &e));
        struct template_input in = {.values = json_root(doc)};
        CHECK(template_render(job->t, &in, &out, &e));
        CHECK(str_is(buf_view(&out.text), want));
        rendered_drop(&out);
        json_free(doc);
    }
    return NULL;
}

static void many_threads(void **state)
{
    (void)state;
    struct template *t;
    struct err       e;
    pthread_t        thread[4];
    struct job       job[4];
    assert_true(template_new(&t, STR("{% macro m(a) %}{{ a }},{% endmacro %}{{ x }}:{% for i in l %}{{ m(i) }}"
                                     "{% endfor %}.{{ 'u\u00eb'[0:1]|upper }}{{ 'e\u0308'|capitalize }}"), &e));
    for (unsigned i = 0; i < 4; i++) {
        job[i] = (struct job){t, i};
        assert_true(thread_start(&thread[i], "render", render_often, &job[i], &e));
    }
    for (unsigned i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    template_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(white_space),
        cmocka_unit_test(statements),
        cmocka_unit_test(expressions),
        cmocka_unit_test(filters_and_tests),
        cmocka_unit_test(methods),
        cmocka_unit_test(errors),
        cmocka_unit_test(time_is_an_input),
        cmocka_unit_test(names_that_are_read),
        cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(bytes_that_are_no_text),
        cmocka_unit_test(many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
