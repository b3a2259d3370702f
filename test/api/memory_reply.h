/* memory_reply.h -- a request made of strings and a reply that is kept in memory, with a client that may vanish or stop
 * reading at a chosen place. */
#ifndef TEST_API_MEMORY_REPLY_H
#define TEST_API_MEMORY_REPLY_H

#include "base/buf.h"
#include "base/reply.h"
#include "base/threads.h"

enum { MEMORY_HEADERS_MAX = 8 };

struct memory_reply {
    struct reply        reply;          /* first, so that the one is the other */
    struct http_request request;
    struct http_header  sent[MEMORY_HEADERS_MAX];      /* the request's */
    size_t              n_sent;
    size_t              writes_max;     /* write number writes_max + 1 says false; SIZE_MAX: never */
    bool                gone_already;   /* before anybody asks */
    bool                blocked;        /* writes wait until memory_unblock() */

    pthread_mutex_t lock;
    pthread_cond_t  changed;
    int             status;
    struct buf      headers, body;      /* "Name: value\n" each; what was written */
    size_t          n_start, n_write, n_end, n_after_end;
    void          (*gone)(void *ctx);
    void           *gone_ctx;
};

void memory_reply_init(struct memory_reply *m, const char *method, const char *path, struct str body);
void memory_reply_drop(struct memory_reply *m);

void   memory_vanish(struct memory_reply *m);           /* the client goes now */
void   memory_unblock(struct memory_reply *m);
bool   memory_ended(struct memory_reply *m);
bool   memory_started(struct memory_reply *m);
char  *memory_body(struct memory_reply *m);             /* what was written so far; freed by the caller */
bool   memory_has(struct memory_reply *m, const char *text);

#endif
