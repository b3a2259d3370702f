/* call.c -- one request, answered at once (see inside.h). */
#include "api/inside.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum { HEADERS_MAX = 8 };

void call_free(struct call *c)
{
    struct api *a = c->api;
    buf_drop(&c->ignored);
    free(c);
    pthread_mutex_lock(&a->lock);
    CHECK(a->n_call > 0);
    a->n_call--;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

void call_start(struct call *c, int status, const char *type, const struct http_header *more)
{
    struct http_header h[HEADERS_MAX] = {{"Content-Type", type}};
    size_t             n = 1;
    if (c->ignored.n)
        h[n++] = (struct http_header){"X-Ignored-Fields", c->ignored.p};
    for (; more && more->name; more++) {
        CHECK(n < HEADERS_MAX);
        h[n++] = *more;
    }
    totals_http(&c->api->totals, route_index(c->route), status);
    reply_start(c->out, status, h, n);
}

bool call_text(struct call *c, int status, const char *type, struct str body)
{
    call_start(c, status, type, NULL);
    /* False means that nobody reads it: there is nothing more to do. */
    if (!c->head)
        (void)reply_write(c->out, body);
    reply_end(c->out);
    return true;
}

bool call_json(struct call *c, int status, struct json_out *w)
{
    struct buf body;
    buf_init(&body, 0);
    json_out_write(w, &body);
    json_out_free(w);
    call_text(c, status, "application/json", buf_view(&body));
    buf_drop(&body);
    return true;
}

void call_error_body(const struct err *e, struct buf *out)
{
    struct json_out *w = json_out_new();
    json_open(w, NULL, '{');
    json_open(w, "error", '{');
    json_put_text(w, "message", e->text);
    json_put_text(w, "type", err_type(e->kind));
    json_put_text(w, "param", e->param[0] ? e->param : NULL);
    json_put_text(w, "code", e->code[0] ? e->code : NULL);
    json_close(w);
    json_put_text(w, "detail", e->text);
    json_close(w);
    json_out_write(w, out);
    json_out_free(w);
}

void call_fail_open(struct call *c, const struct err *e)
{
    struct http_header more[4] = {{NULL, NULL}};
    char               wait[16];
    struct buf         body;
    size_t             n = 0;
    if (e->kind == ERR_BUSY || e->kind == ERR_RATE) {
        snprintf(wait, sizeof wait, "%u", api_retry_s(c->api));
        more[n++] = (struct http_header){"Retry-After", wait};
    }
    if (e->kind == ERR_METHOD && c->allow[0])
        more[n++] = (struct http_header){"Allow", c->allow};
    if (e->kind == ERR_AUTH)
        more[n++] = (struct http_header){"WWW-Authenticate", "Bearer"};
    buf_init(&body, 0);
    call_error_body(e, &body);
    call_start(c, err_status(e->kind), "application/json", more);
    if (!c->head)
        (void)reply_write(c->out, buf_view(&body));
    buf_drop(&body);
}

bool call_fail(struct call *c, const struct err *e)
{
    call_fail_open(c, e);
    reply_end(c->out);
    return true;
}
