/* data_url.h -- bytes that stand in the address itself (RFC 2397): data:image/png;base64,iVBORw0… */
#ifndef API_DATA_URL_H
#define API_DATA_URL_H

#include "base/buf.h"

bool data_url_is(struct str url);

/* Appends s, where %XX stands for a byte.  ERR_INVALID: a % without two digits. */
MUST_USE bool percent_bytes(struct str s, struct buf *out, struct err *e);

/* Appends the bytes.  %XX stands for a byte, with and without ";base64"; white space in base64 is skipped, the URL-safe
 * alphabet is read too, padding may be missing.  The media type is not looked at: the bytes say what they are.  ERR_INVALID says what is
 * wrong; ERR_TOO_LARGE: out is full. */
MUST_USE bool data_url_bytes(struct str url, struct buf *out, struct err *e);

#endif
