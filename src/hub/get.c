/* get.c -- see get.h. */
#include "hub/get.h"

#include "base/easy.h"
#include "base/mem.h"
#include "hub/refusal.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { REDIRECTS_MAX = 8, WAIT_S_MAX = 120, BODY_BYTES_MAX = 4096, LINK_BYTES_MAX = 1 << 20, TRIES_TEXT = 3 };

struct hub_get {
    struct hub_run    *run;
    CURL              *easy;
    struct curl_slist *signed_in;       /* the header line with the token; NULL: no token */
    struct buf         url, body, link;
    char               curl_text[CURL_ERROR_SIZE];
    struct hub_refusal answer;          /* of the response being read */
    uint64_t           range_from;      /* where its Content-Range begins; UINT64_MAX: it has none */
    bool               begun;           /* a byte of its body came */
    bool               at_hub;          /* the last hop was the hub itself */
    struct hub_sink   *sink;
    struct err        *e;
    bool               failed;          /* the sink did, or the answer cannot be right: *e says why */
};

enum fate { DONE, AGAIN, FAILED };

/* ---- what comes --------------------------------------------------------------------------------------------------- */

/* The value of a header line of that name; {NULL, 0}: it is another. */
static struct str value_of(struct str line, const char *name)
{
    size_t n = strlen(name);
    if (line.n <= n || line.p[n] != ':' || strncasecmp(line.p, name, n) != 0)
        return (struct str){NULL, 0};
    return str_trim((struct str){line.p + n + 1, line.n - n - 1});
}

/* The number behind a mark: "bytes 100-199/200", "\"api\";r=0;t=55". */
static bool number_behind(struct str s, const char *mark, uint64_t *out)
{
    size_t at = str_find(s, str_of(mark));
    if (at == STR_NONE)
        return false;
    s = (struct str){s.p + at + strlen(mark), s.n - at - strlen(mark)};
    size_t n = 0;
    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    return str_u64((struct str){s.p, n}, out);
}

static size_t take_header(char *p, size_t size, size_t n, void *ctx)
{
    struct hub_get *g = ctx;
    struct str      line = {p, size * n}, v;
    if (str_starts(line, STR("HTTP/"))) {
        uint64_t status = 0;
        g->answer = (struct hub_refusal){0};
        g->range_from = UINT64_MAX;
        g->begun = false;
        buf_clear(&g->link);
        buf_clear(&g->body);
        (void)number_behind(line, " ", &status);
        g->answer.status = (int)status;
    } else if ((v = value_of(line, "X-Error-Code")).p) {
        hub_shown(v, g->answer.code);
    } else if ((v = value_of(line, "X-Error-Message")).p) {
        hub_shown(v, g->answer.text);
    } else if ((v = value_of(line, "Content-Range")).p) {
        (void)number_behind(v, "bytes ", &g->range_from);
    } else if ((v = value_of(line, "Link")).p && g->link.n == 0) {
        buf_str(&g->link, v);
    } else if ((v = value_of(line, "RateLimit")).p) {
        (void)number_behind(v, ";t=", &g->answer.retry_s);
    }
    return line.n;
}

static bool begin(struct hub_get *g)
{
    struct hub_sink *s = g->sink;
    g->begun = true;
    if (g->answer.status == 206)
        return g->range_from == s->at || err_set(g->e, ERR_IO, "the server sent another part of a file than was asked for");
    if (s->at == 0)
        return true;
    s->at = 0;
    return s->again(s->ctx, g->e);
}

static size_t take_bytes(char *p, size_t size, size_t n, void *ctx)
{
    struct hub_get *g = ctx;
    struct str      piece = {p, size * n};
    if (g->answer.status / 100 != 2) {
        size_t room = BODY_BYTES_MAX - g->body.n;
        buf_append(&g->body, p, piece.n < room ? piece.n : room);
        return piece.n;
    }
    if ((!g->begun && !begin(g)) || !g->sink->take(g->sink->ctx, piece, g->e)) {
        g->failed = true;
        return 0;
    }
    g->sink->at += piece.n;
    return piece.n;
}

static int look(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    return hub_run_stopped(((struct hub_get *)ctx)->run);
}

