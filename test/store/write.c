/* write.c -- see write.h. */
#include "write.h"

#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void put_u32(struct buf *b, uint32_t v)
{
    buf_append(b, &v, sizeof v);
}

static void put_u64(struct buf *b, uint64_t v)
{
    buf_append(b, &v, sizeof v);
}

static void put_str(struct buf *b, struct str s)
{
    put_u64(b, s.n);
    buf_str(b, s);
}

static void put_counting(struct buf *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_char(b, (char)(i & 0x7F));
}

void gguf_out_init(struct gguf_out *o, uint32_t version)
{
    *o = (struct gguf_out){.version = version, .alignment = 32};
    buf_init(&o->keys, 0);
    buf_init(&o->places, 0);
    buf_init(&o->data, 0);
}

void gguf_out_drop(struct gguf_out *o)
{
    buf_drop(&o->keys);
    buf_drop(&o->places);
    buf_drop(&o->data);
}

void gguf_put_value(struct gguf_out *o, struct str key, uint32_t type, const void *p, size_t n)
{
    put_str(&o->keys, key);
    put_u32(&o->keys, type);
    buf_append(&o->keys, p, n);
    o->n_key++;
}

void gguf_put_u32(struct gguf_out *o, const char *key, uint32_t v)
{
    gguf_put_value(o, str_of(key), GGUF_U32, &v, sizeof v);
}

void gguf_put_f32(struct gguf_out *o, const char *key, float v)
{
    gguf_put_value(o, str_of(key), GGUF_F32, &v, sizeof v);
}

void gguf_put_str(struct gguf_out *o, const char *key, const char *v)
{
    struct buf b;
    buf_init(&b, 0);
    put_str(&b, str_of(v));
    gguf_put_value(o, str_of(key), GGUF_STRING, b.p, b.n);
    buf_drop(&b);
}

void gguf_put_array(struct gguf_out *o, const char *key, enum gguf_type type, uint64_t n, const void *p, size_t bytes)
{
    struct buf b;
    buf_init(&b, 0);
    put_u32(&b, type);
    put_u64(&b, n);
    buf_append(&b, p, bytes);
    gguf_put_value(o, str_of(key), GGUF_ARRAY, b.p, b.n);
    buf_drop(&b);
}

void gguf_put_strs(struct gguf_out *o, const char *key, const char *const *s, size_t n)
{
    struct buf b;
    buf_init(&b, 0);
    for (size_t i = 0; i < n; i++)
        put_str(&b, str_of(s[i]));
    gguf_put_array(o, key, GGUF_STRING, n, b.p, b.n);
    buf_drop(&b);
}

void gguf_put_place(struct gguf_out *o, const struct gguf_place *x)
{
    put_str(&o->places, x->name);
    put_u32(&o->places, x->n_dim);
    for (uint32_t i = 0; i < x->n_dim && i < 5; i++)
        put_u64(&o->places, x->axis[i]);
    put_u32(&o->places, x->type);
    put_u64(&o->places, x->offset);
    o->n_tensor++;
}

void gguf_put_tensor(struct gguf_out *o, const char *name, enum format f, uint64_t rows, uint64_t cols)
{
    while (o->data.n % o->alignment)
        buf_char(&o->data, 0);
    gguf_put_place(o, &(struct gguf_place){str_of(name), (uint32_t)format_info(f)->gguf_type, rows ? 2 : 1,
                                           {cols, rows}, o->data.n});
    put_counting(&o->data, format_bytes(f, cols * (rows ? rows : 1)));
}

void gguf_write(const struct gguf_out *o, struct buf *out)
{
    buf_append(out, "GGUF", 4);
    put_u32(out, o->version);
    put_u64(out, o->n_tensor);
    put_u64(out, o->n_key);
    buf_str(out, buf_view(&o->keys));
    buf_str(out, buf_view(&o->places));
    while (o->data.n && out->n % o->alignment)
        buf_char(out, 0);
    buf_str(out, buf_view(&o->data));
}

void gguf_put_model(struct gguf_out *o, const char *arch)
{
    gguf_put_model_of(o, arch, 2);
}

void gguf_put_model_of(struct gguf_out *o, const char *arch, uint32_t n_layer)
{
    const struct { const char *key; uint32_t v; } counts[] = {
        {"block_count", n_layer},          {"context_length", 512},       {"embedding_length", 64},
        {"feed_forward_length", 96}, {"attention.head_count", 4},   {"attention.head_count_kv", 2},
    };
    static const char *const tokens[] = {"a", "b", "c", "d", "e"};
    char                     key[96];
    gguf_put_str(o, "general.architecture", arch);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        snprintf(key, sizeof key, "%s.%s", arch, counts[i].key);
        gguf_put_u32(o, key, counts[i].v);
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", arch);
    gguf_put_f32(o, key, 1e-5f);
    gguf_put_strs(o, "tokenizer.ggml.tokens", tokens, 5);
}

void safetensors_write(const char *header, size_t data_bytes, struct buf *out)
{
    put_str(out, str_of(header));
    put_counting(out, data_bytes);
}

char *folder_new(void)
{
    char *path = mem_copy("/tmp/hearth-store-XXXXXX", 24);
    CHECK(mkdtemp(path));
    return path;
}

void folder_free(char *folder)
{
    DIR *dir = opendir(folder);
    CHECK(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        if (d->d_name[0] != '.')
            folder_cut(folder, d->d_name);
    closedir(dir);
    CHECK(rmdir(folder) == 0);
    free(folder);
}

void folder_put(const char *folder, const char *name, struct str bytes)
{
    char *path = path_join(folder, name);
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(bytes.p, 1, bytes.n, f) == bytes.n);
    CHECK(fclose(f) == 0);
    free(path);
}

void folder_cut(const char *folder, const char *name)
{
    char *path = path_join(folder, name);
    CHECK(unlink(path) == 0);
    free(path);
}
