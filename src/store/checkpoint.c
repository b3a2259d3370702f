/* checkpoint.c -- see checkpoint.h.  Both forms end as one list of tensors and one object of configuration. */
#include "store/checkpoint.h"

#include "store/gguf_names.h"
#include "store/pieces.h"
#include "store/quant.h"
#include "store/shards.h"

#include "base/arena.h"
#include "base/mem.h"

#include <stdlib.h>

enum { TEXT_BYTES_MAX = 256 << 20, KEY_END_BYTES = 64 << 10 };

struct entry {
    const char   *name;     /* in the arena */
    struct tensor tensor;
};

struct checkpoint {
    char            *path;
    struct pieces    file;          /* a GGUF file, or several */
    struct gguf     *gguf;          /* of that; NULL: a folder */
    struct shards    shards;        /* a folder's */
    struct json_doc *config, *generation, *tokenizer;    /* NULL: there is no such file */
    struct arena     arena;
    struct entry    *entry;
    size_t           n, room;
    struct names     names;
    uint64_t         bytes;
};

static void entry_push(struct checkpoint *c, struct str name, const struct tensor *t)
{
    if (c->n == c->room) {
        c->room = c->room ? c->room * 2 : 256;
        c->entry = mem_grow(c->entry, c->room, sizeof *c->entry);
    }
    const char *copy = arena_copy(&c->arena, name.p, name.n);
    names_push(&c->names, (struct str){copy, name.n}, c->n);
    c->entry[c->n++] = (struct entry){copy, *t};
    c->bytes += t->bytes;
}

static bool file_open(struct checkpoint *c, struct err *e)
{
    if (str_ends(str_of(c->path), STR(".safetensors")) && file_kind(c->path) != FILE_NONE)
        return err_set(e, ERR_UNSUPPORTED, "%s: give the folder that holds it (with config.json), not the file",
                       c->path);
    if (!pieces_open(&c->file, c->path, e))
        return false;
    c->gguf = c->file.gguf;
    if (!gguf_config(c->gguf, &c->config, e))
        return err_in(e, "%s", c->path);
    struct buf name;
    buf_init(&name, 0);
    for (size_t i = 0; i < gguf_n_tensors(c->gguf); i++) {
        struct tensor t;
        buf_clear(&name);
        gguf_name(c->gguf, gguf_tensor_at(c->gguf, i, &t), &name);
        entry_push(c, buf_view(&name), &t);
    }
    buf_drop(&name);
    return true;
}

static bool json_beside(const struct checkpoint *c, const char *name, struct json_doc **out, struct err *e)
{
    char *path = path_join(c->path, name);
    bool  ok = object_read(out, path, e);
    free(path);
    return ok;
}

/* A file that may be absent; broken it is refused, since what it says would be missed without a word. */
static bool json_if_beside(const struct checkpoint *c, const char *name, struct json_doc **out, struct err *e)
{
    struct err why;
    return json_beside(c, name, out, &why) || why.kind == ERR_NOT_FOUND || err_set(e, why.kind, "%s", why.text);
}

/* The tensors of all shards that count; a quantised weight's parts may lie in several. */
static bool shards_take(struct checkpoint *c, struct err *e)
{
    size_t n = 0, n_max = 0;
    for (size_t i = 0; i < c->shards.n; i++)
        n_max += safetensors_len(c->shards.at[i].tensors);
    struct tensor_entry *all = mem_array(n_max, sizeof *all);
    for (size_t i = 0; i < c->shards.n; i++) {
        const struct safetensors *s = c->shards.at[i].tensors;
        for (size_t k = 0; k < safetensors_len(s); k++) {
            struct tensor_entry x;
            x.name = safetensors_at(s, k, &x.tensor);
            if (shards_own(&c->shards, i, x.name))
                all[n++] = x;
        }
    }
    bool ok = quant_join(all, &n, json_root(c->config), e) || err_in(e, "%s", c->path);
    for (size_t i = 0; ok && i < n; i++)
        entry_push(c, all[i].name, &all[i].tensor);
    free(all);
    return ok;
}

static bool folder_open(struct checkpoint *c, struct err *e)
{
    if (!json_beside(c, "config.json", &c->config, e) ||
        !json_if_beside(c, "generation_config.json", &c->generation, e) ||
        !json_if_beside(c, "tokenizer_config.json", &c->tokenizer, e))
        return false;
    return shards_open(&c->shards, c->path, e) && shards_take(c, e);
}

bool checkpoint_open(struct checkpoint **out, const char *path, struct err *e)
{
    struct checkpoint *c = mem_new(sizeof *c);
    c->path = mem_copy(path, strlen(path));
    arena_init(&c->arena, 0);
    bool ok = file_kind(path) == FILE_FOLDER ? folder_open(c, e) : file_open(c, e);
    if (ok && !names_sort(&c->names, e))
        ok = err_in(e, "%s: tensor names", path);
    if (ok)
        *out = c;
    else
        checkpoint_close(c);
    return ok;
}

void checkpoint_close(struct checkpoint *c)
{
    if (!c)
        return;
    shards_close(&c->shards);
    pieces_close(&c->file);
    json_free(c->config);
    json_free(c->generation);
    json_free(c->tokenizer);
    names_drop(&c->names);
    arena_drop(&c->arena);
    free(c->entry);
    free(c->path);
    free(c);
}

const char *checkpoint_path(const struct checkpoint *c)
{
    return c->path;
}

uint64_t checkpoint_bytes(const struct checkpoint *c)
{
    return c->bytes;
}

