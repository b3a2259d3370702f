/* wire.h -- an HTTP client that sends any bytes it is given, and a server to send them to. */
#ifndef TEST_WIRE_H
#define TEST_WIRE_H

#include "base/buf.h"
#include "http/server.h"

#include <stdatomic.h>
#include <stdint.h>

struct wire {
    int        fd;
    struct buf in;      /* received, not yet read as part of an answer */
};

void wire_open(struct wire *w, uint16_t port);
void wire_close(struct wire *w);
void wire_reset(struct wire *w);                                /* closes with RST */
bool wire_send(struct wire *w, const void *p, size_t n);        /* false: the server has closed */
bool wire_say(struct wire *w, const char *fmt, ...) PRINTF(2, 3);
bool wire_more(struct wire *w);                                 /* waits for bytes; false: closed, or 20 s */

struct answer {
    int        status;      /* 0: closed before a whole head */
    struct buf head, body;  /* head: status line and headers */
    bool       chunked, whole;
};

/* Reads one answer.  `head_only` when it was asked for by HEAD. */
void answer_read(struct wire *w, struct answer *a, bool head_only);
void answer_drop(struct answer *a);
bool answer_has(const struct answer *a, const char *header);    /* the line "Name: value" */
bool answer_names(const struct answer *a, const char *name);

/* One request, one answer, on a connection of its own; returns the status. */
int ask(uint16_t port, struct answer *a, const char *request);

/* A server with modest limits on a free port; change opts, then open. */
struct server_opts opts_plain(void (*handle)(void *, const struct http_request *, struct reply *), void *ctx);
struct server     *open_plain(const struct server_opts *o);
void               fail_plain(void *ctx, const struct http_request *in, struct reply *out, const struct err *e);

void reply_text(struct reply *r, int status, const char *text);

/* Waits at most 20 s for *n to reach `at_least`; returns how long it took, in ms. */
unsigned wait_for(atomic_uint *n, unsigned at_least);
void     wait_connections(struct server *s, unsigned n);
unsigned fds_open(void);
void     fds_want(unsigned n);
void     sleep_ms(unsigned ms);

#endif
