/* see.c -- see see.h. */
#include "api/see.h"

#include "api/prompt.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

struct seeing {
    struct asked     q;
    struct json_doc *doc;
    atomic_word      stop;
    bool             stopping, late;    /* the api is; its time ran out: under the api's lock */
    struct seeing   *next, *prev;       /* under the api's lock */
};

static void on_gone(void *ctx)
{
    struct seeing *s = ctx;
    atomic_store(&s->stop, 1);
}

static void enter(struct api *a, struct seeing *s)
{
    pthread_mutex_lock(&a->lock);
    s->next = a->seeing;
    if (s->next)
        s->next->prev = s;
    a->seeing = s;
    if (a->stopping)
        atomic_store(&s->stop, 1);
    pthread_mutex_unlock(&a->lock);
}

static void leave(struct api *a, struct seeing *s)
{
    pthread_mutex_lock(&a->lock);
    if (s->prev)
        s->prev->next = s->next;
    else
        a->seeing = s->next;
    if (s->next)
        s->next->prev = s->prev;
    pthread_mutex_unlock(&a->lock);
}

void see_stop_all(struct api *a)
{
    for (struct seeing *s = a->seeing; s; s = s->next) {
        s->stopping = true;
        atomic_store(&s->stop, 1);
    }
}

void see_tick_all(struct api *a)
{
    uint64_t now = clock_ns(a->o.clock);
    for (struct seeing *s = a->seeing; s; s = s->next) {
        if (s->q.wish.timeout_ns && now >= s->q.call->came_ns + s->q.wish.timeout_ns) {
            s->late = true;
            atomic_store(&s->stop, 1);
        }
    }
}

static void see(void *arg)
{
    struct seeing *s = arg;
    struct api    *a = s->q.call->api;
    struct err     e;
    struct prompter p = api_prompter(a);
    s->q.prompt = mem_new(sizeof *s->q.prompt);
    s->q.n_prompt = 1;
    struct prompt_sight sight = {.eyes = a->o.eyes, .engine = a->o.engine, .totals = &a->views, .stop = &s->stop};
    bool ok = prompt_chat(&p, json_root(s->doc), &sight, s->q.prompt, &e);
    s->q.views = sight.views;
    /* Afterwards nobody calls on_gone() any more; the answer asks for itself. */
    reply_on_gone(s->q.call->out, NULL, NULL);
    leave(a, s);
    if (!ok && e.kind == ERR_GONE && s->stopping)
        err_set(&e, ERR_BUSY, "the server is stopping");
    else if (!ok && e.kind == ERR_GONE && s->late)
        err_set(&e, ERR_TIMEOUT, "the request's time of %.3g s ran out", (double)s->q.wish.timeout_ns / 1e9);
    json_free(s->doc);
    struct asked q = s->q;
    free(s);
    if (asked_go(&q, ok, &e))
        call_free(q.call);
}

void see_begin(const struct asked *q, struct json_doc *doc)
{
    struct seeing *s = mem_new(sizeof *s);
    struct api    *a = q->call->api;
    s->q = *q;
    s->doc = doc;
    enter(a, s);
    reply_on_gone(q->call->out, on_gone, s);
    CHECK(pool_run(a->sight, see, s));
}
