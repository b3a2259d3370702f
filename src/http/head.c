/* head.c -- see head.h. */
#include "http/head.h"

#include <string.h>
#include <strings.h>

/* What the library keeps of a head besides its bytes, for each line, argument and cookie, must fit its memory too. */
enum { PART_BYTES = 96, HEAD_MEMORY_MAX = 28 * 1024 };

bool head_is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              (c && strchr("!#$%&'*+-.^_`|~", c))))
            return false;
    }
    return s.n > 0;
}

bool head_has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7F)
            return true;
    return false;
}

/* Takes a line off, without its end.  False: no line is whole. */
static bool line_cut(struct str *left, struct str *line)
{
    const char *end = left->n ? memchr(left->p, '\n', left->n) : NULL;
    if (!end)
        return false;
    *line = (struct str){left->p, (size_t)(end - left->p)};
    *left = (struct str){end + 1, left->n - line->n - 1};
    line->n -= line->n && line->p[line->n - 1] == '\r';
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool version_check(struct str v, struct err *e)
{
    if (v.n != 8 || !str_starts(v, STR("HTTP/")) || !is_digit(v.p[5]) || v.p[6] != '.' || !is_digit(v.p[7]))
        return err_set(e, ERR_INVALID, "the request line does not end with a version, as HTTP/1.1");
    return v.p[5] == '1' || err_set(e, ERR_VERSION, "%.8s is not spoken here; HTTP/1.1 is", v.p);
}

static bool request_line_check(struct str line, bool *old, struct err *e)
{
    const char *first = memchr(line.p, ' ', line.n), *last = line.p + line.n;
    while (first && last[-1] != ' ')
        last--;
    if (!first || last <= first + 1)
        return err_set(e, ERR_INVALID, "the request line is not a method, a path and a version, as GET / HTTP/1.1");
    struct str method = {line.p, (size_t)(first - line.p)}, target = {first + 1, (size_t)(last - first) - 2};
    struct str version = {last, line.n - (size_t)(last - line.p)};
    *old = str_is(version, "HTTP/1.0");
    if (!head_is_token(method))
        return err_set(e, ERR_INVALID, "the request's method is not a word");
    if (target.n == 0 || memchr(target.p, ' ', target.n) || memchr(target.p, '\t', target.n) || head_has_control(target))
        return err_set(e, ERR_INVALID, "the request line has a control character or a blank in its path");
    return version_check(version, e);
}

static bool named(struct str name, const char *z)
{
    return name.n == strlen(z) && strncasecmp(name.p, z, name.n) == 0;
}

static bool header_check(struct str line, bool *has_host, struct err *e)
{
    const char *colon = memchr(line.p, ':', line.n);
    uint64_t    length;
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return err_set(e, ERR_INVALID, "a header is folded over two lines");
    if (!colon)
        return err_set(e, ERR_INVALID, "a header line has no colon");
    struct str name = {line.p, (size_t)(colon - line.p)};
    struct str value = str_trim((struct str){colon + 1, line.n - name.n - 1});
    if (!head_is_token(name) || head_has_control(value))
        return err_set(e, ERR_INVALID, "a header has a byte in it that does not belong there");
    if (named(name, "Content-Length") && (!str_u64(value, &length) || value.p[0] == '+'))
        return err_set(e, ERR_INVALID, "Content-Length is not a number of bytes");
    *has_host |= named(name, "Host");
    return true;
}

static size_t memory(struct str head)
{
    size_t n = head.n;
    for (size_t i = 0; i < head.n; i++)
        if (head.p[i] == '\n' || head.p[i] == '&' || head.p[i] == ';')
            n += PART_BYTES;
    return n;
}

static bool size_check(struct str head, struct err *e)
{
    return (head.n < HEAD_BYTES_MAX && memory(head) <= HEAD_MEMORY_MAX) ||
           err_set(e, ERR_HEAD, "the request's head, its path and headers, is too long: %d bytes are taken, or fewer in "
                   "many small parts", HEAD_BYTES_MAX);
}

enum head_state head_look(struct str bytes, struct err *e)
{
    struct str left = bytes, line;
    bool       begun = false, old = false, has_host = false;
    while (line_cut(&left, &line)) {
        if (line.n == 0 && !begun)      /* some clients send an empty line behind a body */
            continue;
        if (line.n == 0) {
            if (!size_check((struct str){bytes.p, bytes.n - left.n}, e))
                return HEAD_BAD;
            return has_host || old || err_set(e, ERR_INVALID, "the request has no Host header") ? HEAD_FINE : HEAD_BAD;
        }
        if (!(begun ? header_check(line, &has_host, e) : request_line_check(line, &old, e)))
            return HEAD_BAD;
        begun = true;
    }
    return size_check(bytes, e) ? HEAD_MORE : HEAD_BAD;
}
