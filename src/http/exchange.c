/* exchange.c -- see exchange.h. */
#include "http/exchange.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0      /* there the program ignores SIGPIPE, as hearth does everywhere */
#endif

enum { BLOCK = 4096 };  /* bytes a turn to clients of HTTP/1.0, who know no chunks */

bool name_is(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        char x = *a, y = *b;
        x = (char)(x >= 'A' && x <= 'Z' ? x + 32 : x);
        y = (char)(y >= 'A' && y <= 'Z' ? y + 32 : y);
        if (x != y)
            return false;
    }
    return *a == *b;
}

/* ---- the answerer's side: struct reply_type ---------------------------------------------------------------------- */

static struct exchange *lock(struct reply *r)
{
    struct exchange *x = (struct exchange *)r;
    pthread_mutex_lock(&x->lock);
    return x;
}

/* Under the lock. */
static void wake(struct exchange *x)
{
    if (x->suspended) {
        x->suspended = false;
        MHD_resume_connection(x->net);
    }
}

/* Under the lock.  The shutdown makes the library drop the connection even while it waits to write. */
static void cut(struct exchange *x)
{
    if (x->net && !x->cut) {
        x->cut = true;
        shutdown(x->fd, SHUT_RDWR);
        wake(x);
    }
}

/* Under the lock.  While the exchange is suspended nothing of the library's is on its way, and something may be sent that
 * says nothing: an interim response before the reply, and between chunks the leading zero of the next one's length.  To
 * HTTP/1.0, which knows neither, the reply itself is the probe. */
static void probe(struct exchange *x)
{
    if (!x->half || !x->suspended || !x->net || x->cut || x->old || (x->queued && (x->bodyless || x->last)))
        return;
    struct str word = x->queued ? STR("0") : STR("HTTP/1.1 100 Continue\r\n\r\n");
    ssize_t    n = send(x->fd, word.p, word.n, MSG_DONTWAIT | MSG_NOSIGNAL);
    x->half = false;
    if (n < 0 ? errno != EAGAIN && errno != EWOULDBLOCK : (size_t)n < word.n)
        cut(x);
}

static void drop(struct exchange *x)
{
    pthread_mutex_destroy(&x->lock);
    pthread_cond_destroy(&x->told);
    buf_drop(&x->body);
    buf_drop(&x->out);
    arena_drop(&x->arena);
    free(x);
}

static void start(struct reply *r, int status, const struct http_header *h, size_t n)
{
    struct exchange *x = lock(r);
    CHECK(!x->status && !x->ended && status >= 200 && status <= 599);
    x->out_header = arena_new(&x->arena, (n + 1) * sizeof *h);
    for (size_t i = 0; i < n; i++)
        x->out_header[i] = (struct http_header){arena_copy(&x->arena, h[i].name, strlen(h[i].name)),
                                                arena_copy(&x->arena, h[i].value, strlen(h[i].value))};
    x->n_out_header = n;
    x->status = status;
    x->bodyless = x->bodyless || status == 204 || status == 304;
    if (!x->bodyless)
        wake(x);
    pthread_mutex_unlock(&x->lock);
}

/* Under the lock. */
static bool take(struct exchange *x, struct str piece)
{
    if (!x->net || x->cut)
        return false;
    x->length += piece.n;
    if (x->bodyless)
        return true;
    if (piece.n > x->reply_bytes_max || x->out.n - x->sent > x->reply_bytes_max - piece.n) {
        log_info(x->log, "%.*s does not read: dropped with %zu bytes of a reply waiting", (int)x->request.peer.n,
                 x->request.peer.p, x->out.n - x->sent);
        cut(x);
        return false;
    }
    if (x->sent > x->out.n / 2) {
        buf_cut(&x->out, x->sent);
        x->sent = 0;
    }
    buf_str(&x->out, piece);
    wake(x);
    return true;
}

static bool append(struct reply *r, struct str piece)
{
    struct exchange *x = lock(r);
    CHECK(x->status && !x->ended);
    bool ok = take(x, piece);
    pthread_mutex_unlock(&x->lock);
    return ok;
}

/* Under the lock, which is let go meanwhile. */
static void told_wait(struct exchange *x)
{
    x->gone = NULL;
    while (x->telling)
        pthread_cond_wait(&x->told, &x->lock);
}

static void finish(struct reply *r)
{
    struct exchange *x = lock(r);
    CHECK(!x->ended);
    told_wait(x);
    x->ended = true;
    if (x->status)
        wake(x);
    else
        cut(x);     /* an answer that never began: the client sees the connection close */
    bool last = x->released;
    pthread_mutex_unlock(&x->lock);
    if (last)
        drop(x);
}

static void on_gone(struct reply *r, void (*gone)(void *ctx), void *ctx)
{
    struct exchange *x = lock(r);
    told_wait(x);
    bool now = gone && !x->net;
    if (!now) {
        x->gone = gone;
        x->gone_ctx = ctx;
    }
    pthread_mutex_unlock(&x->lock);
    if (now)
        gone(ctx);
}

static const struct reply_type type = {start, append, finish, on_gone};

/* ---- the network's side ------------------------------------------------------------------------------------------ */

static const char *header_find(const struct http_request *r, const char *name)
{
    const struct exchange *x = r->ctx;
    for (size_t i = 0; i < x->n_header; i++)
        if (name_is(x->header[i].name, name))
            return x->header[i].value;
    return NULL;
}

