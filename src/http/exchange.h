/* exchange.h -- one request and the reply to it, between the network thread and whoever answers.
 *
 * Two parties hold an exchange: the network, until exchange_done(), and the answerer, from exchange_hand() until
 * reply_end().  The last one to leave frees it, so a reply may be ended long after its connection, or the whole server,
 * is gone.  That is also why the request is copied here and borrows nothing from the connection.
 *
 * While there is nothing to send, the connection is suspended.  That, and the waking, happens under the exchange's
 * lock, so no wake is lost and none reaches a connection that no longer exists. */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/reply.h"

#include <microhttpd.h>
#include <pthread.h>

enum exchange_phase { EXCHANGE_HEAD, EXCHANGE_BODY, EXCHANGE_ANSWER };

struct exchange {
    struct reply        reply;          /* first: a reply is an exchange */
    struct http_request request;        /* strings in `arena`, the body in `body` */
    const struct log   *log;
    struct arena        arena;
    struct exchange    *next, *prev;    /* the server's list */

    /* The network thread's. */
    enum exchange_phase   phase;
    int                   fd;
    struct buf            body;
    size_t                dropped;      /* bytes of the body that were not kept */
    bool                  discard;      /* the head says that the body will not be taken: nothing of it is kept */
    bool                  heard;        /* the request is there to its end */
    bool                  turned;       /* the library was let go round once before it is suspended */
    bool                  watched;      /* for a hang-up */
    bool                  last;         /* the connection is closed after the reply */
    bool                  old;          /* HTTP/1.0 */
    const char           *target;       /* as sent */
    struct http_header   *header;
    size_t                n_header;
    struct http_header    extra[6];     /* the server's own, unless the answerer sends one of the name */
    size_t                n_extra;

    /* Under the lock. */
    pthread_mutex_t        lock;
    pthread_cond_t         told;
    struct MHD_Connection *net;         /* NULL: done with */
    bool                   suspended, cut, handed, ended, released, telling;
    bool                   queued;      /* the library has the response */
    bool                   half;        /* the peer sends no more, and was not yet probed */
    bool                   bodyless;    /* HEAD, 204, 304: sent whole at the end */
    int                    status;      /* 0: not started */
    struct http_header    *out_header;
    size_t                 n_out_header;
    struct buf             out;
    size_t                 sent;        /* bytes at the front of `out` that are away */
    size_t                 length;      /* all that was written */
    size_t                 reply_bytes_max;
    void                 (*gone)(void *ctx);
    void                  *gone_ctx;
};

struct exchange *exchange_new(struct MHD_Connection *net, size_t reply_bytes_max, const struct log *log);

/* Gives the answerer its share; from here on there will be a reply_end(). */
void exchange_hand(struct exchange *x);
bool exchange_ended(struct exchange *x);

/* For the library's handler to return: queues the response, or suspends until there is one.
 *
 * A suspended connection keeps what it waited for, and when it is resumed the library (0.9.75) tries that first: if that
 * is reading, a peer that sends no more looks like one that is gone.  So a request that was heard out is not suspended
 * before the library has gone round once, and found that there is nothing to wait for. */
enum MHD_Result exchange_answer(struct exchange *x);

/* The connection is to be dropped: the peer hung up, reads too slowly, or the server closes.  Any thread, while the
 * network still has its share. */
void exchange_cut(struct exchange *x);

/* The peer sends no more: it is found out whether it is still there to read, as soon as the wire is free for that.  One
 * that is not answers with a reset.  Any thread, while the network still has its share. */
void exchange_probe(struct exchange *x);

/* The network leaves: the library is done with the request, one way or the other.  Network thread. */
void exchange_done(struct exchange *x);

void exchange_extra(struct exchange *x, const char *name, const char *value);     /* strings outlive the exchange */

bool name_is(const char *a, const char *b);     /* header names, in any case */

#endif
