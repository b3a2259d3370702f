/* The tiny checkpoints run whole, chunked, token by token, alone and in a batch of 16, with 1, 2 and 3 threads, on
 * every backend in both precisions: the same logits to the bit. */
#include "backend/weave.h"
#include "loaded.h"

static bool same_everywhere(const struct backend_type *t, enum precision precision, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tiny/%s", FIXTURES, name);
    struct weave_seqs q = weave_seqs(512, WEAVE_LONGEST, WEAVE_LONGEST);
    struct plan_opts  plan = weave_plan(&q);
    float            *first = NULL;
    bool              ok = true;
    for (unsigned n_thread = 1; n_thread <= 3 && ok; n_thread++) {
        struct backend_opts opts = {.precision = precision, .n_thread = n_thread};
        struct loaded       l;
        ok = loaded_open(&l, path, t, &opts, &plan, WEAVE_BLOCKS);
        if (!ok)
            break;
        CHECK(l.model->info.n_vocab == q.n_vocab);
        ok = weave_same(t, l.plan, &q, n_thread == 1 ? WEAVE_WAYS : 1, &first);
        loaded_close(&l);
    }
    free(first);
    printf("%-4s %-5s %-12s %s\n", t->name, precision == PRECISION_EXACT ? "exact" : "fast", name,
           ok ? "ok" : "FAILED");
    return ok;
}

int main(void)
{
    static const char *const names[] = {"llama3", "qwen2", "qwen3", "mistral", "mistral_swa", "llama3-4bit", "qwen3-8bit",
                                        "llama3-mxfp4", "phi3", "gemma2", "gemma3_text", "qwen3_moe", "glm4_moe",
                                        "qwen3_moe-4bit", "gpt_oss", "nemotron_h", "nemotron_h_moe",
                                        "qwen3_next", "deepseek_v3"};
    unsigned failed = 0;
    for (size_t b = 0; backend_at(b); b++)
        for (int precision = PRECISION_FAST; precision <= PRECISION_EXACT; precision++)
            for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                failed += !same_everywhere(backend_at(b), (enum precision)precision, names[i]);
    return failed > 0;
}
