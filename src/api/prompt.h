/* prompt.h -- a chat request's messages as the ids that the model reads: template, then tokenizer. */
#ifndef API_PROMPT_H
#define API_PROMPT_H

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
};

/* Appends the ids of the request's "messages" as its other fields (chat_template_kwargs, enable_thinking, …) have the
 * template render them.  Only the template's own words may be special tokens.  ERR_INVALID names the message at fault;
 * ERR_TOO_LARGE: they make more than a render may do. */
MUST_USE bool prompt_chat(const struct prompter *p, json request, struct ids *out, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
