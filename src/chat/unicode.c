/* unicode.c -- see unicode.h. */
#include "chat/unicode.h"

#include "base/utf8.h"

struct range {
    uint32_t first, last;
};

struct mapping {
    uint32_t first, last, step;
    int32_t  delta;
};

struct expansion {
    uint32_t    cp;
    const char *text;
};

#define TABLE static const struct range
TABLE alpha[] = {
#define ALPHA(first, last) {first, last},
#include "chat/unicode.def"
};
TABLE digit[] = {
#define DIGIT(first, last) {first, last},
#include "chat/unicode.def"
};
TABLE decimal[] = {
#define DECIMAL(first, last) {first, last},
#include "chat/unicode.def"
};
TABLE numeric[] = {
#define NUMERIC(first, last) {first, last},
#include "chat/unicode.def"
};
TABLE hidden[] = {
#define HIDDEN(first, last) {first, last},
#include "chat/unicode.def"
};
TABLE space[] = {
    {0x09, 0x0D},     {0x1C, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
    {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000},
};

static const struct mapping lower[] = {
#define LOWER(first, last, step, delta) {first, last, step, delta},
#include "chat/unicode.def"
};
static const struct mapping upper[] = {
#define UPPER(first, last, step, delta) {first, last, step, delta},
#include "chat/unicode.def"
};
static const struct mapping title[] = {
#define TITLE(first, last, step, delta) {first, last, step, delta},
#include "chat/unicode.def"
};
static const struct expansion lower_text[] = {
#define LOWER_TEXT(cp, text) {cp, text},
#include "chat/unicode.def"
};
static const struct expansion upper_text[] = {
#define UPPER_TEXT(cp, text) {cp, text},
#include "chat/unicode.def"
};
static const struct expansion title_text[] = {
#define TITLE_TEXT(cp, text) {cp, text},
#include "chat/unicode.def"
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

bool unicode_is(uint32_t cp, enum unicode_class c)
{
    static const struct {
        const struct range *at;
        size_t              n;
    } tables[U_CLASS_COUNT] = {
        {alpha, COUNT(alpha)},     {digit, COUNT(digit)},   {decimal, COUNT(decimal)},
        {numeric, COUNT(numeric)}, {hidden, COUNT(hidden)}, {space, COUNT(space)},
    };
    size_t low = 0, high = tables[c].n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (tables[c].at[mid].last < cp)
            low = mid + 1;
        else
            high = mid;
    }
    return low < tables[c].n && tables[c].at[low].first <= cp;
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

/* What the tables of one case make of cp; 0: they do not know it. */
struct case_tables {
    const struct mapping   *map;
    const struct expansion *text;
    size_t                  n_map, n_text;
};

static size_t mapped(const struct case_tables *t, uint32_t cp, char out[16])
{
    for (size_t i = 0; i < t->n_text; i++)
        if (t->text[i].cp == cp) {
            struct str s = str_of(t->text[i].text);
            memcpy(out, s.p, s.n);
            return s.n;
        }
    size_t low = 0, high = t->n_map;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (t->map[mid].last < cp)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == t->n_map || t->map[low].first > cp || (cp - t->map[low].first) % t->map[low].step)
        return 0;
    return utf8_encode((uint32_t)((int32_t)cp + t->map[low].delta), out);
}

size_t unicode_to(uint32_t cp, enum unicode_case c, char out[16])
{
    static const struct case_tables tables[] = {
        {lower, lower_text, COUNT(lower), COUNT(lower_text)},
        {upper, upper_text, COUNT(upper), COUNT(upper_text)},
        {title, title_text, COUNT(title), COUNT(title_text)},
    };
    size_t n = mapped(&tables[c], cp, out);
    if (n == 0 && c == U_TITLE)
        n = mapped(&tables[U_UPPER], cp, out);
    return n ? n : utf8_encode(cp, out);
}

bool unicode_cased(uint32_t cp)
{
    char     to[16];
    char     as[4];
    unsigned n = utf8_encode(cp, as);
    return unicode_to(cp, U_LOWER, to) != n || memcmp(to, as, n) != 0 || unicode_to(cp, U_UPPER, to) != n ||
           memcmp(to, as, n) != 0;
}
