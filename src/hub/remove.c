/* remove.c -- hub_remove() of cache.h.
 *
 * Links go first, then the blobs that no link of the repository leads to any more, so that a commit which is left is whole
 * whatever happens meanwhile. */
#include "hub/cache.h"

#include "base/file.h"
#include "base/mem.h"
#include "hub/blob.h"
#include "hub/plan.h"
#include "hub/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The blob that a link leads to, by its name, to be freed; NULL: it is no link. */
static char *blob_of(const char *path)
{
    char    to[HUB_PATH_MAX + 1];
    ssize_t n = readlink(path, to, sizeof to - 1);
    if (n <= 0)
        return NULL;
    to[n] = '\0';
    char *cut = strrchr(to, '/');
    return mem_copy(cut ? cut + 1 : to, strlen(cut ? cut + 1 : to));
}

/* Adds the names of the blobs that the links below the folder lead to. */
static void blobs_below(struct hub_listing *ids, const char *folder)
{
    struct hub_listing files;
    walk_files(&files, folder);
    for (size_t i = 0; i < files.n; i++) {
        char *path = path_join(folder, files.at[i].path), *id = blob_of(path);
        if (id && !hub_listing_find(ids, str_of(id)))
            (void)!hub_listing_add(ids, str_of(id), files.at[i].bytes, NULL);
        free(id);
        free(path);
    }
    hub_listing_drop(&files);
}

/* Nobody may be fetching: each part is locked, for a moment. */
static bool is_idle(const struct hub_folders *f, struct err *e)
{
    struct hub_listing parts;
    bool               ok = true;
    walk_names(&parts, f->blobs);
    for (size_t i = 0; ok && i < parts.n; i++) {
        struct str name = str_of(parts.at[i].path);
        char       lock[HUB_ID_MAX + 8];
        if (!str_ends(name, STR(".incomplete")) || name.n - 11 > HUB_ID_MAX)
            continue;
        snprintf(lock, sizeof lock, "%.*s.lock", (int)(name.n - 11), name.p);
        char *path = path_join(f->locks, lock);
        int   fd = file_kind(path) == FILE_PLAIN ? hub_lock(NULL, path, true, e) : -2;
        ok = fd != -1;
        if (fd >= 0)
            close(fd);
        free(path);
    }
    hub_listing_drop(&parts);
    return ok;
}

static bool remove_link(const char *folder, const char *name, uint64_t *freed, struct err *e)
{
    char *path = path_join(folder, name);
    bool  ok = walk_remove(path, freed, e);
    free(path);
    return ok;
}

/* Refs to a commit that is gone, and what other programs note about it. */
static bool forget_commit(const struct hub_folders *f, uint64_t *freed, struct err *e)
{
    struct hub_listing refs;
    char               tree[64], *folder = path_join(f->repo, "refs"), *absent = path_join(f->repo, ".no_exist");
    bool               ok = true;
    walk_files(&refs, folder);
    for (size_t i = 0; ok && i < refs.n; i++) {
        struct buf text;
        char      *path = path_join(folder, refs.at[i].path);
        buf_init(&text, 0);
        if (file_read(&text, path, 256, NULL) && str_is(str_trim(buf_view(&text)), f->commit))
            ok = unlink(path) == 0 || err_os(e, "removing %s", path);
        buf_drop(&text);
        free(path);
    }
    snprintf(tree, sizeof tree, "trees/%s.json", f->commit);
    ok = ok && remove_link(f->repo, tree, freed, e) && remove_link(absent, f->commit, freed, e) && walk_remove(f->snapshot, freed, e);
    hub_listing_drop(&refs);
    free(absent);
    free(folder);
    return ok;
}

/* The blobs that were let go of and that nothing else leads to. */
static bool remove_blobs(const struct hub_folders *f, const struct hub_listing *gone, uint64_t *freed, struct err *e)
{
    struct hub_listing used;
    char              *snapshots = path_join(f->repo, "snapshots");
    bool               ok = true;
    hub_listing_init(&used);
    blobs_below(&used, snapshots);
    for (size_t i = 0; ok && i < gone->n; i++)
        if (!hub_listing_find(&used, str_of(gone->at[i].path)))
            ok = remove_link(f->blobs, gone->at[i].path, freed, e);
    hub_listing_drop(&used);
    free(snapshots);
    return ok;
}

/* Takes the chosen file, or all, out of one commit. */
static bool remove_from(const struct hub_folders *f, const char *choice, uint64_t *freed, struct err *e)
{
    struct hub_listing files, gone, left;
    struct hub_plan    plan = {0};
    bool               ok = true;
    walk_files(&files, f->snapshot);
    hub_listing_init(&gone);
    if (*choice)
        ok = hub_plan(&plan, &files, choice, e);
    if (ok && plan.gguf) {
        char *path = path_join(f->snapshot, plan.gguf->path), *id = blob_of(path);
        if (id)
            ok = hub_listing_add(&gone, str_of(id), 0, e);
        ok = ok && walk_remove(path, freed, e);
        free(id);
        free(path);
    } else if (ok) {
        blobs_below(&gone, f->snapshot);
    }
    walk_files(&left, f->snapshot);
    if (ok && (!*choice || left.n == 0))
        ok = forget_commit(f, freed, e);
    ok = ok && remove_blobs(f, &gone, freed, e);
    hub_plan_drop(&plan);
    hub_listing_drop(&left);
    hub_listing_drop(&gone);
    hub_listing_drop(&files);
    return ok;
}

bool hub_remove(const struct hub_place *p, const struct hub_name *name, bool has_revision, uint64_t *freed, struct err *e)
{
    char               commit[HUB_COMMIT + 1] = "";
    struct hub_folders f;
    struct hub_listing left;
    hub_folders_init(&f, p, name->repo, "");
    bool whole = !has_revision && !*name->choice;
    bool ok = file_kind(f.repo) == FILE_FOLDER && (whole || hub_commit_find(f.repo, name->revision, commit));
    *freed = 0;
    if (!ok)
        err_set(e, ERR_NOT_FOUND, "%s%s%s is not on this disk; hearth list shows what is", name->repo, has_revision ? "@" : "",
                has_revision ? name->revision : "");
    hub_folders_drop(&f);
    hub_folders_init(&f, p, name->repo, commit);
    ok = ok && (is_idle(&f, e) || err_in(e, "%s", name->repo));
    if (ok && !whole) {
        char *snapshots = path_join(f.repo, "snapshots");
        ok = remove_from(&f, name->choice, freed, e);
        walk_names(&left, snapshots);
        whole = left.n == 0;
        hub_listing_drop(&left);
        free(snapshots);
    }
    ok = ok && (!whole || walk_remove(f.repo, freed, e));
    hub_folders_drop(&f);
    return ok;
}
