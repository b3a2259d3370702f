/* bench_load.c -- see bench_load.h. */
#include "app/bench_load.h"

#include "app/dice.h"
#include "app/sse.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { EVENT_BYTES_MAX = 1 << 20, WAIT_MS_MAX = 100, SHOW_MS = 200, ARRIVALS = 3 };

struct run;

struct user {
    struct bench_call   call;           /* first: call's functions find the user by it */
    struct run         *run;
    struct sse          sse;
    struct bench_answer answer;
    struct buf          body;
};

struct run {
    const struct bench_load *load;
    struct bench_client     *client;
    struct user             *user, **idle;
    unsigned                 n_idle, sent, ended;
    uint64_t                 from_ns, last_ns, due_ns, dice, shown_ns;
    struct samples           first, gap, whole;
    struct bench_result      result;
    struct bench_errors     *errors;
};

/* ---- a request --------------------------------------------------------------------------------------------------- */

/* Likeliest words only: what drawing costs is not the question, and answers repeat. */
static void write_body(const struct bench_load *l, uint64_t i, struct buf *out)
{
    struct json_out *w = json_out_new();
    struct buf       prompt;
    buf_init(&prompt, 0);
    bench_prompt_write(&l->prompt, i, &prompt);
    json_open(w, NULL, '{');
    json_put_text(w, "model", l->model);
    if (l->chat) {
        json_open(w, "messages", '[');
        json_open(w, NULL, '{');
        json_put_text(w, "role", "user");
        json_put_str(w, "content", buf_view(&prompt));
        json_close(w);
        json_close(w);
    } else {
        json_put_str(w, "prompt", buf_view(&prompt));
    }
    json_put_int(w, "max_tokens", l->answer_tokens);
    json_put_int(w, "temperature", 0);
    json_put_bool(w, "stream", true);
    json_open(w, "stream_options", '{');
    json_put_bool(w, "include_usage", true);
    json_close(w);
    if (l->ignore_eos)
        json_put_bool(w, "ignore_eos", true);
    json_close(w);
    buf_clear(out);
    json_out_write(w, out);
    json_out_free(w);
    buf_drop(&prompt);
}

static void on_data(void *ctx, struct str data)
{
    struct user *u = ctx;
    bench_answer_event(&u->answer, data, clock_ns(clock_real()), &u->run->gap);
}

static bool take(struct bench_call *c, struct str piece)
{
    struct user *u = (struct user *)c;
    return sse_feed(&u->sse, piece);
}

/* due_ns 0: now. */
static void ask(struct user *u, uint64_t i, uint64_t due_ns)
{
    write_body(u->run->load, i, &u->body);
    sse_reset(&u->sse);
    u->answer = (struct bench_answer){.asked_ns = due_ns ? due_ns : clock_ns(clock_real())};
    u->call.path = u->run->load->chat ? "/v1/chat/completions" : "/v1/completions";
    u->call.body = buf_view(&u->body);
    bench_client_send(u->run->client, &u->call);
}

static void user_init(struct user *u, struct run *r, void (*done)(struct bench_call *c))
{
    u->run = r;
    u->call.take = take;
    u->call.done = done;
    sse_init(&u->sse, EVENT_BYTES_MAX, on_data, u);
}

static void user_drop(struct user *u)
{
    sse_drop(&u->sse);
    buf_drop(&u->body);
    buf_drop(&u->call.refusal);
}

/* ---- what became of it ------------------------------------------------------------------------------------------- */

/* What is wrong with an answer, for people and as a count; NULL: nothing. */
static uint64_t *blame(const struct user *u, struct bench_errors *x, char out[static 256])
{
    const struct bench_call   *c = &u->call;
    const struct bench_answer *a = &u->answer;
    if (c->fate != BENCH_ANSWERED) {
        snprintf(out, 256, "%s", c->error);
        return c->fate == BENCH_TIMEOUT ? &x->timeout : c->fate == BENCH_UNREACHED ? &x->unreached : &x->broken;
    }
    if (c->status / 100 != 2) {
        bench_answer_message(buf_view(&c->refusal), out, 256);
        return &x->status[c->status > 0 && c->status < BENCH_STATUS_MAX ? c->status : 0];
    }
    if (a->error[0]) {
        snprintf(out, 256, "%s", a->error);
        return &x->told;
    }
    if (!a->ended) {
        snprintf(out, 256, "the stream ended without finish_reason or [DONE]");
        return &x->broken;
    }
    /* An answer whose very first token ends it is whole, if the server says so. */
    if (a->pieces == 0 && !a->has_usage) {
        snprintf(out, 256, "the stream held no text");
        return &x->empty;
    }
    return NULL;
}

static void count_ok(struct run *r, const struct bench_answer *a, uint64_t now)
{
    struct bench_result *out = &r->result;
    out->by_usage = (out->ok == 0 || out->by_usage) && a->has_usage;
    out->has_cached |= a->has_cached;
    out->ok++;
    out->prompt_tokens += a->prompt_tokens;
    out->cached_tokens += a->cached_tokens;
    out->answer_tokens += bench_answer_tokens(a);
    out->pieces += a->pieces;
    if (a->pieces > 0)
        samples_add(&r->first, (double)(a->first_ns - a->asked_ns) / 1e6);
    samples_add(&r->whole, (double)(now - a->asked_ns) / 1e6);
}

