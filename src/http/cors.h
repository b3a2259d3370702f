/* cors.h -- which web pages may call.
 *
 * A browser asks before it lets a page of another origin send JSON, and hides the reply unless the reply permits it.
 * `setting` is server_opts.cors_origin. */
#ifndef HTTP_CORS_H
#define HTTP_CORS_H

#include "http/exchange.h"

#define HTTP_METHODS "GET, HEAD, POST, DELETE, OPTIONS"

/* Whether pages from `origin` may call: NULL for those from localhost, "*" for all, else that one. */
bool cors_allows(const char *setting, const char *origin);

/* Adds what lets the page that asks see the reply. */
void cors_mark(struct exchange *x, const char *setting);

bool cors_asks(const struct exchange *x);                           /* a preflight */
void cors_answer(struct exchange *x, const char *setting);          /* to it: handed, and ended here */

#endif
