/* charsmap.c -- see charsmap.h. */
#include "text/charsmap.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <utf8proc.h>

enum { CLUSTER_BYTES_MAX = 5 };

struct charsmap {
    uint32_t  *unit;
    uint32_t   n;
    struct str texts;       /* valid UTF-8 that ends with a NUL */
};

bool charsmap_new(struct charsmap **out, struct str bytes, struct err *e)
{
    if (bytes.n < 4)
        return err_set(e, ERR_CORRUPT, "a precompiled_charsmap of %zu bytes", bytes.n);
    const uint8_t *p = (const uint8_t *)bytes.p;
    uint32_t       trie = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    if (trie == 0 || trie % 4 || trie > bytes.n - 4)
        return err_set(e, ERR_CORRUPT, "precompiled_charsmap: a trie of %u bytes in %zu", trie, bytes.n);
    struct str texts = {bytes.p + 4 + trie, bytes.n - 4 - trie};
    if (texts.n == 0 || texts.p[texts.n - 1] != '\0' || !utf8_valid(texts))
        return err_set(e, ERR_CORRUPT, "precompiled_charsmap: its texts are no UTF-8 that ends with a NUL");
    struct charsmap *m = mem_new(sizeof *m);
    m->n = trie / 4;
    m->unit = mem_array(m->n, sizeof *m->unit);
    for (uint32_t i = 0; i < m->n; i++) {
        const uint8_t *at = p + 4 + (size_t)i * 4;
        m->unit[i] = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    }
    m->texts = (struct str){mem_copy(texts.p, texts.n), texts.n};
    *out = m;
    return true;
}

void charsmap_free(struct charsmap *m)
{
    if (!m)
        return;
    free(m->unit);
    free((char *)m->texts.p);
    free(m);
}

/* Where a unit's children begin, relative to it. */
static uint32_t offset(uint32_t unit)
{
    return (unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* What replaces the shortest start of s that the table has, as the reference does it; false: none. */
static bool look_up(const struct charsmap *m, struct str s, struct str *out)
{
    uint32_t at = offset(m->unit[0]);
    for (size_t i = 0; i < s.n; i++) {
        uint8_t byte = (uint8_t)s.p[i];
        at ^= byte;
        if (byte == 0 || at >= m->n || (m->unit[at] & (1u << 31 | 0xFF)) != byte)
            return false;
        uint32_t unit = m->unit[at];
        at ^= offset(unit);
        if (unit >> 8 & 1) {
            uint32_t from = at < m->n ? m->unit[at] & ~(1u << 31) : UINT32_MAX;
            if (from >= m->texts.n || ((uint8_t)m->texts.p[from] & 0xC0) == 0x80)
                return false;
            *out = str_of(m->texts.p + from);
            return true;
        }
    }
    return false;
}

static void run_cluster(const struct charsmap *m, struct str s, struct buf *out)
{
    struct str to;
    if (s.n <= CLUSTER_BYTES_MAX && look_up(m, s, &to)) {
        buf_str(out, to);
        return;
    }
    while (s.n) {
        uint32_t   cp;
        struct str one = {s.p, utf8_decode(s, &cp)};
        CHECK(one.n > 0);
        buf_str(out, look_up(m, one, &to) ? to : one);
        s.p += one.n;
        s.n -= one.n;
    }
}

void charsmap_run(const struct charsmap *m, struct str s, struct buf *out)
{
    utf8proc_int32_t state = 0;
    uint32_t         before = 0;
    size_t           from = 0;
    for (size_t at = 0; at < s.n;) {
        uint32_t cp;
        unsigned n = utf8_decode((struct str){s.p + at, s.n - at}, &cp);
        CHECK(n > 0);
        if (at > 0 && utf8proc_grapheme_break_stateful((utf8proc_int32_t)before, (utf8proc_int32_t)cp, &state)) {
            run_cluster(m, (struct str){s.p + from, at - from}, out);
            from = at;
        }
        before = cp;
        at += n;
    }
    run_cluster(m, (struct str){s.p + from, s.n - from}, out);
}
