/* packs.c -- see packs.h. */
#include "app/packs.h"

#include "app/models.h"
#include "backend/packfile.h"
#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char *packs_folder(void)
{
    char *cache = cache_folder(), *folder = cache ? path_join(cache, "packed") : NULL;
    free(cache);
    return folder;
}

char *packs_path(struct sha256 key)
{
    char *folder = packs_folder(), *path = NULL, name[65 + sizeof ".pack"];
    sha256_hex(key, name);
    memcpy(name + 64, ".pack", sizeof ".pack");
    if (folder)
        path = path_join(folder, name);
    free(folder);
    return path;
}

static void add(struct packs *p, char *path)
{
    struct packfile_head head = {0};
    struct stat          file;
    if (stat(path, &file) != 0 || !S_ISREG(file.st_mode)) {
        free(path);
        return;
    }
    if (!packfile_look(&head, path, NULL))
        head.label[0] = '\0';
    p->at = mem_grow(p->at, p->n + 1, sizeof *p->at);
    p->at[p->n++] = (struct pack){.path = path, .of = mem_copy(head.label, strlen(head.label)), .name = models_name(head.label),
                                  .bytes = (uint64_t)file.st_size, .used_s = (int64_t)file.st_mtime};
}

static int by_use(const void *a, const void *b)
{
    const struct pack *x = a, *y = b;
    return (x->used_s < y->used_s) - (x->used_s > y->used_s);
}

void packs_read(struct packs *out)
{
    *out = (struct packs){0};
    char *folder = packs_folder();
    DIR  *dir = folder ? opendir(folder) : NULL;
    for (struct dirent *d; dir && (d = readdir(dir)) != NULL;)
        if (str_ends(str_of(d->d_name), STR(".pack")))
            add(out, path_join(folder, d->d_name));
    if (dir)
        closedir(dir);
    free(folder);
    if (out->n)
        qsort(out->at, out->n, sizeof *out->at, by_use);
}

void packs_drop(struct packs *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->at[i].path);
        free(p->at[i].of);
        free(p->at[i].name);
    }
    free(p->at);
    *p = (struct packs){0};
}

void packs_tidy(const char *path, const char *of)
{
    struct packs all;
    packs_read(&all);
    for (size_t i = 0; i < all.n; i++)
        if (of && strcmp(all.at[i].of, of) == 0 && strcmp(all.at[i].path, path) != 0)
            (void)unlink(all.at[i].path);
    packs_drop(&all);
}
