/* asked.h -- a request to generate, read: what answer_begin() takes over. */
#ifndef API_ASKED_H
#define API_ASKED_H

#include "api/inside.h"
#include "api/shape.h"

struct asked {
    struct call        *call;
    const struct shape *shape;
    struct arena        arena;          /* holds what wish and echo borrow */
    struct wish         wish;
    struct ids         *prompt;         /* [n_prompt], on the heap */
    struct str         *echo;           /* [n_prompt] in the arena, or NULL */
    size_t              n_prompt;
    struct views        views;          /* what the prompt shows; zeroed: nothing */
    bool                verify;         /* X-Cache-Verify: it is computed again without caches, and compared */
};

/* Parses the body, checks its fields and model and reads the wish.  The document is the caller's to free, after false
 * too (NULL then, where it did not parse).  ERR_BUSY: no new work is taken. */
MUST_USE bool asked_read(struct asked *q, enum fields_where where, struct json_doc **doc, struct err *e);

void asked_drop(struct asked *q);

/* Ends a handler: gives q to an answer when ok, else sends *e and frees it.  Returns what the handler returns. */
bool asked_go(struct asked *q, bool ok, const struct err *e);

#endif
