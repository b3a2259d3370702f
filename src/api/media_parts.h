/* media_parts.h -- the pictures and videos that a conversation's messages name, before anything of them is fetched. */
#ifndef API_MEDIA_PARTS_H
#define API_MEDIA_PARTS_H

#include "base/err.h"
#include "base/json.h"

struct media_part {
    bool       is_video;
    struct str url;                 /* borrowed from the request */
    char       place[64];           /* "messages[2].content[0]" */
};

struct media_parts {
    struct media_part *part;
    size_t       n, room, n_max;
    bool         no_videos;         /* the model reads pictures alone */
};

void media_parts_drop(struct media_parts *p);

/* Whether a content part is of a type that is no text and known here; what it is then is decided by media_parts_add(). */
bool media_parts_is_media(json part);

/* Whether a request's messages name any, so that it goes to those who fetch and decode. */
bool media_parts_any(json request);

/* Notes one.  p NULL: the model sees nothing.  ERR_UNSUPPORTED: sound, a file, a picture for a model that reads text;
 * ERR_INVALID: no address where it should be, or too many. */
MUST_USE bool media_parts_add(struct media_parts *p, json part, const char *place, struct err *e);

#endif
