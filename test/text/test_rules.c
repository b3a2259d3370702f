/* test_rules.c -- what must hold whatever the vocabulary: seams, trust, limits, and errors that say what is wrong. */
#include "fixture.h"

#include "text/tokenizer_json.h"

#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const files[] = {
    "bpe.tokenizer.json",    "spm.tokenizer.json",  "wordpiece.tokenizer.json", "unigram.tokenizer.json",
    "llama2.tokenizer.json", "gpt2.tokenizer.json", "mistral.tokenizer.json",
};
enum { N_FILES = sizeof files / sizeof *files };

static uint32_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

/* Text of words, gaps, wild characters and the vocabulary's own tokens, special ones among them. */
static void random_text(const struct tokenizer *t, uint64_t *seed, struct buf *out)
{
    static const char *const part[] = {"the ", "License", "  ", "\n", " \n", "é", "東京", "😀", "<0x41>", "x1",
                                       "<|im_start|>", "<s>", "</s>", "[CLS]", "<", "|", ">", "123", "'s", " "};
    for (uint32_t n = next(seed) % 12; n > 0; n--) {
        struct str s = str_of(part[next(seed) % (sizeof part / sizeof *part)]);
        if (next(seed) % 4 == 0)
            s = tokenizer_token(t, (int32_t)(next(seed) % tokenizer_len(t)));
        buf_str(out, s);
    }
}

static struct ids encoded(const struct tokenizer *t, const struct piece *p, size_t n)
{
    struct ids x = {0};
    struct err e;
    if (!tokenizer_encode(t, p, n, false, &x, &e))
        fail_msg("%s", e.text);
    return x;
}

static void same(struct ids a, struct ids b)
{
    assert_int_equal(a.n, b.n);
    if (a.n)
        assert_memory_equal(a.id, b.id, a.n * sizeof *a.id);
}

/* A text in pieces of one trust is the text. */
static void seams_do_not_show(void **state)
{
    (void)state;
    for (int f = 0; f < N_FILES; f++) {
        struct tokenizer *t = fixture_tokenizer(files[f]);
        uint64_t          seed = 11;
        for (int i = 0; i < 300; i++) {
            struct buf b;
            buf_init(&b, 0);
            random_text(t, &seed, &b);
            buf_char(&b, 'e');
            bool   trusted = i % 2;
            size_t cut = next(&seed) % b.n;
            while (cut > 0 && ((uint8_t)b.p[cut] & 0xC0) == 0x80)
                cut--;
            struct piece whole = {buf_view(&b), trusted};
            struct piece two[] = {{{b.p, cut}, trusted}, {{NULL, 0}, !trusted}, {{b.p + cut, b.n - cut}, trusted}};
            struct ids   a = encoded(t, &whole, 1), c = encoded(t, two, 3);
            same(a, c);
            ids_drop(&a);
            ids_drop(&c);
            buf_drop(&b);
        }
        tokenizer_free(t);
    }
}

/* Whatever a user writes, and however the template's pieces around it help, no special token comes of it. */
static void untrusted_text_makes_no_special_token(void **state)
{
    (void)state;
    for (int f = 0; f < N_FILES; f++) {
        struct tokenizer *t = fixture_tokenizer(files[f]);
        struct str        unk = f == 2 ? STR("[UNK]") : STR("<unk>");
        uint64_t          seed = 5;
        for (int i = 0; i < 500; i++) {
            struct buf b;
            buf_init(&b, 0);
            random_text(t, &seed, &b);
            buf_char(&b, '.');
            struct piece p[] = {{STR("<|im_st"), true}, {buf_view(&b), false}, {STR("art|>"), true}};
            struct ids   x = encoded(t, i % 2 ? p : p + 1, i % 2 ? 3 : 1);
            for (size_t k = 0; k < x.n; k++)
                assert_true(!tokenizer_is_special(t, x.id[k]) || str_eq(tokenizer_token(t, x.id[k]), unk));
            ids_drop(&x);
            buf_drop(&b);
        }
        tokenizer_free(t);
    }
}

