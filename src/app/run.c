/* run.c -- hearth run: one answer in the terminal, as it is made. */
#include "app/await.h"
#include "app/commands.h"
#include "app/load.h"
#include "base/random.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROMPT_BYTES_MAX = 16 << 20 };

/* The answer, filled on the engine's thread, waited for on ours. */
struct answer {
    struct await         await;
    struct detok        *detok;
    struct buf           piece;
    const struct loaded *loaded;
    struct event         end;
};

static bool is_eos(const struct loaded *l, int32_t id)
{
    for (size_t i = 0; i < l->n_eos; i++)
        if (l->eos[i] == id)
            return true;
    return false;
}

static void print(struct answer *a)
{
    fwrite(a->piece.p, 1, a->piece.n, stdout);
    fflush(stdout);
    buf_clear(&a->piece);
}

static void on_event(void *ctx, const struct event *ev)
{
    struct answer *a = ctx;
    if (ev->kind == EVENT_TOKEN && !is_eos(a->loaded, ev->drawn->token)) {
        detok_push(a->detok, ev->drawn->token, &a->piece);
        print(a);
    }
    if (ev->kind == EVENT_END) {
        detok_end(a->detok, &a->piece);
        print(a);
        a->end = *ev;
    }
    await_note(&a->await, ev);
}

static void put_message(struct json_out *w, const char *role, struct str content)
{
    json_open(w, NULL, '{');
    json_put_text(w, "role", role);
    json_put_str(w, "content", content);
    json_close(w);
}

static bool chat_prompt(const struct loaded *l, const struct options *o, struct str prompt, struct ids *out, struct err *e)
{
    if (!l->template)
        return err_set(e, ERR_UNSUPPORTED, "the model brings no chat template; --raw continues a text without one");
    struct json_out *w = json_out_new();
    struct json_doc *doc = NULL;
    struct buf       text;
    buf_init(&text, 0);
    json_open(w, NULL, '{');
    json_open(w, "messages", '[');
    if (o->system.v)
        put_message(w, "system", str_of(o->system.v));
    put_message(w, "user", prompt);
    json_close(w);
    json_close(w);
    json_out_write(w, &text);
    json_out_free(w);
    struct prompter p = load_prompter(l);
    bool            ok = json_parse(&doc, buf_view(&text), e) && prompt_chat(&p, json_root(doc), NULL, out, e);
    json_free(doc);
    buf_drop(&text);
    return ok;
}

static bool read_prompt(const struct options *o, struct buf *out, struct err *e)
{
    if (o->arg[1])
        return buf_str(out, str_of(o->arg[1]));
    char   piece[4096];
    size_t n;
    if (isatty(0))
        fputs("prompt (end with Ctrl-D): ", stderr);
    while ((n = fread(piece, 1, sizeof piece, stdin)) > 0)
        if (!buf_append(out, piece, n))
            return err_set(e, ERR_TOO_LARGE, "the prompt is over %d MB", PROMPT_BYTES_MAX >> 20);
    return !ferror(stdin) || err_os(e, "reading the prompt");
}

/* Waits for the end; Ctrl-C cancels. */
static void wait_for(struct answer *a, struct engine *g, uint64_t id)
{
    bool cancelled = false;
    while (!await_jobs(&a->await, 1, 50000000)) {
        sigset_t pending;
        if (!cancelled && sigpending(&pending) == 0 && sigismember(&pending, SIGINT)) {
            cancelled = true;
            engine_cancel(g, id);
        }
    }
}

static void say_speed(const struct event *end)
{
    double prefill = (double)end->prefill_ns / 1e9, decode = (double)end->decode_ns / 1e9;
    fprintf(stderr, "\n[%u tokens in, %.2f s; %u out, %.1f tok/s", end->n_prompt, prefill, end->n_drawn,
            decode > 0 && end->n_drawn > 1 ? (end->n_drawn - 1) / decode : 0.0);
    fprintf(stderr, end->n_accepted ? "; %u of %u guessed right]\n" : "]\n", end->n_accepted, end->n_drafted);
}

static bool answer_prompt(const struct loaded *l, struct engine *g, const struct options *o, const struct ids *prompt,
                          struct err *e)
{
    struct answer a = {.loaded = l, .detok = detok_new(l->tokenizer, true)};
    buf_init(&a.piece, 0);
    await_init(&a.await);
    struct job j = {
        .token = prompt->id, .n_token = (uint32_t)prompt->n,
        .tokens_max = o->given.tokens ? (uint32_t)o->tokens.v : UINT32_MAX,
        .stop = l->eos, .n_stop = (uint32_t)l->n_eos,
        .draw = {.temperature = o->given.temperature ? (float)o->temperature.v : l->defaults.temperature,
                 .top_p = l->defaults.top_p, .min_p = l->defaults.min_p, .repeat = l->defaults.repeat,
                 .top_k = l->defaults.top_k, .seed = o->given.seed ? o->seed.v : random_u64()},
        .event = on_event, .ctx = &a,
    };
    uint64_t id;
    bool     ok = engine_submit(g, &j, &id, e);
    if (ok) {
        wait_for(&a, g, id);
        say_speed(&a.end);
        ok = await_well(&a.await, e);
    }
    await_drop(&a.await);
    detok_free(a.detok);
    buf_drop(&a.piece);
    return ok;
}

bool command_run(const struct options *o, struct err *e)
{
    struct loaded      l = {0};
    struct engine_opts eo;
    struct engine     *g = NULL;
    struct ids         prompt = {0};
    struct buf         text;
    sigset_t           interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    buf_init(&text, PROMPT_BYTES_MAX);
    bool ok = load_engine_opts(o, &eo, e) && load_open(&l, o, e) && read_prompt(o, &text, e);
    if (ok && o->raw.v)
        ok = tokenizer_encode(l.tokenizer, &(struct piece){buf_view(&text), false}, 1, true, &prompt, e);
    else if (ok)
        ok = chat_prompt(&l, o, buf_view(&text), &prompt, e);
    if (ok) {
        /* From here on Ctrl-C ends the answer, not the program. */
        pthread_sigmask(SIG_BLOCK, &interrupt, NULL);
        eo.seq_max = 1;
        eo.no_cache = true;
        ok = load_engine(&l, o, &eo, &g, e) && engine_start(g, e) && answer_prompt(&l, g, o, &prompt, e);
    }
    engine_close(g);
    ids_drop(&prompt);
    buf_drop(&text);
    load_close(&l);
    return ok;
}
