/* walk.h -- folders read and removed; links to folders are not gone into. */
#ifndef HUB_WALK_H
#define HUB_WALK_H

#include "hub/listing.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All plain files below the folder, and links to such, with their sizes; no ids.  None when there is no folder.  What no
 * repository can hold is passed over.  To be dropped with hub_listing_drop(). */
void walk_files(struct hub_listing *out, const char *folder);

/* What is right in the folder, by name. */
void walk_names(struct hub_listing *out, const char *folder);

int64_t walk_changed_s(const char *path);           /* since 1970; 0: it is not there */

/* Removes the folder and all in it, adding to *freed what its files held.  A folder that is not there is fine. */
MUST_USE bool walk_remove(const char *folder, uint64_t *freed, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
