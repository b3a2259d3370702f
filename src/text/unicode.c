/* unicode.c -- see unicode.h. */
#include "text/unicode.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <utf8proc.h>

static bool category_in(uint32_t cp, uint32_t set)
{
    return (set >> utf8proc_category((utf8proc_int32_t)cp) & 1) != 0;
}

#define CATEGORY(x) (1u << UTF8PROC_CATEGORY_##x)
#define NUMBERS     (CATEGORY(ND) | CATEGORY(NL) | CATEGORY(NO))
#define MARKS       (CATEGORY(MN) | CATEGORY(MC) | CATEGORY(ME))
#define LETTERS     (CATEGORY(LU) | CATEGORY(LL) | CATEGORY(LT) | CATEGORY(LM) | CATEGORY(LO))
#define PUNCTUATION                                                                                                    \
    (CATEGORY(PC) | CATEGORY(PD) | CATEGORY(PS) | CATEGORY(PE) | CATEGORY(PI) | CATEGORY(PF) | CATEGORY(PO))

bool uni_space(uint32_t cp)
{
    if (cp < 0x80)
        return cp == ' ' || (cp >= '\t' && cp <= '\r');
    return cp == 0x85 || cp == 0xA0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 ||
           cp == 0x2029 || cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

bool uni_number(uint32_t cp)
{
    return cp < 0x80 ? cp >= '0' && cp <= '9' : category_in(cp, NUMBERS);
}

bool uni_punct(uint32_t cp)
{
    if (cp < 0x80)
        return (cp >= '!' && cp <= '/') || (cp >= ':' && cp <= '@') || (cp >= '[' && cp <= '`') ||
               (cp >= '{' && cp <= '~');
    return category_in(cp, PUNCTUATION);
}

bool uni_mark(uint32_t cp)
{
    return category_in(cp, MARKS);
}

bool uni_mark_thin(uint32_t cp)
{
    return category_in(cp, CATEGORY(MN));
}

bool uni_word(uint32_t cp)
{
    return category_in(cp, LETTERS | MARKS | CATEGORY(ND) | CATEGORY(NL) | CATEGORY(PC));
}

bool uni_control(uint32_t cp)
{
    return cp != '\t' && cp != '\n' && cp != '\r' && category_in(cp, CATEGORY(CC) | CATEGORY(CF) | CATEGORY(CO));
}

bool uni_chinese(uint32_t cp)
{
    return (cp >= 0x4E00 && cp <= 0x9FFF) || (cp >= 0x3400 && cp <= 0x4DBF) || (cp >= 0x20000 && cp <= 0x2A6DF) ||
           (cp >= 0x2A700 && cp <= 0x2B73F) || (cp >= 0x2B740 && cp <= 0x2B81F) || (cp >= 0x2B920 && cp <= 0x2CEAF) ||
           (cp >= 0xF900 && cp <= 0xFAFF) || (cp >= 0x2F800 && cp <= 0x2FA1F);
}

/* Nothing below U+0300 changes under NFC, nothing below U+0080 under any form: the usual text is done at a glance. */
static bool normal_already(struct str s, enum uni_form form)
{
    for (size_t i = 0; i < s.n; i++)
        if ((uint8_t)s.p[i] >= (form == UNI_NFC ? 0xCC : 0x80))
            return false;
    return true;
}

void uni_normalize(struct str s, enum uni_form form, struct buf *out)
{
    if (normal_already(s, form)) {
        buf_str(out, s);
        return;
    }
    int how = UTF8PROC_STABLE | (form == UNI_NFC || form == UNI_NFKC ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
              (form == UNI_NFKC || form == UNI_NFKD ? UTF8PROC_COMPAT : 0);
    utf8proc_uint8_t *made = NULL;
    utf8proc_ssize_t  n =
        utf8proc_map((const utf8proc_uint8_t *)s.p, (utf8proc_ssize_t)s.n, &made, (utf8proc_option_t)how);
    CHECK(n >= 0);      /* valid UTF-8, and no more memory than `out` may take some multiple of */
    buf_append(out, made, (size_t)n);
    free(made);
}

void uni_lower(struct str s, struct buf *out)
{
    while (s.n) {
        uint32_t cp;
        unsigned n = utf8_decode(s, &cp);
        CHECK(n > 0);
        /* The one character whose lower case is two. */
        if (cp == 0x130) {
            buf_append(out, "i\xCC\x87", 3);
        } else {
            char text[4];
            buf_append(out, text, utf8_encode((uint32_t)utf8proc_tolower((utf8proc_int32_t)cp), text));
        }
        s.p += n;
        s.n -= n;
    }
}

/* Bytes that print stand for themselves; the others are numbered from U+0100 in their order: 0..32, 127..160, 173. */
static uint32_t spelling(uint8_t byte)
{
    if (byte <= 0x20)
        return 0x100u + byte;
    if (byte >= 0x7F && byte <= 0xA0)
        return 0x121u + byte - 0x7F;
    return byte == 0xAD ? 0x143u : byte;
}

void uni_spell_bytes(struct str bytes, struct buf *out)
{
    char *to = buf_reserve(out, bytes.n * 2);
    if (!to)
        return;
    size_t n = 0;
    for (size_t i = 0; i < bytes.n; i++)
        n += utf8_encode(spelling((uint8_t)bytes.p[i]), to + n);
    out->n += n;
    to[n] = '\0';
}

int uni_spelled_byte(uint32_t cp)
{
    if (cp >= 0x100 && cp <= 0x120)
        return (int)(cp - 0x100);
    if (cp >= 0x121 && cp <= 0x142)
        return (int)(cp - 0x121 + 0x7F);
    if (cp == 0x143)
        return 0xAD;
    bool prints = (cp > 0x20 && cp < 0x7F) || (cp > 0xA0 && cp < 0x100 && cp != 0xAD);
    return prints ? (int)cp : -1;
}
