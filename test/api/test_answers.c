/* An answer ends once, whatever happens to it: clients that vanish or do not read, cancels, a full server, its end. */
#include "api/answer.h"
#include "rig.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define CHAT "/v1/chat/completions"
#define ASK(more) STR("{" more "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}")

static const uint64_t second = 1000000000u;

static void ended_once(struct memory_reply *m)
{
    assert_true(m->n_start <= 1);
    assert_int_equal(m->n_end, 1);
    assert_int_equal(m->n_after_end, 0);
}

static uint64_t ended(struct rig *r, enum ending how)
{
    pthread_mutex_lock(&r->api->totals.lock);
    uint64_t n = r->api->totals.ended[how];
    pthread_mutex_unlock(&r->api->totals.lock);
    return n;
}

static void start(struct rig *r, struct memory_reply *m, struct str body)
{
    memory_reply_init(m, "POST", CHAT, body);
    api_handle(r->api, &m->request, &m->reply);
}

/* Everything is back where it was: no job, no call. */
static void all_quiet(struct rig *r)
{
    RIG_UNTIL(r, fake_live(r->engine) == 0 && api_busy(r->api) == 0);
}

/* ---- clients that go --------------------------------------------------------------------------------------------- */

static void gone_before_it_begins(void **state)
{
    (void)state;
    static const struct str bodies[] = {ASK("\"stream\":true,"), ASK("")};
    for (size_t i = 0; i < 2; i++) {
        struct rig          r;
        struct memory_reply m;
        rig_init(&r, &(struct rig_opts){.n_key = 0});
        rig_script(&r, "Hello|!hold");
        memory_reply_init(&m, "POST", CHAT, bodies[i]);
        m.gone_already = true;
        api_handle(r.api, &m.request, &m.reply);
        RIG_UNTIL(&r, memory_ended(&m));
        all_quiet(&r);
        ended_once(&m);
        assert_int_equal(ended(&r, ENDING_GONE), 1);
        rig_drop(&r);
        memory_reply_drop(&m);
    }
}

/* After `steps` events of the engine. */
static void gone_after(unsigned steps, struct str body)
{
    struct rig          r;
    struct memory_reply m;
    rig_init(&r, &(struct rig_opts){.n_key = 0});
    rig_script(&r, "Hello| world|!|<eos>");
    start(&r, &m, body);
    RIG_WAIT(fake_live(r.engine) > 0);
    for (unsigned i = 0; i < steps; i++)
        fake_step(r.engine);
    memory_vanish(&m);
    RIG_WAIT(memory_ended(&m));
    all_quiet(&r);
    ended_once(&m);
    assert_int_equal(ended(&r, ENDING_GONE) + ended(&r, ENDING_STOP), 1);
    if (steps < 5)
        assert_int_equal(fake_cancels(r.engine), 1);
    rig_drop(&r);
    memory_reply_drop(&m);
}

static void gone_at_each_stage(void **state)
{
    (void)state;
    for (unsigned steps = 0; steps <= 6; steps++) {
        gone_after(steps, ASK("\"stream\":true,"));
        gone_after(steps, ASK(""));
    }
}

static void does_not_read(void **state)
{
    (void)state;
    for (size_t writes = 0; writes < 6; writes++) {
        struct rig          r;
        struct memory_reply m;
        rig_init(&r, &(struct rig_opts){.n_key = 0});
        rig_script(&r, "Hello|!hold|!again");
        memory_reply_init(&m, "POST", CHAT, ASK("\"stream\":true,\"n\":2,"));
        m.writes_max = writes;
        api_handle(r.api, &m.request, &m.reply);
        for (unsigned tries = 0; !memory_ended(&m); tries++) {
            fake_release(r.engine);
            while (fake_step(r.engine))
                continue;
            rig_step(&r, tries, "the reply has ended");
        }
        all_quiet(&r);
        ended_once(&m);
        assert_int_equal(m.n_write, writes + 1);
        assert_int_equal(ended(&r, ENDING_GONE), 1);
        assert_int_equal(fake_cancels(r.engine), 2);
        rig_drop(&r);
        memory_reply_drop(&m);
    }
}

