/* tokenizer.h -- text to token ids and back.
 *
 * Follows Hugging Face's tokenizers (0.23) exactly for what tokenizer.json can say, llama.cpp for GGUF vocabularies.
 * A tokenizer never changes after it is made: any number of threads may use it. */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include "text/vocab.h"

#include "base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tokenizer;

/* ERR_UNSUPPORTED names the part of the vocabulary that is not known here; ERR_CORRUPT what contradicts itself. */
MUST_USE bool tokenizer_new(struct tokenizer **out, const struct vocab *v, struct err *e);

/* From the bytes of a tokenizer.json. */
MUST_USE bool tokenizer_from_json(struct tokenizer **out, struct str text, struct err *e);
void          tokenizer_free(struct tokenizer *t);              /* NULL is fine */

struct ids {
    int32_t *id;
    size_t   n, room;
};
void ids_drop(struct ids *x);
void ids_push(struct ids *x, int32_t id);

/* A piece of a prompt.  Special-token text counts only where `trusted` (a chat template's own words); in what a user
 * wrote it is read as the characters it is made of. */
struct piece {
    struct str text;
    bool       trusted;
};

/* Appends the ids of the pieces, which are one text: nothing is cut at a seam, but a special token is only read where
 * it lies in trusted text with all its bytes.  (Where special tokens are looked for in normalized text, as Llama 2's
 * early files want it, a change of trust does cut.)  Tokens that are added but not special are read everywhere.  add_special:
 * the vocabulary's own bos and eos are put around it.  Ill-formed UTF-8 and text that is too hard for a pattern are
 * ERR_INVALID, over 64 MiB is ERR_TOO_LARGE; nothing is appended then. */
MUST_USE bool tokenizer_encode(const struct tokenizer *t, const struct piece *piece, size_t n, bool add_special,
                               struct ids *out, struct err *e);

/* Whole decoding at once, as tokenizers' decode(ids, skip_special_tokens=skip_special).  False: out is full, or the
 * vocabulary's own patterns gave up. */
bool tokenizer_decode(const struct tokenizer *t, const int32_t *id, size_t n, bool skip_special, struct buf *out);

size_t     tokenizer_len(const struct tokenizer *t);                    /* ids are below this */
int32_t    tokenizer_id(const struct tokenizer *t, struct str token);   /* -1: none; added tokens included */
bool       tokenizer_is_special(const struct tokenizer *t, int32_t id);
int32_t    tokenizer_bos(const struct tokenizer *t);                    /* -1: none */
int32_t    tokenizer_eos(const struct tokenizer *t);
struct str tokenizer_token(const struct tokenizer *t, int32_t id);    /* as the vocabulary spells it; {NULL, 0}: hole */

/* The bytes that one token stands for inside a text (logprobs' "bytes") and how many they are, VOCAB_TOKEN_BYTES_MAX at
 * most.  0: it stands for none, or room was too small. */
size_t tokenizer_bytes(const struct tokenizer *t, int32_t id, char *out, size_t room);

/* Streaming: the text of a growing list of ids, as it becomes certain.
 *
 * The concatenation of everything given out equals tokenizer_decode() of the whole list (ill-formed bytes as U+FFFD),
 * and no piece ends inside a character.  What later ids may still change is held back: with byte fallback that is a run
 * of byte tokens, to its end. */
struct detok;
struct detok *detok_new(const struct tokenizer *t, bool skip_special);
void          detok_free(struct detok *d);                              /* NULL is fine */
bool          detok_push(struct detok *d, int32_t id, struct buf *out); /* appends what became certain */
bool          detok_end(struct detok *d, struct buf *out);              /* appends the rest */

#ifdef __cplusplus
}
#endif
#endif
