/* text_tokenizer.c -- a tokenizer.json, then some text through the tokenizer it makes.
 *
 * The input is the file, and behind its last "}" the text.  What must hold: nothing crashes, every id is in range,
 * and streaming gives what decoding at once gives. */
#include "base/buf.h"
#include "base/utf8.h"
#include "text/tokenizer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { FILE_BYTES_MAX = 64 << 10, TEXT_BYTES_MAX = 192 };

static void decode_both_ways(const struct tokenizer *t, const struct ids *x, bool skip_special)
{
    struct buf whole, streamed;
    buf_init(&whole, 1 << 22);
    buf_init(&streamed, 1 << 22);
    bool          ok = tokenizer_decode(t, x->id, x->n, skip_special, &whole);
    struct detok *d = detok_new(t, skip_special);
    for (size_t i = 0; ok && i < x->n; i++) {
        size_t from = streamed.n;
        ok = detok_push(d, x->id[i], &streamed);
        CHECK(!ok || streamed.n == from || utf8_valid((struct str){streamed.p + from, streamed.n - from}));
    }
    ok = ok && detok_end(d, &streamed);
    CHECK(!ok || str_eq(buf_view(&whole), buf_view(&streamed)));
    detok_free(d);
    buf_drop(&whole);
    buf_drop(&streamed);
}

static void encode(const struct tokenizer *t, struct str text, bool trusted)
{
    struct piece p[] = {{{text.p, text.n / 2}, trusted}, {{text.p + text.n / 2, text.n - text.n / 2}, trusted}};
    struct ids   x = {0};
    struct err   e;
    char         room[64];
    if (tokenizer_encode(t, p, 2, trusted, &x, &e)) {
        for (size_t i = 0; i < x.n; i++) {
            CHECK(x.id[i] >= 0 && (size_t)x.id[i] < tokenizer_len(t));
            CHECK(tokenizer_bytes(t, x.id[i], room, sizeof room) <= sizeof room);
        }
        decode_both_ways(t, &x, trusted);
    }
    ids_drop(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t end = n;
    if (n == 0)
        return 0;
    while (end > 0 && data[end - 1] != '}')
        end--;
    struct str        file = {(const char *)data, end}, text = {(const char *)data + end, n - end};
    struct tokenizer *t;
    struct err        e;
    if (file.n > FILE_BYTES_MAX || !tokenizer_from_json(&t, file, &e))
        return 0;
    text.n = text.n < TEXT_BYTES_MAX ? text.n : TEXT_BYTES_MAX;
    encode(t, text, false);
    encode(t, text, true);
    tokenizer_free(t);
    return 0;
}
