/* request.c -- see request.h.
 *
 * The library is lenient in places, and how lenient depends on its release: a name followed by a blank is a name to it,
 * a folded line is joined to the name before it, both lengths may be given.  So everything that decides where a request
 * ends is looked at again. */
#include "http/request.h"

#include "base/utf8.h"

struct head {
    struct exchange *x;
    size_t           n, n_max;
    unsigned         n_host, n_length, n_coding;
    bool             malformed;     /* a name or value with bytes that have no place there */
    bool             folded;
    const char      *length, *coding;
};

/* A token of RFC 9110: letters, digits and a few signs. */
static bool is_token(const char *z)
{
    if (!*z)
        return false;
    for (; *z; z++)
        if (!((*z >= '0' && *z <= '9') || (*z >= 'A' && *z <= 'Z') || (*z >= 'a' && *z <= 'z') ||
              strchr("!#$%&'*+-.^_`|~", *z)))
            return false;
    return true;
}

static bool has_control(const char *z)
{
    for (; *z; z++)
        if (((unsigned char)*z < 0x20 && *z != '\t') || *z == 0x7F)
            return true;
    return false;
}

static bool begins(const char *name, const char *with)
{
    char   front[32];
    size_t n = strlen(with);
    if (strlen(name) <= n || n >= sizeof front)
        return false;
    memcpy(front, name, n);
    front[n] = '\0';
    return name_is(front, with);
}

static enum MHD_Result count_header(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct head *h = ctx;
    (void)kind, (void)name, (void)value;
    h->n_max++;
    return MHD_YES;
}

static enum MHD_Result take_header(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct head  *h = ctx;
    struct arena *a = &h->x->arena;
    struct str    v = str_trim(str_of(value ? value : ""));
    const char   *copy = arena_copy(a, v.p, v.n);
    (void)kind;
    CHECK(h->n < h->n_max);
    h->x->header[h->n++] = (struct http_header){arena_copy(a, name, strlen(name)), copy};
    h->malformed = h->malformed || !is_token(name) || has_control(copy);
    /* A folded line, joined to its name: "Content-Length5", "Transfer-Encodingchunked". */
    h->folded = h->folded || begins(name, "Content-Length") || begins(name, "Transfer-Encoding");
    if (name_is(name, "Host")) {
        h->n_host++;
    } else if (name_is(name, "Content-Length")) {
        h->n_length++;
        h->length = copy;
    } else if (name_is(name, "Transfer-Encoding")) {
        h->n_coding++;
        h->coding = copy;
    }
    return MHD_YES;
}

static bool framing_check(const struct head *h, const char *version, struct err *e)
{
    bool old = strcmp(version, "HTTP/1.0") == 0;
    if (h->malformed)
        return err_set(e, ERR_INVALID, "a header has a byte in it that does not belong there");
    if (h->folded)
        return err_set(e, ERR_INVALID, "a header is folded over two lines");
    if (h->n_host > 1 || (h->n_host == 0 && !old))
        return err_set(e, ERR_INVALID, "the request has %s Host header", h->n_host ? "more than one" : "no");
    if (h->n_length && h->n_coding)
        return err_set(e, ERR_INVALID, "the request has both Content-Length and Transfer-Encoding");
    if (h->n_length > 1)
        return err_set(e, ERR_INVALID, "the request has more than one Content-Length");
    if (h->n_coding > 1 || (h->n_coding && (old || !name_is(h->coding, "chunked"))))
        return err_set(e, ERR_INVALID, "the only Transfer-Encoding understood is chunked, once, in HTTP/1.1");
    uint64_t n;
    if (h->n_length && (!str_u64(str_of(h->length), &n) || *h->length == '+'))
        return err_set(e, ERR_INVALID, "Content-Length is not a number of bytes");
    return true;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes raw to out, which has room for as much. */
static bool path_decode(struct str raw, char *out, size_t *n, struct err *e)
{
    *n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (c == '%') {
            int hi = i + 2 < raw.n ? hex(raw.p[i + 1]) : -1, lo = i + 2 < raw.n ? hex(raw.p[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return err_set(e, ERR_INVALID, "the path has a %% without two hexadecimal digits behind it");
            c = (char)(hi * 16 + lo);
            i += 2;
        }
        if (c == '\0')
            return err_set(e, ERR_INVALID, "the path has a NUL in it");
        out[(*n)++] = c;
    }
    if (!utf8_valid((struct str){out, *n}))
        return err_set(e, ERR_INVALID, "the path is not UTF-8");
    return true;
}

static bool target_read(struct exchange *x, struct err *e)
{
    struct http_request *r = &x->request;
    const char          *mark = strchr(x->target, '?');
    struct str           raw = {x->target, mark ? (size_t)(mark - x->target) : strlen(x->target)};
    if (has_control(x->target) || strchr(x->target, '\t') || strchr(x->target, ' '))
        return err_set(e, ERR_INVALID, "the request line has a control character or a blank in its path");
    if (!str_starts(raw, STR("/")) && !(str_is(raw, "*") && str_is(r->method, "OPTIONS")))
        return err_set(e, ERR_INVALID, "the path does not begin with a slash");
    char  *path = arena_new(&x->arena, raw.n + 1);
    size_t n;
    if (!path_decode(raw, path, &n, e))
        return false;
    r->path = (struct str){path, n};
    r->query = mark ? str_of(mark + 1) : STR("");
    return true;
}

bool request_read(struct exchange *x, struct MHD_Connection *c, const char *method, const char *version, struct err *e)
{
    struct head h = {.x = x};
    MHD_get_connection_values(c, MHD_HEADER_KIND, count_header, &h);
    x->header = arena_new(&x->arena, (h.n_max + 1) * sizeof *x->header);
    MHD_get_connection_values(c, MHD_HEADER_KIND, take_header, &h);
    x->n_header = h.n;
    size_t n = strlen(method);
    x->request.method = (struct str){arena_copy(&x->arena, method, n), n};
    x->bodyless = strcmp(method, "HEAD") == 0;
    if (!is_token(method))
        return err_set(e, ERR_INVALID, "the request's method is not a word");
    return framing_check(&h, version, e) && target_read(x, e);
}

bool request_fits(const struct exchange *x, size_t body_bytes_max, struct err *e)
{
    const char *length = x->request.header(&x->request, "Content-Length");
    uint64_t    n = 0;
    if (length && str_u64(str_of(length), &n) && n > body_bytes_max)
        return err_set(e, ERR_TOO_LARGE, "the body has %llu bytes; the most taken is %zu", (unsigned long long)n,
                       body_bytes_max);
    return true;
}
