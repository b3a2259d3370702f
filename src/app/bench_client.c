/* bench_client.c -- see bench_client.h. */
#include "app/bench_client.h"

#include "base/easy.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REFUSAL_BYTES_MAX = 4096 };

struct bench_client {
    struct bench_client_opts o;
    char                    *url;
    CURLM                   *multi;
    struct curl_slist       *header;
    CURL                   **easy, **idle;      /* all of them; those that run nothing */
    unsigned                 n_idle;
    bool                     refused;           /* an address was another machine's */
};

static bool is_loopback(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return a->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

/* Asked for each address just before it is connected to, so no name and no odd spelling gets round it. */
static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct bench_client *b = ctx;
    (void)purpose;
    if (!b->o.any_host && !is_loopback(&a->addr)) {
        b->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype, a->protocol);
}

static size_t take_bytes(char *p, size_t size, size_t n, void *ctx)
{
    struct bench_call *c = ctx;
    struct str         piece = {p, size * n};
    if (c->status / 100 == 2)
        return c->take(c, piece) ? piece.n : 0;
    size_t room = REFUSAL_BYTES_MAX - c->refusal.n;
    buf_append(&c->refusal, p, piece.n < room ? piece.n : room);
    return piece.n;
}

/* The status line comes before the body, which is read by it. */
static size_t take_header(char *p, size_t size, size_t n, void *ctx)
{
    struct bench_call *c = ctx;
    size_t             bytes = size * n;
    if (bytes >= 12 && strncmp(p, "HTTP/1.", 7) == 0)
        c->status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
    return bytes;
}

static CURL *request_new(struct bench_client *b)
{
    CURL *h = easy_new(NULL);
    curl_easy_setopt(h, CURLOPT_PROXY, "");             /* else the address filter sees only the proxy's */
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)b->o.timeout_s * 1000);
    curl_easy_setopt(h, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(h, CURLOPT_OPENSOCKETDATA, b);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, b->header);
    return h;
}

static bool header_add(struct bench_client *b, const char *line)
{
    struct curl_slist *longer = curl_slist_append(b->header, line);
    b->header = longer ? longer : b->header;
    return longer != NULL;
}

static bool make_headers(struct bench_client *b, struct err *e)
{
    /* "Expect:" takes back curl's own, for which some servers make large bodies wait. */
    bool ok = header_add(b, "Content-Type: application/json") && header_add(b, "Expect:");
    if (ok && b->o.key) {
        struct buf line;
        buf_init(&line, 0);
        buf_printf(&line, "Authorization: Bearer %s", b->o.key);
        ok = header_add(b, line.p);
        buf_drop(&line);
    }
    return ok || err_set(e, ERR_MEMORY, "there is no memory for a header");
}

static bool check_url(const char *url, struct err *e)
{
    CURLU *u = curl_url();
    char  *scheme = NULL, *query = NULL;
    bool   ok = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) &&
              curl_url_get(u, CURLUPART_QUERY, &query, 0) != CURLUE_OK;
    curl_free(scheme);
    curl_free(query);
    curl_url_cleanup(u);
    return ok || err_param(e, "url", "--url wants something like http://127.0.0.1:8000, not \"%s\"", url);
}

bool bench_client_open(struct bench_client **out, const struct bench_client_opts *o, struct err *e)
{
    if (!check_url(o->url, e))
        return false;
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    struct bench_client *b = mem_new(sizeof *b);
    b->o = *o;
    b->url = mem_copy(o->url, strlen(o->url));
    b->multi = curl_multi_init();
    CHECK(b->multi);
    curl_multi_setopt(b->multi, CURLMOPT_MAXCONNECTS, (long)o->calls_max);
    b->easy = mem_array(o->calls_max, sizeof *b->easy);
    b->idle = mem_array(o->calls_max, sizeof *b->idle);
    if (!make_headers(b, e)) {
        bench_client_close(b);
        return false;
    }
    for (; b->n_idle < o->calls_max; b->n_idle++)
        b->easy[b->n_idle] = b->idle[b->n_idle] = request_new(b);
    *out = b;
    return true;
}

void bench_client_close(struct bench_client *b)
{
    if (!b)
        return;
    for (unsigned i = 0; i < b->o.calls_max && b->easy[i]; i++) {
        curl_multi_remove_handle(b->multi, b->easy[i]);
        curl_easy_cleanup(b->easy[i]);
    }
    curl_multi_cleanup(b->multi);
    curl_slist_free_all(b->header);
    curl_global_cleanup();
    free(b->easy);
    free(b->idle);
    free(b->url);
    free(b);
}

void bench_client_send(struct bench_client *b, struct bench_call *c)
{
    CHECK(b->n_idle > 0);
    CURL      *h = b->idle[--b->n_idle];
    struct buf url;
    buf_init(&url, 0);
    buf_printf(&url, "%s%s", b->url, c->path);
    curl_easy_setopt(h, CURLOPT_URL, url.p);
    buf_drop(&url);
    if (c->body.p) {
        curl_easy_setopt(h, CURLOPT_POST, 1L);
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, c->body.p);
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.n);
    } else {
        curl_easy_setopt(h, CURLOPT_HTTPGET, 1L);
    }
    c->status = 0;
    c->error[0] = '\0';
    buf_clear(&c->refusal);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->error);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(h, CURLOPT_PRIVATE, c);
    CHECK(curl_multi_add_handle(b->multi, h) == CURLM_OK);
}

static enum bench_fate fate_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK: return BENCH_ANSWERED;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION: return BENCH_UNREACHED;
    case CURLE_OPERATION_TIMEDOUT: return BENCH_TIMEOUT;
    default: return BENCH_BROKEN;
    }
}

static void finish(struct bench_client *b, CURL *h, CURLcode code)
{
    struct bench_call *c;
    curl_easy_getinfo(h, CURLINFO_PRIVATE, (char **)&c);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, NULL);
    curl_multi_remove_handle(b->multi, h);
    b->idle[b->n_idle++] = h;
    c->fate = fate_of(code);
    if (b->refused)
        snprintf(c->error, sizeof c->error, "that is another machine; give --any-host if it is yours to load");
    else if (code == CURLE_WRITE_ERROR)
        snprintf(c->error, sizeof c->error, "more came than can be right");
    else if (c->fate != BENCH_ANSWERED && !c->error[0])
        snprintf(c->error, sizeof c->error, "%s", curl_easy_strerror(code));
    c->done(c);
}

void bench_client_wait(struct bench_client *b, unsigned wait_ms)
{
    int running, left;
    CHECK(curl_multi_poll(b->multi, NULL, 0, (int)wait_ms, NULL) == CURLM_OK);
    CHECK(curl_multi_perform(b->multi, &running) == CURLM_OK);
    for (CURLMsg *m; (m = curl_multi_info_read(b->multi, &left)) != NULL;)
        if (m->msg == CURLMSG_DONE)
            finish(b, m->easy_handle, m->data.result);
}

void bench_client_run(struct bench_client *b)
{
    while (b->n_idle < b->o.calls_max)
        bench_client_wait(b, 100);
}
