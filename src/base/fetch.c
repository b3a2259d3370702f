/* fetch.c -- see fetch.h.  Redirects are followed here, one by one, so that each hop's host is known when its address is
 * judged; a connection that is used again was judged when it was made, for the same host. */
#include "base/fetch.h"

#include "base/clock.h"
#include "base/easy.h"
#include "base/mem.h"

#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

enum { SECONDS = 30, REDIRECTS = 5, URL_BYTES_MAX = 16 << 10, WASTE_BYTES_MAX = 1 << 18 };

struct fetch {
    struct fetch_opts  o;
    struct curl_slist *resolve;
};

struct get {
    const struct fetch *f;
    CURL               *easy;
    struct buf          url;
    char                curl_text[CURL_ERROR_SIZE];
    const atomic_word  *stop;
    struct buf         *out;
    size_t              before, waste;      /* bytes of out that were there; of bodies that nobody wants */
    uint64_t            deadline_ns;
    bool                safe;               /* some hop was https */
    bool                allowed;            /* the present hop's host */
    const char         *refused;            /* what an address is that it was not connected to */
};

/* ---- where it goes ------------------------------------------------------------------------------------------------ */

/* Does one of the allowed hosts say this one?  IPv6 addresses stand in brackets in both. */
static bool is_allowed(const struct fetch_opts *o, const char *host, const char *port)
{
    size_t n = strlen(host);
    for (const char *const *a = o->allowed; a && *a; a++)
        if (strncasecmp(*a, host, n) == 0 && (!(*a)[n] || ((*a)[n] == ':' && strcmp(*a + n + 1, port) == 0)))
            return true;
    return o->any_host;
}

/* The address taken apart by the very parser that connects. */
static bool look_at_parts(struct get *g, CURLU *u, struct err *e)
{
    char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL, *password = NULL;
    bool  ok = curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK;
    if (!ok)
        err_set(e, ERR_INVALID, "addresses begin with http:// or https://");
    else if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)
        ok = err_set(e, ERR_INVALID, "addresses begin with http:// or https://, not with %.20s:", scheme);
    else if (g->safe && strcmp(scheme, "https") != 0)
        ok = err_set(e, ERR_INVALID, "a redirect leads from https to %.20s, which is not followed", scheme);
    else if (curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK || curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
        ok = err_set(e, ERR_INVALID, "the address names no host");
    else if (curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK || curl_url_get(u, CURLUPART_PASSWORD, &password, 0) == CURLUE_OK)
        ok = err_set(e, ERR_INVALID, "an address with a user's name or password is not fetched from");
    if (ok) {
        g->safe = g->safe || strcmp(scheme, "https") == 0;
        g->allowed = is_allowed(&g->f->o, host, port);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(user);
    curl_free(password);
    return ok;
}

static bool look_at_url(struct get *g, struct err *e)
{
    if (g->url.n > URL_BYTES_MAX)
        return err_set(e, ERR_INVALID, "the address is over %d bytes long", URL_BYTES_MAX);
    CURLU *u = curl_url();
    CHECK(u);
    CURLUcode code = curl_url_set(u, CURLUPART_URL, g->url.p, CURLU_NON_SUPPORT_SCHEME);
    bool      ok = code == CURLUE_OK ? look_at_parts(g, u, e) : err_set(e, ERR_INVALID, "this is no address: %s", curl_url_strerror(code));
    curl_url_cleanup(u);
    return ok;
}

/* Asked with each address that a name has, just before it is connected to. */
static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct get *g = ctx;
    const char *what = g->allowed ? NULL : fetch_refusal(&a->addr);
    (void)purpose;
    if (what) {
        g->refused = what;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype, a->protocol);
}

/* ---- what comes --------------------------------------------------------------------------------------------------- */

static size_t take_bytes(char *p, size_t size, size_t n, void *ctx)
{
    struct get *g = ctx;
    long        status = 0;
    n *= size;
    curl_easy_getinfo(g->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status / 100 == 2)
        return buf_append(g->out, p, n) ? n : 0;
    g->waste += n;
    return g->waste <= WASTE_BYTES_MAX ? n : 0;
}

static int look(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct get *g = ctx;
    (void)a, (void)b, (void)c, (void)d;
    return g->stop && atomic_load_explicit(g->stop, memory_order_relaxed) != 0;
}

static bool answered(long status, struct err *e)
{
    if (status / 100 == 5)
        return err_set(e, ERR_UPSTREAM, "its server answers with status %ld", status);
    return err_set(e, ERR_INVALID, "its server answers with status %ld%s", status,
                   status == 404 || status == 410 ? ": nothing is there"
                   : status == 401 || status == 403 ? ": it does not let us have it" : "");
}

