/* get.h -- HTTP GETs from a hub (libcurl), one after the other on one thread, connections kept.
 *
 * The user's token goes to the hub's own scheme, host and port and nowhere else: redirects are followed here, one by one, and
 * each hop is looked at.  From https none leads to http.
 *
 * What may pass is waited for: broken and stalled connections, 5xx, and 429 for as long as the hub says, within bounds.  A
 * file goes on where it broke off. */
#ifndef HUB_GET_H
#define HUB_GET_H

#include "base/buf.h"
#include "hub/run.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hub_get;

struct hub_get *hub_get_new(struct hub_run *r);     /* r must outlive it; its stop ends a get within a second or so */
void            hub_get_free(struct hub_get *g);    /* NULL is fine */

/* Where the bytes go.  The maker fills all. */
struct hub_sink {
    bool (*take)(void *ctx, struct str piece, struct err *e);   /* the next bytes */
    bool (*again)(void *ctx, struct err *e);                    /* forget all that came: it comes again from its first byte */
    void    *ctx;
    uint64_t at;            /* bytes already there, from which the first request goes on; counted here afterwards */
    uint64_t bytes;         /* that there will be; 0: not known, and nothing is gone on with */
    unsigned tries_max;     /* failures in a row, no byte coming between them */
};

/* path: behind the endpoint, with / at its front, or a whole address.  False: *e says why and what the user can do. */
MUST_USE bool hub_get(struct hub_get *g, const char *path, struct hub_sink *s, struct err *e);

/* The whole answer into out, a buffer with a limit. */
MUST_USE bool hub_get_text(struct hub_get *g, const char *path, struct buf *out, struct err *e);

struct str hub_get_link(const struct hub_get *g);       /* the last answer's Link header; good until the next get */

/* Appends s as a part of a URL, all but letters, digits, "-._~" and `kept` as %XX. */
void hub_url_part(struct buf *out, struct str s, const char *kept);

#ifdef __cplusplus
}
#endif
#endif
