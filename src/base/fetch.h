/* fetch.h -- files by http and https, from addresses that strangers name (libcurl).
 *
 * THE GUARD.  A client of ours may not reach through us what it could not reach itself.  So each address is looked at in the
 * moment before it is connected to, at the first request and at every redirect: however it was spelt, whatever a name
 * resolves to by then, none is gone to that is not public: loopback, private, link-local (with it the clouds' metadata),
 * shared (100.64/10), multicast, unspecified, reserved, and IPv6 forms that hold such an IPv4 address.  Hosts of `allowed`
 * are gone to wherever they are.  Schemes other than http and https, user names in the address and redirects from https to
 * http are refused; no cookies, credentials or proxies are used, whatever the environment says. */
#ifndef BASE_FETCH_H
#define BASE_FETCH_H

#include "base/buf.h"
#include "base/threads.h"

struct sockaddr;

#ifdef __cplusplus
extern "C" {
#endif

/* All is borrowed until fetch_close().  Zeros mean what stands in brackets. */
struct fetch_opts {
    unsigned           seconds_max;         /* from beginning to end, redirects included (30) */
    unsigned           redirects_max;       /* (5) */
    const char *const *allowed;             /* NULL at its end: hosts as they stand in a URL, "name" or "name:port" (none) */
    bool               any_host;            /* no guard: every host is allowed */
    const char        *authorities;         /* file of who vouches for servers (the system's list) */
    const char *const *resolve;             /* NULL at its end: "name:port:address[,address]…", asked before DNS, for tests (none) */
};

struct fetch;
MUST_USE bool fetch_open(struct fetch **out, const struct fetch_opts *o, struct err *e);
void          fetch_close(struct fetch *f);         /* no fetch_get() may be running; NULL is fine */

/* Appends what the address gives to out, which has a limit: what is declared or turns out to be longer, unpacked where the
 * server packed it, is given up as soon as that is known.  Any number of threads may call.  Once *stop is not 0 (NULL:
 * nobody stops it), it ends within a second or so.
 *
 * ERR_INVALID: the address cannot be, may not be gone to, does not resolve, or its server says 4xx.  ERR_TOO_LARGE, ERR_TIMEOUT.
 * ERR_UPSTREAM: the other side fails.  ERR_GONE: stopped.  What came before a failure is taken out of `out` again. */
MUST_USE bool fetch_get(struct fetch *f, const char *url, struct buf *out, const atomic_word *stop, struct err *e);

/* The guard's rule alone: NULL for a public address, else what it is, as "a private address". */
const char *fetch_refusal(const struct sockaddr *a);

#ifdef __cplusplus
}
#endif
#endif