static void add_file(struct sha256_run *h, const struct file_map *m)
{
    size_t n = m->n < KEY_END_BYTES ? m->n : KEY_END_BYTES;
    sha256_add(h, &m->mark, sizeof m->mark);
    sha256_add(h, m->p, n);
    sha256_add(h, m->p + (m->n - n), n);
}

/* The files, in order. */
static size_t n_files(const struct checkpoint *c)
{
    return c->gguf ? c->file.n : c->shards.n;
}

static const struct file_map *file_at(const struct checkpoint *c, size_t i)
{
    return c->gguf ? &c->file.map[i] : &c->shards.at[i].map;
}

static void add_tensor(struct sha256_run *h, const struct checkpoint *c, const struct entry *x)
{
    struct tensor_piece piece[TENSOR_PIECES_MAX];
    size_t              n = tensor_pieces(&x->tensor, piece);
    sha256_add(h, x->name, strlen(x->name) + 1);
    for (size_t i = 0; i < n; i++) {
        size_t in = 0;
        if (piece[i].n == 0)
            continue;
        while (!((uintptr_t)piece[i].p - (uintptr_t)file_at(c, in)->p < file_at(c, in)->n))
            CHECK(++in < n_files(c));
        uint64_t place[] = {in, (uintptr_t)piece[i].p - (uintptr_t)file_at(c, in)->p, piece[i].n, (uint64_t)x->tensor.format};
        sha256_add(h, place, sizeof place);
    }
    sha256_add(h, &x->tensor.scales.group, sizeof x->tensor.scales.group);
}

struct sha256 checkpoint_key(const struct checkpoint *c)
{
    struct sha256_run *h = sha256_new();
    sha256_start(h);
    for (size_t i = 0; i < n_files(c); i++)
        add_file(h, file_at(c, i));
    for (size_t i = 0; i < c->n; i++)
        add_tensor(h, c, &c->entry[i]);
    struct sha256 key = sha256_end(h);
    sha256_free(h);
    return key;
}

json checkpoint_config(const struct checkpoint *c)
{
    return json_root(c->config);
}

/* Ids without repeats. */
struct id_list {
    int32_t *id;
    size_t   n, n_max;
};

static void id_add(struct id_list *x, int64_t id)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->id[i] == id)
            return;
    if (id >= 0 && id <= INT32_MAX && x->n < x->n_max)
        x->id[x->n++] = (int32_t)id;
}

/* One id, or an array of ids. */
static void ids_add(struct id_list *x, json v)
{
    if (json_type(v) != JSON_ARRAY)
        id_add(x, json_int_or(v, -1));
    else
        for (struct json_iter it = json_iter(v); json_next(&it);)
            id_add(x, json_int_or(it.value, -1));
}

size_t checkpoint_eos(const struct checkpoint *c, int32_t *out, size_t n)
{
    struct id_list x = {out, 0, n};
    if (c->gguf) {
        id_add(&x, gguf_int(c->gguf, "tokenizer.ggml.eos_token_id", -1));
        id_add(&x, gguf_int(c->gguf, "tokenizer.ggml.eot_token_id", -1));
        id_add(&x, gguf_int(c->gguf, "tokenizer.ggml.eom_token_id", -1));
        return x.n;
    }
    ids_add(&x, json_get(json_root(c->generation), "eos_token_id"));
    if (x.n == 0)
        ids_add(&x, json_get(json_root(c->config), "eos_token_id"));
    return x.n;
}

bool checkpoint_find(const struct checkpoint *c, const char *name, struct tensor *out)
{
    size_t i = names_find(&c->names, str_of(name));
    if (i == NAMES_NONE)
        return false;
    *out = c->entry[i].tensor;
    return true;
}

size_t checkpoint_len(const struct checkpoint *c)
{
    return c->n;
}

const char *checkpoint_at(const struct checkpoint *c, size_t i, struct tensor *out)
{
    CHECK(i < c->n);
    *out = c->entry[i].tensor;
    return c->entry[i].name;
}

json checkpoint_generation(const struct checkpoint *c)
{
    return json_root(c->generation);
}

json checkpoint_tokenizer(const struct checkpoint *c)
{
    return json_root(c->tokenizer);
}

static char *text_take(struct str s, size_t *n)
{
    if (!s.p)
        return NULL;
    *n = s.n;
    return mem_copy(s.p, s.n);
}

/* The template as older folders have it: in tokenizer_config.json, a text or a list of named texts. */
static char *template_inside(const struct checkpoint *c, size_t *n)
{
    json v = json_get(json_root(c->tokenizer), "chat_template"), found = json_type(v) == JSON_ARRAY ? NULL : v;
    for (struct json_iter it = json_iter(found ? NULL : v); json_next(&it);)
        if (json_is(json_get(it.value, "name"), "default"))
            found = json_get(it.value, "template");
    return text_take(json_str(found), n);
}

char *checkpoint_text(const struct checkpoint *c, const char *name, size_t *n)
{
    CHECK(!strchr(name, '/'));
    bool is_template = strcmp(name, "chat_template.jinja") == 0;
    if (c->gguf)
        return is_template ? text_take(gguf_str(c->gguf, "tokenizer.chat_template"), n) : NULL;
    struct buf text;
    buf_init(&text, 0);
    char *path = path_join(c->path, name);
    bool  ok = file_read(&text, path, TEXT_BYTES_MAX, NULL);
    free(path);
    if (ok) {
        *n = text.n;
        return buf_take(&text);
    }
    buf_drop(&text);
    return is_template ? template_inside(c, n) : NULL;
}

const struct gguf *checkpoint_gguf(const struct checkpoint *c)
{
    return c->gguf;
}
