/* gate.h -- connections wait here until their first head is there, and one that can be read.
 *
 * The library answers what it cannot parse by itself, with a page of HTML.  So that clients see the same errors as
 * everywhere, the first head of each connection is looked at (not taken) before the library reads it.  What comes later
 * on a connection, and a body in broken chunks, is the library's to refuse. */
#ifndef HTTP_GATE_H
#define HTTP_GATE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

struct gate;

struct gate_opts {
    void   (*pass)(void *ctx, void *who);       /* once for each connection: it waits no longer */
    void   (*refuse)(void *ctx, void *who, const struct err *e, struct buf *out);
                                                /* before that, where its head is bad: all that is to be sent */
    void    *ctx;
    unsigned wait_s;                            /* without a byte; then the connection is shut down, and passed */
};

MUST_USE bool gate_open(struct gate **out, const struct gate_opts *o, struct err *e);

/* Holds a connection.  fd stays the caller's, and open until pass(who), which is called from here or on the gate's thread.
 * Nobody else reads from it meanwhile. */
void gate_hold(struct gate *g, int fd, void *who);

/* Passes all that wait, and from now on every one at once. */
void gate_shut(struct gate *g);         /* NULL is fine */
void gate_close(struct gate *g);        /* nobody is held any more; NULL is fine */

#endif
