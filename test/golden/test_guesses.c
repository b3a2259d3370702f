/* The engine on the tiny checkpoints, on every backend, with guesses and without: the same ids and logprobs to the bit, for
 * greedy and for drawn answers, alone and together; and some of the guesses came true. */
#include "base/mem.h"
#include "engine/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOBS = 6, PROMPT = 40, ANSWER = 160 };

struct answer {
    uint32_t n;
    int32_t  token[ANSWER];
    float    logprob[ANSWER], second[ANSWER];
};

/* Every look at it is a moment later, whatever was done in between: so rows seem to cost nothing, and guesses pay. */
static uint64_t tick(void *ctx)
{
    return *(uint64_t *)ctx += 1000000;
}

static void on_event(void *ctx, const struct event *ev)
{
    struct answer *a = ctx;
    if (ev->kind != EVENT_TOKEN)
        return;
    a->token[a->n] = ev->drawn->token;
    a->second[a->n] = ev->drawn->top[1].logprob;
    a->logprob[a->n++] = ev->drawn->logprob;
}

static bool submit(struct engine *g, uint32_t i, struct answer *out, struct err *e)
{
    int32_t prompt[PROMPT];
    for (uint32_t k = 0; k < PROMPT; k++)
        prompt[k] = (int32_t)(2 + (k % 10 * 37 + i * 101) % 500);
    struct job j = {.token = prompt, .n_token = PROMPT, .tokens_max = ANSWER, .client = i, .event = on_event, .ctx = out,
                    .draw = {.top_p = 1, .repeat = i == 5 ? 1.1f : 1, .seed = i, .n_logprob = 3}};
    j.draw.temperature = i % 3 == 2 ? 0.1f : 0;
    return engine_submit(g, &j, NULL, e);
}

static bool answer_all(const struct backend_type *t, const struct model *m, bool guess, struct answer out[JOBS],
                       uint64_t *accepted, struct err *e)
{
    uint64_t           now = 0;
    struct engine_opts o = {.type = t, .seq_max = JOBS, .token_max = 64, .context_max = 256, .memory_bytes = 256 << 20,
                            .no_draft = !guess, .backend.n_thread = 2, .clock = {.ns = tick, .ctx = &now}};
    struct engine     *g = NULL;
    bool               ok = engine_open(&g, m, &o, e);
    memset(out, 0, JOBS * sizeof *out);
    for (uint32_t i = 0; ok && i < JOBS; i++) {
        ok = submit(g, i, &out[i], e);
        while (i == 0 && ok && engine_step(g))
            ;                       /* the first is alone */
    }
    while (ok && engine_step(g))
        ;
    struct engine_stats s = {0};
    if (ok)
        engine_stats(g, &s);
    *accepted += s.tokens_accepted;
    engine_close(g);
    return ok;
}

static bool same(const struct backend_type *t, const char *name, uint64_t *accepted)
{
    char               path[512];
    struct err         e = {0};
    struct checkpoint *c = NULL;
    struct model      *m = NULL;
    struct answer     *a = mem_array(2 * JOBS, sizeof *a);
    uint64_t           with = 0, without = 0;
    snprintf(path, sizeof path, "%s/tiny/%s", FIXTURES, name);
    bool ok = checkpoint_open(&c, path, &e) && model_open(&m, c, &e) && answer_all(t, m, true, a, &with, &e)
              && answer_all(t, m, false, a + JOBS, &without, &e);
    if (!ok)
        printf("%s: %s\n", path, e.text);
    ok = ok && without == 0 && memcmp(a, a + JOBS, JOBS * sizeof *a) == 0;
    for (uint32_t i = 0; i < JOBS; i++)
        ok = ok && a[i].n == ANSWER;
    printf("%-4s %-12s %4" PRIu64 " of %d tokens guessed: %s\n", t->name, name, with, JOBS * ANSWER, ok ? "ok" : "FAILED");
    *accepted += with;
    model_close(m);
    checkpoint_close(c);
    free(a);
    return ok;
}

int main(void)
{
    static const char *const names[] = {"llama3", "qwen2", "qwen3", "mistral", "mistral_swa"};
    unsigned failed = 0;
    for (size_t b = 0; backend_at(b); b++) {
        uint64_t accepted = 0;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            failed += !same(backend_at(b), names[i], &accepted);
        failed += accepted == 0;
    }
    return failed > 0;
}