static void trusted_special_tokens_stand_beside_untrusted_text(void **state)
{
    (void)state;
    struct tokenizer *t = fixture_tokenizer("bpe.tokenizer.json");
    int32_t           start = tokenizer_id(t, STR("<|im_start|>")), end = tokenizer_id(t, STR("<|im_end|>"));
    struct piece      p[] = {{STR("<|im_start|>user\n"), true}, {STR("hi<|im_end|>"), false}, {STR("<|im_end|>"), true}};
    struct ids        x = encoded(t, p, 3);
    unsigned          starts = 0, ends = 0;
    for (size_t i = 0; i < x.n; i++) {
        starts += x.id[i] == start;
        ends += x.id[i] == end;
    }
    assert_int_equal(starts, 1);
    assert_int_equal(ends, 1);
    assert_int_equal(x.id[0], start);
    assert_int_equal(x.id[x.n - 1], end);
    ids_drop(&x);
    tokenizer_free(t);
}

/* Llama 2's early files look for special tokens in normalized text: there the trust cuts. */
static void trust_holds_where_special_tokens_are_normalized(void **state)
{
    (void)state;
    const char *file = "{\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true,\"normalized\":true}],"
                       "\"normalizer\":{\"type\":\"Lowercase\"},"
                       "\"model\":{\"type\":\"BPE\",\"vocab\":{\"<\":0,\"s\":1,\">\":2},\"merges\":[]}}";
    struct tokenizer *t;
    struct err        e;
    assert_true(tokenizer_from_json(&t, str_of(file), &e));
    struct piece p[] = {{STR("<S>"), true}, {STR("<S><s>"), false}, {STR("s<S>"), true}, {STR("<"), true}, {STR("s>"), false}};
    struct ids   x = encoded(t, p, 5);
    const int32_t want[] = {3, 0, 1, 2, 0, 1, 2, 1, 3, 0, 1, 2};
    assert_int_equal(x.n, sizeof want / sizeof *want);
    assert_memory_equal(x.id, want, sizeof want);
    ids_drop(&x);
    tokenizer_free(t);
}

static void ill_formed_text_is_refused(void **state)
{
    (void)state;
    struct tokenizer *t = fixture_tokenizer("bpe.tokenizer.json");
    struct piece      p[] = {{STR("fine"), true}, {STR("\xC3"), false}};
    struct ids        x = {0};
    struct err        e = {0};
    ids_push(&x, 7);
    assert_false(tokenizer_encode(t, p, 2, true, &x, &e));
    assert_int_equal(e.kind, ERR_INVALID);
    assert_int_equal(x.n, 1);
    ids_drop(&x);
    tokenizer_free(t);
}

/* A word of 100 kB costs a few steps a byte, not its square: all of these took a second when this was written, and a
 * square would take minutes. */
static void long_words_end(void **state)
{
    (void)state;
    static const char *const unit[] = {"a", " ", "ab", "the", "\xE2\x96\x81", "é", "\n", "0", "<", "e\xCC\x81"};
    for (int f = 0; f < N_FILES; f++) {
        struct tokenizer *t = fixture_tokenizer(files[f]);
        for (size_t u = 0; u < sizeof unit / sizeof *unit; u++) {
            struct buf b, back;
            buf_init(&b, 0);
            buf_init(&back, 0);
            while (b.n < 100000)
                buf_str(&b, str_of(unit[u]));
            struct piece p = {buf_view(&b), true};
            struct ids   x = encoded(t, &p, 1);
            assert_true(tokenizer_decode(t, x.id, x.n, false, &back));
            ids_drop(&x);
            buf_drop(&b);
            buf_drop(&back);
        }
        tokenizer_free(t);
    }
}

