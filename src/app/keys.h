/* keys.h -- the API keys of --api-key: NAME=KEY, KEY alone, or @FILE with a line each. */
#ifndef APP_KEYS_H
#define APP_KEYS_H

#include "api/api.h"
#include "app/options.h"

struct keys {
    struct api_key *key;
    size_t          n;
    char          **text;       /* what the keys borrow from */
};

/* ERR_INVALID names the option or line at fault; an empty or doubled key is refused. */
MUST_USE bool keys_read(struct keys *out, const struct option_TEXTS *from, struct err *e);
void          keys_drop(struct keys *k);

#endif
