/* shown.h -- what a sequence's prompt shows: pictures among its tokens.
 *
 * Three questions are answered here.  What is a block's content beside its tokens (kv.h: seen)?  Where are tokens for the
 * model's positions, which spread over a picture and go on behind it?  And which rows can be read now: only those whose
 * features are there, and of a picture whose tokens see each other all or none.
 *
 * Made on the submitter's thread; from then on the engine's. */
#ifndef ENGINE_SHOWN_H
#define ENGINE_SHOWN_H

#include "engine/engine.h"
#include "engine/gallery.h"
#include "engine/kv.h"

struct shown {
    struct media    media;          /* its own copies */
    struct kv_seen *seen;           /* [n_seen] of the prompt's blocks */
    uint32_t        n_seen;
    uint32_t       *pos;            /* [AXES][n_prompt]; NULL: the row's number */
    uint32_t        n_prompt, behind;       /* behind: the position of the first token behind the prompt */
    bool            together;       /* an item's tokens see each other */

    /* Each picture's features while they are needed. */
    struct sight  **sight;          /* [n_picture] held; NULL: not */
    uint32_t       *until;          /* [n_picture] the row behind its last */
    bool           *counted;        /* [n_picture] as a hit or as one to look at */
    uint32_t        passed;         /* pictures before this one are needed no more */
    uint32_t        want;           /* the picture that must be looked at next, MEDIA_NEWLINE: none */
};

enum { SHOWN_AXES = 3 };

/* Whether the job's pictures are as job.media promises, fit the model, and fit into n_page pages of the gallery as far as they
 * are needed at the same time. */
MUST_USE bool shown_check(const struct job *j, const struct vision *v, uint32_t patches_max, uint32_t n_page, struct err *e);

/* The job was checked. */
struct shown *shown_new(const struct job *j, const struct vision *v, uint32_t block_tokens, struct sha256_run *h);
void          shown_free(struct shown *x);          /* NULL is fine; nothing is held any more */

/* What block k shows; NULL: nothing. */
const struct kv_seen *shown_in_block(const struct shown *x, uint32_t k);

uint32_t shown_pos(const struct shown *x, uint32_t axis, uint32_t row);
uint32_t shown_see(const struct shown *x, uint32_t row);        /* the first row that it may not see */

/* n rows, or the rows before the item in which they end. */
uint32_t shown_whole(const struct shown *x, uint32_t n);

/* How many of the n rows behind `past` can be read now; and the least that can be. */
uint32_t shown_readable(const struct shown *x, uint32_t past, uint32_t n);
uint32_t shown_least(const struct shown *x, uint32_t past);

/* Writes the spans of rows past … past + n - 1, which are rows `row` … of the run; returns how many. */
uint32_t shown_spans(const struct shown *x, const struct gallery *g, uint32_t past, uint32_t n, uint32_t row, struct span *out);

/* Lets go of features whose rows lie before n_done; of all. */
void shown_pass(struct shown *x, struct gallery *g, uint32_t n_done);
void shown_release(struct shown *x, struct gallery *g);

/* The first span that ends behind row; n_span: none. */
uint32_t shown_span_at(const struct shown *x, uint32_t row);

#endif
