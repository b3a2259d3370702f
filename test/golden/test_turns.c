/* Conversations with the tiny checkpoints: models that remember sequences as a whole (scans, short convolutions, gated
 * deltas) and models with windows go on behind what was said before, computing one block of it at most, counted; and say
 * what they would have said without a cache, bit for bit where the backend promises that.
 *
 *   test_golden_turns [BACKEND]       all of this build, or that one */
#include "engine/engine.h"
#include "loaded.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 16, ANSWER = 21, MORE = 11, HEAD = 9, CONTEXT = 160, ASKS = 4 };

static const float LOGPROB_APART = 1e-4f;

struct answer {
    uint64_t        id;
    uint32_t        n, n_cached;
    int32_t         token[ANSWER];
    float           logprob[ANSWER];
    enum end_reason end;
};

struct turns {
    int32_t       prompt[ASKS][CONTEXT];
    uint32_t      n_prompt[ASKS], known[ASKS];      /* known: tokens that were there before, at the beginning */
    struct answer answer[ASKS];
};

static void on_event(void *ctx, const struct event *ev)
{
    struct answer *a = ctx;
    if (ev->kind == EVENT_TOKEN && a->n < ANSWER) {
        a->token[a->n] = ev->drawn->token;
        a->logprob[a->n++] = ev->drawn->logprob;
    }
    if (ev->kind == EVENT_END) {
        a->end = ev->reason;
        a->n_cached = ev->n_cached;
    }
}

/* False: it failed, or computed other rows than it had to. */
static bool ask(struct engine *g, struct turns *t, uint32_t i, uint32_t mark)
{
    struct engine_stats before, after;
    struct answer      *a = &t->answer[i];
    struct job j = {.token = t->prompt[i], .n_token = t->n_prompt[i], .tokens_max = ANSWER, .event = on_event, .ctx = a,
                    .draw = {.top_p = 1, .repeat = 1, .n_logprob = 1, .temperature = i % 2 ? 0.7f : 0, .seed = 5},
                    .mark = &mark, .n_mark = 1};
    struct err e;
    *a = (struct answer){0};
    engine_stats(g, &before);
    if (!engine_submit(g, &j, &a->id, &e)) {
        printf("%s\n", e.text);
        return false;
    }
    while (engine_step(g))
        ;
    engine_stats(g, &after);
    uint64_t computed = after.tokens_computed - before.tokens_computed;
    bool     ok = a->end == END_LENGTH && a->n == ANSWER && computed == t->n_prompt[i] - a->n_cached + ANSWER - 1;
    if (!ok)
        printf("  turn %u: %u tokens drawn, %u of %u cached, but %u computed\n", i, a->n, a->n_cached, t->n_prompt[i], (unsigned)computed);
    return ok;
}

static void more(struct turns *t, uint32_t i, uint32_t n, uint32_t salt)
{
    for (uint32_t k = 0, *at = &t->n_prompt[i]; k < n; k++, ++*at)
        t->prompt[i][*at] = (int32_t)(2 + (*at * 37 + salt * 101) % 500);
}

/* A prompt of n tokens, the last HEAD of them a message; what follows its answer; the message written anew; the first
 * prompt again. */
static bool talk(struct engine *g, uint32_t n, struct turns *t)
{
    memset(t, 0, sizeof *t);
    more(t, 0, n, n);
    bool ok = ask(g, t, 0, n - HEAD);
    memcpy(t->prompt[1], t->prompt[0], n * sizeof(int32_t));
    memcpy(t->prompt[1] + n, t->answer[0].token, sizeof t->answer[0].token);
    t->n_prompt[1] = t->known[1] = n + ANSWER;
    more(t, 1, MORE, 3);
    ok = ok && ask(g, t, 1, n + ANSWER);
    memcpy(t->prompt[2], t->prompt[0], (n - HEAD) * sizeof(int32_t));
    t->n_prompt[2] = t->known[2] = n - HEAD;
    more(t, 2, 2 * HEAD, n + 1);
    ok = ok && ask(g, t, 2, n - HEAD);
    memcpy(t->prompt[3], t->prompt[0], n * sizeof(int32_t));
    t->n_prompt[3] = t->known[3] = n;
    return ok && ask(g, t, 3, n - HEAD);
}

static bool same(const struct answer *a, const struct answer *b, bool bits)
{
    for (uint32_t i = 0; i < ANSWER; i++)
        if (a->token[i] != b->token[i] || !(fabsf(a->logprob[i] - b->logprob[i]) <= (bits ? 0 : LOGPROB_APART)))
            return false;
    return true;
}

static bool talks(struct engine *cached, struct engine *plain, bool bits)
{
    static struct turns with, without;
    bool                ok = true;
    for (uint32_t n = 30; n <= 65 && ok; n += 5) {
        ok = talk(cached, n, &with) && talk(plain, n, &without);
        for (uint32_t i = 0; i < ASKS && ok; i++) {
            const struct answer *a = &with.answer[i];
            bool text = same(a, &without.answer[i], bits), count = a->n_cached <= with.known[i] && a->n_cached + BLOCK >= with.known[i];
            if (!text || !count)
                printf("  prompt of %u, turn %u: %u of %u known tokens cached%s\n", n, i, a->n_cached, with.known[i], text ? "" : ", wrong text");
            ok = text && count && without.answer[i].n_cached == 0;
        }
    }
    return ok;
}

static bool model_check(const struct backend_type *t, enum precision precision, const char *name)
{
    char               path[512];
    struct err         e = {0};
    struct checkpoint *c = NULL;
    struct model      *m = NULL;
    struct engine     *cached = NULL, *plain = NULL;
    struct engine_opts o = {.type = t, .seq_max = 2, .token_max = 24, .context_max = CONTEXT, .block_tokens = BLOCK,
                            .memory_bytes = 256 << 20, .no_draft = true, .backend = {.n_thread = 2, .precision = precision}}, no = o;
    no.no_cache = true;
    snprintf(path, sizeof path, "%s/tiny/%s", FIXTURES, name);
    bool ok = checkpoint_open(&c, path, &e) && model_open(&m, c, &e) && engine_open(&cached, m, &o, &e) && engine_open(&plain, m, &no, &e);
    if (!ok)
        printf("%s: %s\n", path, e.text);
    bool whole = ok && bundle_has_state(m->bundle, STATE_SEQUENCE);
    ok = ok && (engine_plan(cached)->n_snapshot > 0) == whole && talks(cached, plain, strcmp(t->name, "mlx") != 0);
    printf("%-4s %-5s %-14s %s: %s\n", t->name, precision == PRECISION_EXACT ? "exact" : "fast", name, whole ? "snapshots" : "blocks",
           ok ? "ok" : "FAILED");
    engine_close(cached);
    engine_close(plain);
    model_close(m);
    checkpoint_close(c);
    return ok;
}

int main(int argc, char **argv)
{
    static const char *const   names[] = {"nemotron_h", "nemotron_h_moe", "nemotron_h-4bit", "qwen3_next", "gemma3_text", "gemma2", "gpt_oss",
                                          "mistral_swa"};
    const struct backend_type *t;
    unsigned                   failed = 0;
    for (size_t b = 0; (t = backend_nth(b, argc > 1 ? argv[1] : NULL)) != NULL; b++)
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            failed += !model_check(t, PRECISION_EXACT, names[i]);
            if (strcmp(t->name, "ref") != 0)            /* it has one */
                failed += !model_check(t, PRECISION_FAST, names[i]);
        }
    return failed > 0;
}