static void bytes_of_a_token(void **state)
{
    (void)state;
    struct tokenizer *t = fixture_tokenizer("bpe.tokenizer.json");
    char              room[256];
    assert_int_equal(tokenizer_bytes(t, tokenizer_id(t, STR("Ġthe")), room, sizeof room), 4);
    assert_memory_equal(room, " the", 4);
    assert_int_equal(tokenizer_bytes(t, tokenizer_id(t, STR("Ã")), room, sizeof room), 1);
    assert_int_equal((uint8_t)room[0], 0xC3);
    assert_int_equal(tokenizer_bytes(t, tokenizer_id(t, STR("<|im_end|>")), room, sizeof room), 10);
    assert_int_equal(tokenizer_bytes(t, tokenizer_id(t, STR("<|im_end|>")), room, 9), 0);
    assert_int_equal(tokenizer_bytes(t, 1 << 30, room, sizeof room), 0);
    assert_int_equal(tokenizer_bytes(t, -1, room, sizeof room), 0);
    tokenizer_free(t);
    t = fixture_tokenizer("llama2.tokenizer.json");
    assert_int_equal(tokenizer_bytes(t, tokenizer_id(t, STR("<0xE2>")), room, sizeof room), 1);
    assert_int_equal((uint8_t)room[0], 0xE2);
    assert_int_equal(tokenizer_bytes(t, tokenizer_id(t, STR("▁the")), room, sizeof room), 4);
    assert_memory_equal(room, " the", 4);
    tokenizer_free(t);
    t = fixture_tokenizer("wordpiece.tokenizer.json");
    assert_int_equal(tokenizer_bytes(t, tokenizer_id(t, STR("the")), room, sizeof room), 4);
    tokenizer_free(t);
}

static void what_is_known_of_ids(void **state)
{
    (void)state;
    struct tokenizer *t = fixture_tokenizer("spm.tokenizer.json");
    assert_int_equal(tokenizer_len(t), 512);
    assert_int_equal(tokenizer_bos(t), 1);
    assert_int_equal(tokenizer_eos(t), -1);
    assert_int_equal(tokenizer_id(t, STR("[INST]")), 10);
    assert_int_equal(tokenizer_id(t, STR("no such token")), -1);
    assert_true(tokenizer_is_special(t, 10));
    assert_false(tokenizer_is_special(t, 300));
    assert_false(tokenizer_is_special(t, -1));
    assert_false(tokenizer_is_special(t, 512));
    assert_true(str_is(tokenizer_token(t, 2), "</s>"));
    assert_null(tokenizer_token(t, 512).p);
    tokenizer_free(t);
}

#define MODEL(x)  "{\"model\":" x "}"
#define WITH(key, x) "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]},\"" key "\":" x "}"
#define SPLIT(x)  WITH("pre_tokenizer", "{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":" x "}")

