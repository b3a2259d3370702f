/* blob.h -- one file into the cache, in the layout of Hugging Face's own library:
 *
 *   models--ORG--NAME/blobs/ID                     the bytes, named by their hash
 *   models--ORG--NAME/blobs/ID.incomplete          what has come of them so far
 *   models--ORG--NAME/snapshots/COMMIT/PATH        a relative link to the blob
 *   .locks/models--ORG--NAME/ID.lock               flock()ed by whoever fetches it
 *
 * so that a file which either has fetched is not fetched again, and neither disturbs the other. */
#ifndef HUB_BLOB_H
#define HUB_BLOB_H

#include "hub/get.h"
#include "hub/listing.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The folders of one commit of one repository. */
struct hub_folders {
    char *repo, *blobs, *snapshot, *locks;
    char  commit[HUB_COMMIT + 1];
};

void hub_folders_init(struct hub_folders *f, const struct hub_place *p, const char *repo, const char *commit);
void hub_folders_drop(struct hub_folders *f);

/* Whether the commit has the file already. */
bool hub_blob_linked(const struct hub_folders *f, const struct hub_file *file);

/* How many of the file's bytes are on the disk, under whatever name. */
uint64_t hub_blob_there(const struct hub_folders *f, const struct hub_file *file);

/* Has the file there: waits while another process fetches it, goes on where one broke off, checks size and hash, gives it its
 * name at once, links it.  ERR_CORRUPT: what the hub sends is not what it promised. */
MUST_USE bool hub_blob_fetch(struct hub_run *r, struct hub_get *g, const struct hub_folders *f, const struct hub_file *file,
                             struct err *e);

/* Opens and locks the file of that path, which it makes; waits while another has it, unless at_once.  -1: *e says why, ERR_BUSY
 * that another has it.  close() unlocks. */
int hub_lock(struct hub_run *r, const char *path, bool at_once, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
