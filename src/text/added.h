/* added.h -- tokens that are looked for in the text itself, before the model sees it: special ones and a user's own. */
#ifndef TEXT_ADDED_H
#define TEXT_ADDED_H

#include "text/trie.h"
#include "text/vocab.h"

#include "base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tokens by what they are looked for as.  The tokens are borrowed. */
struct added {
    struct trie               trie;     /* -> place in token[] */
    const struct vocab_added *token;
    bool                      any_special;
};

void added_init(struct added *a, const struct vocab_added *token);
void added_drop(struct added *a);
void added_put(struct added *a, struct str text, int32_t at);   /* text finds token[at]; an empty one is left out */

/* Where text may be read as special tokens: from..to, in order, apart from each other. */
struct trust {
    size_t from, to;
};

/* A walk over a text: zeroed but for the first four. */
struct added_walk {
    const struct added *added;
    struct str          text;
    const struct trust *trust;
    size_t              n_trust;
    size_t              at, done;       /* where to look on; up to where everything was handed out */
    size_t              from, to;       /* what was found; `id` is -1 for text between tokens */
    int32_t             id;
    bool                found;          /* a token waits behind the text before it */
    size_t              next_from, next_to;
    int32_t             next_id;
};

/* The next part of the text, in order.  False: that was all. */
bool added_next(struct added_walk *w);

#ifdef __cplusplus
}
#endif
#endif
