/* cache.c -- see cache.h. */
#include "hub/cache.h"

#include "base/file.h"
#include "base/mem.h"
#include "hub/blob.h"
#include "hub/plan.h"
#include "hub/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { REF_BYTES_MAX = 256, COMMIT_DIGITS_MIN = 4 };

static char *repo_folder(const struct hub_place *p, const char *repo)
{
    char *name = hub_folder_name(repo), *folder = path_join(p->cache, name);
    free(name);
    return folder;
}

/* a/b/c, to be freed. */
static char *join(const char *a, const char *b, const char *c)
{
    char *ab = path_join(a, b), *abc = path_join(ab, c);
    free(ab);
    return abc;
}

/* ---- revisions ------------------------------------------------------------------------------------------------------ */

static bool ref_read(const char *path, char commit[HUB_COMMIT + 1])
{
    struct buf text;
    buf_init(&text, REF_BYTES_MAX);
    bool       ok = file_read(&text, path, REF_BYTES_MAX, NULL);
    struct str s = ok ? str_trim(buf_view(&text)) : (struct str){NULL, 0};
    ok = ok && hub_is_hex(s, HUB_COMMIT);
    if (ok) {
        memcpy(commit, s.p, HUB_COMMIT);
        commit[HUB_COMMIT] = '\0';
    }
    buf_drop(&text);
    return ok;
}

bool hub_ref_write(const struct hub_place *p, const struct hub_name *name, const char *commit, struct err *e)
{
    if (str_is(str_of(name->revision), commit))
        return true;
    char  early[40], *folder = repo_folder(p, name->repo), *ref = join(folder, "refs", name->revision), *cut = strrchr(ref, '/');
    snprintf(early, sizeof early, ".ref.%ld", (long)getpid());
    char *part = path_join(folder, early);
    *cut = '\0';
    bool ok = folder_make_as(ref, 0777, e);
    *cut = '/';
    FILE *f = ok ? fopen(part, "w") : NULL;
    if (ok)
        ok = f && fputs(commit, f) >= 0;
    if (f)
        ok = fclose(f) == 0 && ok;
    ok = (ok && rename(part, ref) == 0) || err_os(e, "writing %s", ref);
    free(part);
    free(ref);
    free(folder);
    return ok;
}

bool hub_commit_find(const char *folder, const char *revision, char commit[HUB_COMMIT + 1])
{
    char *ref = join(folder, "refs", revision), *snapshots = path_join(folder, "snapshots");
    bool  found = ref_read(ref, commit);
    if (!found && strlen(revision) >= COMMIT_DIGITS_MIN && hub_is_hex(str_of(revision), strlen(revision))) {
        struct hub_listing all;
        unsigned           n = 0;
        walk_names(&all, snapshots);
        for (size_t i = 0; i < all.n; i++)
            if (hub_is_hex(str_of(all.at[i].path), HUB_COMMIT) && str_starts(str_of(all.at[i].path), str_of(revision)) && ++n == 1)
                memcpy(commit, all.at[i].path, HUB_COMMIT + 1);
        hub_listing_drop(&all);
        found = n == 1;
    }
    free(ref);
    free(snapshots);
    return found;
}

/* ---- finding -------------------------------------------------------------------------------------------------------- */

/* Whether the files of a snapshot are all that their plan wants; a pull, ours or another program's, may have been cut off. */
static bool is_whole(const char *snapshot, const struct hub_listing *l, struct hub_plan *plan, struct err *e)
{
    if (plan->gguf)
        return true;
    if (!hub_listing_find(l, STR("tokenizer.json")) && !hub_listing_find(l, STR("tokenizer.model")))
        return err_set(e, ERR_NOT_FOUND, "there is no tokenizer");
    return hub_plan_weights(plan, l, snapshot, e);
}

static bool look_at(const char *snapshot, const char *choice, char **path, struct err *e)
{
    struct hub_listing l;
    struct hub_plan    plan = {0};
    walk_files(&l, snapshot);
    bool ok = hub_plan(&plan, &l, choice, e) && is_whole(snapshot, &l, &plan, e);
    if (ok)
        *path = plan.gguf ? path_join(snapshot, plan.gguf->path) : mem_copy(snapshot, strlen(snapshot));
    hub_plan_drop(&plan);
    hub_listing_drop(&l);
    return ok;
}

