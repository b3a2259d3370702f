/* request.h -- what a request must be. */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "http/exchange.h"

/* Fills x->request and x->header, all but the body, from what the library parsed; `version` as sent.
 *
 * The framing must be beyond doubt, or a proxy in front might see other requests than we do: one Host, at most one
 * Content-Length or else Transfer-Encoding: chunked, header names that are names, values on one line and without control
 * characters.  Of a target in absolute form ("http://host/path") the host is passed over.  ERR_INVALID; ERR_TOO_LARGE when the
 * declared length is over body_bytes_max.  Also then, x->request is safe to read. */
MUST_USE bool request_read(struct exchange *x, struct MHD_Connection *c, const char *method, const char *version,
                           struct err *e);
MUST_USE bool request_fits(const struct exchange *x, size_t body_bytes_max, struct err *e);

/* ERR_CODING: a body comes, in a Content-Encoding.  None is understood here. */
MUST_USE bool request_plain(const struct exchange *x, struct err *e);

#endif
