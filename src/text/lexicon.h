/* lexicon.h -- token ids by spelling. */
#ifndef TEXT_LEXICON_H
#define TEXT_LEXICON_H

#include "base/str.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The spellings are borrowed; token[] must outlive it. */
struct lexicon {
    const struct str *token;
    uint32_t         *slot;     /* id + 1; 0: free */
    size_t            mask;
};

/* A spelling that occurs twice belongs to its highest id.  Holes ({NULL, 0}) are left out. */
void    lexicon_init(struct lexicon *x, const struct str *token, size_t n);
void    lexicon_drop(struct lexicon *x);
int32_t lexicon_find(const struct lexicon *x, struct str s);    /* -1: none */

#ifdef __cplusplus
}
#endif
#endif