static bool failed(const struct get *g, CURLcode code, struct err *e)
{
    const char *why = g->curl_text[0] ? g->curl_text : curl_easy_strerror(code);
    long        status = 0;
    curl_easy_getinfo(g->easy, CURLINFO_RESPONSE_CODE, &status);
    if (look((void *)(uintptr_t)g, 0, 0, 0, 0))
        return err_set(e, ERR_GONE, "stopped");
    if (g->out->full || code == CURLE_FILESIZE_EXCEEDED)
        return err_set(e, ERR_TOO_LARGE, "the file is over %zu bytes", g->out->bytes_max - g->before);
    switch (code) {
    case CURLE_HTTP_RETURNED_ERROR: return answered(status, e);
    case CURLE_URL_MALFORMAT: return err_set(e, ERR_INVALID, "this is no address that can be fetched from");
    case CURLE_COULDNT_RESOLVE_HOST: return err_set(e, ERR_INVALID, "its host's name does not resolve");
    case CURLE_COULDNT_CONNECT:
        if (g->refused)
            return err_set(e, ERR_INVALID, "its host has %s, from which nothing is fetched here unless the host is allowed", g->refused);
        return err_set(e, ERR_UPSTREAM, "its server cannot be connected to (%.200s)", why);
    case CURLE_OPERATION_TIMEDOUT: return err_set(e, ERR_TIMEOUT, "its server took too long (%.200s)", why);
    case CURLE_PARTIAL_FILE: return err_set(e, ERR_UPSTREAM, "its server ended the connection before the file's end");
    case CURLE_BAD_CONTENT_ENCODING: return err_set(e, ERR_UPSTREAM, "its server packed it in a way that cannot be unpacked (%.200s)", why);
    case CURLE_WRITE_ERROR:
        if (status / 100 != 2)
            return err_set(e, ERR_UPSTREAM, "its server answers with status %ld and a body without an end", status);
        /* curl says so, too, when what is packed does not unpack. */
        return err_set(e, ERR_UPSTREAM, "what its server sends cannot be read (%.200s)", why);
    default: return err_set(e, ERR_UPSTREAM, "fetching failed: %.200s", why);
    }
}

/* ---- one file ----------------------------------------------------------------------------------------------------- */

static void set_up(struct get *g)
{
    CURL *h = g->easy;
    curl_easy_setopt(h, CURLOPT_PROXY, "");         /* else the guard sees only the proxy's address */
    curl_easy_setopt(h, CURLOPT_ACCEPT_ENCODING, "gzip, deflate");      /* what some send unasked; take_bytes() counts it unpacked */
    curl_easy_setopt(h, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(h, CURLOPT_RESOLVE, g->f->resolve);
    curl_easy_setopt(h, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(h, CURLOPT_OPENSOCKETDATA, g);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, g->curl_text);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, g);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, look);
    curl_easy_setopt(h, CURLOPT_XFERINFODATA, g);
    if (g->out->bytes_max)
        curl_easy_setopt(h, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)(g->out->bytes_max - g->before));
}

/* One request.  CURLE_OK: it was answered with 2xx or 3xx. */
static CURLcode hop(struct get *g)
{
    uint64_t now = clock_ns(clock_real());
    if (now >= g->deadline_ns)
        return CURLE_OPERATION_TIMEDOUT;
    g->refused = NULL;
    g->curl_text[0] = '\0';
    curl_easy_setopt(g->easy, CURLOPT_URL, g->url.p);
    curl_easy_setopt(g->easy, CURLOPT_TIMEOUT_MS, (long)((g->deadline_ns - now) / 1000000 + 1));
    return curl_easy_perform(g->easy);
}

static bool follow(struct get *g, struct err *e)
{
    unsigned n_max = g->f->o.redirects_max ? g->f->o.redirects_max : REDIRECTS;
    for (unsigned i = 0; i <= n_max; i++) {
        if (!look_at_url(g, e))
            return i == 0 ? false : err_in(e, "after %u redirect%s", i, i == 1 ? "" : "s");
        CURLcode code = hop(g);
        if (code != CURLE_OK)
            return failed(g, code, e) || (i > 0 && err_in(e, "after %u redirect%s", i, i == 1 ? "" : "s"));
        long status = 0;
        curl_easy_getinfo(g->easy, CURLINFO_RESPONSE_CODE, &status);
        if (status / 100 == 2)
            return g->out->n > g->before || err_set(e, ERR_INVALID, "its server sends an empty file");
        if (!easy_redirect(g->easy, &g->url))
            return answered(status, e);
    }
    return err_set(e, ERR_INVALID, "its server leads through more than %u redirects", n_max);
}

bool fetch_get(struct fetch *f, const char *url, struct buf *out, const atomic_word *stop, struct err *e)
{
    if (out->bytes_max && out->n >= out->bytes_max)
        return err_set(e, ERR_TOO_LARGE, "there is no room for another file");
    uint64_t   seconds = f->o.seconds_max ? f->o.seconds_max : SECONDS;
    struct get g = {.f = f, .easy = easy_new(f->o.authorities), .stop = stop, .out = out, .before = out->n,
                    .deadline_ns = clock_ns(clock_real()) + seconds * 1000000000};
    buf_init(&g.url, 0);
    buf_str(&g.url, str_of(url));
    set_up(&g);
    bool ok = follow(&g, e);
    curl_easy_cleanup(g.easy);
    buf_drop(&g.url);
    if (!ok && out->p) {
        out->n = g.before;
        out->p[out->n] = '\0';
        out->full = false;
    }
    return ok;
}

bool fetch_open(struct fetch **out, const struct fetch_opts *o, struct err *e)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(e, ERR_IO, "libcurl does not start");
    struct fetch *f = *out = mem_new(sizeof *f);
    f->o = *o;
    for (const char *const *r = o->resolve; r && *r; r++) {
        f->resolve = curl_slist_append(f->resolve, *r);
        CHECK(f->resolve);
    }
    return true;
}

void fetch_close(struct fetch *f)
{
    if (!f)
        return;
    curl_slist_free_all(f->resolve);
    curl_global_cleanup();
    free(f);
}
