/* split.h -- a vocabulary's pre-tokenizer: text cut into words, each of which the model then takes by itself. */
#ifndef TEXT_SPLIT_H
#define TEXT_SPLIT_H

#include "text/pattern.h"
#include "text/vocab.h"

#include "base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct span {
    uint32_t from, to;
};

struct spans {
    struct span *p;
    size_t       n, room;
};

/* Text and the words in it, which may leave parts of it out.  `begins`: it stands where the whole text begins. */
struct words {
    struct buf   text;
    struct spans span;
    bool         begins;
    struct buf   spare_text;        /* work space of splitter_run() */
    struct spans spare_span;
    struct parts parts;
};

void words_init(struct words *w, size_t bytes_max);
void words_drop(struct words *w);
void words_set(struct words *w, struct str text, bool begins);      /* one word */

struct splitter;

MUST_USE bool splitter_new(struct splitter **out, const struct vocab_step *step, size_t n, struct err *e);
void          splitter_free(struct splitter *x);                    /* NULL is fine */
MUST_USE bool splitter_run(const struct splitter *x, struct pattern_run *r, struct words *w, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