/* While a write hangs the engine goes on; what waits is bounded, and the answer is given up. */
static void falls_behind(void **state)
{
    (void)state;
    struct rig          r;
    struct memory_reply m;
    rig_init(&r, &(struct rig_opts){.tokens_max = 1000000});
    rig_script(&r, "Hello|!again");
    memory_reply_init(&m, "POST", CHAT, ASK("\"stream\":true,\"n\":8,"));
    m.blocked = true;
    api_handle(r.api, &m.request, &m.reply);
    RIG_WAIT(fake_live(r.engine) == 8);
    for (unsigned i = 0; i < 2 * 4000; i++)
        fake_step(r.engine);
    memory_unblock(&m);
    RIG_UNTIL(&r, memory_ended(&m));
    all_quiet(&r);
    ended_once(&m);
    assert_true(memory_has(&m, "wait to be written"));
    assert_int_equal(ended(&r, ENDING_FAILED), 1);
    rig_drop(&r);
    memory_reply_drop(&m);
}

/* ---- silence ----------------------------------------------------------------------------------------------------- */

static size_t count(struct memory_reply *m, const char *what)
{
    char  *body = memory_body(m);
    size_t n = 0;
    for (char *at = body; (at = strstr(at, what)) != NULL; at++)
        n++;
    free(body);
    return n;
}

static void silence_is_broken(void **state)
{
    (void)state;
    struct rig          r;
    struct memory_reply m;
    rig_init(&r, &(struct rig_opts){.n_key = 0});
    rig_script(&r, "Hello|!hold| world|<eos>");
    start(&r, &m, ASK("\"stream\":true,"));
    RIG_UNTIL(&r, memory_has(&m, "Hello"));
    r.now += 10 * second - 1;
    api_tick(r.api);
    assert_int_equal(count(&m, ": keepalive\n\n"), 0);
    for (size_t i = 1; i <= 3; i++) {
        r.now += i == 1 ? 1 : 10 * second;
        api_tick(r.api);
        RIG_WAIT(count(&m, ": keepalive\n\n") == i);
    }
    fake_release(r.engine);
    RIG_UNTIL(&r, memory_ended(&m));
    ended_once(&m);
    assert_true(memory_has(&m, " world"));
    assert_true(memory_has(&m, "data: [DONE]\n\n"));
    rig_drop(&r);
    memory_reply_drop(&m);
}

static void a_whole_answer_stays_silent(void **state)
{
    (void)state;
    struct rig          r;
    struct memory_reply m;
    rig_init(&r, &(struct rig_opts){.n_key = 0});
    rig_script(&r, "Hello|!hold|<eos>");
    start(&r, &m, ASK(""));
    RIG_WAIT(fake_live(r.engine) == 1);
    r.now += 100 * second;
    api_tick(r.api);
    assert_false(memory_started(&m));
    fake_release(r.engine);
    RIG_UNTIL(&r, memory_ended(&m));
    assert_int_equal(count(&m, "keepalive"), 0);
    rig_drop(&r);
    memory_reply_drop(&m);
}

/* Headers and role are out before the engine has said anything. */
static void headers_come_before_the_prompt_is_read(void **state)
{
    (void)state;
    struct rig          r;
    struct memory_reply m;
    rig_init(&r, &(struct rig_opts){.n_key = 0});
    rig_script(&r, "Hello|<eos>");
    start(&r, &m, ASK("\"stream\":true,"));
    RIG_WAIT(memory_has(&m, "\"role\":\"assistant\""));
    assert_int_equal(m.status, 200);
    RIG_UNTIL(&r, memory_ended(&m));
    rig_drop(&r);
    memory_reply_drop(&m);
}

/* ---- cancelling -------------------------------------------------------------------------------------------------- */

static void cancel(struct rig *r, const char *method, const char *id, const char *key, int status)
{
    struct memory_reply m;
    char                path[128];
    snprintf(path, sizeof path, strcmp(method, "POST") == 0 ? "/v1/requests/%s/cancel" : "/v1/requests/%s", id);
    memory_reply_init(&m, method, path, STR(""));
    if (key)
        m.sent[m.n_sent++] = (struct http_header){"x-api-key", key};
    api_handle(r->api, &m.request, &m.reply);
    RIG_WAIT(memory_ended(&m));
    assert_int_equal(m.status, status);
    memory_reply_drop(&m);
}

/* Whether the status that the key is shown lists the request. */
static bool is_shown(struct rig *r, const char *key, const char *id)
{
    struct memory_reply m;
    memory_reply_init(&m, "GET", "/v1/status", STR(""));
    if (key)
        m.sent[m.n_sent++] = (struct http_header){"x-api-key", key};
    api_handle(r->api, &m.request, &m.reply);
    RIG_WAIT(memory_ended(&m));
    bool shown = memory_has(&m, id);
    assert_true(memory_has(&m, "\"num_running\":"));
    assert_int_equal(memory_has(&m, "\"request_id\""), shown);
    memory_reply_drop(&m);
    return shown;
}

