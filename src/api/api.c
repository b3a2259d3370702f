/* api.c -- opening, taking calls in, draining, closing. */
#include "api/answer.h"
#include "api/see.h"
#include "base/mem.h"
#include "base/threads.h"

#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 2, SIGHT_THREADS = 4, KEEPALIVE_S = 10, CALLS_MAX = 1024, RETRY_S_MAX = 60 };
static const uint64_t tick_ns = 500000000;

void api_tick(struct api *a)
{
    pthread_mutex_lock(&a->lock);
    answer_tick_all(a);
    pthread_mutex_unlock(&a->lock);
}

static void *tick(void *ctx)
{
    struct api *a = ctx;
    pthread_mutex_lock(&a->lock);
    while (!a->closing) {
        uint64_t until = cond_deadline(tick_ns);
        while (!a->closing && cond_wait(&a->changed, &a->lock, until))
            continue;
        answer_tick_all(a);
        see_tick_all(a);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static void set_defaults(struct api_opts *o)
{
    if (!o->n_thread)
        o->n_thread = THREADS;
    if (!o->keepalive_s)
        o->keepalive_s = KEEPALIVE_S;
    if (!o->calls_max)
        o->calls_max = CALLS_MAX;
    if (!o->clock.ns)
        o->clock = clock_real();
    if (o->defaults.top_p <= 0)
        o->defaults.top_p = 1;
    if (o->defaults.repeat <= 0)
        o->defaults.repeat = 1;
}

bool api_open(struct api **out, const struct api_opts *o, struct err *e)
{
    CHECK(o->engine && o->tokenizer && o->info && o->model && route_len() < TOTALS_ROUTES);
    struct api *a = mem_new(sizeof *a);
    a->o = *o;
    set_defaults(&a->o);
    pthread_mutex_init(&a->lock, NULL);
    cond_init(&a->changed);
    totals_init(&a->totals);
    a->auth = auth_new(o->key, o->n_key);
    struct prompter p = api_prompter(a);
    a->lists = o->eyes && o->template && prompt_wants_lists(&p);
    a->opened_ns = clock_ns(a->o.clock);
    a->opened_s = clock_unix_s();
    a->timed = pool_open(&a->intake, a->o.n_thread, a->o.calls_max, e) &&
               pool_open(&a->outlet, a->o.n_thread, a->o.calls_max, e) &&
               thread_start(&a->timer, "hearth-timer", tick, a, e);
    if (a->timed && o->eyes)
        a->timed = pool_open(&a->sight, o->eyes->n_thread ? o->eyes->n_thread : SIGHT_THREADS, a->o.calls_max, e);
    if (!a->timed) {
        api_close(a);
        return false;
    }
    *out = a;
    return true;
}

void api_stop(struct api *a)
{
    pthread_mutex_lock(&a->lock);
    a->draining = a->stopping = true;
    answer_stop_all(a);
    see_stop_all(a);
    pthread_mutex_unlock(&a->lock);
}

void api_close(struct api *a)
{
    if (!a)
        return;
    api_stop(a);
    pthread_mutex_lock(&a->lock);
    while (a->n_call > 0)
        cond_wait(&a->changed, &a->lock, UINT64_MAX);
    a->closing = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    if (a->timed)
        pthread_join(a->timer, NULL);
    pool_close(a->intake);
    pool_close(a->sight);
    pool_close(a->outlet);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->changed);
    totals_drop(&a->totals);
    auth_free(a->auth);
    free(a);
}

void api_drain(struct api *a)
{
    pthread_mutex_lock(&a->lock);
    a->draining = true;
    pthread_mutex_unlock(&a->lock);
}

unsigned api_busy(struct api *a)
{
    pthread_mutex_lock(&a->lock);
    unsigned n = a->n_call;
    pthread_mutex_unlock(&a->lock);
    return n;
}

struct prompter api_prompter(const struct api *a)
{
    return (struct prompter){a->o.tokenizer, a->o.template, a->o.bos_text, a->o.eos_text, a->lists};
}

bool api_is_open(struct api *a, struct err *e)
{
    pthread_mutex_lock(&a->lock);
    bool open = !a->draining;
    pthread_mutex_unlock(&a->lock);
    return open || err_set(e, ERR_BUSY, "the server is stopping and takes no new work");
}

bool api_is_model(const struct api *a, struct str name, struct err *e)
{
    if (name.n == 0 || str_is(name, "default") || str_is(name, a->o.model))
        return true;
    err_set(e, ERR_NOT_FOUND, "no model \"%.*s\" here; this server has \"%s\" (\"default\" means it too)",
            SHOWN(name), a->o.model);
    snprintf(e->param, sizeof e->param, "model");
    snprintf(e->code, sizeof e->code, "model_not_found");
    return false;
}

/* A second for each full batch that waits. */
unsigned api_retry_s(const struct api *a)
{
    unsigned wait = 1 + engine_jobs_ahead(a->o.engine) / engine_plan(a->o.engine)->seq_max;
    return wait < RETRY_S_MAX ? wait : RETRY_S_MAX;
}

/* Finds out who asks for what, and has it served.  On a thread of the intake. */
static void serve(void *ctx)
{
    struct call *c = ctx;
    struct err   e;
    const struct route *route = NULL;
    bool found = route_find(c->in->method, c->in->path, &route, &c->id, c->allow, &e);
    c->route = route;
    bool may = found && auth_check(c->api->auth, c->in, route->needs_key, &c->client, &e);
    if (may ? route->serve(c) : call_fail(c, &e))
        call_free(c);
}

static struct call *call_new(struct api *a, const struct http_request *in, struct reply *out)
{
    struct call *c = mem_new(sizeof *c);
    *c = (struct call){.api = a, .in = in, .out = out, .came_ns = clock_ns(a->o.clock)};
    c->head = str_is(in->method, "HEAD");
    buf_init(&c->ignored, 1024);
    return c;
}

void api_handle(void *api, const struct http_request *in, struct reply *out)
{
    struct api  *a = api;
    struct call *c = call_new(a, in, out);
    struct err   e;
    pthread_mutex_lock(&a->lock);
    bool fits = a->n_call++ < a->o.calls_max;
    pthread_mutex_unlock(&a->lock);
    if (fits) {
        CHECK(pool_run(a->intake, serve, c));
        return;
    }
    err_set(&e, ERR_BUSY, "%u requests are being served already", a->o.calls_max);
    call_fail(c, &e);
    call_free(c);
}

void api_fail(void *api, const struct http_request *in, struct reply *out, const struct err *e)
{
    struct api  *a = api;
    struct call *c = call_new(a, in, out);
    pthread_mutex_lock(&a->lock);
    a->n_call++;
    pthread_mutex_unlock(&a->lock);
    call_fail(c, e);
    call_free(c);
}
