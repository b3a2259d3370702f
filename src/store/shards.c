/* shards.c -- see shards.h. */
#include "store/shards.h"

#include "base/mem.h"

#include <dirent.h>
#include <stdlib.h>

enum { JSON_BYTES_MAX = 64 << 20, FILE_NAME_MAX = 255 };

bool object_read(struct json_doc **out, const char *path, struct err *e)
{
    struct buf text;
    struct err why;
    buf_init(&text, 0);
    struct json_doc *doc = NULL;
    bool             ok = file_read(&text, path, JSON_BYTES_MAX, e);
    if (ok && !json_parse_python(&doc, buf_view(&text), &why))
        ok = err_set(e, ERR_CORRUPT, "%s: %s", path, why.text);
    else if (ok && json_type(json_root(doc)) != JSON_OBJECT)
        ok = err_set(e, ERR_CORRUPT, "%s is %s, not an object", path, json_type_name(json_root(doc)));
    buf_drop(&text);
    if (ok)
        *out = doc;
    else
        json_free(doc);
    return ok;
}

static void shard_push(struct shards *s, char *path)
{
    if (s->n == s->room) {
        s->room = s->room ? s->room * 2 : 16;
        s->at = mem_grow(s->at, s->room, sizeof *s->at);
    }
    s->at[s->n++] = (struct shard){.path = path};
}

static bool plain_name(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] == '/' || name.p[i] == '\\' || name.p[i] == '\0')
            return false;
    return str_ends(name, STR(".safetensors")) && name.p[0] != '.' && name.n <= FILE_NAME_MAX;
}

/* The number of the shard of that file name, added when it is new. */
static size_t shard_number(struct shards *s, const char *folder, const char *name)
{
    char  *path = path_join(folder, name);
    size_t i = 0;
    while (i < s->n && strcmp(s->at[i].path, path) != 0)
        i++;
    if (i == s->n)
        shard_push(s, path);
    else
        free(path);
    return i;
}

static bool index_read(struct shards *s, const char *folder, struct err *e)
{
    json map = json_get(json_root(s->index), "weight_map");
    if (json_type(map) != JSON_OBJECT)
        return err_set(e, ERR_CORRUPT, "its weight_map is %s, not an object", json_type_name(map));
    for (struct json_iter it = json_iter(map); json_next(&it);) {
        struct str file = json_str(it.value);
        if (!names_check(it.key, e))
            return err_in(e, "weight_map");
        if (!names_check(file, NULL) || !plain_name(file))
            return err_set(e, ERR_CORRUPT, "tensor %.*s: its file is not the plain name of a .safetensors file",
                           NAME_ARGS(it.key));
        names_push(&s->home, it.key, shard_number(s, folder, file.p));
    }
    return names_sort(&s->home, e);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct shard *)a)->path, ((const struct shard *)b)->path);
}

static bool folder_list(struct shards *s, const char *folder, struct err *e)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return err_os(e, "opening %s", folder);
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        if (plain_name(str_of(d->d_name)))
            shard_push(s, path_join(folder, d->d_name));
    closedir(dir);
    if (s->n == 0)
        return err_set(e, ERR_NOT_FOUND, "%s holds no .safetensors file", folder);
    qsort(s->at, s->n, sizeof *s->at, by_path);
    return true;
}

/* Fills s->at with the paths to open. */
static bool paths_find(struct shards *s, const char *folder, struct err *e)
{
    char *one = path_join(folder, "model.safetensors"), *index = path_join(folder, "model.safetensors.index.json");
    bool  ok;
    if (file_kind(one) != FILE_NONE) {
        shard_push(s, mem_copy(one, strlen(one)));
        ok = true;
    } else if (file_kind(index) != FILE_NONE) {
        ok = object_read(&s->index, index, e) && (index_read(s, folder, e) || err_in(e, "%s", index));
    } else {
        ok = folder_list(s, folder, e);
    }
    free(one);
    free(index);
    return ok;
}

static bool index_check(const struct shards *s, struct err *e)
{
    for (size_t i = 0; i < s->home.n; i++) {
        const struct name  *x = &s->home.at[i];
        const struct shard *in = &s->at[x->i];
        if (!safetensors_has(in->tensors, x->name))
            return err_set(e, ERR_CORRUPT, "%s: tensor %.*s: the index says that it is here, but it is not", in->path,
                           NAME_ARGS(x->name));
    }
    return true;
}

static bool all_open(struct shards *s, const char *folder, struct err *e)
{
    if (!paths_find(s, folder, e))
        return false;
    for (size_t i = 0; i < s->n; i++) {
        struct shard *x = &s->at[i];
        if (!file_map(&x->map, x->path, e) || !safetensors_parse(&x->tensors, x->map.p, x->map.n, x->path, e))
            return false;
    }
    return index_check(s, e);
}

bool shards_open(struct shards *out, const char *folder, struct err *e)
{
    if (all_open(out, folder, e))
        return true;
    shards_close(out);
    return false;
}

void shards_close(struct shards *s)
{
    for (size_t i = 0; i < s->n; i++) {
        safetensors_free(s->at[i].tensors);
        file_unmap(&s->at[i].map);
        free(s->at[i].path);
    }
    free(s->at);
    names_drop(&s->home);
    json_free(s->index);
    *s = (struct shards){0};
}

bool shards_own(const struct shards *s, size_t i, struct str name)
{
    return !s->index || names_find(&s->home, name) == i;
}
