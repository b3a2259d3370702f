/* awake.h -- a machine that would fall asleep when nobody types is kept from it (Macs; others sleep only when told to). */
#ifndef BASE_AWAKE_H
#define BASE_AWAKE_H

#include "base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct awake;

/* Until awake_stop(), or until the process ends, however it does, the machine does not fall asleep by itself; its screen may,
 * and so may all of it when the lid is closed.  `why` is shown to whoever asks the system (pmset -g assertions).  *out is NULL
 * where there is nothing to hold.  ERR_UNSUPPORTED: the system refuses. */
MUST_USE bool awake_start(struct awake **out, const char *why, struct err *e);
void          awake_stop(struct awake *a);          /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
