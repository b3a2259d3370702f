/* The parts of `hearth bench serve` that need no server: prompts, answers, results, the plot. */
#include "app/bench_answer.h"
#include "app/bench_plot.h"
#include "app/bench_prompt.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- prompts ----------------------------------------------------------------------------------------------------- */

static unsigned count_words(const struct buf *b)
{
    unsigned n = b->n > 0;
    for (size_t i = 0; i < b->n; i++)
        n += b->p[i] == ' ';
    return n;
}

static size_t common(const struct buf *a, const struct buf *b)
{
    size_t n = 0;
    while (n < a->n && n < b->n && a->p[n] == b->p[n])
        n++;
    return n;
}

static void write(const struct bench_prompt *p, uint64_t i, struct buf *out)
{
    buf_clear(out);
    bench_prompt_write(p, i, out);
}

static void prompts_share_what_they_shall_and_no_more(void **state)
{
    (void)state;
    struct bench_prompt p = {.seed = 7, .tokens_per_word = 1, .tokens = 60, .shared_tokens = 40}, alone = p, other = p;
    struct buf          a, b, shared;
    buf_init(&a, 0);
    buf_init(&b, 0);
    buf_init(&shared, 0);
    alone.tokens = 41;
    write(&alone, 1, &shared);
    for (uint64_t i = 0; i < 50; i++) {
        write(&p, i, &a);
        write(&p, i, &b);
        assert_true(str_eq(buf_view(&a), buf_view(&b)));
        assert_int_equal(count_words(&a), 60);
        write(&p, i + 1, &b);
        struct buf prefix = {.p = a.p, .n = common(&a, &b)};
        assert_in_range(count_words(&prefix), 40, 46);
        assert_true(common(&a, &shared) >= 40);
    }
    other.seed = 8;
    write(&other, 1, &b);
    assert_true(common(&a, &b) < 30);
    buf_drop(&a);
    buf_drop(&b);
    buf_drop(&shared);
}

