/* charsmap.h -- SentencePiece's compiled table of replacements ("precompiled_charsmap"): a double-array trie from short
 * texts to places in a list of NUL-ended texts. */
#ifndef TEXT_CHARSMAP_H
#define TEXT_CHARSMAP_H

#include "base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct charsmap;

/* bytes: size of the trie (32 bits, little end first), the trie's units, the texts.  Copied. */
MUST_USE bool charsmap_new(struct charsmap **out, struct str bytes, struct err *e);
void          charsmap_free(struct charsmap *m);        /* NULL is fine */

/* Appends s (valid UTF-8) with its parts replaced: a grapheme cluster of up to five bytes as a whole if the table has
 * it, else character by character. */
void charsmap_run(const struct charsmap *m, struct str s, struct buf *out);

#ifdef __cplusplus
}
#endif
#endif