static void id_of(struct memory_reply *m, char id[64])
{
    char *body = memory_body(m), *at = strstr(body, "chatcmpl-");
    assert_non_null(at);
    snprintf(id, 64, "%.41s", at);
    free(body);
}

static void without_keys_everybody_sees_what_runs(void **state)
{
    (void)state;
    struct rig          r;
    struct memory_reply m;
    char                id[64];
    rig_init(&r, &(struct rig_opts){.n_key = 0});
    rig_script(&r, "Hello|!hold|<eos>");
    start(&r, &m, ASK("\"stream\":true,"));
    RIG_UNTIL(&r, memory_has(&m, "Hello"));
    id_of(&m, id);
    assert_true(is_shown(&r, NULL, id));
    fake_release(r.engine);
    RIG_UNTIL(&r, memory_ended(&m));
    rig_drop(&r);
    memory_reply_drop(&m);
}

static void cancelled_by_its_id(void **state)
{
    (void)state;
    static const struct api_key keys[] = {{"alice", "a"}, {"bob", "b"}};
    static const char *const methods[] = {"DELETE", "POST"};
    for (size_t i = 0; i < 2; i++) {
        struct rig          r;
        struct memory_reply m;
        char                id[64];
        rig_init(&r, &(struct rig_opts){.key = keys, .n_key = 2});
        rig_script(&r, "Hello|!hold| world");
        memory_reply_init(&m, "POST", CHAT, ASK("\"stream\":true,"));
        m.sent[m.n_sent++] = (struct http_header){"x-api-key", "a"};
        api_handle(r.api, &m.request, &m.reply);
        RIG_UNTIL(&r, memory_has(&m, "Hello"));
        id_of(&m, id);
        assert_true(is_shown(&r, "a", id));
        assert_false(is_shown(&r, "b", id));
        cancel(&r, methods[i], id, "b", 404);
        cancel(&r, methods[i], id, "a", 200);
        RIG_UNTIL(&r, memory_ended(&m));
        ended_once(&m);
        assert_false(memory_has(&m, " world"));
        assert_int_equal(count(&m, "\"finish_reason\":\"stop\""), 1);
        assert_int_equal(count(&m, "data: [DONE]"), 1);
        assert_int_equal(ended(&r, ENDING_CANCELLED), 1);
        cancel(&r, methods[i], id, "a", 404);
        rig_drop(&r);
        memory_reply_drop(&m);
    }
}

/* ---- the server's limits and its end ----------------------------------------------------------------------------- */

static void full(void **state)
{
    (void)state;
    struct rig          r;
    struct memory_reply m[3];
    rig_init(&r, &(struct rig_opts){.calls_max = 2});
    rig_script(&r, "Hello|!hold|<eos>");
    start(&r, &m[0], ASK(""));
    start(&r, &m[1], ASK("\"stream\":true,"));
    RIG_WAIT(fake_live(r.engine) == 2);
    assert_int_equal(api_busy(r.api), 2);
    start(&r, &m[2], ASK(""));
    assert_true(memory_ended(&m[2]));
    assert_int_equal(m[2].status, 503);
    assert_non_null(strstr(m[2].headers.p, "Retry-After: 1\n"));
    api_drain(r.api);
    fake_release(r.engine);
    RIG_UNTIL(&r, api_busy(r.api) == 0);
    for (size_t i = 0; i < 3; i++) {
        ended_once(&m[i]);
        assert_int_equal(m[i].status, i < 2 ? 200 : 503);
        memory_reply_drop(&m[i]);
    }
    rig_drop(&r);
}

