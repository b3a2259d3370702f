/* tensor.h -- a checkpoint tensor, as it lies in the file.  `store` finds it, a backend takes it in. */
#ifndef BASE_TENSOR_H
#define BASE_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum format {
#define FORMAT(name, text, values, bytes, gguf) FORMAT_##name,
#include "base/formats.def"
#undef FORMAT
    FORMAT_COUNT
};

struct format_info {
    const char *name;
    uint32_t    block_values, block_bytes;
    int         gguf_type;
};

const struct format_info *format_info(enum format f);

/* Bytes of n values (n a whole number of blocks). */
size_t format_bytes(enum format f, size_t n);

/* Row-major, outermost axis first, as Hugging Face writes shapes.  The data is borrowed from the open checkpoint and may
 * be unaligned.  source_id names file, offset and size: equal ids hold equal bytes. */
struct tensor {
    const void *data;
    size_t      bytes;
    uint32_t    shape[4];
    uint8_t     n_dim;
    enum format format;
    uint64_t    source_id;
};

#ifdef __cplusplus
}
#endif
#endif
