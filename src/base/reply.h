/* reply.h -- a request that came, and the way to answer it, with no socket in sight.
 *
 * `http` makes both; `api` reads the one and calls the other, so an endpoint is tested with a reply that writes into
 * memory. */
#ifndef BASE_REPLY_H
#define BASE_REPLY_H

#include "base/err.h"
#include "base/str.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Good until reply_end().  Strings borrow from the connection. */
struct http_request {
    struct str  method, path, query;        /* path is percent-decoded, without the query */
    struct str  body;
    struct str  peer;                       /* the client's address as text, without the port */
    const char *(*header)(const struct http_request *r, const char *name);   /* NULL: not sent; name in any case */
    void       *ctx;                        /* the maker's */
};

struct http_header {
    const char *name, *value;
};

struct reply;

/* What a maker of replies provides.  All may be called from any thread, one call at a time per reply. */
struct reply_type {
    void (*start)(struct reply *r, int status, const struct http_header *h, size_t n);
    bool (*write)(struct reply *r, struct str piece);
    void (*end)(struct reply *r);
    void (*on_gone)(struct reply *r, void (*gone)(void *ctx), void *ctx);
};

struct reply {
    const struct reply_type *type;
};

/* Sends status and headers at once; the body follows in pieces of unknown total length.  Once, before any write. */
static inline void reply_start(struct reply *r, int status, const struct http_header *h, size_t n)
{
    r->type->start(r, status, h, n);
}

/* Copies the piece into the reply's buffer.  False: the client has gone, or has not read for so long that the buffer is
 * at its limit (which counts as gone); what comes later is dropped. */
static inline bool reply_write(struct reply *r, struct str piece)
{
    return r->type->write(r, piece);
}

/* Finishes the answer.  r and the request are invalid afterwards.  Exactly once for every reply, gone or not. */
static inline void reply_end(struct reply *r)
{
    r->type->end(r);
}

/* Has gone(ctx) called, at most once, when the client vanishes before the end; at once, on the caller's thread, when it
 * already has.  Otherwise the call comes on the network's side.  It must not wait and must not call the reply.  on_gone(r, NULL, NULL) takes it back: after
 * it returned, the old one is not running and will not be called.  reply_end() takes it back too. */
static inline void reply_on_gone(struct reply *r, void (*gone)(void *ctx), void *ctx)
{
    r->type->on_gone(r, gone, ctx);
}

#ifdef __cplusplus
}
#endif
#endif
