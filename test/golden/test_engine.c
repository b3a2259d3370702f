/* The engine's greedy answers on the tiny checkpoints, on every backend, are the reference implementation's: first alone, then
 * all together, then again, when the cache has them; with guesses.  An id counts until the two best lie too near to tell. */
#include "base/mem.h"
#include "engine/engine.h"
#include "loaded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPTS_MAX = 8, ANSWER_MAX = 64, ROUNDS = 3 };

static const double MARGIN = 4e-3;      /* four times what logits may differ by where that is most */

struct answer {
    uint32_t n, n_cached;
    int32_t  token[ANSWER_MAX];
};

static void on_event(void *ctx, const struct event *ev)
{
    struct answer *a = ctx;
    if (ev->kind != EVENT_TOKEN || a->n == ANSWER_MAX)
        return;
    a->token[a->n++] = ev->drawn->token;
    a->n_cached = ev->n_cached;
}

static bool submit(struct engine *g, json prompt, uint32_t i, struct answer *out, struct err *e)
{
    uint32_t   n;
    int32_t   *ids = read_ids(json_get(prompt, "prompt_ids"), &n);
    struct job j = {.token = ids, .n_token = n, .tokens_max = (uint32_t)json_len(json_get(prompt, "greedy")), .client = i,
                    .event = on_event, .ctx = out, .draw = {.top_p = 1, .repeat = 1}};
    *out = (struct answer){0};
    bool ok = engine_submit(g, &j, NULL, e);
    free(ids);
    return ok;
}

/* How many ids were as they should be; -1: one was not. */
static int as_should(const struct answer *a, json prompt)
{
    json ids = json_get(prompt, "greedy"), margins = json_get(prompt, "margins");
    if (a->n != json_len(ids))
        return -1;
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->token[i] != json_int_or(json_at(ids, i), -1))
            return json_num_or(json_at(margins, i), 0) > MARGIN ? -1 : (int)i;
    }
    return (int)a->n;
}

static bool rounds(struct engine *g, json prompts, unsigned *n_id, struct err *e)
{
    struct answer a[PROMPTS_MAX];
    uint32_t      cached = 0;
    bool          ok = json_len(prompts) > 0 && json_len(prompts) <= PROMPTS_MAX;
    for (unsigned round = 0; ok && round < ROUNDS; round++) {
        for (uint32_t i = 0; ok && i < json_len(prompts); i++) {
            ok = submit(g, json_at(prompts, i), i, &a[i], e);
            while (round == 0 && ok && engine_step(g))
                ;
        }
        while (ok && engine_step(g))
            ;
        for (uint32_t i = 0; ok && i < json_len(prompts); i++) {
            int n = as_should(&a[i], json_at(prompts, i));
            ok = n >= 0;
            *n_id += ok ? (unsigned)n : 0;
            cached += a[i].n_cached;
        }
    }
    return ok && cached > 0;
}

static bool model_check(const struct backend_type *t, const char *name)
{
    char                path[512];
    struct err          e = {0};
    struct checkpoint  *c = NULL;
    struct model       *m = NULL;
    struct engine      *g = NULL;
    unsigned            n_id = 0;
    struct engine_opts  o = {.type = t, .seq_max = 3, .token_max = 24, .context_max = 128, .block_tokens = 8,
                             .memory_bytes = 256 << 20, .backend = {.n_thread = 2, .precision = PRECISION_EXACT}};
    snprintf(path, sizeof path, "%s/tiny/%s/golden/goldens.json", FIXTURES, name);
    struct json_doc *doc = read_json(path);
    snprintf(path, sizeof path, "%s/tiny/%s", FIXTURES, name);
    bool ok = checkpoint_open(&c, path, &e) && model_open(&m, c, &e) && engine_open(&g, m, &o, &e)
              && rounds(g, json_get(json_root(doc), "prompts"), &n_id, &e);
    printf("%-4s %-15s %3u greedy ids also from the cache: %s %s\n", t->name, name, n_id, ok ? "ok" : "FAILED", e.text);
    engine_close(g);
    model_close(m);
    checkpoint_close(c);
    json_free(doc);
    return ok;
}

int main(void)
{
    static const char *const models[] = {"llama3", "mistral_swa", "phi3", "gemma2", "gemma3_text", "qwen3_moe", "glm4_moe", "gpt_oss",
                                         "nemotron_h", "nemotron_h_moe", "qwen3_next", "deepseek_v3"};
    unsigned failed = 0;
    for (size_t b = 0; backend_at(b); b++)
        for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
            failed += !model_check(backend_at(b), models[i]);
    return failed > 0;
}
