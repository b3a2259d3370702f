/* wire.c -- see wire.h. */
#include "wire.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000 };

void wire_open(struct wire *w, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    buf_init(&w->in, 0);
    w->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(w->fd >= 0);
    assert_int_equal(connect(w->fd, (struct sockaddr *)&to, sizeof to), 0);
}

void wire_close(struct wire *w)
{
    close(w->fd);
    buf_drop(&w->in);
}

void wire_reset(struct wire *w)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    wire_close(w);
}

bool wire_send(struct wire *w, const void *p, size_t n)
{
    for (const char *at = p; n;) {
        ssize_t some = send(w->fd, at, n, MSG_NOSIGNAL);
        if (some <= 0)
            return false;
        at += some;
        n -= (size_t)some;
    }
    return true;
}

bool wire_say(struct wire *w, const char *fmt, ...)
{
    char    text[4096];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    assert_true(n >= 0 && (size_t)n < sizeof text);
    return wire_send(w, text, (size_t)n);
}

bool wire_more(struct wire *w)
{
    struct pollfd at = {.fd = w->fd, .events = POLLIN};
    if (poll(&at, 1, PATIENCE_MS) <= 0)
        return false;
    char   *to = buf_reserve(&w->in, 65536);
    ssize_t n = recv(w->fd, to, 65536, 0);
    if (n <= 0)
        return false;
    w->in.n += (size_t)n;
    w->in.p[w->in.n] = '\0';
    return true;
}

static bool line_read(struct wire *w, struct buf *out)
{
    for (;;) {
        char *end = w->in.n ? memchr(w->in.p, '\n', w->in.n) : NULL;
        if (end) {
            size_t n = (size_t)(end - w->in.p) + 1;
            buf_append(out, w->in.p, n);
            buf_cut(&w->in, n);
            return true;
        }
        if (!wire_more(w))
            return false;
    }
}

static bool bytes_read(struct wire *w, struct buf *out, size_t n)
{
    while (w->in.n < n)
        if (!wire_more(w))
            return false;
    buf_append(out, w->in.p, n);
    buf_cut(&w->in, n);
    return true;
}

static bool chunks_read(struct wire *w, struct buf *out)
{
    for (;;) {
        struct buf line;
        buf_init(&line, 0);
        bool   ok = line_read(w, &line);
        size_t n = ok ? strtoul(line.p, NULL, 16) : 0;
        if (ok && n)
            ok = bytes_read(w, out, n);
        buf_clear(&line);
        ok = ok && line_read(w, &line) && strcmp(line.p, "\r\n") == 0;
        buf_drop(&line);
        if (!ok || n == 0)
            return ok;
    }
}

bool answer_has(const struct answer *a, const char *header)
{
    char line[512];
    snprintf(line, sizeof line, "\r\n%s\r\n", header);
    return strcasestr(a->head.p ? a->head.p : "", line) != NULL;
}

bool answer_names(const struct answer *a, const char *name)
{
    char line[128];
    snprintf(line, sizeof line, "\r\n%s:", name);
    return strcasestr(a->head.p ? a->head.p : "", line) != NULL;
}

void answer_read(struct wire *w, struct answer *a, bool head_only)
{
    *a = (struct answer){0};
    buf_init(&a->head, 0);
    buf_init(&a->body, 0);
    do {
        if (!line_read(w, &a->head))
            return;
    } while (a->head.n < 4 || memcmp(a->head.p + a->head.n - 4, "\r\n\r\n", 4) != 0);
    assert_memory_equal(a->head.p, "HTTP/1.", 7);
    a->status = (int)strtol(a->head.p + 9, NULL, 10);
    a->chunked = answer_has(a, "Transfer-Encoding: chunked");
    const char *length = strcasestr(a->head.p, "\r\nContent-Length: ");
    if (head_only || a->status == 204 || a->status == 304 || a->status == 100) {
        a->whole = true;
    } else if (a->chunked) {
        a->whole = chunks_read(w, &a->body);
    } else if (length) {
        a->whole = bytes_read(w, &a->body, strtoul(length + 18, NULL, 10));
    } else {
        while (wire_more(w))
            ;
        buf_append(&a->body, w->in.p, w->in.n);
        buf_clear(&w->in);
        a->whole = true;
    }
}

void answer_drop(struct answer *a)
{
    buf_drop(&a->head);
    buf_drop(&a->body);
}

int ask(uint16_t port, struct answer *a, const char *request)
{
    struct wire w;
    wire_open(&w, port);
    wire_send(&w, request, strlen(request));
    answer_read(&w, a, strncmp(request, "HEAD", 4) == 0);
    wire_close(&w);
    return a->status;
}

void reply_text(struct reply *r, int status, const char *text)
{
    struct http_header h = {"Content-Type", "text/plain"};
    reply_start(r, status, &h, 1);
    reply_write(r, str_of(text));
    reply_end(r);
}

void fail_plain(void *ctx, const struct http_request *in, struct reply *out, const struct err *e)
{
    (void)ctx;
    assert_true(in->peer.n > 0);
    reply_text(out, err_status(e->kind), e->text);
}

struct server_opts opts_plain(void (*handle)(void *, const struct http_request *, struct reply *), void *ctx)
{
    return (struct server_opts){
        .body_bytes_max = 1 << 20,
        .reply_bytes_max = 1 << 20,
        .connections_max = 2000,
        .idle_s_max = 60,
        .handle = handle,
        .fail = fail_plain,
        .ctx = ctx,
    };
}

struct server *open_plain(const struct server_opts *o)
{
    struct server *s;
    struct err     e;
    if (!server_open(&s, o, &e))
        fail_msg("%s", e.text);
    return s;
}

void sleep_ms(unsigned ms)
{
    poll(NULL, 0, (int)ms);
}

unsigned wait_for(atomic_uint *n, unsigned at_least)
{
    uint64_t from = clock_ns(clock_real()), ms = 0;
    while (atomic_load(n) < at_least && ms < PATIENCE_MS) {
        sleep_ms(1);
        ms = (clock_ns(clock_real()) - from) / 1000000u;
    }
    assert_true(atomic_load(n) >= at_least);
    return (unsigned)ms;
}

void wait_connections(struct server *s, unsigned n)
{
    for (unsigned ms = 0; server_connections(s) != n && ms < PATIENCE_MS; ms++)
        sleep_ms(1);
    assert_int_equal(server_connections(s), n);
}

unsigned fds_open(void)
{
    DIR *dir = opendir("/dev/fd");
    assert_non_null(dir);
    unsigned n = 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

void fds_want(unsigned n)
{
    struct rlimit now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    if (now.rlim_cur < n) {
        now.rlim_cur = n;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    }
}
