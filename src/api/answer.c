/* answer.c -- see answer.h. */
#include "api/answer.h"

#include "base/mem.h"
#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>

/* An answer that falls so far behind its engine that more events wait is given up, so that memory stays bounded. */
enum { NOTES_MAX = 16384 };

enum orders { ORDER_GONE = 1, ORDER_CANCEL = 2, ORDER_STOP = 4, ORDER_TICK = 8 };

/* An event, copied out of the engine's hands. */
struct note {
    struct choice  *choice;
    int             kind;
    uint64_t        at_ns;
    struct drawn    drawn;
    enum end_reason reason;
    uint32_t        n_cached, n_accepted;
    struct reuse    reuse;
    struct err     *err;                /* of a job that failed; owned */
};

struct notes {
    struct note *note;
    size_t       n, room;
};

struct answer {
    struct asked      q;
    struct api       *api;
    struct shape_head head;
    char              id[48];
    struct choice    *choice;
    uint32_t          n_choice, n_open, n_running;
    struct choice    *second;           /* [n_choice] the same without caches; NULL: nobody asked for them */
    int32_t          *end_id;
    size_t            n_end_id;
    bool              replied, cancelled;
    enum ending       ending;
    struct err        why;              /* of one that failed */
    uint64_t          n_prompt_tokens;
    struct notes      read;             /* those being worked on */
    struct json_out  *w;
    struct buf        out;

    struct answer    *next, *prev;      /* under the api's lock */

    pthread_mutex_t   lock;             /* over what follows */
    bool              awake;            /* in the pool, or running there */
    bool              behind;           /* events were dropped */
    unsigned          orders;
    struct notes      notes;
    bool              streaming;        /* headers of a stream are out, its end is not */
    uint64_t          wrote_ns;
    uint32_t          seen_drawn, seen_cached;
    uint64_t          seen_started_ns, seen_first_ns;
};

static uint64_t now(const struct answer *a)
{
    return clock_ns(a->api->o.clock);
}

/* ---- notes: left from any thread --------------------------------------------------------------------------------- */

static void run(void *arg);

/* Called with the lock held; releases it.  Nobody else can begin to run the answer between the unlock and the pool,
 * because it counts as awake already; and where it was awake before, it is not touched after the unlock. */
static void wake_and_unlock(struct answer *a)
{
    bool was = a->awake;
    a->awake = true;
    pthread_mutex_unlock(&a->lock);
    if (!was)
        CHECK(pool_run(a->api->outlet, run, a));
}

static void order(struct answer *a, unsigned what)
{
    pthread_mutex_lock(&a->lock);
    a->orders |= what;
    wake_and_unlock(a);
}

static void on_gone(void *ctx)
{
    order(ctx, ORDER_GONE);
}

static void leave(struct notes *list, const struct note *n)
{
    if (list->n == list->room) {
        list->room = list->room ? list->room * 2 : 8;
        list->note = mem_grow(list->note, list->room, sizeof *list->note);
    }
    list->note[list->n++] = *n;
}