static void stopped_while_it_answers(void **state)
{
    (void)state;
    struct rig          r;
    struct memory_reply m[3];
    rig_init(&r, &(struct rig_opts){.n_key = 0});
    rig_script(&r, "Hello|!hold");
    start(&r, &m[0], ASK(""));
    start(&r, &m[1], ASK("\"stream\":true,"));
    RIG_UNTIL(&r, memory_has(&m[1], "Hello"));
    RIG_WAIT(fake_live(r.engine) == 2);
    api_stop(r.api);
    start(&r, &m[2], ASK(""));
    RIG_UNTIL(&r, memory_ended(&m[0]) && memory_ended(&m[1]) && memory_ended(&m[2]));
    assert_int_equal(m[0].status, 503);
    assert_true(memory_has(&m[0], "the server is stopping"));
    assert_true(memory_has(&m[1], "data: {\"error\":{\"message\":\"the server is stopping\""));
    assert_int_equal(count(&m[1], "data: [DONE]\n\n"), 1);
    assert_int_equal(m[2].status, 503);
    all_quiet(&r);
    for (size_t i = 0; i < 3; i++) {
        ended_once(&m[i]);
        memory_reply_drop(&m[i]);
    }
    rig_drop(&r);
}

/* api_close() itself ends what runs. */
static void closed_while_it_answers(void **state)
{
    (void)state;
    struct rig          r;
    struct memory_reply m;
    rig_init(&r, &(struct rig_opts){.n_key = 0});
    rig_script(&r, "Hello|!hold");
    start(&r, &m, ASK("\"stream\":true,"));
    rig_drop(&r);
    ended_once(&m);
    memory_reply_drop(&m);
}

static void what_the_server_refuses_itself(void **state)
{
    (void)state;
    struct rig          r;
    struct memory_reply m;
    struct err          e;
    rig_init(&r, &(struct rig_opts){.n_key = 0});
    memory_reply_init(&m, "POST", CHAT, STR(""));
    err_set(&e, ERR_TOO_LARGE, "over 16 MiB");
    api_fail(r.api, &m.request, &m.reply, &e);
    ended_once(&m);
    assert_int_equal(m.status, 413);
    assert_string_equal(m.body.p, "{\"error\":{\"message\":\"over 16 MiB\",\"type\":\"invalid_request_error\","
                                  "\"param\":null,\"code\":null},\"detail\":\"over 16 MiB\"}");
    rig_drop(&r);
    memory_reply_drop(&m);
}

/* A prompt that can never fit: 400 with the counts, from either endpoint, and nothing is cut. */
static void too_long_for_the_context(void **state)
{
    (void)state;
    static const char *const bodies[][3] = {
        {CHAT, "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"", "\"}]}"},
        {"/v1/completions", "{\"n\":2,\"prompt\":\"", "\"}"},
    };
    struct rig r;
    rig_init(&r, &(struct rig_opts){.n_key = 0});
    rig_script(&r, "<eos>");
    for (size_t i = 0; i < 2; i++) {
        struct memory_reply m;
        struct buf          body;
        buf_init(&body, 0);
        buf_str(&body, str_of(bodies[i][1]));
        for (int k = 0; k < 5000; k++)
            buf_char(&body, 'x');
        buf_str(&body, str_of(bodies[i][2]));
        memory_reply_init(&m, "POST", bodies[i][0], buf_view(&body));
        rig_serve(&r, &m);
        assert_int_equal(m.status, 400);
        assert_true(memory_has(&m, "\"code\":\"context_length_exceeded\""));
        assert_true(memory_has(&m, i == 0 ? "\"param\":\"messages\"" : "\"param\":\"prompt\""));
        assert_true(memory_has(&m, i == 0 ? "the prompt has 5019 tokens; the context has 4096" : "5000 tokens"));
        ended_once(&m);
        memory_reply_drop(&m);
        buf_drop(&body);
    }
    rig_drop(&r);
}

/* ---- what is shown ----------------------------------------------------------------------------------------------- */

static bool shows(struct rig *r, const char *path, const char *want)
{
    struct memory_reply m;
    memory_reply_init(&m, "GET", path, STR(""));
    api_handle(r->api, &m.request, &m.reply);
    RIG_WAIT(memory_ended(&m));
    bool does = memory_has(&m, want);
    memory_reply_drop(&m);
    return does;
}

