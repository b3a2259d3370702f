/* What a user wrote stays marked, whatever the template does to it. */
#include "chat.h"

#include "base/file.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void every_way_keeps_the_mark(void **state)
{
    (void)state;
    /* user: " ab-c " and {"k": ["x"]}; own is the template's. */
    static const struct {
        const char *source, *text, *marks;
    } table[] = {
        {"<{{ user.s }}>", "< ab-c >", ".uuuuuu."},
        {"{{ '<' ~ user.s ~ '>' }}", "< ab-c >", ".uuuuuu."},
        {"{{ '<' + user.s + '>' }}", "< ab-c >", ".uuuuuu."},
        {"{{ ('<' + user.s + '>')[1:4] }}", " ab", "uuu"},
        {"{{ ('<' + user.s)[::-1] }}", " c-ba <", "uuuuuu."},
        {"{{ ('<' + user.s)[1] }}{{ ('<' + user.s)[0] }}", " <", "u."},
        {"{{ user.s|trim }}|{{ user.s.strip() }}", "ab-c|ab-c", "uuuu.uuuu"},
        {"{{ user.s.split('-') }}", "[' ab', 'c ']", "uuuuuuuuuuuuu"},
        {"{{ user.s.split('-')[1] }}!", "c !", "uu."},
        {"{{ user.s.partition('-')|join('+') }}", " ab+-+c ", "uuu.u.uu"},
        {"{{ user.s|upper }}{{ user.s.title() }}", " AB-C  Ab-C ", "uuuuuuuuuuuu"},
        {"{{ user.s|replace('-', '+') }}", " ab+c ", "uuu.uu"},
        {"{{ 'a-b'|replace('-', user.s) }}", "a ab-c b", ".uuuuuu."},
        {"{{ '<%s|%3s>' % (user.s, 'q') }}", "< ab-c |  q>", ".uuuuuu....."},
        {"{{ '<{}|{:>3}>'.format(user.s, 'q') }}", "< ab-c |  q>", ".uuuuuu....."},
        {"{{ '{:>8}'.format(user.s) }}", "   ab-c ", "..uuuuuu"},
        {"{{ user.s.center(8, '*') }}", "* ab-c *", ".uuuuuu."},
        {"{{ user.s * 2 }}", " ab-c  ab-c ", "uuuuuuuuuuuu"},
        {"{{ user.s|tojson }}", "\" ab-c \"", "uuuuuuuu"},
        {"<{{ user|tojson }}>", "<{\"s\": \" ab-c \", \"k\": [\"x\"], \"n\": 5}>", NULL},
        {"<{{ {'a': user.k}|tojson }}>", "<{\"a\": [\"x\"]}>", ".uuuuuuuuuuuu."},
        {"<{{ {'a': [1]}|tojson }}>", "<{\"a\": [1]}>", "............"},
        {"<{{ user.k }}>", "<['x']>", ".uuuuu."},
        {"{% for c in user.s %}{{ c }}.{% endfor %}", " .a.b.-.c. .", "u.u.u.u.u.u."},
        {"{% for k, v in user.items() %}{{ k }}{% endfor %}", "skn", "uuu"},
        {"{% for k in user %}{{ k }},{% endfor %}", "s,k,n,", "u.u.u."},
        {"{{ user.keys()|list|first }}{{ user|dictsort|first|first }}", "sk", "uu"},
        {"{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(user.s)|trim }}", "[ ab-c ]", ".uuuuuu."},
        {"{% set x %}<{{ user.s }}>{% endset %}{{ x|upper }}{{ x[0] }}", "< AB-C ><", ".uuuuuu.."},
        {"{% filter upper %}a{{ user.s }}{% endfilter %}", "A AB-C ", ".uuuuuu"},
        {"{% macro m() %}({{ caller() }}){% endmacro %}{% call m() %}{{ user.s }}{% endcall %}", "( ab-c )", ".uuuuuu."},
        {"{% set ns = namespace(t='') %}{% for i in 'ab' %}{% set ns.t = ns.t ~ i ~ user.s[1] %}{% endfor %}{{ ns.t }}",
         "aaba", ".u.u"},
        {"{{ [user.s, own]|join(',') }}", " ab-c ,own", "uuuuuu...."},
        {"{{ user.s.join(['a', 'b']) }}", "a ab-c b", ".uuuuuu."},
        {"{{ [user.s]|map('upper')|first }}{{ user.s|default('x') }}", " AB-C  ab-c ", "uuuuuuuuuuuu"},
        {"{{ user.s|indent(1, true) }}", "  ab-c ", ".uuuuuu"},
        {"{{ user.s|e }}{{ user.s|safe }}{{ (user.s ~ '<')|e }}", " ab-c  ab-c  ab-c &lt;", "uuuuuuuuuuuuuuuuuu...."},
        {"{{ user.s|urlencode }}{{ user.s|truncate(4, true, '.', 0) }}", "%20ab-c%20 ab.", "uuuuuuuuuuuuu."},
        {"{{ user.s|list|sort|join }}{{ user.s|unique|join }}", "  -abc ab-c", "uuuuuuuuuuu"},
        {"{{ user.n }}{{ user.s|length }}", "56", ".."},
        {"{{ '%c' % 60 }}{{ '%c' % user.n }}", "<\x05", "uu"},
        {"{{ 'é' ~ user.s[1:2] ~ 'é' }}", "éaé", "..u.."},
        {"{{ ('a' ~ user.s).zfill(9) }}", "00a ab-c ", "...uuuuuu"},
        {"{{ strftime_now('%Y' ~ user.s) }}", "2025 ab-c ", "....uuuuuu"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct rendering r = chat_render(table[i].source,
                                         "{\"user\": {\"s\": \" ab-c \", \"k\": [\"x\"], \"n\": 5}, \"own\": \"own\"}", NULL);
        if (!r.ok)
            fail_msg("%s: %s", table[i].source, r.err.text);
        char *marks = chat_marks(&r.out);
        if (!str_is(buf_view(&r.out.text), table[i].text) || (table[i].marks && strcmp(marks, table[i].marks) != 0))
            fail_msg("%s\ngives %s\n      %s", table[i].source, r.out.text.p, marks);
        free(marks);
        chat_drop(&r);
    }
}

/* ---- random conversations ---------------------------------------------------------------------------------------- */

static uint32_t dice(uint64_t *seed, uint32_t sides)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % sides;
}