static void on_event(void *ctx, const struct event *ev)
{
    struct choice *c = ctx;
    struct answer *a = c->answer;
    struct note    n = {.choice = c, .kind = (int)ev->kind, .at_ns = now(a), .reason = ev->reason,
                        .n_cached = ev->n_cached, .n_accepted = ev->n_accepted};
    if (ev->reuse)
        n.reuse = *ev->reuse;
    if (ev->kind == EVENT_TOKEN)
        n.drawn = *ev->drawn;
    if (ev->kind == EVENT_END && ev->reason == END_FAILED && ev->err) {
        n.err = mem_new(sizeof *n.err);
        *n.err = *ev->err;
    }
    pthread_mutex_lock(&a->lock);
    if (ev->kind == EVENT_TOKEN && a->notes.n >= NOTES_MAX)
        a->behind = true;
    else
        leave(&a->notes, &n);
    wake_and_unlock(a);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void frame(struct answer *a)
{
    buf_str(&a->out, STR("data: "));
    json_out_write(a->w, &a->out);
    buf_str(&a->out, STR("\n\n"));
}

static uint64_t first_ns(const struct answer *a)
{
    uint64_t first = 0;
    for (uint32_t i = 0; i < a->n_choice; i++)
        if (a->choice[i].first_ns && (!first || a->choice[i].first_ns < first))
            first = a->choice[i].first_ns;
    return first;
}

static struct shape_usage usage(const struct answer *a)
{
    struct shape_usage u = {.prompt = a->n_prompt_tokens};
    uint64_t started = 0, first = first_ns(a), last = 0;
    for (uint32_t i = 0; i < a->n_choice; i++) {
        const struct choice *c = &a->choice[i];
        u.drawn += c->n_drawn;
        u.accepted += c->n_accepted;
        u.cached += i % a->q.wish.n ? 0 : c->n_cached;
        if (c->started_ns && (!started || c->started_ns < started))
            started = c->started_ns;
        if (c->last_ns > last)
            last = c->last_ns;
    }
    u.cached = u.cached < u.prompt ? u.cached : u.prompt;
    u.reuse = a->choice[0].reuse;
    u.shows = a->q.views.n > 0;
    u.prompt_ns = first > started ? first - started : 0;
    u.drawn_ns = last > first ? last - first : 0;
    return u;
}

/* The same when all is over. */
static struct shape_usage last_usage(const struct answer *a)
{
    struct shape_usage u = usage(a);
    u.verified = a->second != NULL;
    u.verify = (struct verified){.same = true};
    for (uint32_t i = 0; a->second && i < a->n_choice && u.verify.same; i++)
        u.verify = verify_compare(&a->choice[i].verify, a->api->o.verify_bound);
    return u;
}

static void cancel_jobs(struct answer *a)
{
    for (uint32_t i = 0; i < a->n_choice; i++) {
        if (a->choice[i].running)
            engine_cancel(a->api->o.engine, a->choice[i].job);
        if (a->second && a->second[i].running)
            engine_cancel(a->api->o.engine, a->second[i].job);
    }
}

static void count_end(struct answer *a)
{
    struct shape_usage u = usage(a);
    uint64_t     first = first_ns(a), came = a->q.call->came_ns;
    struct total t = {.ending = a->ending, .tokens_in = u.prompt, .tokens_cached = u.cached, .tokens_out = u.drawn,
                      .first_token_s = first ? (double)(first - came) / 1e9 : -1, .token_s = -1,
                      .whole_s = (double)(now(a) - came) / 1e9};
    double rate = u.drawn > 1 && u.drawn_ns ? (double)(u.drawn - 1) * 1e9 / (double)u.drawn_ns : 0;
    if (rate > 0)
        t.token_s = 1 / rate;
    totals_add(&a->api->totals, &t);
    char guessed[32] = "";
    if (u.accepted)
        snprintf(guessed, sizeof guessed, " guessed=%llu", (unsigned long long)u.accepted);
    log_info(a->api->o.log, "%s client=%s tokens=%llu cached=%llu out=%llu%s ttft=%.0fms %.1ftok/s %s%s%s", a->id,
             a->q.call->client.name, (unsigned long long)u.prompt, (unsigned long long)u.cached,
             (unsigned long long)u.drawn, guessed, first ? t.first_token_s * 1e3 : 0, rate, totals_ending(a->ending),
             a->why.text[0] ? ": " : "", a->why.text);
}

/* Ends the reply: nothing is written after it, and what the engine still tells is only waited for. */
static void end_reply(struct answer *a, enum ending how)
{
    CHECK(!a->replied);
    a->replied = true;
    a->ending = how;
    pthread_mutex_lock(&a->lock);
    a->streaming = false;
    pthread_mutex_unlock(&a->lock);
    for (uint32_t i = 0; i < a->n_choice; i++)
        a->choice[i].closed = true;
    for (uint32_t i = 0; a->second && i < a->n_choice; i++)
        a->second[i].closed = true;
    cancel_jobs(a);
    count_end(a);
    reply_end(a->q.call->out);
}

/* Writes what was gathered.  A client that does not take it is gone. */
static void flush(struct answer *a)
{
    if (a->out.n == 0 || a->replied)
        return;
    bool taken = reply_write(a->q.call->out, buf_view(&a->out));
    buf_clear(&a->out);
    pthread_mutex_lock(&a->lock);
    a->wrote_ns = now(a);
    pthread_mutex_unlock(&a->lock);
    if (!taken)
        end_reply(a, ENDING_GONE);
}

static void fail(struct answer *a, const struct err *e, enum ending how)
{
    if (a->replied)
        return;
    a->why = *e;
    if (a->streaming) {
        buf_str(&a->out, STR("data: "));
        call_error_body(e, &a->out);
        buf_str(&a->out, STR("\n\ndata: [DONE]\n\n"));
        flush(a);
    } else {
        call_fail_open(a->q.call, e);
    }
    if (!a->replied)
        end_reply(a, how);
}

static enum ending ending_of(const struct answer *a)
{
    enum ending how = ENDING_STOP;
    for (uint32_t i = 0; i < a->n_choice; i++)
        if (strcmp(a->choice[i].finish, "length") == 0)
            how = ENDING_LENGTH;
    return a->cancelled ? ENDING_CANCELLED : how;
}

static void tell_verified(struct answer *a, const struct verified *v)
{
    atomic_fetch_add(&a->api->n_verified, 1);
    if (v->same)
        return;
    atomic_fetch_add(&a->api->n_mismatch, 1);
    log_error(a->api->o.log, "%s: with caches and without, token %u differs (log probabilities before it by %g at most)", a->id, v->differs_at,
              v->apart_max);
}

/* Every choice is closed. */
static void finish(struct answer *a)
{
    struct shape_usage u = last_usage(a);
    if (a->second)
        tell_verified(a, &u.verify);
    if (!a->streaming) {
        struct http_header more[] = {{"X-Request-Id", a->id}, {NULL, NULL}};
        call_start(a->q.call, 200, "application/json", more);
        shape_whole(a->w, &a->head, a->choice, a->n_choice, &u);
        json_out_write(a->w, &a->out);
    } else {
        if (a->q.wish.include_usage || a->second) {
            shape_usage_chunk(a->w, &a->head, &u);
            frame(a);
        }
        buf_str(&a->out, STR("data: [DONE]\n\n"));
    }
    flush(a);
    if (!a->replied)
        end_reply(a, ending_of(a));
}

static void send_news(struct answer *a, struct choice *c)
{
    if (!a->streaming || !choice_has_news(c))
        return;
    shape_chunk(a->w, &a->head, c, SHAPE_NEWS, NULL);
    frame(a);
    choice_sent(c);
}

/* c has its finish. */
static void close_choice(struct answer *a, struct choice *c)
{
    struct choice *second = a->second ? &a->second[c->index] : NULL;
    send_news(a, c);
    a->n_open--;
    if (second && second->running && c->verify.fresh.n >= c->verify.usual.n)
        engine_cancel(a->api->o.engine, second->job);
    if (a->streaming) {
        struct shape_usage u = last_usage(a);
        shape_chunk(a->w, &a->head, c, SHAPE_LAST, a->n_open == 0 ? &u : NULL);
        frame(a);
    }
    if (a->n_open == 0)
        finish(a);
}

/* ---- reading the notes ------------------------------------------------------------------------------------------- */

/* Of the second computation: enough when it has as many tokens as a first one that is over. */
static void take_second(struct answer *a, const struct note *n)
{
    struct choice *c = n->choice, *first = c->checks;
    if (n->kind == EVENT_TOKEN)
        verify_add(&first->verify.fresh, &n->drawn);
    if (n->kind == EVENT_TOKEN && first->closed && first->verify.fresh.n == first->verify.usual.n)
        engine_cancel(a->api->o.engine, c->job);
    if (n->kind != EVENT_END)
        return;
    c->running = false;
    a->n_running--;
    if (c->closed)
        return;
    c->closed = true;
    if (n->reason == END_FAILED && n->err)
        fail(a, n->err, ENDING_FAILED);
    else if (--a->n_open == 0)
        finish(a);
}

static void take_token(struct answer *a, const struct note *n)
{
    struct choice *c = n->choice;
    if (c->closed)
        return;
    if (a->second)
        verify_add(&c->verify.usual, &n->drawn);
    if (!c->first_ns)
        c->first_ns = n->at_ns;
    c->last_ns = n->at_ns;
    if (choice_take(c, &n->drawn)) {
        send_news(a, c);
        return;
    }
    engine_cancel(a->api->o.engine, c->job);
    close_choice(a, c);
}

static void take_end(struct answer *a, const struct note *n)
{
    struct choice *c = n->choice;
    struct err     e;
    c->running = false;
    a->n_running--;
    if (c->closed)
        return;
    switch (n->reason) {
    case END_STOP:
    case END_LENGTH: break;
    case END_TIMEOUT:
        err_set(&e, ERR_TIMEOUT, "the request's time of %.3g s ran out", (double)a->q.wish.timeout_ns / 1e9);
        fail(a, &e, ENDING_TIMEOUT);
        return;
    case END_CANCELLED:
        if (a->cancelled)
            break;
        err_set(&e, ERR_BUSY, "the server is stopping");
        fail(a, &e, ENDING_FAILED);
        return;
    case END_FAILED:
        err_set(&e, ERR_INTERNAL, "the engine failed");
        fail(a, n->err ? n->err : &e, ENDING_FAILED);
        return;
    }
    choice_close(c, n->reason == END_LENGTH ? "length" : "stop");
    close_choice(a, c);
}

static void take_note(struct answer *a, const struct note *n)
{
    struct choice *c = n->choice;
    if (c->checks) {
        take_second(a, n);
        free(n->err);
        return;
    }
    if (n->kind != EVENT_STARTED)
        c->reuse = n->reuse;
    if (n->kind == EVENT_STARTED)
        c->started_ns = n->at_ns;
    if (n->n_cached > c->n_cached)      /* what others read meanwhile is found after the start */
        c->n_cached = n->n_cached;
    if (n->n_accepted > c->n_accepted)
        c->n_accepted = n->n_accepted;
    if (n->kind == EVENT_TOKEN)
        take_token(a, n);
    if (n->kind == EVENT_END)
        take_end(a, n);
    free(n->err);
}

/* Before the notes are read: an answer whose events were dropped must not end as if it were whole. */
static void obey(struct answer *a, unsigned orders, bool behind)
{
    struct err e;
    if (a->replied)
        return;
    if (orders & ORDER_GONE) {
        end_reply(a, ENDING_GONE);
    } else if (orders & ORDER_STOP) {
        err_set(&e, ERR_BUSY, "the server is stopping");
        fail(a, &e, ENDING_FAILED);
    } else if (behind) {
        err_set(&e, ERR_INTERNAL, "over %d tokens wait to be written: this machine is too busy", NOTES_MAX);
        fail(a, &e, ENDING_FAILED);
    } else if (orders & ORDER_CANCEL) {
        a->cancelled = true;
        cancel_jobs(a);
    }
}

/* Takes the notes left so far.  False: there are none, and the answer sleeps until it is woken. */
static bool take_notes(struct answer *a, unsigned *orders, bool *behind)
{
    pthread_mutex_lock(&a->lock);
    struct notes empty = a->read;
    a->read = a->notes;
    a->notes = empty;
    a->notes.n = 0;
    *orders = a->orders;
    *behind = a->behind;
    a->orders = 0;
    a->seen_drawn = (uint32_t)usage(a).drawn;
    a->seen_cached = (uint32_t)usage(a).cached;
    a->seen_started_ns = a->choice[0].started_ns;
    a->seen_first_ns = first_ns(a);
    a->awake = a->read.n > 0 || *orders;
    bool any = a->awake;
    pthread_mutex_unlock(&a->lock);
    return any;
}

static bool is_over(const struct answer *a)
{
    return a->replied && a->n_running == 0;
}

static void answer_free(struct answer *a);

static void run(void *arg)
{
    struct answer *a = arg;
    unsigned       orders;
    bool           behind;
    while (!is_over(a)) {
        if (!take_notes(a, &orders, &behind))
            return;
        obey(a, orders, behind);
        for (size_t i = 0; i < a->read.n; i++)
            take_note(a, &a->read.note[i]);
        if ((orders & ORDER_TICK) && a->streaming && a->out.n == 0)
            buf_str(&a->out, STR(": keepalive\n\n"));
        flush(a);
    }
    answer_free(a);
}

/* ---- beginning and end ------------------------------------------------------------------------------------------- */

/* The ids that end the answer: the model's own unless they are to be ignored, and the request's. */
static void set_end_ids(struct answer *a)
{
    const struct api_opts *o = &a->api->o;
    const struct wish     *w = &a->q.wish;
    size_t                 n = w->ignore_eos ? 0 : o->n_eos;
    a->end_id = mem_array(n + w->n_stop_id + 1, sizeof *a->end_id);
    if (n)
        memcpy(a->end_id, o->eos, n * sizeof *a->end_id);
    if (w->n_stop_id)
        memcpy(a->end_id + n, w->stop_id, w->n_stop_id * sizeof *a->end_id);
    a->n_end_id = n + w->n_stop_id;
}

static void set_id(struct answer *a)
{
    uint8_t byte[16];
    int     n = snprintf(a->id, sizeof a->id, "%s", a->q.shape->prefix);
    random_bytes(byte, sizeof byte);
    for (size_t i = 0; i < sizeof byte; i++, n += 2)
        snprintf(a->id + n, sizeof a->id - (size_t)n, "%02x", byte[i]);
}

static struct answer *answer_new(const struct asked *q)
{
    struct answer *a = mem_new(sizeof *a);
    a->q = *q;
    a->api = q->call->api;
    a->awake = true;
    pthread_mutex_init(&a->lock, NULL);
    set_id(a);
    set_end_ids(a);
    a->head = (struct shape_head){q->shape, a->id, a->api->o.model, clock_unix_s(), q->prompt};
    a->w = json_out_new();
    buf_init(&a->out, 0);
    a->n_choice = a->n_open = (uint32_t)q->n_prompt * q->wish.n;
    for (size_t i = 0; i < q->n_prompt; i++)
        a->n_prompt_tokens += q->prompt[i].n;
    a->choice = mem_array(a->n_choice, sizeof *a->choice);
    for (uint32_t i = 0; i < a->n_choice; i++) {
        struct choice *c = &a->choice[i];
        *c = (struct choice){.answer = a, .index = i, .prompt = i / q->wish.n, .wish = &a->q.wish, .end_id = a->end_id,
                             .n_end_id = a->n_end_id, .tokenizer = a->api->o.tokenizer};
        choice_init(c, q->echo ? q->echo[c->prompt] : (struct str){NULL, 0});
    }
    if (!q->verify)
        return a;
    a->n_open *= 2;
    a->second = mem_array(a->n_choice, sizeof *a->second);
    for (uint32_t i = 0; i < a->n_choice; i++)
        a->second[i] = (struct choice){.answer = a, .index = i, .prompt = a->choice[i].prompt, .checks = &a->choice[i]};
    return a;
}

static void answer_free(struct answer *a)
{
    struct call *call = a->q.call;
    pthread_mutex_lock(&a->api->lock);
    if (a->prev)
        a->prev->next = a->next;
    else if (a->api->answer == a)
        a->api->answer = a->next;
    if (a->next)
        a->next->prev = a->prev;
    pthread_mutex_unlock(&a->api->lock);
    for (uint32_t i = 0; i < a->n_choice; i++)
        choice_drop(&a->choice[i]);
    free(a->choice);
    free(a->second);
    free(a->end_id);
    free(a->notes.note);
    free(a->read.note);
    json_out_free(a->w);
    buf_drop(&a->out);
    pthread_mutex_destroy(&a->lock);
    asked_drop(&a->q);
    free(a);
    call_free(call);
}

/* Joins the list of those that run. */
static bool enter(struct answer *a, struct err *e)
{
    pthread_mutex_lock(&a->api->lock);
    bool stopping = a->api->stopping;
    if (!stopping) {
        a->next = a->api->answer;
        if (a->next)
            a->next->prev = a;
        a->api->answer = a;
    }
    pthread_mutex_unlock(&a->api->lock);
    return !stopping || err_set(e, ERR_BUSY, "the server is stopping");
}

/* The length that the request names, else the server's own, else what the context leaves. */
static uint32_t tokens_max(const struct answer *a, size_t n_prompt)
{
    uint32_t context = engine_plan(a->api->o.engine)->context_max;
    uint32_t left = n_prompt < context ? context - (uint32_t)n_prompt : 1;
    uint32_t wanted = a->q.wish.has_max ? a->q.wish.tokens_max : a->api->o.tokens_max;
    if (!a->q.wish.has_max && wanted == 0)
        wanted = left;
    return wanted < left ? wanted : left;
}

/* The k-th answer to one prompt: the first one draws as if it were alone. */
static uint64_t seed_of(uint64_t seed, uint32_t k)
{
    uint64_t word[2] = {seed, k};
    return k == 0 ? seed : hash64(word, sizeof word, 0);
}

/* Where messages begin and end, to be freed: at special tokens, which only the template writes. */
static uint32_t *marks_of(const struct tokenizer *t, const struct ids *p, uint32_t *n)
{
    uint32_t *mark = mem_array(p->n, sizeof *mark);
    *n = 0;
    for (uint32_t i = 0; i < p->n; i++)
        if (tokenizer_is_special(t, p->id[i]))
            mark[(*n)++] = i;
    return mark;
}

static bool submit_one(struct answer *a, struct choice *c, struct err *e)
{
    const struct ids  *p = &a->q.prompt[c->prompt];
    const struct wish *w = &a->q.wish;
    if (p->n > INT32_MAX)
        return err_set(e, ERR_CONTEXT, "the prompt has %zu tokens", p->n);
    struct job j = {.token = p->id, .n_token = (uint32_t)p->n, .tokens_max = tokens_max(a, p->n), .stop = a->end_id,
                    .n_stop = (uint32_t)a->n_end_id, .draw = w->draw, .client = a->q.call->client.id, .salt = w->salt,
                    .deadline_ns = w->timeout_ns ? a->q.call->came_ns + w->timeout_ns : 0, .event = on_event, .ctx = c};
    uint32_t *mark = marks_of(a->api->o.tokenizer, p, &j.n_mark);
    j.mark = mark;
    j.draw.seed = seed_of(w->draw.seed, c->index % w->n);
    j.media = a->q.views.media;
    j.fresh = c->checks != NULL;
    if (a->second && j.draw.n_logprob == 0)
        j.draw.n_logprob = 1;
    c->running = true;
    a->n_running++;
    bool ok = engine_submit(a->api->o.engine, &j, &c->job, e);
    free(mark);
    if (ok)
        return true;
    c->running = false;
    a->n_running--;
    if (e->kind == ERR_CONTEXT) {
        snprintf(e->code, sizeof e->code, "context_length_exceeded");
        snprintf(e->param, sizeof e->param, "%s", a->q.shape->is_chat ? "messages" : "prompt");
    }
    return false;
}

static bool submit(struct answer *a, struct err *e)
{
    for (uint32_t i = 0; i < a->n_choice; i++)
        if (!submit_one(a, &a->choice[i], e) || (a->second && !submit_one(a, &a->second[i], e)))
            return false;
    return true;
}

/* Headers go out before the prompt is read, so that a client knows it is being served. */
static void open_stream(struct answer *a)
{
    struct http_header more[] = {
        {"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}, {"X-Request-Id", a->id}, {NULL, NULL}};
    call_start(a->q.call, 200, "text/event-stream", more);
    pthread_mutex_lock(&a->lock);
    a->streaming = true;
    a->wrote_ns = now(a);
    pthread_mutex_unlock(&a->lock);
    for (uint32_t i = 0; i < a->n_choice; i++) {
        struct choice *c = &a->choice[i];
        if (!a->q.shape->is_chat && !c->text.n && !c->wish->return_ids)
            continue;
        shape_chunk(a->w, &a->head, c, SHAPE_FIRST, NULL);
        frame(a);
        choice_sent(c);
    }
    flush(a);
}

void answer_begin(const struct asked *q)
{
    struct answer *a = answer_new(q);
    struct err     e;
    reply_on_gone(q->call->out, on_gone, a);
    if (!enter(a, &e) || !submit(a, &e))
        fail(a, &e, ENDING_FAILED);
    else if (q->wish.stream)
        open_stream(a);
    CHECK(pool_run(a->api->outlet, run, a));
}

/* ---- looked at from outside, under the api's lock ---------------------------------------------------------------- */

bool answer_cancel(struct api *api, struct str id, const struct client *who)
{
    for (struct answer *a = api->answer; a; a = a->next)
        if (str_is(id, a->id) && a->q.call->client.id == who->id) {
            order(a, ORDER_CANCEL);
            return true;
        }
    return false;
}

void answer_stop_all(struct api *api)
{
    for (struct answer *a = api->answer; a; a = a->next)
        order(a, ORDER_STOP);
}

void answer_tick_all(struct api *api)
{
    uint64_t silence = (uint64_t)api->o.keepalive_s * 1000000000u;
    for (struct answer *a = api->answer; a; a = a->next) {
        pthread_mutex_lock(&a->lock);
        uint64_t t = now(a);
        if (a->streaming && t > a->wrote_ns && t - a->wrote_ns >= silence) {
            a->orders |= ORDER_TICK;
            wake_and_unlock(a);
        } else {
            pthread_mutex_unlock(&a->lock);
        }
    }
}

static void put_request(struct answer *a, struct json_out *w)
{
    uint64_t t = now(a);
    pthread_mutex_lock(&a->lock);
    uint64_t started = a->seen_started_ns, first = a->seen_first_ns;
    double   since = first && t > first ? (double)(t - first) / 1e9 : 0;
    json_open(w, NULL, '{');
    json_put_text(w, "request_id", a->id);
    json_put_text(w, "client", a->q.call->client.name);
    json_put_text(w, "phase", first ? "decode" : started ? "prefill" : "queued");
    json_put_bool(w, "stream", a->q.wish.stream);
    json_put_int(w, "choices", a->n_choice);
    json_put_int(w, "prompt_tokens", (int64_t)a->n_prompt_tokens);
    json_put_int(w, "cached_tokens", a->seen_cached);
    json_put_int(w, "generated_tokens", a->seen_drawn);
    json_put_num(w, "elapsed_s", (double)(t - a->q.call->came_ns) / 1e9);
    if (first)
        json_put_num(w, "ttft_s", (double)(first - a->q.call->came_ns) / 1e9);
    else
        json_put_null(w, "ttft_s");
    json_put_num(w, "tokens_per_second", since > 0 ? a->seen_drawn / since : 0);
    json_close(w);
    pthread_mutex_unlock(&a->lock);
}

void answer_list(struct api *api, const struct client *who, struct json_out *w)
{
    json_open(w, "requests", '[');
    for (struct answer *a = api->answer; a; a = a->next)
        if (!who || a->q.call->client.id == who->id)
            put_request(a, w);
    json_close(w);
}
