/* shape.h -- the JSON of an answer, whole or in chunks, for either endpoint. */
#ifndef API_SHAPE_H
#define API_SHAPE_H

#include "api/choice.h"

struct shape {
    const char *prefix;                 /* of the id */
    const char *whole, *chunk;          /* the values of "object" */
    bool        is_chat;                /* a stream begins with the role; logprobs have chat's shape */
};

extern const struct shape shape_chat, shape_text;

/* What every body of one answer begins with, and what its end tells. */
struct shape_head {
    const struct shape *shape;
    const char *id, *model;
    uint64_t    created_s;
    const struct ids *prompt;           /* of each prompt; their ids are sent where return_token_ids asks for them */
};

struct shape_usage {
    uint64_t prompt, cached, drawn, accepted;       /* accepted: of the drawn, those that were guessed ahead */
    uint64_t prompt_ns, drawn_ns;       /* until the first token; from the first to the last */
    struct reuse reuse;
    bool     shows, verified;           /* the prompt has pictures; `verify` counts */
    struct verified verify;
};

enum shape_part { SHAPE_FIRST, SHAPE_NEWS, SHAPE_LAST };

/* One chunk of a stream.  SHAPE_LAST tells why the choice ended; `end` (NULL: not yet) adds timings to it. */
void shape_chunk(struct json_out *w, const struct shape_head *h, const struct choice *c, enum shape_part part,
                 const struct shape_usage *end);

/* The chunk with no choices that tells the usage. */
void shape_usage_chunk(struct json_out *w, const struct shape_head *h, const struct shape_usage *end);

/* A whole answer. */
void shape_whole(struct json_out *w, const struct shape_head *h, const struct choice *c, size_t n,
                 const struct shape_usage *end);

#endif
