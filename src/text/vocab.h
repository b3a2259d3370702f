/* vocab.h -- everything a tokenizer knows, as a plain struct.  Filled from tokenizer.json (text/tokenizer_json.h) or
 * from GGUF keys (app), read by tokenizer_new(), which copies what it needs. */
#ifndef TEXT_VOCAB_H
#define TEXT_VOCAB_H

#include "base/err.h"
#include "base/str.h"

#ifdef __cplusplus
extern "C" {
#endif

enum vocab_kind {
    VOCAB_BPE,          /* merges by rank; byte-level (GPT-2's alphabet) or SentencePiece-like with byte fallback */
    VOCAB_UNIGRAM,      /* Viterbi over scores */
    VOCAB_WORDPIECE,    /* greedy longest match, "##" continuations */
    VOCAB_SPM,          /* SentencePiece BPE as GGUF carries it: no merges, pairs joined by best score */
};

/* A token's place in the text around it, as tokenizer.json's added_tokens have it. */
struct vocab_added {
    int32_t    id;
    struct str text;
    bool       special, single_word, lstrip, rstrip, normalized;
};

enum {
    VOCAB_TOKEN_BYTES_MAX = 4096,       /* of one token's spelling; real ones reach 1024 */
    VOCAB_STEPS_MAX = 64,               /* of one normaliser, pre-tokenizer or decoder */
};

/* One step of a normaliser, pre-tokenizer or decoder, in order; `type` is tokenizer.json's name for it.  Only the
 * fields that its type has are read. */
struct vocab_step {
    const char *type;
    struct str  pattern, content;       /* a regex or literal, and what replaces it or is prepended */
    /* content is also: Metaspace's sign for a space, WordPiece's prefix, Strip's character, Precompiled's bytes */
    bool        regex;                  /* pattern is a regular expression */
    const char *behavior;               /* Split: Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous */
    bool        invert, add_prefix_space, use_regex, trim_offsets, individual_digits, cleanup;
    bool        lowercase, strip_accents, handle_chinese, clean_text, strip_left, strip_right;
    const char *prepend_scheme;         /* Metaspace: always, first, never */
    bool        no_split;               /* Metaspace: the words stay whole */
    int32_t     start, stop;            /* Strip decoder */
};

struct vocab {
    enum vocab_kind kind;
    bool            byte_fallback, ignore_merges, fuse_unk;
    struct str     *token;              /* [n_token] {NULL, 0}: a hole in the numbering */
    double         *score;              /* [n_token] or NULL */
    size_t          n_token;
    struct str    (*merge)[2];          /* [n_merge] best first */
    size_t          n_merge;
    int32_t         unk, bos, eos;      /* -1: none */
    bool            add_bos, add_eos;   /* what encoding a whole text with specials puts around it… */
    int32_t        *before, *after;     /* …where it is more than one token: then these are put, bos and eos are not */
    size_t          n_before, n_after;
    struct str      word_prefix;        /* WordPiece continuation, "##" */
    uint32_t        word_chars_max;     /* WordPiece: longer words are unk */
    struct vocab_added *added;
    size_t              n_added;
    const struct vocab_step *normalizer, *pretokenizer, *decoder;
    size_t              n_normalizer, n_pretokenizer, n_decoder;
};

/* A GGUF file holds tokens, types, scores or merges, and names the rest.  Fill in
 *   token, n_token   tokenizer.ggml.tokens
 *   unk, bos, eos    tokenizer.ggml.{unknown,bos,eos}_token_id, -1 where absent
 *   add_bos          tokenizer.ggml.add_bos_token; absent: true for a "llama" vocabulary, else false
 *   add_eos          tokenizer.ggml.add_eos_token; absent: false
 *   added            those of tokenizer.ggml.token_type 2 (unknown), 3 (control): special; 4 (user's own): not special;
 *                    all with normalized = false.  The bytes' tokens (6) need nothing: their spelling tells.
 *   merge, n_merge   tokenizer.ggml.merges, each cut at its first space behind the first byte
 *   score            tokenizer.ggml.scores (model "llama" only)
 * and then call the one for tokenizer.ggml.model: it sets the kind, the steps and the flags. */

/* "gpt2": pre is tokenizer.ggml.pre ("default" where absent).  ERR_UNSUPPORTED: its name is not known. */
MUST_USE bool vocab_gpt2(struct vocab *v, const char *pre, struct err *e);

/* "llama": space_prefix is tokenizer.ggml.add_space_prefix, true where absent. */
MUST_USE bool vocab_spm(struct vocab *v, bool space_prefix, struct err *e);

/* "gemma4" (merges as gpt2 has them), and "bert". */
void vocab_gemma4(struct vocab *v);
void vocab_bert(struct vocab *v);

/* The steps of a pre-tokenizer that GGUF files name (pretokenizers.def).  False: not known. */
bool vocab_pretokenizer(const char *name, const struct vocab_step **steps, size_t *n);


#ifdef __cplusplus
}
#endif
#endif
