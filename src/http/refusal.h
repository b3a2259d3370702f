/* refusal.h -- an error answered where there is no request: all the bytes of the reply. */
#ifndef HTTP_REFUSAL_H
#define HTTP_REFUSAL_H

#include "base/buf.h"
#include "http/server.h"

/* Has o->fail() write the error, and appends status, headers and body to `out`, as they go over the wire. */
void refusal_write(const struct server_opts *o, const char *peer, const struct err *e, struct buf *out);

#endif
