/* listing.h -- the files of one commit of a repository, as the hub tells them or as they lie in the cache.
 *
 * What the hub says is not trusted: paths that leave the folder, ids of another form, sizes and counts beyond any model are
 * refused, the whole answer with them. */
#ifndef HUB_LISTING_H
#define HUB_LISTING_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "hub/name.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HUB_FILES_MAX = 100000, HUB_JSON_MAX = 64 << 20, HUB_ID_MAX = 64 };
#define HUB_FILE_BYTES_MAX ((uint64_t)1 << 50)

struct hub_file {
    const char *path;                   /* in the listing's arena */
    uint64_t    bytes;
    char        id[HUB_ID_MAX + 1];     /* the blob's name: the SHA-256 of an LFS file, else git's SHA-1; "": from a folder */
};

struct hub_listing {
    struct arena     arena;
    struct hub_file *at;
    size_t           n;
};

void hub_listing_init(struct hub_listing *l);
void hub_listing_drop(struct hub_listing *l);

/* Reads the commit out of the answer about a revision ({"sha": …}). */
MUST_USE bool hub_commit_read(char out[HUB_COMMIT + 1], struct str json_text, struct err *e);

/* Appends one page of a tree ([{"type": "file", "path", "size", "oid", "lfs": {"oid", "size"}}, …]). */
MUST_USE bool hub_listing_read(struct hub_listing *l, struct str json_text, struct err *e);

/* Appends a file; false: too many already, or the path cannot be. */
MUST_USE bool hub_listing_add(struct hub_listing *l, struct str path, uint64_t bytes, struct err *e);

const struct hub_file *hub_listing_find(const struct hub_listing *l, struct str path);      /* NULL: it is not there */

/* The address of the next page in a Link header (RFC 8288, rel="next"); {NULL, 0}: this was the last. */
struct str hub_next_page(struct str link);

#ifdef __cplusplus
}
#endif
#endif
