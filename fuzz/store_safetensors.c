/* Any bytes as a safetensors file: what is accepted can be read to the end, and again when the parts of quantised weights
 * are joined.
 *
 * The eight bytes of the header's length are hard to guess, so every input is also taken as a header alone: behind its
 * first byte, which is the number of 16-byte pieces of data that follow it. */
#include "store/quant.h"
#include "store/safetensors.h"

#include "base/buf.h"
#include "base/mem.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint64_t bytes_sum(const uint8_t *p, size_t n)
{
    uint64_t sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += p[k];
    return sum;
}

static uint64_t joined_sum(const struct safetensors *s)
{
    static const char config[] = "{\"quantization\":{\"bits\":4,\"group_size\":32,\"b\":{\"bits\":3,\"group_size\":64},"
                                 "\"c\":{\"mode\":\"mxfp4\"},\"d\":{\"mode\":\"mxfp8\"},\"e\":{\"mode\":\"nvfp4\"}}}";
    size_t               n = safetensors_len(s);
    struct tensor_entry *entry = mem_array(n, sizeof *entry);
    struct json_doc     *doc;
    struct err           e;
    uint64_t             sum = 0;
    CHECK(json_parse(&doc, STR(config), &e));
    for (size_t i = 0; i < n; i++)
        entry[i].name = safetensors_at(s, i, &entry[i].tensor);
    if (!quant_join(entry, &n, json_root(doc), &e)) {
        CHECK(e.kind == ERR_CORRUPT || e.kind == ERR_UNSUPPORTED);
        n = 0;
    }
    for (size_t i = 0; i < n; i++) {
        struct tensor_piece piece[TENSOR_PIECES_MAX];
        for (size_t k = tensor_pieces(&entry[i].tensor, piece); k-- > 0;)
            sum += bytes_sum(piece[k].p, piece[k].n);
    }
    json_free(doc);
    free(entry);
    return sum;
}

static void parse(const uint8_t *p, size_t n)
{
    struct safetensors *s;
    struct err          e;
    if (!safetensors_parse(&s, p, n, "x.safetensors", &e)) {
        CHECK(e.kind == ERR_CORRUPT || e.kind == ERR_UNSUPPORTED);
        return;
    }
    volatile uint64_t sum = safetensors_metadata(s, "format").n;
    for (size_t i = 0; i < safetensors_len(s); i++) {
        struct tensor t, again;
        struct str    name = safetensors_at(s, i, &t);
        CHECK(safetensors_has(s, name) && safetensors_find(s, name, &again) && again.data == t.data);
        sum += bytes_sum(t.data, t.bytes);
    }
    sum += joined_sum(s);
    (void)sum;
    safetensors_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    parse(data, n);
    if (n == 0)
        return 0;
    static const uint8_t zeros[255 * 16];
    struct buf           file;
    uint64_t             header = n - 1;
    buf_init(&file, 0);
    buf_append(&file, &header, sizeof header);
    buf_append(&file, data + 1, n - 1);
    buf_append(&file, zeros, data[0] * (size_t)16);
    parse((const uint8_t *)file.p, file.n);
    buf_drop(&file);
    return 0;
}