bool hub_find(char **path, const struct hub_place *p, const struct hub_name *name, struct err *e)
{
    char       commit[HUB_COMMIT + 1], *folder = repo_folder(p, name->repo), *snapshot = NULL;
    struct err why;
    bool       ok = hub_commit_find(folder, name->revision, commit);
    if (ok)
        snapshot = join(folder, "snapshots", commit);
    if (!ok || file_kind(snapshot) != FILE_FOLDER)
        ok = err_set(e, ERR_NOT_FOUND, "%s is not on this disk yet (%s)", name->repo, p->cache);
    else if (!look_at(snapshot, name->choice, path, &why))
        ok = err_set(e, ERR_NOT_FOUND, "%s is not whole on this disk: %s", name->repo, why.text);
    free(snapshot);
    free(folder);
    return ok;
}

/* ---- listing -------------------------------------------------------------------------------------------------------- */

static char *revisions_of(const char *folder, const char *commit)
{
    struct hub_listing refs;
    struct buf         text;
    char              *refs_folder = path_join(folder, "refs"), is[HUB_COMMIT + 1];
    walk_files(&refs, refs_folder);
    buf_init(&text, 0);
    for (size_t i = 0; i < refs.n; i++) {
        char *path = path_join(refs_folder, refs.at[i].path);
        if (ref_read(path, is) && strcmp(is, commit) == 0)
            buf_printf(&text, "%s%s", text.n ? ", " : "", refs.at[i].path);
        free(path);
    }
    hub_listing_drop(&refs);
    free(refs_folder);
    return buf_take(&text);
}

/* Of several GGUF files each is a model. */
static bool is_servable(const char *snapshot)
{
    struct hub_listing l;
    struct hub_plan    plan = {0};
    struct err         why;
    walk_files(&l, snapshot);
    bool ok = hub_plan(&plan, &l, "", &why) && is_whole(snapshot, &l, &plan, &why);
    for (size_t i = 0; !ok && i < l.n; i++)
        ok = str_ends(str_of(l.at[i].path), STR(".gguf"));
    hub_plan_drop(&plan);
    hub_listing_drop(&l);
    return ok;
}

static void add(struct hub_models *m, const char *repo, const char *folder, const char *commit)
{
    struct hub_listing files;
    char              *path = *commit ? join(folder, "snapshots", commit) : path_join(folder, "blobs");
    struct hub_model   x = {.repo = mem_copy(repo, strlen(repo)), .path = path, .revisions = revisions_of(folder, commit),
                            .pulled_s = walk_changed_s(path), .whole = *commit && is_servable(path)};
    walk_files(&files, path);
    for (size_t i = 0; i < files.n; i++)
        x.bytes += files.at[i].bytes;
    hub_listing_drop(&files);
    snprintf(x.commit, sizeof x.commit, "%s", commit);
    m->at = mem_grow(m->at, m->n + 1, sizeof *m->at);
    m->at[m->n++] = x;
}

static int by_name(const void *a, const void *b)
{
    const struct hub_model *x = a, *y = b;
    int                     order = strcmp(x->repo, y->repo);
    return order ? order : (x->pulled_s < y->pulled_s) - (x->pulled_s > y->pulled_s);
}

static void add_repo(struct hub_models *m, const struct hub_place *p, const char *name)
{
    char               repo[2 * HUB_PART_MAX + 2], *folder, *snapshots;
    struct hub_listing all;
    size_t             before = m->n;
    if (!hub_folder_repo(name, repo))
        return;
    folder = path_join(p->cache, name);
    snapshots = path_join(folder, "snapshots");
    walk_names(&all, snapshots);
    for (size_t i = 0; i < all.n; i++)
        if (hub_is_hex(str_of(all.at[i].path), HUB_COMMIT))
            add(m, repo, folder, all.at[i].path);
    if (m->n == before)
        add(m, repo, folder, "");
    hub_listing_drop(&all);
    free(snapshots);
    free(folder);
}

void hub_models_read(struct hub_models *out, const struct hub_place *p)
{
    struct hub_listing all;
    *out = (struct hub_models){0};
    walk_names(&all, p->cache);
    for (size_t i = 0; i < all.n; i++)
        add_repo(out, p, all.at[i].path);
    hub_listing_drop(&all);
    if (out->n)
        qsort(out->at, out->n, sizeof *out->at, by_name);
}

void hub_models_drop(struct hub_models *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->at[i].repo);
        free(m->at[i].path);
        free(m->at[i].revisions);
    }
    free(m->at);
    *m = (struct hub_models){0};
}

bool hub_repo_of(const char *path, char repo[2 * HUB_PART_MAX + 2])
{
    for (const char *from = path; from; from = strchr(from, '/')) {
        from += *from == '/';
        const char *to = strchr(from, '/');
        char       *part = to ? mem_copy(from, (size_t)(to - from)) : NULL;
        bool        is = part && (str_starts(str_of(to), STR("/snapshots/")) || str_starts(str_of(to), STR("/blobs/"))) &&
                  hub_folder_repo(part, repo);
        free(part);
        if (is)
            return true;
    }
    return false;
}
