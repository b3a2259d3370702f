/* normalize.h -- a vocabulary's normalizer: what is done to text before it is cut into words. */
#ifndef TEXT_NORMALIZE_H
#define TEXT_NORMALIZE_H

#include "text/pattern.h"
#include "text/vocab.h"

#include "base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct normalizer;

MUST_USE bool normalizer_new(struct normalizer **out, const struct vocab_step *step, size_t n, struct err *e);
void          normalizer_free(struct normalizer *x);    /* NULL is fine */

/* Rewrites *text (valid UTF-8 before and after); *spare is another buffer, whose bytes are lost. */
MUST_USE bool normalizer_run(const struct normalizer *x, struct pattern_run *r, struct buf *text, struct buf *spare,
                             struct err *e);

#ifdef __cplusplus
}
#endif
#endif
