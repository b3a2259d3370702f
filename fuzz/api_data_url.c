/* api_data_url.c -- addresses that hold their bytes: nothing crashes, and what is read is no longer than what stood there. */
#include "api/data_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct buf out;
    struct err e = {0};
    struct str url = {(const char *)data, n};
    buf_init(&out, 1 << 16);
    bool ok = data_url_bytes(url, &out, &e);
    CHECK(ok ? out.n <= n && data_url_is(url) : e.text[0] != '\0');
    buf_drop(&out);
    return 0;
}