static void what_runs_is_shown(void **state)
{
    (void)state;
    struct rig          r;
    struct memory_reply m;
    rig_init(&r, &(struct rig_opts){.n_key = 0});
    rig_script(&r, "Hello| world|!hold|!|<eos>");
    fake_cached(r.engine, 16);
    start(&r, &m, ASK("\"stream\":true,"));
    RIG_WAIT(fake_live(r.engine) == 1);
    RIG_WAIT(shows(&r, "/v1/status", "\"phase\":\"queued\""));
    r.now += second;
    fake_step(r.engine);
    RIG_WAIT(shows(&r, "/v1/status", "\"phase\":\"prefill\""));
    r.now += second;
    fake_cached(r.engine, 17);          /* found after the start, as when another reads the same prompt */
    RIG_UNTIL(&r, memory_has(&m, "Hello"));
    r.now += 2 * second;
    RIG_UNTIL(&r, memory_has(&m, " world"));
    RIG_WAIT(shows(&r, "/v1/status", "\"phase\":\"decode\",\"stream\":true,\"choices\":1,\"prompt_tokens\":21,"
                                     "\"cached_tokens\":17,\"generated_tokens\":"));
    fake_release(r.engine);
    RIG_UNTIL(&r, memory_ended(&m));
    all_quiet(&r);
    RIG_WAIT(shows(&r, "/metrics", "hearth_answers_total{reason=\"stop\"} 1\n"));
    RIG_WAIT(shows(&r, "/metrics", "route=\"/v1/chat/completions\",status=\"2xx\"} 1\n"));
    RIG_WAIT(shows(&r, "/metrics", "hearth_time_to_first_token_seconds_count 1\n"));
    RIG_WAIT(shows(&r, "/metrics", "hearth_time_to_first_token_seconds_sum 2\n"));
    rig_drop(&r);
    memory_reply_drop(&m);
}

static uint64_t seed_in(const char *jobs, unsigned line)
{
    const char *at = jobs;
    for (unsigned i = 0; i <= line; i++) {
        at = strstr(at, " seed=");
        assert_non_null(at);
        at += 6;
    }
    return strtoull(at, NULL, 10);
}

static void seeds(void **state)
{
    (void)state;
    struct rig          r;
    struct memory_reply m;
    rig_init(&r, &(struct rig_opts){.n_key = 0});
    rig_script(&r, "<eos>");
    static const struct str bodies[] = {ASK("\"n\":3,\"seed\":7,"), ASK("\"seed\":7,"), ASK(""), ASK("")};
    for (size_t i = 0; i < 4; i++) {
        memory_reply_init(&m, "POST", CHAT, bodies[i]);
        rig_serve(&r, &m);
        memory_reply_drop(&m);
    }
    char *jobs = fake_jobs(r.engine);
    assert_int_equal(seed_in(jobs, 0), 7);
    assert_true(seed_in(jobs, 1) != 7 && seed_in(jobs, 2) != 7 && seed_in(jobs, 1) != seed_in(jobs, 2));
    assert_int_equal(seed_in(jobs, 3), 7);
    assert_true(seed_in(jobs, 4) != seed_in(jobs, 5));
    free(jobs);
    rig_drop(&r);
}

/* ---- many at once ------------------------------------------------------------------------------------------------ */

enum { CROWD = 240, SENDERS = 3 };

struct crowd {
    struct rig          *r;
    struct memory_reply *m;
    unsigned             from, to;
};

static void *send(void *ctx)
{
    static const struct str bodies[] = {
        ASK("\"stream\":true,\"n\":2,"), ASK("\"stop\":\"ld\","), ASK("\"stream\":true,")};
    struct crowd *c = ctx;
    for (unsigned i = c->from; i < c->to; i++) {
        memory_reply_init(&c->m[i], "POST", CHAT, bodies[i % 3]);
        if (i % 5 == 0)
            c->m[i].writes_max = i % 7;
        api_handle(c->r->api, &c->m[i].request, &c->m[i].reply);
        if (i % 4 == 0)
            memory_vanish(&c->m[i / 2 < c->from ? i : i / 2]);
    }
    return NULL;
}

static bool all_ended(struct memory_reply *m)
{
    for (unsigned i = 0; i < CROWD; i++)
        if (!memory_ended(&m[i]))
            return false;
    return true;
}

static void a_crowd_comes_and_goes(void **state)
{
    (void)state;
    struct rig           r;
    struct memory_reply *m = mem_array(CROWD, sizeof *m);
    struct crowd         part[SENDERS];
    pthread_t            thread[SENDERS];
    struct err           e;
    rig_init(&r, &(struct rig_opts){.n_key = 0});
    rig_script(&r, "Hello| world|ab|c|!|<eos>");
    for (unsigned i = 0; i < SENDERS; i++) {
        part[i] = (struct crowd){&r, m, i * CROWD / SENDERS, (i + 1) * CROWD / SENDERS};
        assert_true(thread_start(&thread[i], "sender", send, &part[i], &e));
    }
    for (unsigned i = 0; i < 100; i++)
        fake_step(r.engine);
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_join(thread[i], NULL);
    RIG_UNTIL(&r, all_ended(m));
    all_quiet(&r);
    for (unsigned i = 0; i < CROWD; i++) {
        ended_once(&m[i]);
        memory_reply_drop(&m[i]);
    }
    rig_drop(&r);
    free(m);
}

