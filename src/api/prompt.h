/* prompt.h -- a chat request's messages as the ids that the model reads: template, then tokenizer. */
#ifndef API_PROMPT_H
#define API_PROMPT_H

#include "api/views.h"
#include "base/json.h"
#include "chat/template.h"
#include "text/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What makes prompts of a model; all borrowed. */
struct prompter {
    const struct tokenizer *tokenizer;
    const struct template  *template;
    struct str bos, eos;                /* as templates spell them; {NULL, 0}: none */
    bool       lists;                   /* the template wants content as lists of parts (prompt_wants_lists) */
};

/* What showing takes, and what comes of it. */
struct prompt_sight {
    const struct eyes   *eyes;
    const struct engine *engine;
    struct view_totals  *totals;
    const atomic_word   *stop;          /* once not 0, it ends within a second or so, ERR_GONE */
    struct views         views;         /* out: the caller's to drop, a zeroed one after a failure */
};

/* Appends the ids of the request's "messages" as its other fields (chat_template_kwargs, enable_thinking, …) have the
 * template render them.  Only the template's own words may be special tokens.  ERR_INVALID names the message at fault;
 * ERR_TOO_LARGE: they make more than a render may do.
 *
 * sight: what the messages show is fetched, decoded and placed among the ids.  NULL: they may show nothing. */
MUST_USE bool prompt_chat(const struct prompter *p, json request, struct prompt_sight *sight, struct ids *out, struct err *e);

/* Some templates make nothing of a content that is a string: tried once, when the model is opened. */
bool prompt_wants_lists(const struct prompter *p);

#ifdef __cplusplus
}
#endif
#endif
