/* unicode.c -- see unicode.h.  Categories and cases come from utf8proc; what Python adds to them is here. */
#include "chat/unicode.h"

#include "base/utf8.h"

#include <utf8proc.h>

/* Python counts the separators of ASCII, the line ends and every Z category as white space. */
static bool is_space(uint32_t cp, utf8proc_category_t category)
{
    return (cp >= 0x09 && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x20) || cp == 0x85
           || (category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP);
}

/* Superscripts and subscripts: digits to Python, though not decimal ones. */
static bool is_raised_digit(uint32_t cp)
{
    return cp == 0xB2 || cp == 0xB3 || cp == 0xB9 || cp == 0x2070 || (cp >= 0x2074 && cp <= 0x2079)
           || (cp >= 0x2080 && cp <= 0x2089);
}

bool unicode_is(uint32_t cp, enum unicode_class c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)cp);
    switch (c) {
    case U_ALPHA: return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
    case U_DECIMAL: return category == UTF8PROC_CATEGORY_ND;
    case U_DIGIT: return category == UTF8PROC_CATEGORY_ND || is_raised_digit(cp);
    case U_NUMERIC: return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
    case U_SPACE: return is_space(cp, category);
    case U_HIDDEN:
        return cp != ' ' && (category == UTF8PROC_CATEGORY_CN || category >= UTF8PROC_CATEGORY_ZS);
    case U_CLASS_COUNT: break;
    }
    return false;
}

size_t unicode_space(struct str s)
{
    uint32_t cp;
    unsigned n = utf8_decode(s, &cp);
    return n && unicode_is(cp, U_SPACE) ? n : 0;
}

size_t unicode_rstrip(struct str s)
{
    for (;;) {
        size_t from = s.n;
        while (from > 0 && ((uint8_t)s.p[from - 1] & 0xC0) == 0x80)
            from--;
        if (from == 0 || unicode_space((struct str){s.p + from - 1, s.n - from + 1}) != s.n - from + 1)
            return s.n;
        s.n = from - 1;
    }
}

size_t unicode_to(uint32_t cp, enum unicode_case c, char out[16])
{
    static const char *const sharp_s[] = {[U_LOWER] = "\xC3\x9F", [U_UPPER] = "SS", [U_TITLE] = "Ss"};
    if (cp == 0xDF) {
        memcpy(out, sharp_s[c], 2);
        return 2;
    }
    utf8proc_int32_t x = (utf8proc_int32_t)cp;
    x = c == U_LOWER ? utf8proc_tolower(x) : c == U_UPPER ? utf8proc_toupper(x) : utf8proc_totitle(x);
    return utf8_encode((uint32_t)x, out);
}

bool unicode_cased(uint32_t cp)
{
    char     to[16];
    char     as[4];
    unsigned n = utf8_encode(cp, as);
    return unicode_to(cp, U_LOWER, to) != n || memcmp(to, as, n) != 0 || unicode_to(cp, U_UPPER, to) != n ||
           memcmp(to, as, n) != 0;
}
