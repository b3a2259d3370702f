/* chat_body.h -- the messages of a chat request, checked, as the variables that a chat template reads. */
#ifndef API_CHAT_BODY_H
#define API_CHAT_BODY_H

#include "api/fields.h"
#include "api/media_parts.h"
#include "chat/template.h"

struct chat_words {
    struct str          bos, eos;       /* the vocabulary's spelling; {NULL, 0}: none */
    struct media_parts *parts;          /* where pictures and videos are noted; NULL: none may come */
    bool                lists;          /* the template wants every content as a list of parts */
};

/* Appends to `out` the text of a JSON object with every variable of the template: messages (content parts joined, or as the list
 * that they are where pictures may come; the developer's role called system), what chat_template_kwargs and its short forms
 * set, and the special tokens' spellings.  Names in `in` the members that hold a user's words; those names are borrowed from the request.
 *
 * ERR_INVALID and ERR_UNSUPPORTED name the place: "messages[2].content[0].type". */
MUST_USE bool chat_body_values(json request, const struct chat_words *words, struct buf *out, struct template_input *in,
                               struct err *e);

/* Appends to `ignored` what the request sets for the template and the template never reads. */
void chat_body_unread(json request, const struct template *t, struct buf *ignored);

#endif
