/* Any bytes as a picture's file: a picture whose every pixel can be read, or a reason. */
#include "media/image.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct image_limits limits = {.bytes_max = 1 << 20, .pixels_max = 1 << 20};
    struct image        i = {0};
    struct err          e = {0};
    if (!image_decode(&i, data, n, limits, &e)) {
        CHECK(!i.rgb && e.text[0] && (e.kind == ERR_INVALID || e.kind == ERR_UNSUPPORTED));
        return 0;
    }
    CHECK(image_kind(data, n) && i.width && i.height && (uint64_t)i.width * i.height <= limits.pixels_max);
    volatile uint8_t byte = image_hash(&i).byte[0];
    (void)byte;
    image_drop(&i);
    return 0;
}
