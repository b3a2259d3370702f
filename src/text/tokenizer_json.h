/* tokenizer_json.h -- Hugging Face's tokenizer.json, read into a struct vocab. */
#ifndef TEXT_TOKENIZER_JSON_H
#define TEXT_TOKENIZER_JSON_H

#include "text/vocab.h"

#include "base/arena.h"
#include "base/json.h"

#ifdef __cplusplus
extern "C" {
#endif

/* *out borrows from root's document and from the arena.  bos and eos are what the post-processor puts around a text, if
 * that is one token each; -1 else (tokenizer_config.json knows more).  ERR_CORRUPT, ERR_UNSUPPORTED. */
MUST_USE bool vocab_from_json(struct vocab *out, json root, struct arena *a, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
