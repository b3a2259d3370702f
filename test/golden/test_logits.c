/* Logits and greedy answers of the tiny checkpoints against the reference implementation's, in exact arithmetic.
 *
 *   test_golden_logits [BACKEND]        all of this build, or that one */
#include "base/file.h"
#include "base/mem.h"
#include "loaded.h"
#include "store/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 128, BLOCK_TOKENS = 16 };

/* Single precision moves a logit by a hundredth of it; where experts are chosen, or states run on, by more. */
static const float DELTA_MAX = 1e-4f, DELTA_MAX_LOOSE = 1e-3f;

/* What was found for one model on one backend. */
struct found {
    float    delta;                 /* the largest difference of a logit */
    unsigned prompts, rows, ids, near, wrong;
};

static struct str golden_name(unsigned i, char room[32])
{
    return (struct str){room, (size_t)snprintf(room, 32, "logits_%u", i)};
}

static void compare(const float *got, const struct tensor *t, struct found *f)
{
    for (size_t i = 0; i < t->bytes / sizeof(float); i++) {
        float want;
        memcpy(&want, (const char *)t->data + i * sizeof want, sizeof want);
        float d = fabsf(got[i] - want);
        f->delta = d <= f->delta ? f->delta : isnan(d) ? INFINITY : d;
    }
}

/* The answer, one token at a time, on the golden ids' path: an id must be the golden one unless the two best lie closer
 * than four times what logits may differ by. */
static bool follow(struct loaded *l, json prompt, float delta_max, const int32_t *begin, uint32_t past, const float *logits, struct found *f)
{
    uint32_t n_id, n_vocab = l->model->info.n_vocab;
    int32_t *ids = read_ids(json_get(prompt, "greedy"), &n_id), all[CONTEXT];
    bool     ok = past + n_id <= CONTEXT;
    memcpy(all, begin, past * sizeof *all);
    memcpy(all + past, ids, (ok ? n_id : 0) * sizeof *all);
    for (uint32_t i = 0; i < n_id && ok; i++) {
        bool near = json_num_or(json_at(json_get(prompt, "margins"), i), 0) <= 4 * (double)delta_max;
        f->ids++;
        f->near += near;
        f->wrong += largest(logits, n_vocab) != ids[i] && !near;
        bool again = loaded_again(l, past, 1);
        logits = again ? loaded_run(l, all, past + 1, 0, true) : loaded_run(l, &ids[i], 1, past, true);
        past++;
        ok = logits != NULL;
    }
    free(ids);
    return ok && n_id > 0;
}

static bool prompt_check(struct loaded *l, json prompt, float delta_max, const struct tensor *want, struct found *f)
{
    uint32_t n, n_vocab = l->model->info.n_vocab;
    int32_t *ids = read_ids(json_get(prompt, "prompt_ids"), &n);
    bool     ok = want->n_dim == 2 && want->shape[0] == n && want->shape[1] == n_vocab && want->format == FORMAT_F32;
    const float *logits = ok ? loaded_run(l, ids, n, 0, false) : NULL;
    if (logits) {
        compare(logits, want, f);
        f->rows += n;
        f->prompts++;
        ok = follow(l, prompt, delta_max, ids, n, logits + (size_t)(n - 1) * n_vocab, f);
    }
    free(ids);
    return ok && logits;
}

/* A folder below fixtures/tiny, the checkpoint in it ("" : the folder itself) and the folder with its goldens. */
struct fixture {
    const char *name, *file, *golden;
    bool        loose;
};

#define TINY(name, loose) {name, "", name, loose}

