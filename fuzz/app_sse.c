/* app_sse.c -- an event stream: fed whole and in pieces of sizes that its own bytes choose, the same events come. */
#include "app/sse.h"

#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void note(void *ctx, struct str data)
{
    buf_printf(ctx, "%zu:", data.n);
    buf_str(ctx, data);
}

static bool feed(struct str text, bool in_pieces, struct buf *got)
{
    struct sse s;
    bool       ok = true;
    sse_init(&s, 200, note, got);
    for (size_t i = 0, step; ok && i < text.n; i += step) {
        step = in_pieces ? 1 + (unsigned char)text.p[i] % 7u : text.n;
        step = text.n - i < step ? text.n - i : step;
        ok = sse_feed(&s, (struct str){text.p + i, step});
    }
    sse_drop(&s);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str text = {(const char *)data, n};
    struct buf whole, pieces;
    buf_init(&whole, 0);
    buf_init(&pieces, 0);
    bool a = feed(text, false, &whole), b = feed(text, true, &pieces);
    CHECK(a == b && str_eq(buf_view(&whole), buf_view(&pieces)));
    buf_drop(&whole);
    buf_drop(&pieces);
    return 0;
}
