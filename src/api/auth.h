/* auth.h -- who is asking. */
#ifndef API_AUTH_H
#define API_AUTH_H

#include "api/api.h"
#include "base/hash.h"

struct client {
    uint64_t    id;                     /* whose turn the engine takes */
    char        name[64];               /* of the key, else the address: for the log */
};

struct auth;

struct auth *auth_new(const struct api_key *key, size_t n);    /* names are borrowed, keys are not kept */
void         auth_free(struct auth *k);

/* Fills *out from the key that the request carries (Authorization: Bearer, or x-api-key), or from its address where no
 * keys are set or none is needed.  ERR_AUTH: there are keys and it brought none, or a wrong one. */
MUST_USE bool auth_check(const struct auth *k, const struct http_request *in, bool needed, struct client *out,
                         struct err *e);

#endif
