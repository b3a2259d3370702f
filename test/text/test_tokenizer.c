/* test_tokenizer.c -- whole tokenizers against what the reference recorded, and what must hold for any of them. */
#include "fixture.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const names[] = {"bpe",    "spm",   "wordpiece", "unigram", "llama2",
                                    "mistral", "gpt2", "smollm",    "unigram2"};
enum { N_NAMES = sizeof names / sizeof *names };

static struct tokenizer *load(const char *name)
{
    char file[64];
    snprintf(file, sizeof file, "%s.tokenizer.json", name);
    return fixture_tokenizer(file);
}

static bool encodes_to(const struct tokenizer *t, struct str text, bool trusted, bool add_special, json want)
{
    struct ids   x = {0};
    struct err   e = {0};
    struct piece p = {text, trusted};
    bool         ok = tokenizer_encode(t, &p, 1, add_special, &x, &e);
    if (!ok)
        printf("%s\n", e.text);
    ok = ok && same_ids(&x, want, text);
    ids_drop(&x);
    return ok;
}

/* Decoded at once and id by id: both are the text, and no piece ends inside a character. */
static bool decodes_to(const struct tokenizer *t, json ids, bool skip_special, json want)
{
    struct ids x = ids_of(ids);
    struct buf at_once, streamed, piece;
    buf_init(&at_once, 0);
    buf_init(&streamed, 0);
    buf_init(&piece, 0);
    bool          ok = tokenizer_decode(t, x.id, x.n, skip_special, &at_once);
    struct detok *d = detok_new(t, skip_special);
    for (size_t i = 0; i <= x.n; i++) {
        buf_clear(&piece);
        ok = (i < x.n ? detok_push(d, x.id[i], &piece) : detok_end(d, &piece)) && ok;
        ok = ok && utf8_valid(buf_view(&piece));
        buf_str(&streamed, buf_view(&piece));
    }
    detok_free(d);
    ok = ok && same_text(buf_view(&at_once), want, STR("ids")) && str_eq(buf_view(&at_once), buf_view(&streamed));
    buf_drop(&at_once);
    buf_drop(&streamed);
    buf_drop(&piece);
    ids_drop(&x);
    return ok;
}

static void test_goldens(void **state)
{
    (void)state;
    unsigned n = 0, bad = 0;
    for (int i = 0; i < 4; i++) {
        char file[64];
        snprintf(file, sizeof file, "%s.goldens.json", names[i]);
        struct tokenizer *t = load(names[i]);
        struct json_doc  *doc = fixture_json(file);
        for (struct json_iter it = json_iter(json_root(doc)); json_next(&it); n++) {
            struct str text = json_str(json_get(it.value, "text"));
            json       ids = json_get(it.value, "ids"), bare = json_get(it.value, "ids_nospecial");
            bool       ok = encodes_to(t, text, true, true, ids) && encodes_to(t, text, true, false, bare) &&
                      decodes_to(t, bare, true, json_get(it.value, "decoded")) &&
                      decodes_to(t, ids, false, json_get(it.value, "decoded_keep"));
            bad += !ok;
        }
        json_free(doc);
        tokenizer_free(t);
    }
    printf("%u goldens, %u wrong\n", n, bad);
    assert_int_equal(bad, 0);
    assert_int_equal(n, 64);
}

static bool case_holds(const struct tokenizer *t, json c)
{
    struct str text = json_str(json_get(c, "text"));
    bool       ok = encodes_to(t, text, true, true, json_get(c, "ids"));
    ok = encodes_to(t, text, true, false, json_get(c, "ids_nospecial")) && ok;
    ok = encodes_to(t, text, false, false, json_get(c, "ids_untrusted")) && ok;
    ok = decodes_to(t, json_get(c, "ids"), true, json_get(c, "decoded")) && ok;
    ok = decodes_to(t, json_get(c, "ids"), false, json_get(c, "decoded_keep")) && ok;
    ok = decodes_to(t, json_get(c, "random"), true, json_get(c, "random_decoded")) && ok;
    return decodes_to(t, json_get(c, "random"), false, json_get(c, "random_keep")) && ok;
}

static void test_recorded(void **state)
{
    (void)state;
    unsigned all_bad = 0;
    for (int i = 0; i < N_NAMES; i++) {
        char file[64];
        snprintf(file, sizeof file, "%s.cases.json", names[i]);
        struct tokenizer *t = load(names[i]);
        struct json_doc  *doc = fixture_json(file);
        unsigned          n = 0, bad = 0;
        for (struct json_iter it = json_iter(json_root(doc)); json_next(&it); n++)
            bad += !case_holds(t, it.value);
        printf("%s: %u recorded cases, %u wrong\n", names[i], n, bad);
        assert_int_equal(n, 200);
        all_bad += bad;
        json_free(doc);
        tokenizer_free(t);
    }
    assert_int_equal(all_bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
