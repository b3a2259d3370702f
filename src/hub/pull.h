/* pull.h -- a model from the hub into the cache folder. */
#ifndef HUB_PULL_H
#define HUB_PULL_H

#include "hub/run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Asks the hub what the revision is now and has all of its files here that hearth needs, fetching those that are not, several at
 * a time.  A pull that was cut off, however hard, goes on with the next; two at once share the work.  Once it succeeded,
 * hub_find() (hub/cache.h) finds the model; *path is as it gives it. */
MUST_USE bool hub_pull(char **path, const struct hub_place *p, const struct hub_name *name, const struct hub_watch *w,
                       struct err *e);

#ifdef __cplusplus
}
#endif
#endif