static const char *const pieces[] = {"<|im_end|>", "<|im_start|>", "system\n", "Hello", " ", "\n", "é", "{{ x }}", "\"", "\\",
                                     "<|im_end", "|>", "</s>", "日本", "{% if %}", "'", "<think>", "</think>", "\t"};

static struct str random_text(uint64_t *seed, struct buf *b)
{
    buf_clear(b);
    for (uint32_t n = dice(seed, 12); n > 0; n--)
        buf_printf(b, "%s", pieces[dice(seed, sizeof pieces / sizeof *pieces)]);
    return buf_view(b);
}

/* {"messages": […], "tools": …, "add_generation_prompt": true}, as JSON text. */
static char *random_conversation(uint64_t *seed)
{
    static const char *const roles[] = {"system", "user", "assistant"};
    struct json_out         *w = json_out_new();
    struct buf               b, out;
    buf_init(&b, 0);
    buf_init(&out, 0);
    json_open(w, NULL, '{');
    json_open(w, "messages", '[');
    for (uint32_t n = 1 + dice(seed, 6), i = 0; i < n; i++) {
        json_open(w, NULL, '{');
        json_put_text(w, "role", roles[i == 0 ? dice(seed, 2) : 1 + dice(seed, 2)]);
        json_put_str(w, "content", random_text(seed, &b));
        json_close(w);
    }
    json_close(w);
    json_put_bool(w, "add_generation_prompt", dice(seed, 2));
    json_close(w);
    json_out_write(w, &out);
    json_out_free(w);
    buf_drop(&b);
    return buf_take(&out);
}

static unsigned count(struct str in, struct str what)
{
    unsigned n = 0;
    for (size_t at; (at = str_find(in, what)) != STR_NONE; n++)
        in = (struct str){in.p + at + what.n, in.n - at - what.n};
    return n;
}

/* All runs of one kind, in order, a zero byte between them. */
static void gather(const struct rendered *r, bool trusted, struct buf *out)
{
    size_t from = 0;
    buf_clear(out);
    for (size_t i = 0; i < r->n_run; from = r->run[i++].end)
        if (r->run[i].trusted == trusted) {
            buf_append(out, r->text.p + from, r->run[i].end - from);
            buf_char(out, '\0');
        }
}

/* How the template prints a message's text. */
enum style { PLAIN, TRIMMED, JSON };

