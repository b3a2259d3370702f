/* coder.c -- see coder.h. */
#include "text/coder.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void find_bytes(struct coder *m)
{
    for (unsigned b = 0; b < 256; b++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", b);
        m->byte_id[b] = lexicon_find(&m->names, str_of(text));
    }
}

static bool check(const struct vocab *v, struct err *e)
{
    if (v->kind > VOCAB_SPM)
        return err_set(e, ERR_UNSUPPORTED, "a vocabulary of kind %d", (int)v->kind);
    if ((v->kind == VOCAB_UNIGRAM || v->kind == VOCAB_SPM) && !v->score)
        return err_set(e, ERR_CORRUPT, "a vocabulary that goes by scores has none");
    if ((v->kind == VOCAB_UNIGRAM || v->kind == VOCAB_WORDPIECE) && v->unk < 0)
        return err_set(e, ERR_UNSUPPORTED, "a unigram or WordPiece vocabulary without a token for the unknown");
    for (size_t i = 0; v->score && i < v->n_token; i++)
        if (!isfinite(v->score[i]))
            return err_set(e, ERR_CORRUPT, "the score of token %zu is no number", i);
    return true;
}

bool coder_init(struct coder *m, const struct vocab *v, const struct lexicon *all, const struct str *token,
                struct err *e)
{
    if (!check(v, e))
        return false;
    *m = (struct coder){
        .kind = v->kind,
        .byte_fallback = v->byte_fallback,
        .ignore_merges = v->ignore_merges,
        .fuse_unk = v->fuse_unk,
        .unk = v->unk,
        .score = v->score,
        .word_prefix = v->word_prefix,
        .word_chars_max = v->word_chars_max,
    };
    for (size_t i = 0; i < v->n_token; i++)
        if (token[i].n > m->token_bytes_max)
            m->token_bytes_max = token[i].n;
    lexicon_init(&m->names, token, v->n_token);
    find_bytes(m);
    bool ok = true;
    if (v->kind == VOCAB_BPE)
        ok = bpe_init(m, v, all, e);
    else if (v->kind == VOCAB_SPM)
        spm_init(m, v);
    else if (v->kind == VOCAB_UNIGRAM)
        unigram_init(m, v, token);
    if (!ok)
        coder_drop(m);
    return ok;
}

void coder_drop(struct coder *m)
{
    lexicon_drop(&m->names);
    free(m->merge.slot);
    free(m->rank);
    if (m->trie.id)
        trie_drop(&m->trie);
    *m = (struct coder){0};
}

void coder_run_drop(struct coder_run *r)
{
    free(r->symbol);
    free(r->join);
    free(r->node);
    buf_drop(&r->text);
    *r = (struct coder_run){0};
}

void coder_encode(const struct coder *m, struct coder_run *r, struct str word, struct ids *out)
{
    switch (m->kind) {
    case VOCAB_BPE:
    case VOCAB_SPM:
        bpe_encode(m, r, word, out);
        break;
    case VOCAB_UNIGRAM:
        unigram_encode(m, r, word, out);
        break;
    case VOCAB_WORDPIECE:
        wordpiece_encode(m, r, word, out);
        break;
    }
}

bool coder_encode_bytes(const struct coder *m, struct str s, struct ids *out)
{
    for (size_t i = 0; i < s.n; i++)
        if (m->byte_id[(uint8_t)s.p[i]] < 0)
            return false;
    for (size_t i = 0; i < s.n; i++)
        ids_push(out, m->byte_id[(uint8_t)s.p[i]]);
    return true;
}

size_t coder_char(struct str s)
{
    uint8_t c = (uint8_t)s.p[0];
    size_t  n = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    return n < s.n ? n : s.n;
}
