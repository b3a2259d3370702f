/* utf8.c -- see utf8.h.  The table of ranges is Unicode's table 3-7. */
#include "base/utf8.h"

/* Length that the first byte asks for, and the range its second byte must lie in.  0: never a first byte. */
static unsigned wanted(uint8_t first, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xBF;
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        return 2;
    if (first >= 0xE0 && first <= 0xEF) {
        *low = first == 0xE0 ? 0xA0 : 0x80;
        *high = first == 0xED ? 0x9F : 0xBF;
        return 3;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        *low = first == 0xF0 ? 0x90 : 0x80;
        *high = first == 0xF4 ? 0x8F : 0xBF;
        return 4;
    }
    return 0;
}

/* How many bytes at the front are a character or the start of one; *whole tells which.  0: neither. */
static unsigned prefix(struct str s, bool *whole)
{
    uint8_t  low, high;
    unsigned want = s.n ? wanted((uint8_t)s.p[0], &low, &high) : 0, got = want ? 1 : 0;
    while (got && got < want && got < s.n) {
        uint8_t c = (uint8_t)s.p[got];
        if (c < low || c > high)
            break;
        low = 0x80;
        high = 0xBF;
        got++;
    }
    *whole = want && got == want;
    return got;
}

unsigned utf8_decode(struct str s, uint32_t *cp)
{
    bool     whole;
    unsigned n = prefix(s, &whole);
    if (!whole)
        return 0;
    static const uint8_t first_mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    *cp = (uint8_t)s.p[0] & first_mask[n];
    for (unsigned i = 1; i < n; i++)
        *cp = *cp << 6 | ((uint8_t)s.p[i] & 0x3F);
    return n;
}

unsigned utf8_encode(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    unsigned             n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (unsigned i = n - 1; i > 0; i--, cp >>= 6)
        out[i] = (char)(0x80 | (cp & 0x3F));
    out[0] = (char)(lead[n] | cp);
    return n;
}

bool utf8_valid(struct str s)
{
    while (s.n) {
        uint32_t cp;
        unsigned n = (uint8_t)s.p[0] < 0x80 ? 1 : utf8_decode(s, &cp);
        if (n == 0)
            return false;
        s.p += n;
        s.n -= n;
    }
    return true;
}

unsigned utf8_tail(struct str s)
{
    for (unsigned back = 1; back <= 3 && back <= s.n; back++) {
        struct str end = {s.p + s.n - back, back};
        bool       whole;
        unsigned   n = prefix(end, &whole);
        if (!whole && n == back)
            return back;
    }
    return 0;
}

bool utf8_clean(struct str s, struct buf *out)
{
    while (s.n) {
        bool     whole;
        unsigned n = prefix(s, &whole);
        if (whole)
            buf_append(out, s.p, n);
        else
            buf_append(out, "\xEF\xBF\xBD", 3);
        n = n ? n : 1;
        s.p += n;
        s.n -= n;
    }
    return !out->full;
}
