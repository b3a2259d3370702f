/* tensor.c -- see tensor.h. */
#include "base/tensor.h"

#include "base/err.h"

#include <stdio.h>

static const struct format_info formats[] = {
#define FORMAT(name, text, values, bytes, gguf)               {text, values, bytes, gguf, SCALE_INSIDE, 0, 0, 0},
#define CODES(name, text, bits, scale, group_min, group_max) {text, 32, 4 * (bits), -1, SCALE_##scale, bits, group_min, group_max},
#include "base/formats.def"
#undef FORMAT
};

const struct format_info *format_info(enum format f)
{
    CHECK(f < FORMAT_COUNT);
    return &formats[f];
}

size_t format_bytes(enum format f, size_t n)
{
    const struct format_info *i = format_info(f);
    CHECK(n % i->block_values == 0);
    return n / i->block_values * i->block_bytes;
}

static size_t scale_bytes(const struct tensor *t)
{
    return format_info(t->format)->scale == SCALE_AFFINE ? format_info(t->scales.as)->block_bytes : 1;
}

size_t tensor_pieces(const struct tensor *t, struct tensor_piece out[TENSOR_PIECES_MAX])
{
    out[0] = (struct tensor_piece){t->data, t->bytes};
    if (format_info(t->format)->scale == SCALE_INSIDE)
        return 1;
    size_t values = 1;
    for (unsigned i = 0; i < t->n_dim; i++)
        values *= t->shape[i];
    out[0].n = format_bytes(t->format, values);
    out[1] = (struct tensor_piece){t->scales.scale, values / t->scales.group * scale_bytes(t)};
    out[2] = (struct tensor_piece){t->scales.bias, out[1].n};
    return t->scales.bias ? 3 : 2;
}

struct tensor tensor_from_row(const struct tensor *t, uint64_t row, uint32_t n)
{
    struct tensor x = *t;
    x.data = (const char *)t->data + format_bytes(t->format, n) * row;
    if (format_info(t->format)->scale == SCALE_INSIDE)
        return x;
    size_t at = n / t->scales.group * scale_bytes(t) * row;
    x.scales.scale = (const char *)t->scales.scale + at;
    if (t->scales.bias)
        x.scales.bias = (const char *)t->scales.bias + at;
    return x;
}

struct tensor_kind tensor_kind(const struct tensor *t)
{
    const struct format_info *i = format_info(t->format);
    struct tensor_kind        k;
    if (i->group_min < i->group_max)
        snprintf(k.text, sizeof k.text, "%s:%u", i->name, t->scales.group);
    else
        snprintf(k.text, sizeof k.text, "%s", i->name);
    return k;
}
