/* coder.h -- how one word becomes ids: the four kinds of vocabulary over the same tables. */
#ifndef TEXT_CODER_H
#define TEXT_CODER_H

#include "text/lexicon.h"
#include "text/map.h"
#include "text/tokenizer.h"
#include "text/trie.h"

#ifdef __cplusplus
extern "C" {
#endif

struct coder {
    enum vocab_kind kind;
    bool            byte_fallback, ignore_merges, fuse_unk;
    int32_t         unk;
    struct lexicon    names;              /* no special token is in it: ordinary text never becomes one */
    int32_t         byte_id[256];       /* "<0x0A>" and so on; -1: none */
    struct map      merge;              /* BPE: left id << 32 | right id -> rank, id */
    uint32_t       *rank;               /* SPM: [n_token] by score, 0 best; equal scores share one */
    const double   *score;              /* unigram: [n_token] borrowed */
    double          unk_score;
    struct trie     trie;               /* unigram */
    struct str      word_prefix;        /* WordPiece, borrowed */
    uint32_t        word_chars_max;
    size_t          token_bytes_max;
};

/* `all` knows every token; token[] holds them without the special ones (holes there).  Both must outlive the model, as
 * must v->score and the prefix.  ERR_CORRUPT, ERR_UNSUPPORTED. */
MUST_USE bool coder_init(struct coder *m, const struct vocab *v, const struct lexicon *all, const struct str *token,
                         struct err *e);
void          coder_drop(struct coder *m);

/* Work space of one thread, reused from word to word. */
struct bpe_symbol;
struct bpe_join;
struct unigram_node;
struct coder_run {
    struct bpe_symbol   *symbol;
    size_t               n_symbol, room_symbol;
    struct bpe_join     *join;
    size_t               n_join, room_join;
    struct unigram_node *node;
    size_t               room_node;
    struct buf           text;
};
void coder_run_drop(struct coder_run *r);

/* Appends the ids of one word. */
void coder_encode(const struct coder *m, struct coder_run *r, struct str word, struct ids *out);

/* Each kind's own part of these. */
MUST_USE bool bpe_init(struct coder *m, const struct vocab *v, const struct lexicon *all, struct err *e);
void          spm_init(struct coder *m, const struct vocab *v);
void          bpe_encode(const struct coder *m, struct coder_run *r, struct str word, struct ids *out);
void          unigram_init(struct coder *m, const struct vocab *v, const struct str *token);
void          unigram_encode(const struct coder *m, struct coder_run *r, struct str word, struct ids *out);
void          wordpiece_encode(const struct coder *m, struct coder_run *r, struct str word, struct ids *out);

/* Appends the ids of the bytes of s, if the vocabulary has them all. */
bool coder_encode_bytes(const struct coder *m, struct str s, struct ids *out);

/* Bytes of the character at the front of s, which is not empty; 1 where there is none. */
size_t coder_char(struct str s);

#ifdef __cplusplus
}
#endif
#endif
