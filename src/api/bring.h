/* bring.h -- the bytes behind an address that a request names: in the address itself, on the network, in a permitted folder. */
#ifndef API_BRING_H
#define API_BRING_H

#include "api/views.h"

/* Appends them to out, whose limit holds.  ERR_INVALID: an address that is none, or of a file that may not be shown. */
MUST_USE bool bring(const struct eyes *eyes, struct str url, struct buf *out, struct view_totals *totals, const atomic_word *stop,
                    struct err *e);

#endif
