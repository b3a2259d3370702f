/* stop.h -- finding stop strings in text that comes in pieces, without ever letting a part of one out.
 *
 * The match that is complete first wins, and of those complete at the same byte the longest: so the result does not
 * depend on where the pieces are cut. */
#ifndef API_STOP_H
#define API_STOP_H

#include "base/str.h"

/* `held` is the text not yet let out, its newest piece last.  Returns how many bytes of it may go.  *found: the stop
 * string that was found, right behind those bytes; NULL: none, and what stays may be the beginning of one. */
size_t stop_scan(const struct str *stop, size_t n, struct str held, const struct str **found);

#endif
