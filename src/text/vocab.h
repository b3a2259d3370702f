/* vocab.h -- everything a tokenizer knows, as a plain struct.  Filled from tokenizer.json (text/tokenizer_json.h) or from
 * GGUF keys (app), read by tokenizer_new(), which copies what it needs. */
#ifndef TEXT_VOCAB_H
#define TEXT_VOCAB_H

#include "base/err.h"
#include "base/str.h"

#ifdef __cplusplus
extern "C" {
#endif

enum vocab_kind {
    VOCAB_BPE,          /* merges by rank; byte-level (GPT-2's byte alphabet) or SentencePiece-like with byte fallback */
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

/* One step of a normaliser, pre-tokenizer or decoder, in order; `type` is tokenizer.json's name for it.  Only the fields
 * that its type has are read. */
struct vocab_step {
    const char *type;
    struct str  pattern, content;       /* a regex or literal, and what replaces it or is prepended */
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
    struct vocab_step  *normalizer, *pretokenizer, *decoder;
    size_t              n_normalizer, n_pretokenizer, n_decoder;
};

#ifdef __cplusplus
}
#endif
#endif
