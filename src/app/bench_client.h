/* bench_client.h -- many HTTP requests at once on one thread (libcurl's multi interface), to one server.
 *
 * Connections are kept and used again.  No proxy, no redirects, HTTP/1.1 only: what is timed is the server and nothing
 * else.  Unless any_host, only loopback addresses are connected to, whatever the URL's name resolves to. */
#ifndef APP_BENCH_CLIENT_H
#define APP_BENCH_CLIENT_H

#include "base/buf.h"

struct bench_client;

struct bench_client_opts {
    const char *url;            /* http[s]://host[:port][/base], without / at its end */
    const char *key;            /* sent as a bearer token; NULL: none */
    unsigned    calls_max;      /* at once */
    unsigned    timeout_s;
    bool        any_host;
};

enum bench_fate {
    BENCH_ANSWERED,             /* a whole HTTP answer, whatever its status */
    BENCH_UNREACHED,            /* no connection */
    BENCH_TIMEOUT,
    BENCH_BROKEN,               /* the connection ended early, or take() refused */
};

/* One request.  The caller fills the first part and owns it; nothing may move until done() was called. */
struct bench_call {
    const char *path;           /* "/v1/models" */
    struct str  body;           /* JSON to POST; p NULL: GET */
    bool (*take)(struct bench_call *c, struct str piece);   /* bytes of a 2xx body; false: enough, it is broken */
    void (*done)(struct bench_call *c);                     /* may send c, or another, again */

    enum bench_fate fate;       /* from here on: set when done() is called */
    int             status;     /* HTTP status; 0: none came */
    struct buf      refusal;    /* the first bytes of another body than 2xx; the caller drops it */
    char            error[256]; /* why it is not ANSWERED */
};

/* ERR_INVALID: the URL is none. */
MUST_USE bool bench_client_open(struct bench_client **out, const struct bench_client_opts *o, struct err *e);
void          bench_client_close(struct bench_client *b);       /* calls that run are dropped without done(); NULL is fine */

/* At most calls_max may run. */
void bench_client_send(struct bench_client *b, struct bench_call *c);

/* Lets things happen, take() and done() among them, for about wait_ms at most, less when something did. */
void bench_client_wait(struct bench_client *b, unsigned wait_ms);

/* Waits until nothing runs. */
void bench_client_run(struct bench_client *b);

#endif
