/* chat.h -- what the tests of this room share. */
#ifndef TEST_CHAT_H
#define TEST_CHAT_H

#include "base/json.h"
#include "chat/template.h"

/* One rendering, with everything it needs. */
struct rendering {
    bool            ok;
    struct rendered out;
    struct err      err;
};

/* Renders `source` over the JSON object `values`; the members "user" and "messages" are the user's. */
struct rendering chat_render(const char *source, const char *values, const struct template_limits *limits);
void             chat_drop(struct rendering *r);

/* The marks as text: '.' for the template's bytes, 'u' for the user's.  To be freed. */
char *chat_marks(const struct rendered *r);

#endif
