/* vocab.c -- see vocab.h: what GGUF files leave to the reader. */
#include "text/vocab.h"

#define CUT(regexp)                                                                                                    \
    {.type = "Split", .pattern = {regexp, sizeof(regexp) - 1}, .regex = true, .behavior = "Isolated"},

/* Each list ends with the spelling of bytes, which Gemma 4's leaves off. */
#define PATTERNS(name, ...)                                                                                            \
    static const struct vocab_step steps_##name[] = {__VA_ARGS__{.type = "ByteLevel"}};
#define NAMED(...)
#include "text/pretokenizers.def"
#undef PATTERNS
#undef NAMED

struct named {
    const char              *name;
    const struct vocab_step *step;
    size_t                   n;
    bool                     whole;
};

static const struct named named[] = {
#define PATTERNS(...)
#define NAMED(name, patterns, whole)                                                                                   \
    {name, steps_##patterns, sizeof steps_##patterns / sizeof *steps_##patterns, whole},
#include "text/pretokenizers.def"
#undef PATTERNS
#undef NAMED
};

static const struct named *find(const char *name)
{
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (strcmp(named[i].name, name) == 0)
            return &named[i];
    return NULL;
}

bool vocab_pretokenizer(const char *name, const struct vocab_step **steps, size_t *n)
{
    const struct named *found = find(name);
    if (!found)
        return false;
    *steps = found->step;
    *n = found->n;
    return true;
}

#define VISIBLE {"\xE2\x96\x81", 3}
#define SPACE   {" ", 1}

static const struct vocab_step spell_bytes[] = {{.type = "ByteLevel"}};

static const struct vocab_step show_spaces[] = {
    {.type = "Prepend", .content = VISIBLE},
    {.type = "Replace", .pattern = SPACE, .content = VISIBLE},
};

static const struct vocab_step hide_spaces[] = {
    {.type = "Replace", .pattern = VISIBLE, .content = SPACE},
    {.type = "ByteFallback"},
    {.type = "Fuse"},
    {.type = "Strip", .content = SPACE, .start = 1},
};

static void show_and_hide_spaces(struct vocab *v, bool space_prefix)
{
    v->normalizer = show_spaces + !space_prefix;
    v->n_normalizer = 2 - !space_prefix;
    v->decoder = hide_spaces;
    v->n_decoder = 4 - !space_prefix;
}

bool vocab_gpt2(struct vocab *v, const char *pre, struct err *e)
{
    const struct named *found = find(pre);
    if (!found)
        return err_set(e, ERR_UNSUPPORTED, "the pre-tokenizer %s is not known here", pre);
    v->kind = VOCAB_BPE;
    v->ignore_merges = found->whole;
    v->pretokenizer = found->step;
    v->n_pretokenizer = found->n;
    v->decoder = spell_bytes;
    v->n_decoder = 1;
    return true;
}

void vocab_gemma4(struct vocab *v)
{
    v->kind = VOCAB_BPE;
    v->byte_fallback = true;
    v->pretokenizer = steps_LINES;
    v->n_pretokenizer = 1;
    show_and_hide_spaces(v, false);
}

bool vocab_spm(struct vocab *v, bool space_prefix, struct err *e)
{
    if (v->n_merge)
        return err_set(e, ERR_CORRUPT, "a vocabulary that goes by scores has merges");
    v->kind = VOCAB_SPM;
    v->byte_fallback = true;
    show_and_hide_spaces(v, space_prefix);
    return true;
}

void vocab_bert(struct vocab *v)
{
    static const struct vocab_step normalizer[] = {
        {.type = "BertNormalizer", .lowercase = true, .strip_accents = true, .handle_chinese = true,
         .clean_text = true},
    };
    static const struct vocab_step pretokenizer[] = {
        {.type = "BertPreTokenizer"},
        {.type = "Metaspace", .prepend_scheme = "always", .no_split = true},
    };
    static const struct vocab_step decoder[] = {{.type = "Metaspace", .prepend_scheme = "always"}, {.type = "Fuse"}};
    v->kind = VOCAB_WORDPIECE;
    v->word_prefix = (struct str){"", 0};
    v->word_chars_max = 200;
    v->normalizer = normalizer;
    v->n_normalizer = 1;
    v->pretokenizer = pretokenizer;
    v->n_pretokenizer = 2;
    v->decoder = decoder;
    v->n_decoder = 2;
}
