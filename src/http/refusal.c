/* refusal.c -- see refusal.h. */
#include "http/refusal.h"

#include <microhttpd.h>

struct refusal {
    struct reply reply;         /* first: the reply is this */
    struct buf  *out;
    struct buf   body;
    bool         ended;
};

static void start(struct reply *r, int status, const struct http_header *h, size_t n)
{
    struct buf *out = ((struct refusal *)r)->out;
    buf_printf(out, "HTTP/1.1 %d %s\r\n", status, MHD_get_reason_phrase_for((unsigned)status));
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s: %s\r\n", h[i].name, h[i].value);
}

static bool append(struct reply *r, struct str piece)
{
    return buf_str(&((struct refusal *)r)->body, piece);
}

static void end(struct reply *r)
{
    ((struct refusal *)r)->ended = true;
}

static void on_gone(struct reply *r, void (*gone)(void *ctx), void *ctx)
{
    (void)r, (void)gone, (void)ctx;
}

static const char *no_header(const struct http_request *r, const char *name)
{
    (void)r, (void)name;
    return NULL;
}

void refusal_write(const struct server_opts *o, const char *peer, const struct err *e, struct buf *out)
{
    static const struct reply_type type = {start, append, end, on_gone};
    struct refusal      r = {.reply.type = &type, .out = out};
    struct http_request none = {.method = STR(""), .path = STR(""), .query = STR(""), .body = STR(""),
                                .peer = str_of(peer), .header = no_header};
    buf_init(&r.body, 0);
    o->fail(o->ctx, &none, &r.reply, e);
    CHECK(r.ended);
    buf_printf(out, "Content-Length: %zu\r\nConnection: close\r\n\r\n", r.body.n);
    buf_str(out, buf_view(&r.body));
    buf_drop(&r.body);
}