/* ---- where it goes ------------------------------------------------------------------------------------------------ */

static bool same_part(CURLU *a, CURLU *b, CURLUPart part)
{
    char *x = NULL, *y = NULL;
    bool  same = curl_url_get(a, part, &x, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                curl_url_get(b, part, &y, CURLU_DEFAULT_PORT) == CURLUE_OK && strcasecmp(x, y) == 0;
    curl_free(x);
    curl_free(y);
    return same;
}

static bool is_hub(const struct hub_get *g, const char *url)
{
    CURLU *a = curl_url(), *b = curl_url();
    bool   same = a && b && curl_url_set(a, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_set(b, CURLUPART_URL, g->run->place->endpoint, 0) == CURLUE_OK &&
                same_part(a, b, CURLUPART_SCHEME) && same_part(a, b, CURLUPART_HOST) && same_part(a, b, CURLUPART_PORT);
    curl_url_cleanup(a);
    curl_url_cleanup(b);
    return same;
}

/* One request, redirects not followed. */
static CURLcode hop(struct hub_get *g)
{
    char from[32];
    snprintf(from, sizeof from, "%llu-", (unsigned long long)g->sink->at);
    g->at_hub = is_hub(g, g->url.p);
    g->curl_text[0] = '\0';
    g->answer = (struct hub_refusal){0};
    curl_easy_setopt(g->easy, CURLOPT_URL, g->url.p);
    curl_easy_setopt(g->easy, CURLOPT_RANGE, g->sink->at > 0 ? from : NULL);
    curl_easy_setopt(g->easy, CURLOPT_HTTPHEADER, g->at_hub ? g->signed_in : NULL);
    return curl_easy_perform(g->easy);
}

/* ---- what to make of it ------------------------------------------------------------------------------------------- */

static bool broken(struct hub_get *g, CURLcode code)
{
    const char *why = g->curl_text[0] ? g->curl_text : curl_easy_strerror(code), *hub = g->run->place->endpoint;
    const char *to = g->at_hub ? "" : "a server that we are sent to by ";
    if (code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_PROXY)
        return err_set(g->e, ERR_IO, "%s%s is not to be reached (%.200s): is the network up?", to, hub, why);
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR || code == CURLE_SSL_CACERT_BADFILE)
        return err_set(g->e, ERR_IO, "no safe connection to %s%s (%.200s); SSL_CERT_FILE may name whom to trust", to, hub, why);
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT || code == CURLE_LOGIN_DENIED)
        return err_set(g->e, ERR_DENIED, "%s sends us to an address that is not gone to (%.200s)", hub, why);
    return err_set(g->e, ERR_IO, "the connection to %s%s broke off (%.200s): try again; what has come is kept", to, hub, why);
}

static bool may_pass(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_WEIRD_SERVER_REPLY: return true;
    default: return false;
    }
}

static enum fate refused(struct hub_get *g)
{
    struct hub_refusal *a = &g->answer;
    curl_off_t          retry = 0;
    if (curl_easy_getinfo(g->easy, CURLINFO_RETRY_AFTER, &retry) == CURLE_OK && retry > 0)
        a->retry_s = (uint64_t)retry;
    if (!a->text[0])
        hub_shown(str_trim(buf_view(&g->body)), a->text);
    hub_refuse(a, g->run->place, g->run->name, g->e);
    if (a->status == 416) {                 /* what is there is longer than the file, or another's */
        g->sink->at = 0;
        return g->sink->again(g->sink->ctx, g->e) ? AGAIN : FAILED;
    }
    /* Another host refuses when the address that the hub gave has run out; the hub gives a new one. */
    bool passes = a->status == 429 || a->status == 408 || (a->status >= 500 && a->status != 501) || (a->status == 403 && !g->at_hub);
    return passes && a->retry_s <= WAIT_S_MAX ? AGAIN : FAILED;
}