static bool model_check(const struct backend_type *t, const struct fixture *x)
{
    char                 path[512];
    struct loaded        l;
    struct file_map      map;
    struct safetensors  *golden;
    struct err           e = {0};
    struct found         f = {0};
    struct backend_opts  opts = {.precision = PRECISION_EXACT};
    struct plan_opts     plan = {.token_max = CONTEXT, .seq_max = 1, .pick_max = CONTEXT, .block_tokens = BLOCK_TOKENS,
                                 .context_max = CONTEXT};
    snprintf(path, sizeof path, "%s/tiny/%s%s", FIXTURES, x->name, x->file);
    if (!loaded_open(&l, path, t, &opts, &plan, CONTEXT / BLOCK_TOKENS))
        return false;
    snprintf(path, sizeof path, "%s/tiny/%s/golden/goldens.json", FIXTURES, x->golden);
    struct json_doc *doc = read_json(path);
    snprintf(path, sizeof path, "%s/tiny/%s/golden/goldens.safetensors", FIXTURES, x->golden);
    if (!file_map(&map, path, &e) || !safetensors_parse(&golden, map.p, map.n, path, &e)) {
        printf("%s\n", e.text);
        exit(1);
    }
    float    delta_max = x->loose ? DELTA_MAX_LOOSE : DELTA_MAX;
    bool     ok = true;
    unsigned i = 0;
    for (struct json_iter it = json_iter(json_get(json_root(doc), "prompts")); json_next(&it) && ok; i++) {
        struct tensor want;
        char          room[32];
        unsigned      no = (unsigned)json_int_or(json_get(it.value, "i"), i);      /* where some are left out */
        ok = safetensors_find(golden, golden_name(no, room), &want) && prompt_check(&l, it.value, delta_max, &want, &f);
    }
    ok = ok && f.prompts > 0 && f.wrong == 0 && f.delta <= delta_max;
    printf("%-4s %-17s %u prompts, %3u rows: max |delta| %.2e; %u greedy ids, %u wrong, %u too near to tell: %s\n",
           t->name, x->name, f.prompts, f.rows, (double)f.delta, f.ids, f.wrong, f.near, ok ? "ok" : "FAILED");
    safetensors_free(golden);
    file_unmap(&map);
    json_free(doc);
    loaded_close(&l);
    return ok;
}

int main(int argc, char **argv)
{
    /* llama3_gguf holds llama3's numbers as converters leave them: q and k permuted, divisors for its frequencies.  The other
     * GGUF files are tools/tiny_gguf.py's; phi3's lies in three.
     * qwen3_moe_stacked holds qwen3_moe's, the experts of each layer in one tensor, in two forms. */
    static const struct fixture fixtures[] = {
        {"llama3_gguf", "/model.gguf", "llama3", false}, {"qwen3_moe_gguf", "/model.gguf", "qwen3_moe", true},
        {"gemma2_gguf", "/model.gguf", "gemma2", false}, {"gemma3_text_gguf", "/model.gguf", "gemma3_text", false},
        {"phi3_gguf", "/model-00001-of-00003.gguf", "phi3", false}, {"gpt_oss_gguf", "/model.gguf", "gpt_oss", true},
        {"glm4_moe_gguf", "/model.gguf", "glm4_moe", true}, {"nemotron_h_gguf", "/model.gguf", "nemotron_h", true},
        {"nemotron_h_moe_gguf", "/model.gguf", "nemotron_h_moe", true},
        {"qwen3_moe_stacked", "", "qwen3_moe", true},
        TINY("llama3", false),    TINY("qwen2", false),  TINY("qwen3", false),       TINY("mistral", false),
        TINY("mistral_swa", false), TINY("phi3", false), TINY("gemma2", false),      TINY("gemma3_text", false),
        TINY("qwen3_moe", true),  TINY("glm4_moe", true),
        TINY("llama3-2bit", false), TINY("llama3-3bit", false), TINY("llama3-4bit", false), TINY("llama3-4bit-gs32", false),
        TINY("llama3-5bit", false), TINY("llama3-6bit", false), TINY("llama3-8bit", false), TINY("llama3-mxfp4", false),
        TINY("llama3-mxfp8", false), TINY("llama3-nvfp4", false), TINY("qwen2-4bit", false), TINY("qwen3-4bit", false),
        TINY("qwen3-8bit", false), TINY("mistral-4bit", false), TINY("gemma2-4bit", false),
        TINY("gemma3_text-4bit", false), TINY("phi3-4bit", false), TINY("qwen3_moe-4bit", true), TINY("qwen3_moe-8bit", true), TINY("glm4_moe-4bit", true),
        TINY("gpt_oss", true), TINY("gpt_oss-4bit", true), TINY("gpt_oss-8bit", true),
        TINY("nemotron_h", true), TINY("nemotron_h_moe", true), TINY("nemotron_h-4bit", true), TINY("nemotron_h_moe-4bit", true),
        TINY("qwen3_next", true), TINY("deepseek_v3", true), TINY("qwen3_next-4bit", true),
    };
    const struct backend_type *t;
    unsigned                   failed = 0;
    for (size_t b = 0; (t = backend_nth(b, argc > 1 ? argv[1] : NULL)) != NULL; b++)
        for (size_t i = 0; i < sizeof fixtures / sizeof fixtures[0]; i++)
            failed += !model_check(t, &fixtures[i]);
    return failed > 0;
}