/* ---- requests with something wrong in them ----------------------------------------------------------------------- */

static uint32_t next(uint64_t *state, uint32_t n)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % n;
}

/* Cuts, doubles, changes or exchanges bytes. */
static void mutate(struct buf *b, uint64_t *seed)
{
    static const char bytes[] = "{}[]\",:0-9e.tfn\\u\xF0\xC3\x01 ";
    for (uint32_t k = 1 + next(seed, 4); k > 0 && b->n > 2; k--) {
        size_t at = next(seed, (uint32_t)b->n), other = next(seed, (uint32_t)b->n);
        switch (next(seed, 4)) {
        case 0: b->p[at] = bytes[next(seed, sizeof bytes - 1)]; break;
        case 1: b->n = at; break;
        case 2: memmove(b->p + at, b->p + other, b->n - (at > other ? at : other)); break;
        default: b->p[at] ^= (char)(1 << next(seed, 8));
        }
    }
}

static void a_thousand_wrong_requests(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"model\":\"tiny\",\"messages\":[{\"role\":\"system\",\"content\":\"Be kind\"},{\"role\":\"user\","
        "\"content\":[{\"type\":\"text\",\"text\":\"caf\xC3\xA9\"}]}],\"stop\":[\"a\",\"b\"],"
        "\"logit_bias\":{\"5\":-1},\"n\":2,\"max_tokens\":5}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"temperature\":0.5,\"logprobs\":true,"
        "\"top_logprobs\":3,\"tools\":[],\"response_format\":{\"type\":\"text\"},"
        "\"chat_template_kwargs\":{\"note\":\"x\",\"k\":[1,2]}}",
        ("{\"prompt\":[[1,2,3],[4,5]],\"echo\":false,\"logprobs\":2,\"seed\":-5,\"top_p\":0.5,"
        "\"min_p\":0,\"timeout\":3}"),
    };
    struct rig r;
    uint64_t   seed = 20;
    unsigned   good = 0;
    rig_init(&r, &(struct rig_opts){.n_key = 0});
    rig_script(&r, "Hello|<eos>");
    for (unsigned i = 0; i < 1000; i++) {
        struct memory_reply m;
        struct json_doc    *d;
        struct err          e;
        struct buf          body;
        buf_init(&body, 0);
        buf_str(&body, str_of(bodies[i % 3]));
        mutate(&body, &seed);
        memory_reply_init(&m, "POST", i % 3 == 2 ? "/v1/completions" : CHAT, buf_view(&body));
        rig_serve(&r, &m);
        assert_true(m.status == 200 || m.status == 400 || m.status == 404);
        assert_true(json_parse(&d, buf_view(&m.body), &e));
        assert_int_equal(json_type(json_get(json_root(d), m.status == 200 ? "choices" : "error")),
                         m.status == 200 ? JSON_ARRAY : JSON_OBJECT);
        good += m.status == 200;
        json_free(d);
        ended_once(&m);
        memory_reply_drop(&m);
        buf_drop(&body);
    }
    assert_true(good > 20 && good < 500);
    all_quiet(&r);
    rig_drop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gone_before_it_begins),
        cmocka_unit_test(gone_at_each_stage),
        cmocka_unit_test(does_not_read),
        cmocka_unit_test(falls_behind),
        cmocka_unit_test(silence_is_broken),
        cmocka_unit_test(a_whole_answer_stays_silent),
        cmocka_unit_test(headers_come_before_the_prompt_is_read),
        cmocka_unit_test(without_keys_everybody_sees_what_runs),
        cmocka_unit_test(cancelled_by_its_id),
        cmocka_unit_test(full),
        cmocka_unit_test(stopped_while_it_answers),
        cmocka_unit_test(closed_while_it_answers),
        cmocka_unit_test(what_the_server_refuses_itself),
        cmocka_unit_test(too_long_for_the_context),
        cmocka_unit_test(what_runs_is_shown),
        cmocka_unit_test(seeds),
        cmocka_unit_test(a_crowd_comes_and_goes),
        cmocka_unit_test(a_thousand_wrong_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
