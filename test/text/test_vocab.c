/* test_vocab.c -- vocabularies as GGUF files have them: scores instead of merges, pre-tokenizers by name. */
#include "fixture.h"

#include "text/split.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct tokenizer *made(const struct vocab *v)
{
    struct tokenizer *t;
    struct err        e;
    if (!tokenizer_new(&t, v, &e))
        fail_msg("%s", e.text);
    return t;
}

static void encodes(const struct tokenizer *t, struct str text, bool trusted, bool add_special, const char *want)
{
    struct ids   x = {0};
    struct err   e;
    struct piece p = {text, trusted};
    struct buf   b;
    buf_init(&b, 0);
    if (!tokenizer_encode(t, &p, 1, add_special, &x, &e))
        fail_msg("%s", e.text);
    for (size_t i = 0; i < x.n; i++)
        buf_printf(&b, i ? " %d" : "%d", (int)x.id[i]);
    assert_string_equal(x.n ? b.p : "", want);
    buf_drop(&b);
    ids_drop(&x);
}

static void decodes(const struct tokenizer *t, const int32_t *id, size_t n, const char *want)
{
    struct buf b;
    buf_init(&b, 0);
    assert_true(tokenizer_decode(t, id, n, true, &b));
    assert_string_equal(b.p, want);
    buf_drop(&b);
}

/* "<s>", "</s>" and some pairs of "▁ab" by score: "ab" before "▁a". */
static void pairs_are_joined_by_score(void **state)
{
    (void)state;
    struct str         token[] = {STR("<unk>"), STR("<s>"), STR("</s>"),  STR("<0xC3>"), STR("<0xA9>"), STR("▁"),
                                  STR("a"),     STR("b"),   STR("▁a"),    STR("ab"),     STR("▁ab"),    STR("aa"),
                                  STR("s"),     STR("<"),   STR(">"),     STR("<s"),     STR("▁▁")};
    double             score[] = {0, 0, 0, 0, 0, -9, -9, -9, -2, -1, -3, -1, -9, -9, -9, -4, -1};
    struct vocab_added added[] = {{.id = 1, .text = STR("<s>"), .special = true},
                                  {.id = 2, .text = STR("</s>"), .special = true}};
    struct vocab       v = {.token = token, .score = score, .n_token = 17, .added = added, .n_added = 2, .unk = 0,
                            .bos = 1, .eos = 2, .add_bos = true, .add_eos = true};
    struct err         e;
    assert_true(vocab_spm(&v, true, &e));
    struct tokenizer *t = made(&v);
    encodes(t, STR("ab"), false, false, "10");
    encodes(t, STR("aab"), false, true, "1 5 11 7 2");          /* of two equal scores the left one */
    encodes(t, STR("a  b é"), false, false, "8 16 7 5 3 4");    /* an unknown character is its bytes */
    encodes(t, STR("東"), false, false, "5 0");                  /* …or unknown, if those are missing */
    encodes(t, STR("<s>a</s>"), true, false, "1 8 2");
    encodes(t, STR("<s>"), false, false, "5 15 14");            /* scores would have it: "<s" and ">" are "<s>" */
    decodes(t, (const int32_t[]){1, 8, 3, 4, 16, 7}, 6, "aé  b");
    struct buf big;
    buf_init(&big, 0);
    for (int i = 0; i < 40; i++)
        buf_str(&big, STR("ab"));
    struct ids   x = {0};
    struct piece p = {buf_view(&big), false};
    assert_true(tokenizer_encode(t, &p, 1, false, &x, &e));
    assert_int_equal(x.n, 40);
    assert_int_equal(x.id[0], 10);
    assert_int_equal(x.id[39], 9);
    ids_drop(&x);
    buf_drop(&big);
    tokenizer_free(t);
}

static void bert_puts_words_together(void **state)
{
    (void)state;
    struct str   token[] = {STR("[UNK]"), STR("▁he"), STR("llo"), STR("▁,"), STR("▁東"), STR("e")};
    struct vocab v = {.token = token, .n_token = 6, .unk = 0, .bos = -1, .eos = -1};
    vocab_bert(&v);
    struct tokenizer *t = made(&v);
    encodes(t, STR("Hello,he 東Hé xyz"), false, false, "1 2 3 1 4 1 0");
    decodes(t, (const int32_t[]){1, 2, 3, 1}, 4, "hello , he");
    tokenizer_free(t);
}

