/* digest.h -- the hash by which a hub names a file's bytes: SHA-256 of what lies in LFS, git's SHA-1 of the rest. */
#ifndef HUB_DIGEST_H
#define HUB_DIGEST_H

#include "hub/listing.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hub_digest;
struct hub_digest *hub_digest_new(const struct hub_file *f);        /* which of the two its id's length says */
void               hub_digest_add(struct hub_digest *d, const void *p, size_t n);
void               hub_digest_end(struct hub_digest *d, char out[HUB_ID_MAX + 1]);  /* once */
void               hub_digest_free(struct hub_digest *d);                           /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
