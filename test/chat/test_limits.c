/* Templates are not trusted: whatever they try, a render ends soon, in little memory, with an error that says why. */
#include "chat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void limit(const char *source, const struct template_limits *limits, const char *words)
{
    struct rendering r = chat_render(source, "{\"l\": [1, 2, 3]}", limits);
    if (r.ok)
        fail_msg("%s is rendered", source);
    if (r.err.kind != ERR_TOO_LARGE || str_find(str_of(r.err.text), str_of(words)) == STR_NONE)
        fail_msg("%s fails with: %s", source, r.err.text);
}

static void steps(void **state)
{
    (void)state;
    static const struct template_limits few = {.steps_max = 10000};
    static const char many[] = "takes too many steps";
    limit("{% for i in range(10**9) %}x{% endfor %}", NULL, "a range of more than 100000");
    limit("{{ range(10**9)|list }}", NULL, "a range of more than 100000");
    limit("{% set l = range(100000)|list %}{% for i in l %}{% for k in l %}{% endfor %}{% endfor %}", NULL, many);
    limit("{% for i in range(1000) %}{{ i }}{{ i + 1 }}{% if i %}{% endif %}{% endfor %}", &few, many);
    limit("{% set a = 'a' * 1000000 %}{% for i in range(100000) %}{{ 'b' in a }}{% endfor %}", NULL, many);
    limit("{% set a = 'a' * 1000000 %}{% for i in range(100000) %}{{ a == a ~ 'b' }}{{ a.count('b') }}{% endfor %}",
          &few, many);
    limit("{% set a = 'é' * 100000 %}{% for i in range(100000) %}{{ a[99999] }}{% endfor %}", NULL, many);
    limit("{% set a = ('a' * 99 + 'b') * 9999 %}{% for i in range(9999) %}{{ a.rfind('a' * 100) }}{% endfor %}",
          NULL, many);
    limit("{% set l = range(100000)|list %}{% for i in range(100000) %}{{ -1 in l }}{% endfor %}", NULL, many);
    limit("{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(40) %}{% set ns.a = [ns.a, ns.a] %}"
          "{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}", NULL, many);
    limit("{% set ns = namespace(a=(1,)) %}{% for i in range(40) %}{% set ns.a = (ns.a, ns.a) %}{% endfor %}"
          "{{ {ns.a: 1} }}", NULL, many);
    limit("{{ range(100000)|map('string')|select('in', range(100000)|list)|list|length }}", NULL, many);
}

static void bytes(void **state)
{
    (void)state;
    static const struct template_limits few = {.bytes_max = 100000};
    static const char many[] = "makes too many bytes";
    limit("{{ 'a' * 10**9 }}", NULL, many);
    limit("{{ 'a' * 9223372036854775807 }}", NULL, many);
    limit("{{ 'abc' * 9223372036854775807 }}", NULL, many);
    limit("{{ [1] * 10**9 }}", NULL, many);
    limit("{{ [1, 2, 3, 4] * 9223372036854775807 }}", NULL, many);
    limit("{% set ns = namespace(s='x') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", NULL, many);
    limit("{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", NULL, many);
    limit("{% set ns = namespace(a=[1]) %}{% for i in range(40) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a }}",
          &few, many);
    limit("{% set ns = namespace(a=[1]) %}{% for i in range(40) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}"
          "{{ ns.a|tojson }}", &few, many);
    limit("{{ '%99999999999d' % 1 }}", NULL, many);
    limit("{{ '%*d' % (9223372036854775807, 1) }}", NULL, many);
    limit("{{ '{:>99999999999}'.format('a') }}", NULL, many);
    limit("{{ '{:099999999999}'.format(1) }}", NULL, many);
    limit("{{ 'a'.ljust(10**12) }}", NULL, many);
    limit("{{ 'a'.center(9223372036854775807) }}", NULL, many);
    limit("{{ 'a'.zfill(9223372036854775807) }}", NULL, many);
    limit("{{ '\t'.expandtabs(9223372036854775807) }}", NULL, many);
    limit("{{ 'a'|indent(9223372036854775807) }}", NULL, many);
    limit("{{ [1]|tojson(indent=9223372036854775807) }}", NULL, many);
    limit("{{ [1]|batch(9223372036854775807, 1)|list }}", NULL, many);
    limit("{{ [1]|slice(9223372036854775807)|list }}", NULL, many);
    limit("{{ ('a' * 100000).replace('', 'b' * 100000) }}", NULL, many);
    limit("{{ ('a' * 100000)|list|join('b' * 100000) }}", NULL, many);
    limit("{% macro m(n) %}{{ 'x' * 1000 }}{{ m(n) }}{% endmacro %}{{ m(1) }}", &few, many);
    limit("{% for i in range(100000) %}0123456789{% endfor %}", &few, many);
    limit("{% for i in range(100000) %}{% set x = i ~ 'x' %}{% endfor %}", &few, many);
}

