/* cache.h -- the models that lie in the cache folder already, whoever put them there; found, listed, removed.  No network. */
#ifndef HUB_CACHE_H
#define HUB_CACHE_H

#include "hub/name.h"
#include "hub/place.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where the model lies on this disk, whole: the folder of a snapshot, or a GGUF file in one; to be freed by the caller.
 * ERR_NOT_FOUND: it is not here, or not all of it. */
MUST_USE bool hub_find(char **path, const struct hub_place *p, const struct hub_name *name, struct err *e);

/* The commit among the snapshots of a repository's folder that a revision means: a ref's, or one whose digits begin so. */
bool hub_commit_find(const char *folder, const char *revision, char commit[HUB_COMMIT + 1]);

/* Notes that the revision is that commit now. */
MUST_USE bool hub_ref_write(const struct hub_place *p, const struct hub_name *name, const char *commit, struct err *e);

/* One commit of one repository. */
struct hub_model {
    char    *repo, *path;
    char     commit[HUB_COMMIT + 1];    /* "": a pull broke off before it had any file whole */
    char    *revisions;                 /* that name it: "main, v2"; "": none does any more */
    uint64_t bytes;                     /* of its files; commits of one repository may share some */
    int64_t  pulled_s;                  /* since 1970 */
    bool     whole;                     /* hearth could serve it */
};

struct hub_models {
    struct hub_model *at;               /* by name */
    size_t            n;
};

void hub_models_read(struct hub_models *out, const struct hub_place *p);     /* none when there is no folder */
void hub_models_drop(struct hub_models *m);

/* What to remove: with a choice that file of the revision, else with a revision that commit (which may be told by the first of
 * its digits), else the whole repository.  Files that another commit uses stay.  *freed: bytes.  ERR_NOT_FOUND: nothing is
 * there by that name; ERR_BUSY: some program fetches it now. */
MUST_USE bool hub_remove(const struct hub_place *p, const struct hub_name *name, bool has_revision, uint64_t *freed,
                         struct err *e);

/* The repository that a path into the cache leads to; false: it leads into none. */
bool hub_repo_of(const char *path, char repo[2 * HUB_PART_MAX + 2]);

#ifdef __cplusplus
}
#endif
#endif