struct exchange *exchange_new(struct MHD_Connection *net, size_t reply_bytes_max, const struct log *log)
{
    struct exchange *x = mem_new(sizeof *x);
    *x = (struct exchange){
        .reply.type = &type,
        .request = {.header = header_find, .ctx = x},
        .log = log,
        .net = net,
        .reply_bytes_max = reply_bytes_max,
    };
    x->request.method = x->request.path = x->request.query = x->request.body = x->request.peer = STR("");
    x->fd = MHD_get_connection_info(net, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->told, NULL);
    arena_init(&x->arena, 0);
    buf_init(&x->out, 0);
    return x;
}

void exchange_extra(struct exchange *x, const char *name, const char *value)
{
    CHECK(x->n_extra < sizeof x->extra / sizeof x->extra[0]);
    x->extra[x->n_extra++] = (struct http_header){name, value};
}

void exchange_hand(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    CHECK(!x->handed);
    x->handed = true;
    pthread_mutex_unlock(&x->lock);
}

bool exchange_ended(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    bool ended = x->ended;
    pthread_mutex_unlock(&x->lock);
    return ended;
}

/* Under the lock. */
static void suspend(struct exchange *x)
{
    x->suspended = true;
    MHD_suspend_connection(x->net);
    probe(x);
}

/* The library's content reader.  It holds no lock of its own that a caller of MHD_resume_connection() might want. */
static ssize_t body_read(void *ctx, uint64_t at, char *out, size_t max)
{
    struct exchange *x = ctx;
    ssize_t          n = 0;
    (void)at;
    pthread_mutex_lock(&x->lock);
    size_t left = x->out.n - x->sent;
    if (x->cut) {
        n = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (left) {
        size_t some = left < max ? left : max;
        memcpy(out, x->out.p + x->sent, some);
        x->sent += some;
        n = (ssize_t)some;
        if (x->sent == x->out.n) {
            buf_clear(&x->out);
            x->sent = 0;
        }
    } else if (x->ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        suspend(x);
    }
    pthread_mutex_unlock(&x->lock);
    return n;
}

static bool out_has(const struct exchange *x, const char *name)
{
    for (size_t i = 0; i < x->n_out_header; i++)
        if (name_is(x->out_header[i].name, name))
            return true;
    return false;
}

static void response_header(struct exchange *x, struct MHD_Response *m, const char *name, const char *value)
{
    if (MHD_add_response_header(m, name, value) != MHD_YES)
        log_warn(x->log, "reply header %s left out: its value cannot be sent", name);
}

/* Under the lock.  What is complete goes with its length, the rest in chunks. */
static struct MHD_Response *response_new(struct exchange *x)
{
    struct MHD_Response *m;
    if (!x->ended)
        m = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, body_read, x, NULL);
    else if (x->bodyless && x->length && x->status != 204 && x->status != 304)
        m = MHD_create_response_from_callback(x->length, 1, body_read, x, NULL);    /* HEAD: never read */
    else
        m = MHD_create_response_from_buffer(x->out.n, x->out.n ? x->out.p : (void *)(uintptr_t)"",
                                            MHD_RESPMEM_PERSISTENT);
    if (!m)
        return NULL;
    for (size_t i = 0; i < x->n_extra; i++)
        if (!out_has(x, x->extra[i].name))
            response_header(x, m, x->extra[i].name, x->extra[i].value);
    for (size_t i = 0; i < x->n_out_header; i++)
        response_header(x, m, x->out_header[i].name, x->out_header[i].value);
    if (x->last && !out_has(x, "Connection"))
        response_header(x, m, "Connection", "close");
    return m;
}

enum MHD_Result exchange_answer(struct exchange *x)
{
    struct MHD_Response *m = NULL;
    pthread_mutex_lock(&x->lock);
    bool ready = x->status && (x->ended || !x->bodyless), cut_off = x->cut;
    if (!cut_off && ready) {
        m = response_new(x);
        x->queued = true;
    } else if (!cut_off && x->heard && !x->turned) {
        x->turned = true;
    } else if (!cut_off) {
        suspend(x);
    }
    unsigned status = (unsigned)x->status;
    pthread_mutex_unlock(&x->lock);
    if (cut_off || (ready && !m))
        return MHD_NO;
    if (!m)
        return MHD_YES;
    enum MHD_Result ok = MHD_queue_response(x->net, status, m);
    MHD_destroy_response(m);
    return ok;
}

void exchange_cut(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    cut(x);
    pthread_mutex_unlock(&x->lock);
}

void exchange_probe(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    x->half = true;
    probe(x);
    pthread_mutex_unlock(&x->lock);
}

void exchange_done(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    x->net = NULL;
    void (*gone)(void *ctx) = x->ended ? NULL : x->gone;
    x->gone = NULL;
    x->telling = gone != NULL;
    if (gone) {
        void *ctx = x->gone_ctx;
        pthread_mutex_unlock(&x->lock);
        gone(ctx);
        pthread_mutex_lock(&x->lock);
        x->telling = false;
        pthread_cond_broadcast(&x->told);
    }
    x->released = true;
    bool last = x->ended || !x->handed;
    pthread_mutex_unlock(&x->lock);
    if (last)
        drop(x);
}
