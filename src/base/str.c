/* str.c -- see str.h. */
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>

size_t str_find(struct str a, struct str what)
{
    if (what.n == 0)
        return 0;
    if (a.n < what.n)
        return STR_NONE;
    const char *at = memmem(a.p, a.n, what.p, what.n);
    return at ? (size_t)(at - a.p) : STR_NONE;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str a)
{
    while (a.n && is_space(a.p[0])) {
        a.p++;
        a.n--;
    }
    while (a.n && is_space(a.p[a.n - 1]))
        a.n--;
    return a;
}

/* Copies a to a C string, for the strto… family; false when it cannot be a number by its length or first character. */
static bool number_text(struct str a, char out[static 64])
{
    if (a.n == 0 || a.n >= 64 || is_space(a.p[0]) || memchr(a.p, '\0', a.n))
        return false;
    memcpy(out, a.p, a.n);
    out[a.n] = '\0';
    return true;
}

bool str_i64(struct str a, int64_t *out)
{
    char text[64], *end;
    if (!number_text(a, text))
        return false;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || *end)
        return false;
    *out = v;
    return true;
}

bool str_u64(struct str a, uint64_t *out)
{
    char text[64], *end;
    if (!number_text(a, text) || text[0] == '-')
        return false;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || *end)
        return false;
    *out = v;
    return true;
}

bool str_f64(struct str a, double *out)
{
    char text[64], *end;
    if (!number_text(a, text))
        return false;
    errno = 0;
    double v = strtod(text, &end);
    if (errno == ERANGE || *end || v != v)
        return false;
    *out = v;
    return true;
}