static void depth(void **state)
{
    (void)state;
    static const struct template_limits few = {.depth_max = 5};
    limit("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", NULL, "calls itself too often");
    limit("{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}", NULL, "too often");
    limit("{% macro m(n) %}{% if n %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(5) }}", &few, "calls itself too often");
    limit("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", NULL, "calls itself too often");
    limit("{% macro m() %}{% call m() %}{% endcall %}{{ caller() }}{% endmacro %}{{ m() }}", NULL, "too often");
    limit("{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}", NULL, "is nested too deep");
    limit("{% set ns = namespace(a=[]) %}{% for i in range(5000) %}{% set ns.a = [ns.a] %}{% endfor %}{{ ns.a }}", NULL,
          "is nested too deep");
    limit("{% set ns = namespace(a=[]) %}{% for i in range(5000) %}{% set ns.a = [ns.a] %}{% endfor %}"
          "{{ ns.a|tojson }}", NULL, "is nested too deep");
    limit("{% set ns = namespace(a=[], b=[]) %}{% for i in range(5000) %}{% set ns.a = [ns.a] %}"
          "{% set ns.b = [ns.b] %}{% endfor %}{{ ns.a == ns.b }}", NULL, "is nested too deep");
    limit("{% set ns = namespace(a=()) %}{% for i in range(5000) %}{% set ns.a = (ns.a,) %}{% endfor %}"
          "{{ {ns.a: 1} }}", NULL, "is nested too deep");
    struct rendering r = chat_render("{% macro m(n) %}{% if n %}{{ m(n - 1) }}{% endif %}x{% endmacro %}{{ m(90) }}", "{}",
                                     NULL);
    assert_true(r.ok);
    assert_int_equal(r.out.text.n, 91);
    chat_drop(&r);
}

/* n times `open`, then `middle`, then n times `close`. */
static char *nested(const char *open, const char *middle, const char *close, unsigned n)
{
    struct buf b;
    buf_init(&b, 0);
    for (unsigned i = 0; i < n; i++)
        buf_printf(&b, "%s", open);
    buf_printf(&b, "%s", middle);
    for (unsigned i = 0; i < n; i++)
        buf_printf(&b, "%s", close);
    return buf_take(&b);
}

static void sources(void **state)
{
    (void)state;
    static const struct {
        const char *open, *middle, *close;
    } table[] = {
        {"(", "1", ")"},
        {"[", "1", "]"},
        {"{1:", "1", "}"},
        {"-", "1", ""},
        {"not ", "1", ""},
        {"f(", "1", ")"},
        {"x[", "1", "]"},
        {"1 if 1 else ", "1", ""},
        {"x|default(", "1", ")"},
        {"1 ** (", "1", ")"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        for (unsigned n = 150; n <= 100000; n = n < 1000 ? n + 50 : n * 10) {
            char *inside = nested(table[i].open, table[i].middle, table[i].close, n);
            char *source = nested("{{", inside, "}}", 1);
            struct rendering r = chat_render(source, "{}", NULL);
            if (n > 200)
                assert_false(r.ok);
            chat_drop(&r);
            free(inside);
            free(source);
        }
    }
    char            *source = nested("{% if 1 %}", "x", "{% endif %}", 250);
    struct rendering r = chat_render(source, "{}", NULL);
    assert_string_equal(r.err.text, "line 1: nested deeper than 200");
    free(source);
    source = nested("{% for x in [1] %}", "x", "{% endfor %}", 150);
    r = chat_render(source, "{}", NULL);
    assert_true(r.ok);
    chat_drop(&r);
    free(source);
    source = nested("{% if 0 %}{% elif 1 %}", "x", "{% endif %}", 90);
    r = chat_render(source, "{}", NULL);
    assert_true(r.ok);
    chat_drop(&r);
    free(source);
    /* Long, not deep in brackets: the tree leans to the left. */
    source = nested("", "{{ 1", "+1", 20000);
    char *sum = nested("", source, " }}", 1);
    r = chat_render(sum, "{}", NULL);
    assert_int_equal(r.err.kind, ERR_TOO_LARGE);
    free(sum);
    free(source);
    source = nested("x", "", "", 1100000);
    r = chat_render(source, "{}", NULL);
    assert_string_equal(r.err.text, "line 1: the template is larger than 1 MiB");
    free(source);
}

/* A text that grows by a word each turn costs what is added, not what is there. */
static void adding_is_cheap(void **state)
{
    (void)state;
    static const struct template_limits few = {.bytes_max = 40 << 20};
    static const char source[] = "{% set ns = namespace(s='', l='') %}{% for i in range(20000) %}"
                                 "{% set ns.s = ns.s ~ '0123456789012345678' ~ user %}{% endfor %}{{ ns.s|length }}";
    struct rendering  r = chat_render(source, "{\"user\": \"u\"}", &few);
    if (!r.ok)
        fail_msg("%s", r.err.text);
    assert_string_equal(r.out.text.p, "400000");
    chat_drop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps),   cmocka_unit_test(bytes),           cmocka_unit_test(depth),
        cmocka_unit_test(sources), cmocka_unit_test(adding_is_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
