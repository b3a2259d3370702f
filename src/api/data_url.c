/* data_url.c -- see data_url.h. */
#include "api/data_url.h"

static const struct str SCHEME = {"data:", 5};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool data_url_is(struct str url)
{
    if (url.n < SCHEME.n)
        return false;
    for (size_t i = 0; i < SCHEME.n; i++)
        if (lower(url.p[i]) != SCHEME.p[i])
            return false;
    return true;
}

/* -1: none of the alphabet. */
static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool from_base64(struct str s, struct buf *out, struct err *e)
{
    uint32_t bits = 0, n = 0;
    size_t   i = 0;
    for (; i < s.n && s.p[i] != '='; i++) {
        int d = digit(s.p[i]);
        if (is_space(s.p[i]))
            continue;
        if (d < 0)
            return err_set(e, ERR_INVALID, "byte %zu of the base64 text is no part of it", i);
        bits = bits << 6 | (uint32_t)d;
        if (++n == 4) {
            buf_append(out, (char[]){(char)(bits >> 16), (char)(bits >> 8), (char)bits}, 3);
            bits = n = 0;
        }
    }
    for (; i < s.n; i++)
        if (s.p[i] != '=' && !is_space(s.p[i]))
            return err_set(e, ERR_INVALID, "the base64 text goes on behind its end");
    if (n == 1)
        return err_set(e, ERR_INVALID, "the base64 text breaks off");
    if (n > 1)
        buf_append(out, (char[]){(char)(bits >> (n == 3 ? 10 : 4)), (char)(bits >> 2)}, n - 1);
    return true;
}

static int hex(char c)
{
    c = lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool percent_bytes(struct str s, struct buf *out, struct err *e)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%') {
            buf_char(out, s.p[i]);
            continue;
        }
        if (s.n - i < 3 || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0)
            return err_set(e, ERR_INVALID, "the address has a %% without two digits");
        buf_char(out, (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2])));
        i += 2;
    }
    return true;
}

/* Some write "+" and "=" of the base64 text with percent signs, as they may. */
static bool from_base64_url(struct str s, struct buf *out, struct err *e)
{
    struct buf text;
    if (str_find(s, STR("%")) == STR_NONE)
        return from_base64(s, out, e);
    buf_init(&text, 0);
    bool ok = percent_bytes(s, &text, e) && from_base64(buf_view(&text), out, e);
    buf_drop(&text);
    return ok;
}

static bool is_base64(struct str head)
{
    static const struct str end = {";base64", 7};
    bool                    is = head.n >= end.n;
    for (size_t i = 0; is && i < end.n; i++)
        is = lower(head.p[head.n - end.n + i]) == end.p[i];
    return is;
}

bool data_url_bytes(struct str url, struct buf *out, struct err *e)
{
    size_t comma = str_find(url, STR(","));
    if (!data_url_is(url) || comma == STR_NONE)
        return err_set(e, ERR_INVALID, "a data: address needs a comma before its bytes");
    struct str head = {url.p, comma}, body = {url.p + comma + 1, url.n - comma - 1};
    if (!(is_base64(str_trim(head)) ? from_base64_url(body, out, e) : percent_bytes(body, out, e)))
        return false;
    return !out->full || err_set(e, ERR_TOO_LARGE, "it has over %zu bytes", out->bytes_max);
}