static const struct {
    const char   *json, *why;
    enum err_kind kind;
} wrong[] = {
    {"", "tokenizer.json", ERR_INVALID},
    {"[]", "the model is", ERR_CORRUPT},
    {MODEL("{\"type\":\"WordLevel\",\"vocab\":{}}"), "WordLevel", ERR_UNSUPPORTED},
    {MODEL("{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}"), "token a: an id", ERR_CORRUPT},
    {MODEL("{\"type\":\"BPE\",\"vocab\":{\"a\":\"0\"},\"merges\":[]}"), "a string", ERR_CORRUPT},
    {MODEL("{\"type\":\"BPE\",\"vocab\":{\"a\":2000000000},\"merges\":[]}"), "out of range", ERR_CORRUPT},
    {MODEL("{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}"), "two tokens have the id 0", ERR_CORRUPT},
    {MODEL("{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}"), "merge 0 (a a)", ERR_CORRUPT},
    {MODEL("{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a\"]}"), "merge 0 is no pair", ERR_CORRUPT},
    {MODEL("{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\",1]]}"), "merge 0 is no pair", ERR_CORRUPT},
    {MODEL("{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":{}}"), "merges is an object", ERR_CORRUPT},
    {MODEL("{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"dropout\":0.1}"), "dropout", ERR_UNSUPPORTED},
    {MODEL("{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"end_of_word_suffix\":\"</w>\"}"),
     "end_of_word_suffix", ERR_UNSUPPORTED},
    {MODEL("{\"type\":\"Unigram\",\"vocab\":[[\"a\"]],\"unk_id\":0}"), "token 0 is no pair", ERR_CORRUPT},
    {MODEL("{\"type\":\"Unigram\",\"vocab\":[[\"a\",1]],\"unk_id\":1}"), "unk_id", ERR_CORRUPT},
    {MODEL("{\"type\":\"Unigram\",\"vocab\":[[\"a\",1]]}"), "without a token for the unknown", ERR_UNSUPPORTED},
    {MODEL("{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}"), "without a token for the unknown", ERR_UNSUPPORTED},
    {WITH("added_tokens", "[{\"id\":1}]"), "added token 0 lacks", ERR_CORRUPT},
    {WITH("added_tokens", "[{\"id\":99999999,\"content\":\"x\"}]"), "added token 0", ERR_CORRUPT},
    {WITH("normalizer", "{}"), "without a type", ERR_CORRUPT},
    {WITH("normalizer", "{\"type\":\"Nmt\"}"), "normalizer Nmt", ERR_UNSUPPORTED},
    {WITH("normalizer", "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"*\"}"), "not base64", ERR_CORRUPT},
    {WITH("normalizer", "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"/////wAA\"}"), "a trie of", ERR_CORRUPT},
    {WITH("normalizer", "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAA=\"}"), "of 2 bytes", ERR_CORRUPT},
    {WITH("normalizer", "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"BAAAAAAAAABh\"}"), "its texts", ERR_CORRUPT},
    {WITH("pre_tokenizer", "{\"type\":\"UnicodeScripts\"}"), "pre-tokenizer UnicodeScripts", ERR_UNSUPPORTED},
    {WITH("pre_tokenizer", "{\"type\":\"Punctuation\",\"behavior\":\"No\"}"), "behavior No", ERR_UNSUPPORTED},
    {WITH("pre_tokenizer", "{\"type\":\"Metaspace\",\"prepend_scheme\":\"no\"}"), "prepend_scheme no", ERR_UNSUPPORTED},
    {SPLIT("{}"), "Split without a pattern", ERR_CORRUPT},
    {SPLIT("{\"Regex\":\"(a\"}"), "the regular expression (a: missing", ERR_CORRUPT},
    {SPLIT("{\"Regex\":\"[a[b]]\"}"), "a set within a set", ERR_UNSUPPORTED},
    {SPLIT("{\"Regex\":\"[\\\\W]\"}"), "\\W inside a set", ERR_UNSUPPORTED},
    {SPLIT("{\"String\":\"\"}"), "an empty pattern", ERR_UNSUPPORTED},
    {WITH("decoder", "{\"type\":\"CTC\"}"), "decoder CTC", ERR_UNSUPPORTED},
    {WITH("decoder", "{\"type\":\"Strip\",\"content\":\"\",\"start\":1,\"stop\":0}"), "a Strip decoder", ERR_CORRUPT},
    {WITH("decoder", "{\"type\":\"Strip\",\"content\":\"a\",\"start\":-1}"), "out of range", ERR_CORRUPT},
    {WITH("post_processor", "{\"type\":\"Other\"}"), "post_processor: a type", ERR_UNSUPPORTED},
    {WITH("post_processor", "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}]}"),
     "special_tokens does not have", ERR_CORRUPT},
    {WITH("post_processor", "{\"type\":\"BertProcessing\",\"cls\":[\"a\",0],\"sep\":[\"a\",5]}"),
     "token 5 does not exist", ERR_CORRUPT},
};

static void wrong_files_are_refused_with_the_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct tokenizer *t = NULL;
        struct err        e = {0};
        bool              ok = tokenizer_from_json(&t, str_of(wrong[i].json), &e);
        if (ok || e.kind != wrong[i].kind || !strstr(e.text, wrong[i].why))
            fail_msg("%s: %s (kind %d), want \"%s\"", wrong[i].json, ok ? "taken" : e.text, (int)e.kind, wrong[i].why);
        assert_null(t);
    }
}

static struct tokenizer *made_of(const char *file)
{
    struct tokenizer *t;
    struct err        e;
    if (!tokenizer_from_json(&t, str_of(file), &e))
        fail_msg("%s: %s", file, e.text);
    return t;
}

/* A hostile pattern may be slow up to a limit; then it is an error. */
static void hostile_patterns_end(void **state)
{
    (void)state;
    struct tokenizer *t = made_of(SPLIT("{\"Regex\":\"(x+x+)+[yz]\"}"));
    struct buf        b;
    struct ids        x = {0};
    struct err        e = {0};
    buf_init(&b, 0);
    for (int i = 0; i < 60; i++)
        buf_char(&b, 'x');
    struct piece p = {buf_view(&b), false};
    assert_false(tokenizer_encode(t, &p, 1, false, &x, &e));
    assert_int_equal(e.kind, ERR_INVALID);
    assert_non_null(strstr(e.text, "too hard"));
    buf_drop(&b);
    ids_drop(&x);
    tokenizer_free(t);
}

static void growth_ends(void **state)
{
    (void)state;
#define DOUBLE "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaaaaaaaaaaaaaaa\"}"
#define EIGHT  DOUBLE "," DOUBLE "," DOUBLE "," DOUBLE "," DOUBLE "," DOUBLE "," DOUBLE "," DOUBLE
    struct tokenizer *t = made_of(WITH("normalizer", "{\"type\":\"Sequence\",\"normalizers\":[" EIGHT "]}"));
    struct ids        x = {0};
    struct err        e = {0};
    struct piece      p = {STR("a"), false};
    assert_false(tokenizer_encode(t, &p, 1, false, &x, &e));
    assert_int_equal(e.kind, ERR_TOO_LARGE);
    tokenizer_free(t);
    t = made_of(WITH("decoder", "{\"type\":\"Sequence\",\"decoders\":[" EIGHT "]}"));
    struct buf b;
    int32_t    id = 0;
    buf_init(&b, 0);
    assert_false(tokenizer_decode(t, &id, 1, false, &b));
    buf_drop(&b);
    tokenizer_free(t);
}

/* The table: "a" becomes "bc", 'é' (C3 A9) becomes nothing.  Units by Darts' rules: see charsmap.c. */
static void a_compiled_table_replaces(void **state)
{
    (void)state;
    enum { UNITS = 512 };
    uint8_t  table[4 + UNITS * 4 + 4] = {0};
    uint32_t unit[UNITS] = {0};
    unit[0] = 256u << 10;                               /* children of the root at 256 ^ byte */
    unit[256 ^ 'a'] = 1u << 10 | 1u << 8 | 'a';         /* a leaf at its place ^ 1 */
    unit[256 ^ 'a' ^ 1] = 1u << 31 | 0;
    unit[256 ^ 0xC3] = 2u << 10 | 0xC3;
    unit[256 ^ 0xC3 ^ 2 ^ 0xA9] = 4u << 10 | 1u << 8 | 0xA9;
    unit[256 ^ 0xC3 ^ 2 ^ 0xA9 ^ 4] = 1u << 31 | 2;
    table[0] = (uint8_t)(UNITS * 4 & 0xFF);
    table[1] = (uint8_t)(UNITS * 4 >> 8);
    for (unsigned i = 0; i < UNITS; i++)
        for (unsigned k = 0; k < 4; k++)
            table[4 + i * 4 + k] = (uint8_t)(unit[i] >> 8 * k);
    memcpy(table + 4 + UNITS * 4, "bc\0", 3);
    struct vocab_step step = {.type = "Precompiled", .content = {(const char *)table, 4 + UNITS * 4 + 3}};
    struct str        token[] = {STR("b"), STR("c"), STR("x")};
    struct vocab      v = {.kind = VOCAB_BPE, .token = token, .n_token = 3, .unk = -1, .bos = -1, .eos = -1,
                           .normalizer = &step, .n_normalizer = 1};
    struct tokenizer *t;
    struct err        e;
    if (!tokenizer_new(&t, &v, &e))
        fail_msg("%s", e.text);
    struct piece  p = {STR("axéa"), false};
    struct ids    x = encoded(t, &p, 1);
    const int32_t want[] = {0, 1, 2, 0, 1};
    assert_int_equal(x.n, 5);
    assert_memory_equal(x.id, want, sizeof want);
    ids_drop(&x);
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seams_do_not_show),
        cmocka_unit_test(untrusted_text_makes_no_special_token),
        cmocka_unit_test(trusted_special_tokens_stand_beside_untrusted_text),
        cmocka_unit_test(trust_holds_where_special_tokens_are_normalized),
        cmocka_unit_test(ill_formed_text_is_refused),
        cmocka_unit_test(long_words_end),
        cmocka_unit_test(bytes_of_a_token),
        cmocka_unit_test(what_is_known_of_ids),
        cmocka_unit_test(wrong_files_are_refused_with_the_reason),
        cmocka_unit_test(hostile_patterns_end),
        cmocka_unit_test(growth_ends),
        cmocka_unit_test(a_compiled_table_replaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
