/* test_steps.c -- each normalizer, pre-tokenizer and decoder by itself, against what the reference recorded. */
#include "fixture.h"

#include "text/normalize.h"
#include "text/split.h"
#include "text/tokenizer_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* A tokenizer.json that has nothing but the one step, and these tokens. */
static struct json_doc *wrap(json entry)
{
    struct json_out *w = json_out_new();
    json_open(w, NULL, '{');
    const char *kind = json_str(json_get(entry, "kind")).p;
    json_put(w, kind, json_get(entry, "step"));
    json_open(w, "model", '{');
    json_put_text(w, "type", "BPE");
    json_open(w, "merges", '[');
    json_close(w);
    json_open(w, "vocab", '{');
    int64_t id = 0;
    for (struct json_iter it = json_iter(json_get(entry, "tokens")); json_next(&it);)
        json_put_int(w, json_str(it.value).p, id++);
    json_close(w);
    json_close(w);
    json_close(w);
    struct buf       b;
    struct json_doc *doc;
    struct err       e;
    buf_init(&b, 0);
    json_out_write(w, &b);
    json_out_free(w);
    assert_true(json_parse(&doc, buf_view(&b), &e));
    buf_drop(&b);
    return doc;
}

static bool normalizes(const struct normalizer *x, struct pattern_run *run, json c)
{
    struct buf text, spare;
    struct err e = {0};
    buf_init(&text, 0);
    buf_init(&spare, 0);
    buf_str(&text, json_str(json_at(c, 0)));
    bool ok = normalizer_run(x, run, &text, &spare, &e) &&
              same_text(buf_view(&text), json_at(c, 1), json_str(json_at(c, 0)));
    buf_drop(&text);
    buf_drop(&spare);
    return ok;
}

static bool splits(const struct splitter *x, struct pattern_run *run, json c)
{
    struct words w;
    struct err   e = {0};
    words_init(&w, 0);
    words_set(&w, json_str(json_at(c, 0)), true);
    bool   ok = splitter_run(x, run, &w, &e);
    json   want = json_at(c, 1);
    size_t n = w.span.n < json_len(want) ? w.span.n : json_len(want);
    for (size_t i = 0; ok && i < n; i++) {
        struct span s = w.span.p[i];
        ok = same_text((struct str){w.text.p + s.from, s.to - s.from}, json_at(want, i), json_str(json_at(c, 0)));
    }
    if (ok && w.span.n != json_len(want)) {
        printf("%zu words of \"%s\", want %zu\n", w.span.n, json_str(json_at(c, 0)).p, json_len(want));
        ok = false;
    }
    words_drop(&w);
    return ok;
}

static bool decodes(const struct tokenizer *t, json c)
{
    struct ids x = ids_of(json_at(c, 0));
    struct buf b;
    buf_init(&b, 0);
    bool ok = tokenizer_decode(t, x.id, x.n, true, &b) && same_text(buf_view(&b), json_at(c, 1), STR("ids"));
    buf_drop(&b);
    ids_drop(&x);
    return ok;
}

static unsigned run_entry(json entry)
{
    struct json_doc    *doc = wrap(entry);
    struct arena        arena;
    struct vocab        v;
    struct err          e = {0};
    struct normalizer  *normalizer = NULL;
    struct splitter    *splitter = NULL;
    struct tokenizer   *t = NULL;
    struct pattern_run *run = pattern_run_new();
    unsigned            bad = 0;
    arena_init(&arena, 0);
    if (!vocab_from_json(&v, json_root(doc), &arena, &e) ||
        !normalizer_new(&normalizer, v.normalizer, v.n_normalizer, &e) ||
        !splitter_new(&splitter, v.pretokenizer, v.n_pretokenizer, &e) || !tokenizer_new(&t, &v, &e))
        fail_msg("%s", e.text);
    json kind = json_get(entry, "kind");
    for (struct json_iter it = json_iter(json_get(entry, "cases")); json_next(&it);)
        bad += json_is(kind, "normalizer")      ? !normalizes(normalizer, run, it.value)
               : json_is(kind, "pre_tokenizer") ? !splits(splitter, run, it.value)
                                                : !decodes(t, it.value);
    normalizer_free(normalizer);
    splitter_free(splitter);
    tokenizer_free(t);
    pattern_run_free(run);
    arena_drop(&arena);
    json_free(doc);
    return bad;
}

static void test_steps(void **state)
{
    (void)state;
    struct json_doc *doc = fixture_json("steps.json");
    unsigned         n = 0, bad = 0;
    for (struct json_iter it = json_iter(json_root(doc)); json_next(&it); n++) {
        unsigned   wrong = run_entry(it.value);
        struct buf b;
        buf_init(&b, 0);
        json_print(json_get(it.value, "step"), &b);
        if (wrong)
            printf("%u wrong: %s\n", wrong, b.p);
        buf_drop(&b);
        bad += wrong;
    }
    json_free(doc);
    printf("%u steps, %u cases wrong\n", n, bad);
    assert_true(n > 70);
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