/* One try, redirects followed.  AGAIN and FAILED: *e says why. */
static enum fate try_once(struct hub_get *g, const char *path)
{
    buf_clear(&g->url);
    buf_printf(&g->url, "%s%s", path[0] == '/' ? g->run->place->endpoint : "", path);
    g->failed = false;
    for (int i = 0; i <= REDIRECTS_MAX; i++) {
        CURLcode code = hop(g);
        if (g->failed)
            return FAILED;
        if (code != CURLE_OK) {
            broken(g, code);
            return may_pass(code) ? AGAIN : FAILED;
        }
        if (g->answer.status / 100 == 2 && g->sink->at < g->sink->bytes) {
            broken(g, CURLE_PARTIAL_FILE);
            return AGAIN;
        }
        if (g->answer.status / 100 == 2)
            return DONE;
        if (!easy_redirect(g->easy, &g->url))
            return refused(g);
    }
    err_set(g->e, ERR_IO, "the hub sends us from one address to the next without an end");
    return FAILED;
}

/* Waits before the next try: as long as the hub asks for, else twice as long each time. */
static bool wait_for(struct hub_get *g, unsigned tried)
{
    uint64_t ms = g->answer.retry_s ? g->answer.retry_s * 1000 : 500u << (tried - 1);
    if (g->answer.status == 429)
        hub_run_note(g->run, "the hub asks to wait %llu s (too many requests)", (unsigned long long)(ms + 999) / 1000);
    return hub_run_sleep(g->run, ms);
}

bool hub_get(struct hub_get *g, const char *path, struct hub_sink *s, struct err *e)
{
    g->sink = s;
    g->e = e;
    for (unsigned tried = 0;;) {
        uint64_t before = s->at;
        if (s->bytes == 0 && s->at > 0) {
            s->at = before = 0;
            if (!s->again(s->ctx, e))
                return false;
        }
        enum fate fate = try_once(g, path);
        if (fate != AGAIN)
            return fate == DONE;
        tried = s->bytes && s->at > before ? 1 : tried + 1;
        if (tried >= s->tries_max || !wait_for(g, tried))
            return false;
    }
}

static bool text_take(void *ctx, struct str piece, struct err *e)
{
    struct buf *b = ctx;
    return buf_str(b, piece) || err_set(e, ERR_TOO_LARGE, "the hub's answer is over %zu bytes", b->bytes_max);
}

static bool text_again(void *ctx, struct err *e)
{
    (void)e;
    buf_clear(ctx);
    return true;
}

bool hub_get_text(struct hub_get *g, const char *path, struct buf *out, struct err *e)
{
    struct hub_sink s = {.take = text_take, .again = text_again, .ctx = out, .tries_max = TRIES_TEXT};
    buf_clear(out);
    return hub_get(g, path, &s, e);
}

struct str hub_get_link(const struct hub_get *g)
{
    return buf_view(&g->link);
}

/* ---- the handle --------------------------------------------------------------------------------------------------- */

struct hub_get *hub_get_new(struct hub_run *r)
{
    struct hub_get *g = mem_new(sizeof *g);
    bool            safe = str_starts(str_of(r->place->endpoint), STR("https://"));
    CURL           *h = g->easy = easy_new(r->place->authorities);
    g->run = r;
    buf_init(&g->url, 0);
    buf_init(&g->body, BODY_BYTES_MAX);
    buf_init(&g->link, LINK_BYTES_MAX);
    if (r->place->token) {
        struct buf line;
        buf_init(&line, 0);
        buf_printf(&line, "Authorization: Bearer %s", r->place->token);
        g->signed_in = curl_slist_append(NULL, line.p);
        CHECK(g->signed_in);
        buf_drop(&line);
    }
    if (safe)
        curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, (long)r->place->stall_s);
    curl_easy_setopt(h, CURLOPT_BUFFERSIZE, 256L << 10);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, g->curl_text);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, g);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, g);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, look);
    curl_easy_setopt(h, CURLOPT_XFERINFODATA, g);
    return g;
}

void hub_get_free(struct hub_get *g)
{
    if (!g)
        return;
    curl_easy_cleanup(g->easy);
    curl_slist_free_all(g->signed_in);
    buf_drop(&g->url);
    buf_drop(&g->body);
    buf_drop(&g->link);
    free(g);
}

void hub_url_part(struct buf *out, struct str s, const char *kept)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c && (strchr("-._~", c) || strchr(kept, c)));
        if (plain)
            buf_char(out, c);
        else
            buf_printf(out, "%%%02X", (unsigned char)c);
    }
}
