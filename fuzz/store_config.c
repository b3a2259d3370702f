/* Any bytes as the JSON files of a folder: config.json, generation_config.json, the index and tokenizer_config.json,
 * cut at NUL bytes, beside one small shard; behind a first byte 'q' beside one of quantised weights. */
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

#define AT(name, type, shape, from, to) \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}"

static const char plain[] = "{" AT("a", "F32", "[1]", "0", "4") "," AT("b", "F16", "[2]", "4", "8") "}";
static const char quantised[] =
    "{" AT("a.weight", "U32", "[2,8]", "0", "64") "," AT("a.scales", "F16", "[2,2]", "64", "72") ","
    AT("a.biases", "F16", "[2,2]", "72", "80") "," AT("b.weight", "U32", "[1,16]", "80", "144") ","
    AT("b.scales", "U8", "[1,2]", "144", "146") "," AT("c_blocks", "U8", "[1,1,16]", "146", "162") ","
    AT("c_scales", "U8", "[1,1]", "162", "163") "}";

static void shard_put(const char *folder, const char *header, size_t n)
{
    const uint64_t header_bytes = strlen(header);
    struct buf     file;
    buf_init(&file, 0);
    buf_append(&file, &header_bytes, sizeof header_bytes);
    buf_append(&file, header, header_bytes);
    for (size_t i = 0; i < n; i++)
        buf_char(&file, (char)i);
    put(folder, "s.safetensors", file.p, file.n);
    buf_drop(&file);
}

/* All bytes of all tensors can be read. */
static uint64_t sum_of(const struct checkpoint *c)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < checkpoint_len(c); i++) {
        struct tensor       t;
        struct tensor_piece piece[TENSOR_PIECES_MAX];
        checkpoint_at(c, i, &t);
        for (size_t k = tensor_pieces(&t, piece); k-- > 0;)
            for (size_t at = 0; at < piece[k].n; at++)
                sum += ((const uint8_t *)piece[k].p)[at];
    }
    return sum;
}

static void folder_fill(const char *folder, const uint8_t *data, size_t n)
{
    bool q = n > 0 && data[0] == 'q';
    shard_put(folder, q ? quantised : plain, q ? 163 : 8);
    data += q;
    n -= q;
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
        CHECK(checkpoint_len(c) <= 3 && checkpoint_eos(c, eos, 4) <= 4);
        volatile uint64_t sum = sum_of(c) + checkpoint_key(c).byte[0];
        (void)sum;
        free(checkpoint_text(c, "chat_template.jinja", &bytes));
        checkpoint_close(c);
    } else {
        CHECK(e.kind == ERR_CORRUPT || e.kind == ERR_NOT_FOUND || e.kind == ERR_UNSUPPORTED);
    }
    for (int i = 0; i < N_FILES; i++)
        cut(folder, files[i]);
    CHECK(rmdir(folder) == 0);
    return 0;
}
