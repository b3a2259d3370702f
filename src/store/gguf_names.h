/* gguf_names.h -- a GGUF file in Hugging Face's words: the tables of gguf_names.def, applied. */
#ifndef STORE_GGUF_NAMES_H
#define STORE_GGUF_NAMES_H

#include "store/gguf.h"

#include "base/buf.h"
#include "base/json.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The file's config.json, as an object.  ERR_UNSUPPORTED: an architecture, a kind of file (an adapter) or a setting not known here; ERR_CORRUPT: a key that is missing or makes no sense.  Messages name it. */
MUST_USE bool gguf_config(const struct gguf *g, struct json_doc **out, struct err *e);

/* Appends the Hugging Face name of a tensor of g (NULL: of any architecture); its own when the tables do not have it. */
void gguf_name(const struct gguf *g, struct str name, struct buf *out);

#ifdef __cplusplus
}
#endif
#endif
