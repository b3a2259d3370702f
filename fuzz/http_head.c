/* http_head.c -- the first head of a connection, as it comes in pieces: what was said of the front holds for all. */
#include "http/head.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct err      e;
    const char     *p = (const char *)data;
    enum head_state all = head_look((struct str){p, n}, &e);
    for (size_t front = 0; front < n; front += 1 + n / 16) {
        enum head_state then = head_look((struct str){p, front}, &e);
        CHECK(then == HEAD_MORE || then == all);
    }
    return 0;
}
