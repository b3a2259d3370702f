/* easy.h -- what every HTTP request of ours has in common (libcurl).  For the wrappers of it: fetch, hub/get, the bench's client. */
#ifndef BASE_EASY_H
#define BASE_EASY_H

#include "base/buf.h"

#include <curl/curl.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A handle that speaks HTTP/1.1 over http and https, does not follow redirects, raises no signal, and knows no user but whom its
 * maker names: nothing from .netrc or out of an address.  authorities: file of who vouches for servers; NULL: the system's. */
CURL *easy_new(const char *authorities);

/* Where the answer just had leads on to: puts that address in the place of what url holds.  False: it does not. */
bool easy_redirect(CURL *h, struct buf *url);

#ifdef __cplusplus
}
#endif
#endif