static void prompts_are_as_long_as_calibration_says(void **state)
{
    (void)state;
    struct bench_prompt p = {.seed = 1, .tokens_per_word = 1.25, .tokens_around = 30, .tokens = 130};
    struct buf          a;
    buf_init(&a, 0);
    assert_int_equal(bench_prompt_words(&p), 80);
    write(&p, 3, &a);
    assert_int_equal(count_words(&a), 80);
    p.tokens = 10;                  /* less than the template: a word all the same */
    assert_int_equal(bench_prompt_words(&p), 1);
    p.shared_tokens = 9;
    write(&p, 3, &a);
    assert_int_equal(count_words(&a), bench_prompt_words(&p));
    buf_drop(&a);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static struct bench_answer answer_to(const char *const *event, size_t n, struct samples *gaps)
{
    struct bench_answer a = {.asked_ns = 1000};
    for (size_t i = 0; i < n; i++)
        bench_answer_event(&a, str_of(event[i]), (i + 1) * 1000000, gaps);
    return a;
}

#define ANSWER(gaps, ...) \
    answer_to((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), gaps)

static void answers_of_both_kinds(void **state)
{
    (void)state;
    struct samples gaps;
    struct err     e;
    assert_true(samples_init(&gaps, 10, &e));
    struct bench_answer a = ANSWER(&gaps, "{\"choices\":[{\"text\":\"a\",\"finish_reason\":null}],\"usage\":null}",
                                   "{\"choices\":[{\"text\":\"\"}]}", "{\"choices\":[{\"text\":\"b\"}]}",
                                   "{\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,"
                                   "\"prompt_tokens_details\":{\"cached_tokens\":4}}}", "[DONE]");
    assert_true(a.ended && !a.error[0] && a.pieces == 2 && a.first_ns == 1000000 && a.last_ns == 3000000);
    assert_true(a.has_usage && a.has_cached && a.prompt_tokens == 9 && a.cached_tokens == 4);
    assert_int_equal(bench_answer_tokens(&a), 3);
    assert_true(gaps.n == 1 && gaps.v[0] == 2);
    a = ANSWER(NULL, "{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}",
               "{\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}", "{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}",
               "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}");
    assert_true(a.ended && !a.has_usage && a.pieces == 2 && a.first_ns == 2000000);
    assert_int_equal(bench_answer_tokens(&a), 2);
    samples_drop(&gaps);
}

static void answers_that_go_wrong(void **state)
{
    (void)state;
    struct bench_answer a = ANSWER(NULL, "{\"error\":{\"message\":\"out of\\nluck\"}}");
    assert_string_equal(a.error, "out of luck");
    a = ANSWER(NULL, "{\"choices\":[{\"text\":\"a\"}]}", "{cut");
    assert_string_equal(a.error, "an event is no JSON");
    a = ANSWER(NULL, "{\"choices\":[{\"text\":\"a\"}],\"error\":null}");
    assert_true(!a.error[0] && !a.ended);
    a = ANSWER(NULL, "[]", "7", "{\"choices\":7,\"usage\":{}}", "{\"choices\":[{\"text\":7,\"delta\":[]}]}");
    assert_true(!a.error[0] && !a.ended && a.pieces == 0 && !a.has_usage);
    char text[20];
    bench_answer_message(STR("{\"detail\":\"no such thing\"}"), text, sizeof text);
    assert_string_equal(text, "no such thing");
    bench_answer_message(STR("<html>\r\nmuch too long for here"), text, sizeof text);
    assert_string_equal(text, "<html>  much too lo");
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static struct bench_result some_result(const char *label, double scale)
{
    struct bench_result r = {.ok = 10, .prompt_tokens = 1000, .cached_tokens = 250, .answer_tokens = 400, .pieces = 400,
                             .by_usage = true, .has_cached = true, .seconds = 4 * scale, .client_cpu_s = 0.1};
    struct samples      s;
    struct err          e;
    bench_result_label(&r, str_of(label));
    assert_true(samples_init(&s, 101, &e));
    for (int i = 0; i < 101; i++)
        samples_add(&s, scale * (10 + i));
    r.first_ms = r.gap_ms = r.whole_ms = samples_spread(&s);
    samples_drop(&s);
    return r;
}

static void a_result_comes_back_from_its_json(void **state)
{
    (void)state;
    struct bench_result r = some_result("one & two", 1), back;
    struct bench_errors x = {.timeout = 2, .status[500] = 1, .first = "oh"};
    struct json_out    *w = json_out_new();
    struct json_doc    *d;
    struct buf          text;
    struct err          e;
    buf_init(&text, 0);
    json_open(w, NULL, '{');
    bench_result_put(&r, &x, w);
    json_close(w);
    json_out_write(w, &text);
    assert_true(json_parse(&d, buf_view(&text), &e));
    assert_true(json_num_or(json_get(json_root(d), "answer_tok_s"), 0) == 100);
    assert_true(json_num_or(json_get(json_root(d), "cached_percent"), 0) == 25);
    assert_int_equal(json_int_or(json_get(json_get(json_get(json_root(d), "errors"), "http"), "500"), 0), 1);
    assert_true(bench_result_get(&back, json_root(d), &e));
    assert_string_equal(back.label, "one & two");
    assert_true(back.ok == 10 && back.seconds == 4 && back.has_cached && back.by_usage && back.cached_tokens == 250);
    assert_memory_equal(&back.gap_ms, &r.gap_ms, sizeof r.gap_ms);
    assert_false(bench_result_get(&back, json_get(json_root(d), "errors"), &e));
    json_free(d);
    json_out_free(w);
    buf_clear(&text);
    bench_errors_text(&x, &text);
    assert_string_equal(text.p, "2 timeouts, 1 HTTP 500");
    buf_drop(&text);
}

static void a_table_lines_up(void **state)
{
    (void)state;
    struct bench_result r[3] = {some_result("short", 1), some_result("a label that is longer than its column", 2),
                                some_result("grüße", 1)};
    struct buf          text;
    r[2].has_cached = false;
    buf_init(&text, 0);
    bench_result_table(r, 3, &text);
    for (const char *at = text.p, *end; *at; at = end + 1) {
        size_t width = 0;
        end = strchr(at, '\n');
        assert_non_null(end);
        for (const char *c = at; c < end; c++)
            width += (*c & 0xC0) != 0x80;
        assert_int_equal(width, 33 + 2 + 12 + 2 + 20 + 2 + 12);
    }
    assert_non_null(strstr(text.p, "a label that is long "));
    assert_non_null(strstr(text.p, " -\n"));
    buf_drop(&text);
}

static void labels_are_cut_at_characters(void **state)
{
    (void)state;
    struct bench_result r;
    bench_result_label(&r, STR("0123456789012345678901234567890123456789more"));
    assert_string_equal(r.label, "0123456789012345678901234567890123456789");
    bench_result_label(&r, STR("012345678901234567890123456789012345678\xC3\xBC"));
    assert_string_equal(r.label, "012345678901234567890123456789012345678");
    bench_result_label(&r, STR("a\x1b[1m\n"));
    assert_string_equal(r.label, "a [1m ");
}

/* ---- the plot ---------------------------------------------------------------------------------------------------- */

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

/* As much XML as can be told without a parser: tags are closed, no number is none, texts are escaped. */
static void check_svg(const struct buf *svg, unsigned n)
{
    assert_int_equal(count(svg->p, "<svg "), 1);
    assert_true(str_ends(buf_view(svg), STR("</svg>\n")));
    assert_int_equal(count(svg->p, "<text "), count(svg->p, "</text>"));
    assert_int_equal(count(svg->p, "<"), count(svg->p, ">"));
    assert_int_equal(count(svg->p, "nan") + count(svg->p, "inf"), 0);
    assert_int_equal(count(svg->p, "<rect "), 1 + n + 3 * n);
}

static void a_plot_of_one_and_of_nine(void **state)
{
    (void)state;
    struct bench_result r[BENCH_PLOT_MAX];
    for (int i = 0; i < BENCH_PLOT_MAX; i++)
        r[i] = some_result(i ? "a <label> & \"more\" \xFF" : "plain", pow(3, i));
    for (unsigned n = 1; n <= BENCH_PLOT_MAX; n++) {
        struct buf svg;
        buf_init(&svg, 0);
        bench_plot_svg(r, n, "sub < title\x01", &svg);
        check_svg(&svg, n);
        assert_int_equal(count(svg.p, "<polyline "), 2 * n);
        assert_int_equal(count(svg.p, "sub &#60; title "), 1);
        buf_drop(&svg);
    }
}

/* Ticks come with as many digits and as far apart as they can be read. */
static void an_axis_names_its_ends(void **state)
{
    (void)state;
    struct bench_result r = some_result("x", 1);            /* 10 … 110 ms */
    struct buf          svg;
    buf_init(&svg, 0);
    bench_plot_svg(&r, 1, "", &svg);
    assert_int_equal(count(svg.p, ">10 ms<"), 2);
    assert_int_equal(count(svg.p, ">20 ms<"), 2);
    assert_int_equal(count(svg.p, ">200 ms<"), 2);
    assert_int_equal(count(svg.p, ">500 ms<"), 0);
    buf_drop(&svg);
    r = some_result("x", 0);                                /* all of it 0 */
    bench_plot_svg(&r, 1, "", &svg);
    check_svg(&svg, 1);
    buf_drop(&svg);
}

static void a_plot_of_nothing(void **state)
{
    (void)state;
    struct bench_result r = {.label = "none"};
    struct samples      s = {0};
    struct buf          svg;
    r.first_ms = r.gap_ms = r.whole_ms = samples_spread(&s);
    buf_init(&svg, 0);
    bench_plot_svg(&r, 1, "", &svg);
    check_svg(&svg, 1);
    assert_int_equal(count(svg.p, "<polyline "), 0);
    buf_clear(&svg);
    bench_result_table(&r, 1, &svg);
    assert_int_equal(count(svg.p, "nan"), 0);
    buf_drop(&svg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_share_what_they_shall_and_no_more),
        cmocka_unit_test(prompts_are_as_long_as_calibration_says),
        cmocka_unit_test(answers_of_both_kinds),
        cmocka_unit_test(answers_that_go_wrong),
        cmocka_unit_test(a_result_comes_back_from_its_json),
        cmocka_unit_test(a_table_lines_up),
        cmocka_unit_test(labels_are_cut_at_characters),
        cmocka_unit_test(a_plot_of_one_and_of_nine),
        cmocka_unit_test(an_axis_names_its_ends),
        cmocka_unit_test(a_plot_of_nothing),
    };
    return cmocka_run_group_tests_name("app/bench", tests, NULL, NULL);
}
