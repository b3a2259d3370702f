/* Any bytes as a safetensors file: what is accepted can be read to the end.
 *
 * The eight bytes of the header's length are hard to guess, so every input is also taken as a header alone: behind its
 * first byte, which is the number of 16-byte pieces of data that follow it. */
#include "store/safetensors.h"

#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

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
        for (size_t k = 0; k < t.bytes; k++)
            sum += ((const uint8_t *)t.data)[k];
    }
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
