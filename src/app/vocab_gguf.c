/* vocab_gguf.c -- see vocab_gguf.h. */
#include "app/vocab_gguf.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* tokenizer.ggml.token_type (GGUF specification) */
enum { TYPE_UNKNOWN = 2, TYPE_CONTROL = 3, TYPE_USER = 4 };

static bool read_tokens(struct vocab *v, const struct gguf *g, struct err *e)
{
    struct gguf_value tokens;
    if (!gguf_find(g, "tokenizer.ggml.tokens", &tokens) || !tokens.array || tokens.type != GGUF_STRING || !tokens.n)
        return err_set(e, ERR_CORRUPT, "the file has no tokenizer (tokenizer.ggml.tokens)");
    v->n_token = tokens.n;
    v->token = mem_array(tokens.n, sizeof *v->token);
    const uint8_t *at = tokens.p;
    for (size_t i = 0; i < v->n_token; i++)
        v->token[i] = gguf_array_str(&at);
    return true;
}

static bool read_merges(struct vocab *v, const struct gguf *g, struct err *e)
{
    struct gguf_value merges;
    if (!gguf_find(g, "tokenizer.ggml.merges", &merges) || !merges.array || merges.type != GGUF_STRING)
        return err_set(e, ERR_CORRUPT, "the file has no tokenizer.ggml.merges");
    v->merge = mem_array(merges.n, sizeof *v->merge);
    const uint8_t *at = merges.p;
    for (uint64_t i = 0; i < merges.n; i++) {
        struct str line = gguf_array_str(&at);
        size_t     cut = line.n > 1 ? str_find((struct str){line.p + 1, line.n - 1}, STR(" ")) : STR_NONE;
        if (cut == STR_NONE)
            return err_set(e, ERR_CORRUPT, "merge %llu of the tokenizer is not two pieces", (unsigned long long)i);
        cut++;
        v->merge[i][0] = (struct str){line.p, cut};
        v->merge[i][1] = (struct str){line.p + cut + 1, line.n - cut - 1};
    }
    v->n_merge = merges.n;
    return true;
}

static bool read_scores(struct vocab *v, const struct gguf *g, struct err *e)
{
    struct gguf_value scores;
    if (!gguf_find(g, "tokenizer.ggml.scores", &scores) || !scores.array || scores.n != v->n_token)
        return err_set(e, ERR_CORRUPT, "tokenizer.ggml.scores does not fit tokenizer.ggml.tokens");
    v->score = mem_array(v->n_token, sizeof *v->score);
    for (size_t i = 0; i < v->n_token; i++)
        v->score[i] = gguf_array_num(&scores, i);
    return true;
}

/* Control and user-defined tokens are found in the text before anything else looks at it. */
static bool read_added(struct vocab *v, const struct gguf *g, struct err *e)
{
    struct gguf_value types;
    if (!gguf_find(g, "tokenizer.ggml.token_type", &types))
        return true;
    if (!types.array || types.n != v->n_token)
        return err_set(e, ERR_CORRUPT, "tokenizer.ggml.token_type does not fit tokenizer.ggml.tokens");
    v->added = mem_array(v->n_token, sizeof *v->added);
    for (size_t i = 0; i < v->n_token; i++) {
        int type = (int)gguf_array_num(&types, i);
        if (v->token[i].n && (type == TYPE_CONTROL || type == TYPE_USER || type == TYPE_UNKNOWN))
            v->added[v->n_added++] = (struct vocab_added){.id = (int32_t)i, .text = v->token[i], .special = type != TYPE_USER};
    }
    return true;
}

static bool fill(struct vocab *v, const struct gguf *g, struct err *e)
{
    struct str model = gguf_str(g, "tokenizer.ggml.model");
    v->unk = (int32_t)gguf_int(g, "tokenizer.ggml.unknown_token_id", -1);
    v->bos = (int32_t)gguf_int(g, "tokenizer.ggml.bos_token_id", -1);
    v->eos = (int32_t)gguf_int(g, "tokenizer.ggml.eos_token_id", -1);
    v->add_eos = gguf_bool(g, "tokenizer.ggml.add_eos_token", false);
    if (!read_tokens(v, g, e) || !read_added(v, g, e))
        return false;
    if (str_is(model, "gpt2")) {
        v->add_bos = gguf_bool(g, "tokenizer.ggml.add_bos_token", false);
        struct str pre = gguf_str(g, "tokenizer.ggml.pre");
        char       name[64];
        snprintf(name, sizeof name, "%.*s", (int)pre.n, pre.n ? pre.p : "default");
        return vocab_gpt2(v, name, e) && read_merges(v, g, e);
    }
    if (str_is(model, "llama")) {
        v->add_bos = gguf_bool(g, "tokenizer.ggml.add_bos_token", true);
        return vocab_spm(v, gguf_bool(g, "tokenizer.ggml.add_space_prefix", true), e) && read_scores(v, g, e);
    }
    if (str_is(model, "gemma4")) {
        vocab_gemma4(v);
        v->add_bos = gguf_bool(g, "tokenizer.ggml.add_bos_token", true);
        return read_merges(v, g, e);
    }
    return err_set(e, ERR_UNSUPPORTED, "tokenizer model \"%.*s\" is not supported", (int)model.n, model.p ? model.p : "");
}

bool vocab_from_gguf(struct tokenizer **out, const struct gguf *g, struct err *e)
{
    struct vocab v = {0};
    bool         ok = fill(&v, g, e) && tokenizer_new(out, &v, e);
    free(v.token);
    free(v.score);
    free(v.merge);
    free(v.added);
    return ok;
}
