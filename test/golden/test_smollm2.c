/* A real model: SmolLM2-135M-Instruct as a GGUF file, against the reference implementation on the same numbers.
 *
 *   HEARTH_TEST_SMOLLM2=FILE.gguf test_golden_smollm2 [BACKEND]     all of this build, or that one */
#include "loaded.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONTEXT = 128, BLOCK_TOKENS = 16 };

static const double DELTA_MAX = 1e-4;

static double top_delta(json prompt, const float *logits, uint32_t n_vocab)
{
    double delta = 0;
    json   ids = json_get(prompt, "first_top_ids"), values = json_get(prompt, "first_top_logits");
    if (json_len(ids) == 0 || json_len(ids) != json_len(values))
        return INFINITY;
    for (size_t i = 0; i < json_len(ids); i++) {
        int64_t id = json_int_or(json_at(ids, i), -1);
        double d = id < 0 || id >= n_vocab ? INFINITY : fabs((double)logits[id] - json_num_or(json_at(values, i), NAN));
        delta = d <= delta ? delta : isnan(d) ? INFINITY : d;
    }
    return delta;
}

static bool prompt_check(struct loaded *l, json prompt)
{
    uint32_t     n, n_id, wrong = 0, n_vocab = l->model->info.n_vocab;
    int32_t *ids = read_ids(json_get(prompt, "prompt_ids"), &n), *answer = read_ids(json_get(prompt, "greedy"), &n_id);
    const float *logits = loaded_run(l, ids, n, 0, true);
    double       delta = logits ? top_delta(prompt, logits, n_vocab) : INFINITY;
    for (uint32_t i = 0; i < n_id && logits; i++) {
        wrong += largest(logits, n_vocab) != answer[i];
        logits = i + 1 < n_id ? loaded_run(l, &answer[i], 1, n + i, true) : logits;
    }
    bool ok = logits && n_id > 0 && wrong == 0 && delta <= DELTA_MAX;
    printf("%-4s SmolLM2: max |delta| %.2e of the first ten; %u greedy ids, %u wrong: %s\n", l->type->name, delta, n_id,
           wrong, ok ? "ok" : "FAILED");
    free(ids);
    free(answer);
    return ok;
}

static bool backend_check(const struct backend_type *t, const char *path)
{
    struct loaded       l;
    struct backend_opts opts = {.precision = PRECISION_EXACT};
    struct plan_opts    plan = {.token_max = CONTEXT, .seq_max = 1, .pick_max = 1, .block_tokens = BLOCK_TOKENS,
                                .context_max = CONTEXT};
    if (!loaded_open(&l, path, t, &opts, &plan, CONTEXT / BLOCK_TOKENS))
        return false;
    struct json_doc *doc = read_json(FIXTURES "/real/smollm2.json");
    bool             ok = json_len(json_root(doc)) > 0;
    for (struct json_iter it = json_iter(json_root(doc)); json_next(&it);)
        ok = prompt_check(&l, it.value) && ok;
    json_free(doc);
    loaded_close(&l);
    return ok;
}

int main(int argc, char **argv)
{
    const char *path = getenv("HEARTH_TEST_SMOLLM2");
    unsigned    failed = 0;
    const struct backend_type *t;
    if (!path) {
        printf("HEARTH_TEST_SMOLLM2 is not set: HEARTH_TEST_SMOLLM2=$(scripts/fetch-model) gives it the model\n");
        return 1;
    }
    for (size_t b = 0; (t = backend_nth(b, argc > 1 ? argv[1] : NULL)) != NULL; b++)
        failed += !backend_check(t, path);
    return failed > 0;
}