static void count_failed(struct run *r, uint64_t *kind, int status, const char *why)
{
    struct bench_errors *x = r->errors;
    r->result.failed++;
    ++*kind;
    if (x->first[0])
        return;
    if (status / 100 == 2 || status == 0)
        snprintf(x->first, sizeof x->first, "%s", why);
    else
        snprintf(x->first, sizeof x->first, "HTTP %d: %s", status, why);
}

static void on_done(struct bench_call *c)
{
    struct user *u = (struct user *)c;
    struct run  *r = u->run;
    char         why[256];
    uint64_t    *kind = blame(u, r->errors, why);
    r->last_ns = clock_ns(clock_real());
    if (!kind)
        count_ok(r, &u->answer, r->last_ns);
    else if (c->fate == BENCH_ANSWERED && (c->status == 429 || c->status == 503))
        r->result.limited++;
    else
        count_failed(r, kind, c->status, why);
    r->ended++;
    r->idle[r->n_idle++] = u;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void show(struct run *r, uint64_t now, bool end)
{
    if (!isatty(2) || (!end && now - r->shown_ns < SHOW_MS * (uint64_t)1000000))
        return;
    r->shown_ns = now;
    if (end) {
        fputs("\r\033[K", stderr);
        return;
    }
    double s = (double)(now - r->from_ns) / 1e9;
    fprintf(stderr, "\r\033[K%u of %u answered, %u running, %" PRIu64 " turned away, %" PRIu64 " failed, %.0f tokens/s, %.0f s ",
            r->ended, r->load->requests, r->sent - r->ended, r->result.limited, r->result.failed,
            (double)(r->gap.n + r->gap.n_lost + r->first.n) / s, s);
}

/* Sends what is due; returns how many milliseconds nothing will be. */
static unsigned send_due(struct run *r)
{
    const struct bench_load *l = r->load;
    while (r->n_idle > 0 && r->sent < l->requests) {
        uint64_t now = clock_ns(clock_real());
        if (l->rate > 0 && now < r->due_ns) {
            uint64_t left_ms = (r->due_ns - now) / 1000000;
            return left_ms < WAIT_MS_MAX ? (unsigned)left_ms : WAIT_MS_MAX;
        }
        ask(r->idle[--r->n_idle], r->sent++, l->rate > 0 ? r->due_ns : 0);
        if (l->rate > 0)        /* an exponential pause makes the arrivals a Poisson process */
            r->due_ns += (uint64_t)(-log(dice_unit(&r->dice)) / l->rate * 1e9);
    }
    return WAIT_MS_MAX;
}

static void loop(struct run *r)
{
    const uint64_t seed[] = {ARRIVALS, r->load->prompt.seed};
    double         cpu = (double)clock() / CLOCKS_PER_SEC;
    r->dice = hash64(seed, sizeof seed, 0);
    r->from_ns = r->due_ns = r->last_ns = clock_ns(clock_real());
    while (r->ended < r->load->requests) {
        bench_client_wait(r->client, send_due(r));
        show(r, clock_ns(clock_real()), false);
    }
    show(r, 0, true);
    r->result.seconds = (double)(r->last_ns - r->from_ns) / 1e9;
    r->result.client_cpu_s = (double)clock() / CLOCKS_PER_SEC - cpu;
}

bool bench_load_run(const struct bench_load *l, struct bench_client *b, struct bench_result *out,
                    struct bench_errors *errors, struct err *e)
{
    struct run r = {.load = l, .client = b, .errors = errors, .user = mem_array(l->users, sizeof *r.user),
                    .idle = mem_array(l->users, sizeof(struct user *))};
    size_t     gaps = (size_t)l->requests * l->answer_tokens;
    CHECK(gaps <= BENCH_SAMPLES_MAX);
    for (unsigned i = l->users; i-- > 0;) {
        user_init(&r.user[i], &r, on_done);
        r.idle[r.n_idle++] = &r.user[i];
    }
    bool ok = samples_init(&r.first, l->requests, e) && samples_init(&r.whole, l->requests, e) &&
              samples_init(&r.gap, gaps, e);
    if (ok) {
        loop(&r);
        r.result.first_ms = samples_spread(&r.first);
        r.result.gap_ms = samples_spread(&r.gap);
        r.result.whole_ms = samples_spread(&r.whole);
        *out = r.result;
    }
    for (unsigned i = 0; i < l->users; i++)
        user_drop(&r.user[i]);
    samples_drop(&r.first);
    samples_drop(&r.gap);
    samples_drop(&r.whole);
    free(r.user);
    free(r.idle);
    return ok;
}

static void on_alone(struct bench_call *c)
{
    (void)c;
}

bool bench_load_one(const struct bench_load *l, struct bench_client *b, uint64_t i, struct bench_answer *out, int *status,
                    struct err *e)
{
    struct run          r = {.load = l, .client = b};
    struct user         u = {0};
    struct bench_errors x = {0};
    char                why[256];
    user_init(&u, &r, on_alone);
    ask(&u, i, 0);
    bench_client_run(b);
    bool ok = !blame(&u, &x, why);
    *out = u.answer;
    *status = u.call.status;
    if (!ok && *status / 100 != 2 && *status)
        err_set(e, ERR_IO, "%s answers %d: %s", u.call.path, *status, why);
    else if (!ok)
        err_set(e, ERR_IO, "%s: %s", u.call.path, why);
    user_drop(&u);
    return ok;
}
