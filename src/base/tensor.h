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

/* SCALE_INSIDE: in the blocks.  The others: formats.def. */
enum scale_kind { SCALE_INSIDE, SCALE_AFFINE, SCALE_E8M0, SCALE_E4M3 };

struct format_info {
    const char     *name;
    uint32_t        block_values, block_bytes;
    int             gguf_type;
    enum scale_kind scale;
    uint32_t        bits, group_min, group_max;     /* of a format whose scales lie apart */
};

const struct format_info *format_info(enum format f);

/* Bytes of n values (n a whole number of blocks). */
size_t format_bytes(enum format f, size_t n);

/* What lies apart from a tensor's codes: one scale, and with SCALE_AFFINE one bias, for each `group` numbers of a row. */
struct scales {
    const void *scale, *bias;       /* bias NULL: there is none */
    enum format as;                 /* SCALE_AFFINE: of both arrays, F16, BF16 or F32 */
    uint32_t    group;
};

enum { TENSOR_AXES_MAX = 5 };

/* Row-major, outermost axis first, as Hugging Face writes shapes.  The data is borrowed from the open checkpoint and may
 * be unaligned.  source_id names file, offset and size: equal ids hold equal bytes. */
struct tensor {
    const void   *data;
    size_t        bytes;            /* of all its pieces */
    uint32_t      shape[TENSOR_AXES_MAX];
    uint8_t       n_dim;
    enum format   format;
    struct scales scales;           /* all zero with SCALE_INSIDE */
    uint64_t      source_id;
};

/* The bytes it is made of: data, then scales, then biases.  Returns how many pieces there are. */
struct tensor_piece {
    const void *p;
    size_t      n;
};
enum { TENSOR_PIECES_MAX = 3 };
size_t tensor_pieces(const struct tensor *t, struct tensor_piece out[TENSOR_PIECES_MAX]);

/* t from row `row` on, with rows of n numbers: other addresses, all else as it was. */
struct tensor tensor_from_row(const struct tensor *t, uint64_t row, uint32_t n);

/* Its format for people: "Q4_1", "affine4:64" with groups of 64. */
struct tensor_kind {
    char text[24];
};
struct tensor_kind tensor_kind(const struct tensor *t);

#ifdef __cplusplus
}
#endif
#endif
