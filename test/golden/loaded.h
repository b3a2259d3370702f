/* loaded.h -- a checkpoint on a backend, ready to run. */
#ifndef TEST_GOLDEN_LOADED_H
#define TEST_GOLDEN_LOADED_H

#include "backend/backend.h"
#include "base/json.h"
#include "model/model.h"

/* The i-th backend to be tested, NULL past the last: those of this build, or the named one alone, a plug-in it may be; ends
 * the test when that cannot be had. */
const struct backend_type *backend_nth(size_t i, const char *only);

struct loaded {
    const struct backend_type *type;
    struct checkpoint *checkpoint;
    struct model      *model;
    struct backend    *backend;
    struct plan       *plan;
    uint32_t           block_tokens, context_max;
};

/* For one run of token_max tokens, all of them picked.  Prints why and returns false when something refuses. */
bool loaded_open(struct loaded *l, const char *path, const struct backend_type *t, const struct backend_opts *b,
                 const struct plan_opts *o, uint32_t n_block);
void loaded_close(struct loaded *l);

/* One sequence, alone, in as many blocks as it needs (from the last to the first): runs n tokens behind `past` others
 * and returns the logits of all of them, or of the last alone; NULL: it failed, and why is printed. */
const float *loaded_run(struct loaded *l, const int32_t *token, uint32_t n, uint32_t past, bool last_only);

/* Whether n more tokens make a sequence of `past` too long for its states, so that all of it must be run again. */
bool loaded_again(const struct loaded *l, uint32_t past, uint32_t n);

/* The parsed file; ends the test when it cannot be read. */
struct json_doc *read_json(const char *path);

/* Whole numbers of an array, to be freed; how many in *n. */
int32_t *read_ids(json array, uint32_t *n);

/* The id of the largest of n logits, the lowest among equals. */
int32_t largest(const float *logits, uint32_t n);

#endif
