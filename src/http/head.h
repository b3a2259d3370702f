/* head.h -- the head of a request as bytes: whether it is all there, and one that can be read. */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "base/err.h"
#include "base/str.h"

enum { HEAD_BYTES_MAX = 16 * 1024 };

enum head_state { HEAD_MORE, HEAD_FINE, HEAD_BAD };

/* Looks at what came so far of a connection.  FINE: a head is there to its end, and every line of it has the form that it
 * must have (RFC 9112); what the lines mean together is for request_read() to judge, but HTTP/1.1 has a Host, and a
 * Content-Length is a number.  BAD: *e says why: ERR_INVALID, ERR_HEAD (it is too long), ERR_VERSION. */
enum head_state head_look(struct str bytes, struct err *e);

bool head_is_token(struct str s);           /* letters, digits and a few signs: a method, a header's name */
bool head_has_control(struct str s);        /* a control character but the tab */

#endif
