/* vocab_gguf.h -- a tokenizer from the keys of a GGUF file ("tokenizer.ggml.…"). */
#ifndef APP_VOCAB_GGUF_H
#define APP_VOCAB_GGUF_H

#include "store/gguf.h"
#include "text/tokenizer.h"

/* ERR_UNSUPPORTED names the tokenizer model or pre-tokenizer that is not known here. */
MUST_USE bool vocab_from_gguf(struct tokenizer **out, const struct gguf *g, struct err *e);

#endif
