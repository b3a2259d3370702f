/* warm.c -- see warm.h. */
#include "app/warm.h"

#include "base/threads.h"

enum { PROMPT = 64 };

struct ended {
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    struct err      err;        /* kind ERR_NONE: it went well */
    bool            done;
};

static void on_event(void *ctx, const struct event *ev)
{
    struct ended *x = ctx;
    if (ev->kind != EVENT_END)
        return;
    pthread_mutex_lock(&x->lock);
    if (ev->err)
        x->err = *ev->err;
    x->done = true;
    pthread_cond_signal(&x->changed);
    pthread_mutex_unlock(&x->lock);
}

bool warm_up(struct engine *g, struct err *e)
{
    static const int32_t prompt[PROMPT] = {0};
    uint32_t             most = engine_plan(g)->context_max - 1;
    struct ended         x = {.err = {.kind = ERR_NONE}};
    struct job j = {.token = prompt, .n_token = most < PROMPT ? most : PROMPT, .tokens_max = 1,
                    .draw = {.top_p = 1, .repeat = 1}, .salt = STR("warm-up"), .event = on_event, .ctx = &x};
    if (j.n_token == 0)
        return true;
    pthread_mutex_init(&x.lock, NULL);
    cond_init(&x.changed);
    bool ok = engine_submit(g, &j, NULL, e);
    if (ok) {
        pthread_mutex_lock(&x.lock);
        while (!x.done)
            cond_wait(&x.changed, &x.lock, UINT64_MAX);
        pthread_mutex_unlock(&x.lock);
        if (x.err.kind != ERR_NONE) {
            *e = x.err;
            ok = err_in(e, "the first step");
        }
    }
    pthread_cond_destroy(&x.changed);
    pthread_mutex_destroy(&x.lock);
    return ok;
}
