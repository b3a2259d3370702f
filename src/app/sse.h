/* sse.h -- server-sent events, read as the bytes come (WHATWG HTML, "Server-sent events").
 *
 * Only data is wanted here: each event's data lines joined by \n, in order.  Names, ids, retry times and comments are read
 * over.  Lines may end in \n, \r\n or \r, and may be cut anywhere by the network.  An event that no empty line ends is
 * dropped, as the standard has it.  What the data means ("[DONE]", JSON) is the caller's. */
#ifndef APP_SSE_H
#define APP_SSE_H

#include "base/buf.h"

struct sse {
    struct buf line, data;
    bool       has_data, after_cr, begun;
    void (*event)(void *ctx, struct str data);      /* data is good until it returns; it must not call sse_*() */
    void *ctx;
};

/* bytes_max bounds a line and an event's data each. */
void sse_init(struct sse *s, size_t bytes_max, void (*event)(void *ctx, struct str data), void *ctx);
void sse_drop(struct sse *s);
void sse_reset(struct sse *s);                      /* for the next stream; keeps the memory */

/* Calls event() for each event that these bytes end.  False: something was over bytes_max; only sse_reset() helps. */
MUST_USE bool sse_feed(struct sse *s, struct str bytes);

#endif
