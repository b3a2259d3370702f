/* tensor.c -- see tensor.h. */
#include "base/tensor.h"

#include "base/err.h"

static const struct format_info formats[] = {
#define FORMAT(name, text, values, bytes, gguf) {text, values, bytes, gguf},
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
