/* Any bytes as the JSON files of a folder: config.json, generation_config.json, the index and tokenizer_config.json,
 * cut at NUL bytes, beside one small shard. */
#include "store/checkpoint.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const files[] = {
    "config.json", "generation_config.json", "model.safetensors.index.json", "tokenizer_config.json", "s.safetensors",
};
enum { N_JSON = 4, N_FILES = 5 };

static void put(const char *folder, const char *name, const void *p, size_t n)
{
    char *path = path_join(folder, name);
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(p, 1, n, f) == n && fclose(f) == 0);
    free(path);
}

static void cut(const char *folder, const char *name)
{
    char *path = path_join(folder, name);
    unlink(path);
    free(path);
}

static void shard_put(const char *folder)
{
    static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                                 "\"b\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[4,8]}}";
    const uint64_t    bytes = sizeof header - 1;
    struct buf        file;
    buf_init(&file, 0);
    buf_append(&file, &bytes, sizeof bytes);
    buf_append(&file, header, bytes);
    buf_append(&file, "12345678", 8);
    put(folder, "s.safetensors", file.p, file.n);
    buf_drop(&file);
}

static void folder_fill(const char *folder, const uint8_t *data, size_t n)
{
    shard_put(folder);
    for (int i = 0; i < N_JSON && n; i++) {
        const uint8_t *end = memchr(data, 0, n);
        size_t         piece = end ? (size_t)(end - data) : n;
        if (piece)
            put(folder, files[i], data, piece);
        data += piece + (end != NULL);
        n -= piece + (end != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char               folder[] = "/tmp/hearth-fuzz-XXXXXX";
    struct checkpoint *c;
    struct err         e;
    int32_t            eos[4];
    size_t             bytes;
    CHECK(mkdtemp(folder));
    folder_fill(folder, data, n);
    if (checkpoint_open(&c, folder, &e)) {
        CHECK(checkpoint_len(c) <= 2 && checkpoint_eos(c, eos, 4) <= 4);
        free(checkpoint_text(c, "chat_template.jinja", &bytes));
        checkpoint_close(c);
    } else {
        CHECK(e.kind == ERR_CORRUPT || e.kind == ERR_NOT_FOUND);
    }
    for (int i = 0; i < N_FILES; i++)
        cut(folder, files[i]);
    CHECK(rmdir(folder) == 0);
    return 0;
}
