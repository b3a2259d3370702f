/* test_gguf_vocab.c -- every vocabulary that llama.cpp ships with texts and their ids: all of them come out.
 *
 * HEARTH_TEST_SDIST names the folder of the ggml-vocab-*.gguf (vendor/llama.cpp/models of the PyPI source package
 * llama-cpp-python 0.3.36). */
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/gguf.h"
#include "text/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const names[] = {
    "bert-bge",  "command-r", "deepseek-coder", "deepseek-llm", "falcon", "gemma-4", "gpt-2",     "llama-bpe",
    "llama-spm", "mpt",       "phi-3",          "qwen2",        "qwen35", "refact",  "starcoder",
};

static struct gguf_value array_of(const struct gguf *g, const char *key)
{
    struct gguf_value v;
    if (!gguf_find(g, key, &v) || !v.array)
        v = (struct gguf_value){0};
    return v;
}

static void fill_tokens(struct vocab *v, const struct gguf *g)
{
    struct gguf_value tokens = array_of(g, "tokenizer.ggml.tokens"), types = array_of(g, "tokenizer.ggml.token_type");
    struct gguf_value scores = array_of(g, "tokenizer.ggml.scores"), merges = array_of(g, "tokenizer.ggml.merges");
    const uint8_t    *at = tokens.p;
    v->n_token = tokens.n;
    v->token = mem_array(tokens.n + 1, sizeof *v->token);
    v->added = mem_array(tokens.n + 1, sizeof *v->added);
    v->score = scores.n ? mem_array(tokens.n + 1, sizeof *v->score) : NULL;
    for (size_t i = 0; i < tokens.n; i++) {
        int type = (int)gguf_array_num(&types, i);
        v->token[i] = gguf_array_str(&at);
        if (scores.n)
            v->score[i] = gguf_array_num(&scores, i);
        if (type >= 2 && type <= 4)
            v->added[v->n_added++] =
                (struct vocab_added){.id = (int32_t)i, .text = v->token[i], .special = type != 4};
    }
    at = merges.p;
    v->merge = mem_array(merges.n + 1, sizeof *v->merge);
    for (; v->n_merge < merges.n; v->n_merge++) {
        struct str line = gguf_array_str(&at), tail = {line.p + 1, line.n - 1};
        size_t     cut = str_find(tail, STR(" ")) + 1;
        v->merge[v->n_merge][0] = (struct str){line.p, cut};
        v->merge[v->n_merge][1] = (struct str){line.p + cut + 1, line.n - cut - 1};
    }
}

static struct tokenizer *load(const struct gguf *g, struct err *e)
{
    struct str        model = gguf_str(g, "tokenizer.ggml.model"), pre = gguf_str(g, "tokenizer.ggml.pre");
    struct vocab      v = {.unk = (int32_t)gguf_int(g, "tokenizer.ggml.unknown_token_id", -1), .bos = -1, .eos = -1};
    struct tokenizer *t = NULL;
    bool              ok = true;
    fill_tokens(&v, g);
    if (str_is(model, "llama")) {
        ok = vocab_spm(&v, gguf_bool(g, "tokenizer.ggml.add_space_prefix", true), e);
    } else if (str_is(model, "gpt2")) {
        char *name = mem_copy(pre.p, pre.n);
        ok = vocab_gpt2(&v, name, e);
        free(name);
    } else if (str_is(model, "gemma4")) {
        vocab_gemma4(&v);
    } else {
        vocab_bert(&v);
    }
    if (ok && !tokenizer_new(&t, &v, e))
        t = NULL;
    free(v.token);
    free(v.added);
    free(v.score);
    free(v.merge);
    return t;
}

static bool same(const struct tokenizer *t, struct str text, struct str want)
{
    struct ids   x = {0};
    struct err   e = {0};
    struct piece p = {text, false};
    struct buf   got, back;
    buf_init(&got, 0);
    buf_init(&back, 0);
    bool ok = tokenizer_encode(t, &p, 1, false, &x, &e);
    for (size_t i = 0; i < x.n; i++)
        buf_printf(&got, " %d", (int)x.id[i]);
    if (!ok || !str_eq(str_trim(buf_view(&got)), str_trim(want))) {
        printf("text \"%.*s\" %s\n  want %.*s\n  got %s\n", (int)text.n, text.p, e.text, (int)want.n, want.p,
               got.n ? got.p : "");
        ok = false;
    }
    buf_drop(&got);
    buf_drop(&back);
    ids_drop(&x);
    return ok;
}

static struct buf read_beside(const char *path, const char *ending)
{
    struct buf name, b;
    struct err e;
    buf_init(&name, 0);
    buf_init(&b, 0);
    buf_printf(&name, "%s%s", path, ending);
    if (!file_read(&b, name.p, 1 << 20, &e))
        fail_msg("%s", e.text);
    buf_drop(&name);
    return b;
}

/* Texts stand between marks in one file, the ids of each on a line of another. */
static unsigned wrong_in(const char *path, unsigned *n)
{
    const struct str mark = STR("\n__ggml_vocab_test__\n");
    struct file_map  map;
    struct gguf     *g;
    struct err       e = {0};
    if (!file_map(&map, path, &e) || !gguf_parse(&g, map.p, map.n, path, &e))
        fail_msg("%s", e.text);
    struct tokenizer *t = load(g, &e);
    if (!t)
        fail_msg("%s: %s", path, e.text);
    struct buf texts = read_beside(path, ".inp"), ids = read_beside(path, ".out");
    struct str rest = buf_view(&texts), lines = buf_view(&ids);
    unsigned   bad = 0;
    while (lines.n) {
        size_t cut = str_find(rest, mark), line = str_find(lines, STR("\n"));
        if (cut == STR_NONE)
            cut = rest.n;
        struct str want = {lines.p, line == STR_NONE ? lines.n : line};
        bad += !same(t, (struct str){rest.p, cut}, want);
        (*n)++;
        rest = (struct str){rest.p + cut + mark.n, rest.n - cut - mark.n};
        lines = (struct str){lines.p + want.n + (line != STR_NONE), lines.n - want.n - (line != STR_NONE)};
    }
    buf_drop(&texts);
    buf_drop(&ids);
    tokenizer_free(t);
    gguf_free(g);
    file_unmap(&map);
    return bad;
}

static void test_vocabularies(void **state)
{
    (void)state;
    const char *folder = getenv("HEARTH_TEST_SDIST");
    if (!folder)
        fail_msg("set HEARTH_TEST_SDIST to the folder of ggml-vocab-*.gguf (scripts/check does)");
    unsigned n = 0, bad = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        snprintf(name, sizeof name, "ggml-vocab-%s.gguf", names[i]);
        char    *path = path_join(folder, name);
        unsigned wrong = wrong_in(path, &n);
        if (wrong)
            printf("%s: %u wrong\n", names[i], wrong);
        bad += wrong;
        free(path);
    }
    printf("%zu vocabularies, %u texts, %u wrong\n", sizeof names / sizeof *names, n, bad);
    assert_int_equal(bad, 0);
    assert_true(n > 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vocabularies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
