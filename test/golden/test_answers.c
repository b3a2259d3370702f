/* The engine on the tiny checkpoints in exact precision, on one backend after the other: the answers that ref gives, with
 * prompts that share their beginnings, jobs that come and go in between, one that is cancelled and one that stops early.
 *
 *   test_golden_answers [BACKEND]       all of this build, or that one */
#include "base/mem.h"
#include "engine/engine.h"
#include "loaded.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOBS = 8, PROMPT = 50, SHARED = 37, ANSWER = 40, CANCELLED = 3, STOPS = 4 };

static const float LOGPROB_APART = 1e-4f;

struct answer {
    uint64_t        id;
    uint32_t        n, n_cached;
    int32_t         token[ANSWER];
    float           logprob[ANSWER];
    enum end_reason end;
};

static void on_event(void *ctx, const struct event *ev)
{
    struct answer *a = ctx;
    if (ev->kind == EVENT_TOKEN && a->n < ANSWER) {
        a->token[a->n] = ev->drawn->token;
        a->logprob[a->n++] = ev->drawn->logprob;
        a->n_cached = ev->n_cached;
    }
    if (ev->kind == EVENT_END)
        a->end = ev->reason;
}

/* Greedy without and with logprobs, drawn plainly, drawn with cuts, with penalties, with a bias. */
static struct draw how_to(uint32_t i, const struct draw_bias *bias)
{
    struct draw d = {.top_p = 1, .repeat = 1, .seed = 1000 + i, .n_logprob = i > 0};
    if (i == 2 || i == 6)
        d.temperature = 1;
    if (i == 3 || i == 7)
        d.temperature = 0.8f, d.top_k = 40, d.top_p = 0.9f;
    if (i == 5)
        d.repeat = 1.3f, d.frequency = 0.2f;
    if (i == 6)
        d.bias = bias, d.n_bias = 1;
    return d;
}

/* The one that stops early asks what the first did, and stops at its sixth id. */
static bool submit(struct engine *g, uint32_t i, const struct answer *first, struct answer *out, struct err *e)
{
    int32_t          prompt[PROMPT], stop = first ? first->token[5] : -1;
    struct draw_bias bias = {7, 3};
    uint32_t         own = first ? 0 : i;
    for (uint32_t k = 0; k < PROMPT; k++)
        prompt[k] = (int32_t)(2 + (k * 37 + (k >= SHARED ? own * 101 : 0)) % 500);
    struct job j = {.token = prompt, .n_token = PROMPT - own, .tokens_max = ANSWER, .client = i, .event = on_event, .ctx = out,
                    .draw = how_to(i, &bias), .stop = &stop, .n_stop = first != NULL};
    return engine_submit(g, &j, &out->id, e);
}

static bool steps(struct engine *g, uint32_t n, struct answer out[JOBS])
{
    bool did = true;
    for (uint32_t i = 0; i < n && did; i++) {
        did = engine_step(g);
        if (out[CANCELLED].n == 4)
            engine_cancel(g, out[CANCELLED].id);
    }
    return did;
}

static bool answer_all(const struct backend_type *t, const struct model *m, struct answer out[JOBS], struct err *e)
{
    struct engine_opts o = {.type = t, .seq_max = 4, .token_max = 32, .context_max = 128, .block_tokens = 16,
                            .memory_bytes = 256 << 20, .no_draft = true,
                            .backend = {.n_thread = 2, .precision = PRECISION_EXACT}};
    struct engine     *g = NULL;
    bool               ok = engine_open(&g, m, &o, e);
    memset(out, 0, JOBS * sizeof *out);
    for (uint32_t i = 0; ok && i < JOBS; i++) {
        ok = submit(g, i, i == STOPS ? &out[0] : NULL, &out[i], e);
        steps(g, i == 0 ? 1000 : 9, out);
    }
    while (ok && steps(g, 1, out))
        ;
    engine_close(g);
    return ok;
}

/* An answer that was cancelled may be longer or shorter. */
static bool same(const struct answer *a, const struct answer *b)
{
    uint32_t n = a->n < b->n ? a->n : b->n;
    for (uint32_t i = 0; i < n; i++)
        if (a->token[i] != b->token[i] || !(fabsf(a->logprob[i] - b->logprob[i]) <= LOGPROB_APART))
            return false;
    return n > 0 && a->end == b->end && (a->n == b->n || a->end == END_CANCELLED);
}

static bool model_check(const struct backend_type *t, const char *name)
{
    char               path[512];
    struct err         e = {0};
    struct checkpoint *c = NULL;
    struct model      *m = NULL;
    struct answer      is[JOBS], should[JOBS];
    uint32_t           wrong = 0, n = 0, cached = 0;
    snprintf(path, sizeof path, "%s/tiny/%s", FIXTURES, name);
    bool ok = checkpoint_open(&c, path, &e) && model_open(&m, c, &e) && answer_all(backend_find("ref"), m, should, &e)
              && answer_all(t, m, is, &e);
    if (!ok)
        printf("%s: %s\n", path, e.text);
    for (uint32_t i = 0; i < JOBS && ok; i++) {
        wrong += !same(&is[i], &should[i]);
        n += is[i].n;
        cached += is[i].n_cached;
    }
    ok = ok && wrong == 0 && cached > 0 && is[CANCELLED].end == END_CANCELLED && is[STOPS].end == END_STOP;
    printf("%-4s %-12s %u tokens in %d answers, %u answers wrong, %u tokens of prompts from the cache: %s\n", t->name, name, n, JOBS,
           wrong, cached, ok ? "ok" : "FAILED");
    model_close(m);
    checkpoint_close(c);
    return ok;
}

int main(int argc, char **argv)
{
    static const char *const   names[] = {"llama3", "qwen2", "qwen3", "mistral", "mistral_swa", "phi3", "gemma2", "gemma3_text",
                                          "llama3-4bit", "qwen3_moe-8bit", "glm4_moe", "gpt_oss", "nemotron_h", "nemotron_h_moe",
                                          "qwen3_next", "deepseek_v3"};
    const struct backend_type *t;
    unsigned                   failed = 0;
    for (size_t b = 0; (t = backend_nth(b, argc > 1 ? argv[1] : NULL)) != NULL; b++)
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            failed += !model_check(t, names[i]);
    return failed > 0;
}
