/* request.c -- see request.h.
 *
 * The library is lenient in places, and how lenient depends on its release: a name followed by a blank is a name to it,
 * a folded line is joined to the name before it, both lengths may be given.  So everything that decides what a request
 * is and where it ends is looked at again. */
#include "http/request.h"

#include "base/utf8.h"
#include "http/head.h"

struct head {
    struct exchange *x;
    size_t           n, n_max;
    unsigned         n_host, n_length, n_coding;
    bool             malformed;     /* a name or value with bytes that have no place there */
    bool             folded;
    const char      *length, *coding;
    const char      *end;           /* of the line before, in the library's memory; NULL: not looked at */
};

/* Releases before 0.9.77 join a folded line to the name before it, and end a value at a NUL.  But they leave the head
 * where it came in, with NULs in place of the line ends: where a line does not begin right behind the one before it,
 * something was passed over. */
static bool is_lenient(void)
{
    const char *v = MHD_get_version();
    return strncmp(v, "0.9.7", 5) == 0 && v[5] >= '0' && v[5] < '7';
}

static bool follows(const char *line, const char *end)
{
    return line == end + 1 || line == end + 2;
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
    h->malformed = h->malformed || !head_is_token(str_of(name)) || head_has_control(str_of(copy));
    h->folded = h->folded || (h->end && !follows(name, h->end));
    h->end = h->end && value ? value + strlen(value) : NULL;
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

static bool framing_check(const struct head *h, struct err *e)
{
    bool old = h->x->old;
    if (h->malformed)
        return err_set(e, ERR_INVALID, "a header has a byte in it that does not belong there");
    if (h->folded)
        return err_set(e, ERR_INVALID, "a header is folded over two lines, or has a NUL in it");
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

/* What stands behind the host of a target in absolute form, where a server is to look (RFC 9112, 3.2.2); other targets
 * are left as they are.  An absolute target without a path means the root, or with OPTIONS the server. */
static bool target_cut(struct str *raw, struct str *query, bool is_options, struct err *e)
{
    size_t scheme = begins(raw->p, "http://") ? 7 : begins(raw->p, "https://") ? 8 : 0;
    size_t host = scheme ? strcspn(raw->p + scheme, "/?") : 0;
    if (scheme && host == 0)
        return err_set(e, ERR_INVALID, "the request line names no host behind its scheme");
    *raw = (struct str){raw->p + scheme + host, raw->n - scheme - host};
    const char *mark = strchr(raw->p, '?');
    *query = mark ? str_of(mark + 1) : STR("");
    if (mark)
        raw->n = (size_t)(mark - raw->p);
    if (scheme && raw->n == 0)
        *raw = is_options && !mark ? STR("*") : STR("/");
    return true;
}

static bool target_read(struct exchange *x, struct err *e)
{
    struct http_request *r = &x->request;
    bool                 is_options = str_is(r->method, "OPTIONS");
    struct str           raw = str_of(x->target), query;
    if (head_has_control(raw) || strchr(x->target, '\t') || strchr(x->target, ' '))
        return err_set(e, ERR_INVALID, "the request line has a control character or a blank in its path");
    if (!target_cut(&raw, &query, is_options, e))
        return false;
    if (!str_starts(raw, STR("/")) && !(str_is(raw, "*") && is_options))
        return err_set(e, ERR_INVALID, "the path does not begin with a slash");
    char  *path = arena_new(&x->arena, raw.n + 1);
    size_t n;
    if (!path_decode(raw, path, &n, e))
        return false;
    r->path = (struct str){path, n};
    r->query = query;
    return true;
}

/* Whether nothing but the empty line lies between the last line and the end of the head. */
static bool is_whole(struct MHD_Connection *c, const char *head, const char *end)
{
    const union MHD_ConnectionInfo *size = MHD_get_connection_info(c, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    size_t                          left = size ? size->header_size - (size_t)(end - head) : 0;
    return left >= 2 && left <= 4;
}

bool request_read(struct exchange *x, struct MHD_Connection *c, const char *method, const char *version, struct err *e)
{
    struct head h = {.x = x};
    MHD_get_connection_values(c, MHD_HEADER_KIND, count_header, &h);
    x->header = arena_new(&x->arena, (h.n_max + 1) * sizeof *x->header);
    h.end = is_lenient() ? version + strlen(version) : NULL;
    MHD_get_connection_values(c, MHD_HEADER_KIND, take_header, &h);
    x->n_header = h.n;
    h.folded = h.folded || (h.end && !is_whole(c, method, h.end));
    size_t n = strlen(method);
    x->request.method = (struct str){arena_copy(&x->arena, method, n), n};
    x->bodyless = strcmp(method, "HEAD") == 0;
    x->old = strcmp(version, "HTTP/1.0") == 0;
    if (!head_is_token(x->request.method))
        return err_set(e, ERR_INVALID, "the request's method is not a word");
    return framing_check(&h, e) && target_read(x, e);
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

bool request_plain(const struct exchange *x, struct err *e)
{
    const char *length = x->request.header(&x->request, "Content-Length");
    uint64_t    n = 0;
    bool has_body = x->request.header(&x->request, "Transfer-Encoding") || (length && str_u64(str_of(length), &n) && n);
    for (size_t i = 0; has_body && i < x->n_header; i++)
        if (name_is(x->header[i].name, "Content-Encoding") && !name_is(x->header[i].value, "identity"))
            return err_set(e, ERR_CODING, "Content-Encoding: %.64s is not understood here; send the body as it is, without "
                           "that header", x->header[i].value);
    return true;
}
