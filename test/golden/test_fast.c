/* What --precision fast changes, and --kv-format int8 beside it: SmolLM2's greedy answers to six prompts against those of exact,
 * 64 tokens each.
 *
 * They must be equal, or first differ where exact's two best logits lie closer than what int8 activations may move them:
 * over these answers the differences of likely logits move by 0.12 (root mean square; 0.56 at most), from all matrices
 * about alike. */
#include "loaded.h"

#include "app/vocab_gguf.h"

#include <stdio.h>
#include <stdlib.h>

enum { CONTEXT = 256, BLOCK_TOKENS = 16, ANSWER = 64, PROMPTS = 6 };

static const float NEAR = 0.3f;

static const char *const questions[PROMPTS] = {
    "What is the capital of France?",
    "What is the capital of Germany?",
    "Write a short poem about the sea.",
    "Explain why the sky is blue to a child.",
    "List three fruits and their colours.",
    "How do I boil an egg?",
};

struct answer {
    int32_t id[ANSWER];
    float   gap[ANSWER];        /* between the two best logits */
};

static float gap_to_second(const float *logits, uint32_t n, int32_t best)
{
    float second = -1e30f;
    for (uint32_t i = 0; i < n; i++)
        if ((int32_t)i != best && logits[i] > second)
            second = logits[i];
    return logits[best] - second;
}

static bool answer_to(struct loaded *l, const struct ids *prompt, struct answer *out)
{
    uint32_t     n_vocab = l->model->info.n_vocab, past = (uint32_t)prompt->n;
    const float *logits = loaded_run(l, prompt->id, past, 0, true);
    for (uint32_t i = 0; i < ANSWER && logits; i++) {
        out->id[i] = largest(logits, n_vocab);
        out->gap[i] = gap_to_second(logits, n_vocab, out->id[i]);
        logits = loaded_run(l, &out->id[i], 1, past + i, true);
    }
    return logits != NULL;
}

static bool encode(const struct loaded *l, const char *question, struct ids *out)
{
    struct tokenizer *t;
    struct err        e;
    char              text[512];
    snprintf(text, sizeof text, "<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n", question);
    struct piece piece = {str_of(text), true};
    bool ok = vocab_from_gguf(&t, checkpoint_gguf(l->checkpoint), &e);
    if (ok) {
        ok = tokenizer_encode(t, &piece, 1, false, out, &e);
        tokenizer_free(t);
    }
    if (!ok)
        printf("%s\n", e.text);
    return ok;
}

static bool answers(const char *path, enum precision precision, enum kv_format kv, struct answer out[PROMPTS])
{
    struct loaded       l;
    struct backend_opts opts = {.precision = precision, .kv_format = kv};
    struct plan_opts    plan = {.token_max = CONTEXT, .seq_max = 1, .pick_max = 1, .block_tokens = BLOCK_TOKENS,
                                .context_max = CONTEXT};
    if (!loaded_open(&l, path, backend_find("cpu"), &opts, &plan, CONTEXT / BLOCK_TOKENS))
        return false;
    bool ok = true;
    for (int i = 0; i < PROMPTS && ok; i++) {
        struct ids prompt = {0};
        ok = encode(&l, questions[i], &prompt) && answer_to(&l, &prompt, &out[i]);
        ids_drop(&prompt);
    }
    loaded_close(&l);
    return ok;
}

/* How many answers differ from exact's where they should not. */
static unsigned compare(const char *what, const struct answer exact[PROMPTS], const struct answer fast[PROMPTS], float near)
{
    unsigned failed = 0;
    for (int i = 0; i < PROMPTS; i++) {
        int at = 0;
        while (at < ANSWER && fast[i].id[at] == exact[i].id[at])
            at++;
        bool fits = at == ANSWER || exact[i].gap[at] <= near;
        if (at == ANSWER)
            printf("%s: %-45s all %d tokens equal\n", what, questions[i], ANSWER);
        else
            printf("%s: %-45s first differs at token %d, where exact's two best lie %.4f apart: %s\n", what, questions[i], at,
                   (double)exact[i].gap[at], fits ? "ok" : "FAILED");
        failed += !fits;
    }
    return failed;
}

int main(void)
{
    static struct answer exact[PROMPTS], fast[PROMPTS], int8[PROMPTS];
    const char          *path = getenv("HEARTH_TEST_SMOLLM2");
    if (!path) {
        printf("HEARTH_TEST_SMOLLM2 is not set: HEARTH_TEST_SMOLLM2=$(scripts/fetch-model) gives it the model\n");
        return 1;
    }
    bool ok = answers(path, PRECISION_EXACT, KV_FORMAT_F16, exact) && answers(path, PRECISION_FAST, KV_FORMAT_F16, fast)
              && answers(path, PRECISION_FAST, KV_FORMAT_INT8, int8);
    return !ok || compare("fast", exact, fast, NEAR) + compare("fast, int8", exact, int8, NEAR) > 0;
}
