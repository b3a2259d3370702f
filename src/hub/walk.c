/* walk.c -- see walk.h. */
#include "hub/walk.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 8 };

/* The next name in the folder but "." and ".."; NULL: that was all. */
static const char *next_name(DIR *dir)
{
    struct dirent *d;
    do
        d = dir ? readdir(dir) : NULL;
    while (d && (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0));
    return d ? d->d_name : NULL;
}

static void files_below(struct hub_listing *l, const char *folder, const char *prefix, int depth)
{
    DIR        *dir = opendir(folder);
    struct stat is, to;
    for (const char *name; (name = next_name(dir)) != NULL;) {
        char *path = path_join(folder, name), *below = path_join(prefix, name);
        if (lstat(path, &is) == 0 && S_ISDIR(is.st_mode) && depth < DEPTH_MAX)
            files_below(l, path, below, depth + 1);
        else if (stat(path, &to) == 0 && S_ISREG(to.st_mode))
            (void)!hub_listing_add(l, str_of(below), (uint64_t)to.st_size, NULL);
        free(path);
        free(below);
    }
    if (dir)
        closedir(dir);
}

void walk_files(struct hub_listing *out, const char *folder)
{
    hub_listing_init(out);
    files_below(out, folder, "", 0);
}

void walk_names(struct hub_listing *out, const char *folder)
{
    DIR *dir = opendir(folder);
    hub_listing_init(out);
    for (const char *name; (name = next_name(dir)) != NULL;)
        (void)!hub_listing_add(out, str_of(name), 0, NULL);
    if (dir)
        closedir(dir);
}

int64_t walk_changed_s(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_mtime : 0;
}

static bool remove_below(const char *path, uint64_t *freed, int depth, struct err *e)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT || err_os(e, "removing %s", path);
    if (!S_ISDIR(st.st_mode)) {
        *freed += S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
        return unlink(path) == 0 || err_os(e, "removing %s", path);
    }
    DIR *dir = depth < 2 * DEPTH_MAX ? opendir(path) : NULL;
    bool ok = dir || err_os(e, "removing %s", path);
    for (const char *name; ok && (name = next_name(dir)) != NULL;) {
        char *one = path_join(path, name);
        ok = remove_below(one, freed, depth + 1, e);
        free(one);
    }
    if (dir)
        closedir(dir);
    return ok && (rmdir(path) == 0 || err_os(e, "removing %s", path));
}

bool walk_remove(const char *folder, uint64_t *freed, struct err *e)
{
    return remove_below(folder, freed, 0, e);
}