static void lines_are_words_for_gemma4(void **state)
{
    (void)state;
    struct str   token[] = {STR("▁"), STR("a"), STR("▁a"), STR("\n"), STR("\n\n"), STR("a\n")};
    struct str   merge[][2] = {{STR("a"), STR("\n")}, {STR("▁"), STR("a")}, {STR("\n"), STR("\n")}};
    struct vocab v = {.token = token, .n_token = 6, .merge = merge, .n_merge = 3, .unk = -1, .bos = -1, .eos = -1};
    vocab_gemma4(&v);
    struct tokenizer *t = made(&v);
    encodes(t, STR("a a\n\n a"), false, false, "1 2 4 2");      /* "a\n" is two words */
    decodes(t, (const int32_t[]){1, 2, 4, 2}, 4, "a a\n\n a");
    tokenizer_free(t);
}

static void pretokenizers_are_found_by_name(void **state)
{
    (void)state;
    static const char *const name[] = {"default", "llama-bpe", "qwen2",  "qwen35", "smollm", "deepseek-v3",
                                       "gpt-4o",  "tekken",    "falcon", "gpt-2",  "gemma4", "seed-coder"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        const struct vocab_step *step;
        size_t                   n;
        struct splitter         *s;
        struct err               e;
        assert_true(vocab_pretokenizer(name[i], &step, &n));
        if (!splitter_new(&s, step, n, &e))
            fail_msg("%s: %s", name[i], e.text);
        splitter_free(s);
    }
    const struct vocab_step *step;
    size_t                   n;
    struct vocab             v = {0};
    struct err               e = {0};
    assert_false(vocab_pretokenizer("no-such", &step, &n));
    assert_false(vocab_gpt2(&v, "no-such", &e));
    assert_int_equal(e.kind, ERR_UNSUPPORTED);
    assert_non_null(strstr(e.text, "no-such"));
    assert_true(vocab_gpt2(&v, "llama-bpe", &e));
    assert_true(v.ignore_merges);
    assert_true(vocab_gpt2(&v, "smollm", &e));
    assert_false(v.ignore_merges);
}

static void refused(const struct vocab *v, enum err_kind kind, const char *why)
{
    struct tokenizer *t = NULL;
    struct err        e = {0};
    assert_false(tokenizer_new(&t, v, &e));
    assert_int_equal(e.kind, kind);
    if (!strstr(e.text, why))
        fail_msg("%s, want %s", e.text, why);
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    struct str         token[] = {STR("a"), STR("b")}, merge[][2] = {{STR("a"), STR("b")}};
    double             score[] = {0, NAN};
    struct vocab_added added = {.id = -1, .text = STR("x")};
    struct vocab_step  step = {.type = "Prepend", .content = {"\xFF", 1}};
    struct vocab       v = {.kind = VOCAB_SPM, .token = token, .n_token = 2, .unk = -1, .bos = -1, .eos = -1};
    struct vocab       x = v;
    struct err         e;
    refused(&x, ERR_CORRUPT, "has none");
    x.score = score;
    refused(&x, ERR_CORRUPT, "the score of token 1");
    x = v, x.kind = VOCAB_BPE, x.unk = 2;
    refused(&x, ERR_CORRUPT, "token 2 does not exist");
    x = v, x.kind = VOCAB_BPE, x.bos = -2;
    refused(&x, ERR_CORRUPT, "token -2 does not exist");
    x = v, x.kind = VOCAB_BPE, x.added = &added, x.n_added = 1;
    refused(&x, ERR_CORRUPT, "added token 0: id -1");
    x = v, x.kind = VOCAB_BPE, x.normalizer = &step, x.n_normalizer = 1;
    refused(&x, ERR_CORRUPT, "normalizer: Prepend has a text that is no UTF-8");
    x = v, x.kind = VOCAB_BPE, x.merge = merge, x.n_merge = 1;
    refused(&x, ERR_CORRUPT, "merge 0 (a b)");
    assert_false(vocab_spm(&x, true, &e));
    x = v, x.kind = (enum vocab_kind)9;
    refused(&x, ERR_UNSUPPORTED, "of kind 9");
    token[1].n = VOCAB_TOKEN_BYTES_MAX + 1;
    x = v, x.kind = VOCAB_BPE;
    refused(&x, ERR_UNSUPPORTED, "token 1 is of 4097 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_joined_by_score),       cmocka_unit_test(bert_puts_words_together),
        cmocka_unit_test(lines_are_words_for_gemma4),      cmocka_unit_test(pretokenizers_are_found_by_name),
        cmocka_unit_test(contradictions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
