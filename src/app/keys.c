/* keys.c -- see keys.h. */
#include "app/keys.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 1 << 20 };

static bool add(struct keys *k, struct str line, struct err *e)
{
    size_t     cut = str_find(line, STR("="));
    struct str name = cut == STR_NONE ? STR("default") : str_trim((struct str){line.p, cut});
    struct str key = cut == STR_NONE ? line : str_trim((struct str){line.p + cut + 1, line.n - cut - 1});
    if (name.n == 0 || key.n == 0)
        return err_param(e, "api-key", "--api-key wants NAME=KEY, both not empty");
    for (size_t i = 0; i < k->n; i++)
        if (str_is(key, k->key[i].key) || str_is(name, k->key[i].name))
            return err_param(e, "api-key", "--api-key names %.*s or its key twice", (int)name.n, name.p);
    k->key = mem_grow(k->key, k->n + 1, sizeof *k->key);
    k->text = mem_grow(k->text, 2 * (k->n + 1), sizeof *k->text);
    k->text[2 * k->n] = mem_copy(name.p, name.n);
    k->text[2 * k->n + 1] = mem_copy(key.p, key.n);
    k->key[k->n] = (struct api_key){k->text[2 * k->n], k->text[2 * k->n + 1]};
    k->n++;
    return true;
}

static bool add_file(struct keys *k, const char *path, struct err *e)
{
    struct buf b;
    buf_init(&b, 0);
    bool ok = file_read(&b, path, FILE_BYTES_MAX, e);
    for (struct str left = buf_view(&b); ok && left.n;) {
        size_t     end = str_find(left, STR("\n"));
        struct str line = str_trim((struct str){left.p, end == STR_NONE ? left.n : end});
        size_t     used = end == STR_NONE ? left.n : end + 1;
        left = (struct str){left.p + used, left.n - used};
        if (line.n && line.p[0] != '#')
            ok = add(k, line, e) || err_in(e, "%s", path);
    }
    buf_drop(&b);
    return ok;
}

bool keys_read(struct keys *out, const struct option_TEXTS *from, struct err *e)
{
    struct keys k = {0};
    bool        ok = true;
    for (unsigned i = 0; ok && i < from->n; i++)
        ok = from->v[i][0] == '@' ? add_file(&k, from->v[i] + 1, e) : add(&k, str_of(from->v[i]), e);
    if (ok && from->n && k.n == 0)
        ok = err_param(e, "api-key", "--api-key brought no key: the file is empty");
    if (ok)
        *out = k;
    else
        keys_drop(&k);
    return ok;
}

void keys_drop(struct keys *k)
{
    for (size_t i = 0; i < 2 * k->n; i++)
        free(k->text[i]);
    free(k->text);
    free(k->key);
    *k = (struct keys){0};
}
