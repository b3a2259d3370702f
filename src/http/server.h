/* server.h -- HTTP/1.1, served: requests come out whole, replies go in as they are made (libmicrohttpd wrapped).
 *
 * One network thread.  It reads and checks requests (limits, strict framing), calls the handler once the body is there,
 * and writes what reply_write() left for it.  The handler must not wait: it hands the request to somebody and returns.
 * Replies may be written and ended from any thread.  A client that vanishes is noticed within a second even while
 * nothing is being written to it.  One that only shuts down its sending side has its reply all the same: it may come
 * behind a "100 Continue", which finds out that the client is still there.  (A client of HTTP/1.0 is only found out when
 * something is written to it.)
 *
 * A HEAD request comes as such, and what is written to its reply only counts towards its length.
 *
 * What is so malformed that it never becomes a request gets its error from fail() like the rest, when it is the first on
 * its connection.  A later one, and a body in broken chunks, is answered by the library with a page of its own, and the
 * connection closed: the library (0.9.75) lets nobody change that page. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "base/err.h"
#include "base/log.h"
#include "base/reply.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct server;

struct server_opts {
    const char *host;                   /* NULL: 127.0.0.1 and ::1; else an address or a name */
    uint16_t    port;                   /* 0: any free one, see server_port() */
    size_t      body_bytes_max;         /* over it: 413; what comes of the body is thrown away, or where over
                                         * 64 MiB are declared or 100-continue is expected, not waited for */
    size_t      reply_bytes_max;        /* what may wait for a slow reader before it counts as gone; so no reply that is
                                         * written at once may be larger */
    unsigned    connections_max;        /* over it: 503 with Retry-After */
    unsigned    connections_per_ip_max; /* over it: 429; 0: no limit of its own */
    unsigned    idle_s_max;             /* a connection that sends nothing for so long is closed */
    const char *cors_origin;            /* NULL: pages from localhost (any port) may call; "*": all; else that origin */
    void      (*handle)(void *ctx, const struct http_request *in, struct reply *out);
    void      (*fail)(void *ctx, const struct http_request *in, struct reply *out, const struct err *e);
                                        /* answers what the server itself refuses; ends the reply before it returns; on
                                         * any thread */
    void       *ctx;
    const struct log *log;              /* outlives the server */
};

/* A port in use is ERR_IO and the text says who may be there and which option changes it. */
MUST_USE bool server_open(struct server **out, const struct server_opts *o, struct err *e);

uint16_t server_port(const struct server *s);
unsigned server_connections(const struct server *s);    /* open now */

/* No new connections; those open go on, each until its next reply is sent. */
void server_drain(struct server *s);

/* Waits until every reply was ended and sent, at most wait_ms; then closes all.  Every reply must have been ended by
 * the time it returns or be ended without use of the network soon after: ended replies never touch a closed server. */
void server_close(struct server *s, unsigned wait_ms);

#ifdef __cplusplus
}
#endif
#endif