struct subject {
    const char *source;
    enum style  style;
    unsigned    ends_extra;         /* "<|im_end|>" that the template writes beside one for each message */
};

static void check_render(const struct subject *s, const char *values, const struct rendered *r)
{
    struct buf       user, own, want;
    struct json_doc *doc;
    struct err       e;
    unsigned         n = 0;
    buf_init(&user, 0);
    buf_init(&own, 0);
    buf_init(&want, 0);
    gather(r, false, &user);
    gather(r, true, &own);
    assert_true(json_parse(&doc, str_of(values), &e));
    for (struct json_iter it = json_iter(json_get(json_root(doc), "messages")); json_next(&it); n++) {
        struct str text = json_str(json_get(it.value, "content"));
        buf_clear(&want);
        if (s->style == JSON)
            json_print(json_get(it.value, "content"), &want);
        else
            buf_str(&want, s->style == TRIMMED ? str_trim(text) : text);
        if (text.n && str_find(buf_view(&user), buf_view(&want)) == STR_NONE)
            fail_msg("%s\n%s\nlost: %s", s->source, values, want.p ? want.p : "");
    }
    if (count(buf_view(&own), STR("<|im_end|>")) != n + s->ends_extra)
        fail_msg("%s\n%s\na special token of the user's is trusted", s->source, values);
    json_free(doc);
    buf_drop(&user);
    buf_drop(&own);
    buf_drop(&want);
}

static char *smollm2(void)
{
    struct buf b;
    struct err e;
    buf_init(&b, 0);
    if (!file_read(&b, FIXTURES "/chat/HuggingFaceTB-SmolLM2-135M-Instruct.jinja", 1 << 20, &e))
        fail_msg("%s", e.text);
    return buf_take(&b);
}

static void conversations(void **state)
{
    (void)state;
    char                *real = smollm2();
    const struct subject subjects[] = {
        {"{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}", PLAIN, 0},
        {"{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}"
         "{% endfor %}", PLAIN, 0},
        {"{% for m in messages %}{{ '<|im_start|>%s\\n%s<|im_end|>' % (m.role, m.content|trim) }}{% endfor %}", TRIMMED, 0},
        {"{% for m in messages %}{{ '{}{}<|im_end|>'.format(m.role, m.content) }}{% endfor %}<|im_end|>", PLAIN, 1},
        {"{% macro show(m) %}{{ m.role }}:{{ m.content|tojson }}<|im_end|>{% endmacro %}"
         "{% for m in messages %}{{ show(m) }}{% endfor %}", JSON, 0},
        {"{% set ns = namespace(t='') %}{% for m in messages %}{% set ns.t = ns.t ~ m.content ~ '<|im_end|>' %}"
         "{% endfor %}{{ ns.t }}", PLAIN, 0},
        {"{{ messages|map(attribute='content')|join('<|im_end|>') }}<|im_end|>", PLAIN, 0},
        {"{% for m in messages %}{% set c = m.content %}{{ c[:3] }}{{ c[3:] ~ '<|im_end|>' }}{% endfor %}", PLAIN, 0},
        {"{% for m in messages %}{% set x %}{{ m.content }}<|im_end|>{% endset %}{{ x }}{% endfor %}", PLAIN, 0},
        {"{% for m in messages %}{{ (m.content ~ '<|im_end|>')|replace('@', '<|im_end|>') }}{% endfor %}", PLAIN, 0},
    };
    uint64_t seed = 42;
    for (unsigned turn = 0; turn < 2000; turn++) {
        char *values = random_conversation(&seed);
        const struct subject *s = &subjects[dice(&seed, sizeof subjects / sizeof *subjects)];
        struct rendering      r = chat_render(s->source, values, NULL);
        if (!r.ok)
            fail_msg("%s: %s", s->source, r.err.text);
        check_render(s, values, &r.out);
        chat_drop(&r);
        /* SmolLM2's own template: a message of its own when the first is none of the system's. */
        struct json_doc *doc;
        struct err       e;
        assert_true(json_parse(&doc, str_of(values), &e));
        json first = json_at(json_get(json_root(doc), "messages"), 0);
        r = chat_render(real, values, NULL);
        assert_true(r.ok);
        check_render(&(struct subject){real, PLAIN, json_is(json_get(first, "role"), "system") ? 0 : 1}, values, &r.out);
        chat_drop(&r);
        json_free(doc);
        free(values);
    }
    free(real);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_keeps_the_mark),
        cmocka_unit_test(conversations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
