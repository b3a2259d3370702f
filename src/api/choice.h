/* choice.h -- one answer as it grows: ids in, text out that may be sent.
 *
 * Text passes through `held` until no stop string can begin in it, then waits in `text` to be sent; what was sent is
 * taken away by choice_sent().  A whole answer is sent once, a streamed one token by token, from the same members. */
#ifndef API_CHOICE_H
#define API_CHOICE_H

#include "api/verify.h"
#include "api/wish.h"
#include "base/json.h"
#include "text/tokenizer.h"

struct answer;

/* A token and what the model thought of it, until it is sent along with its text. */
struct told {
    struct drawn drawn;
    size_t       start, end;            /* where its text lies in the answer, in bytes */
    size_t       start_chars;           /* the same start, in characters */
};

struct choice {
    struct answer *answer;
    uint32_t       index, prompt;       /* prompt: which of the request's */
    uint64_t       job;
    bool           running;             /* its END has not come */
    bool           closed;              /* it takes no more tokens */
    const char    *finish;              /* "stop", "length"; NULL: not yet */

    const struct wish      *wish;
    const struct tokenizer *tokenizer;
    struct detok           *detok;
    const int32_t          *end_id;     /* ids that end it */
    size_t                  n_end_id;

    struct buf   held, text;
    size_t       bytes, chars;          /* decoded so far */
    size_t       freed;                 /* bytes that passed from held to text */
    struct told *told;                  /* not yet sent; the first n_ready belong to `text` */
    size_t       n_told, n_ready, told_room;
    struct ids   ids;                   /* drawn and not yet sent */

    uint32_t     n_cached, n_drawn, n_accepted;
    struct reuse reuse;

    /* Where it is computed a second time, without caches (X-Cache-Verify). */
    struct choice *checks;              /* of the second: the one it checks; NULL: it is the first */
    struct verify  verify;              /* of the first */
    uint64_t     started_ns, first_ns, last_ns;     /* 0: not yet */
};

/* The answer's opening text, if any, is what an echo puts before it. */
void choice_init(struct choice *c, struct str opening);
void choice_drop(struct choice *c);

/* Takes in a token that was drawn.  False: a stop string is complete; the choice is closed, with its finish set. */
bool choice_take(struct choice *c, const struct drawn *d);

/* Nothing more will come: all that is held is text now. */
void choice_close(struct choice *c, const char *finish);

bool choice_has_news(const struct choice *c);
void choice_sent(struct choice *c);

/* The log probabilities of the tokens that belong to `text`, as a member "logprobs" in the shape of either endpoint;
 * null when none were asked for. */
void choice_put_logprobs(struct json_out *w, const struct choice *c, bool chat);

/* The ids not yet sent, as a member. */
void choice_put_ids(struct json_out *w, const char *key, const int32_t *id, size_t n);

#endif
