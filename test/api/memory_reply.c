/* memory_reply.c -- see memory_reply.h. */
#include "memory_reply.h"

#include "base/mem.h"

#include <stdlib.h>
#include <strings.h>

static void start(struct reply *r, int status, const struct http_header *h, size_t n)
{
    struct memory_reply *m = (struct memory_reply *)r;
    pthread_mutex_lock(&m->lock);
    m->status = status;
    m->n_start++;
    for (size_t i = 0; i < n; i++)
        buf_printf(&m->headers, "%s: %s\n", h[i].name, h[i].value);
    pthread_mutex_unlock(&m->lock);
}

static bool write_piece(struct reply *r, struct str piece)
{
    struct memory_reply *m = (struct memory_reply *)r;
    pthread_mutex_lock(&m->lock);
    CHECK(m->n_start == 1);
    while (m->blocked)
        pthread_cond_wait(&m->changed, &m->lock);
    m->n_after_end += m->n_end > 0;
    bool taken = m->n_write < m->writes_max;
    if (taken)
        buf_str(&m->body, piece);
    m->n_write++;
    pthread_mutex_unlock(&m->lock);
    return taken;
}

static void end(struct reply *r)
{
    struct memory_reply *m = (struct memory_reply *)r;
    pthread_mutex_lock(&m->lock);
    m->n_end++;
    m->gone = NULL;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

/* Called under the lock, so that taking it back waits for a call that runs. */
static void on_gone(struct reply *r, void (*gone)(void *ctx), void *ctx)
{
    struct memory_reply *m = (struct memory_reply *)r;
    pthread_mutex_lock(&m->lock);
    m->gone = gone;
    m->gone_ctx = ctx;
    if (m->gone_already && gone) {
        m->gone = NULL;
        gone(ctx);
    }
    pthread_mutex_unlock(&m->lock);
}

static const struct reply_type type = {start, write_piece, end, on_gone};

static const char *header(const struct http_request *r, const char *name)
{
    struct memory_reply *m = r->ctx;
    for (size_t i = 0; i < m->n_sent; i++)
        if (strcasecmp(m->sent[i].name, name) == 0)
            return m->sent[i].value;
    return NULL;
}

void memory_reply_init(struct memory_reply *m, const char *method, const char *path, struct str body)
{
    *m = (struct memory_reply){.reply = {&type}, .writes_max = SIZE_MAX};
    m->request = (struct http_request){.method = str_of(method), .path = str_of(path), .body = body,
                                       .peer = STR("127.0.0.1"), .header = header, .ctx = m};
    pthread_mutex_init(&m->lock, NULL);
    cond_init(&m->changed);
    buf_init(&m->headers, 0);
    buf_init(&m->body, 0);
}

void memory_reply_drop(struct memory_reply *m)
{
    pthread_mutex_destroy(&m->lock);
    pthread_cond_destroy(&m->changed);
    buf_drop(&m->headers);
    buf_drop(&m->body);
}

void memory_vanish(struct memory_reply *m)
{
    pthread_mutex_lock(&m->lock);
    m->gone_already = true;
    if (m->gone)
        m->gone(m->gone_ctx);
    m->gone = NULL;
    pthread_mutex_unlock(&m->lock);
}

void memory_unblock(struct memory_reply *m)
{
    pthread_mutex_lock(&m->lock);
    m->blocked = false;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

bool memory_ended(struct memory_reply *m)
{
    pthread_mutex_lock(&m->lock);
    bool ended = m->n_end > 0;
    pthread_mutex_unlock(&m->lock);
    return ended;
}

bool memory_started(struct memory_reply *m)
{
    pthread_mutex_lock(&m->lock);
    bool started = m->n_start > 0;
    pthread_mutex_unlock(&m->lock);
    return started;
}

char *memory_body(struct memory_reply *m)
{
    pthread_mutex_lock(&m->lock);
    char *text = mem_copy(m->body.p ? m->body.p : "", m->body.n);
    pthread_mutex_unlock(&m->lock);
    return text;
}

bool memory_has(struct memory_reply *m, const char *text)
{
    char *body = memory_body(m);
    bool  has = strstr(body, text) != NULL;
    free(body);
    return has;
}
