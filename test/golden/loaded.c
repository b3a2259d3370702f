/* loaded.c -- see loaded.h. */
#include "loaded.h"

#include "base/file.h"
#include "base/mem.h"
#include "engine/load.h"

#include <stdio.h>
#include <stdlib.h>

const struct backend_type *backend_nth(size_t i, const char *only)
{
    const struct backend_type *t;
    struct err                 e = {0};
    if (!only || i > 0)
        return only ? NULL : backend_at(i);
    if (backend_load(&t, only, NULL, &e))
        return t;
    printf("%s\n", e.text);
    exit(1);
}

bool loaded_open(struct loaded *l, const char *path, const struct backend_type *t, const struct backend_opts *b,
                 const struct plan_opts *o, uint32_t n_block)
{
    struct err e = {0};
    *l = (struct loaded){.type = t, .block_tokens = o->block_tokens, .context_max = o->context_max};
    bool ok = checkpoint_open(&l->checkpoint, path, &e) && model_open(&l->model, l->checkpoint, &e) &&
              t->open(&l->backend, b, &e) && load_weights(l->model, t, l->backend, NULL, NULL, &e) &&
              t->reserve(l->backend, l->model->bundle, o, n_block, &e) &&
              t->compile(l->backend, l->model->text, o, &l->plan, &e);
    if (!ok) {
        printf("%s on %s: %s\n", path, t->name, e.text);
        loaded_close(l);
    }
    return ok;
}

void loaded_close(struct loaded *l)
{
    if (l->plan)
        l->type->plan_free(l->plan);
    if (l->backend)
        l->type->close(l->backend);
    model_close(l->model);
    checkpoint_close(l->checkpoint);
    *l = (struct loaded){0};
}

bool loaded_again(const struct loaded *l, uint32_t past, uint32_t n)
{
    uint32_t from = prog_long_from(l->model->text);
    return past > 0 && past <= from && past + n > from;
}

const float *loaded_run(struct loaded *l, const int32_t *token, uint32_t n, uint32_t past, bool last_only)
{
    uint32_t     n_block = (l->context_max + l->block_tokens - 1) / l->block_tokens;
    static const uint32_t slot = 0;
    uint32_t    *block = mem_array(n_block, sizeof *block), *pick = mem_array(n, sizeof *pick), start[2] = {0, n};
    struct batch in = {.n_token = n, .n_seq = 1, .slot = &slot, .n_pick = last_only ? 1 : n, .token = token, .start = start,
                       .past = &past, .block = block, .block_max = n_block, .pick = pick};
    struct err   e = {0};
    for (uint32_t i = 0; i < n_block; i++)
        block[i] = n_block - 1 - i;
    for (uint32_t i = 0; i < in.n_pick; i++)
        pick[i] = last_only ? n - 1 : i;
    bool ok = l->type->run(l->plan, &in, NULL, &e);
    if (!ok)
        printf("%s: %s\n", l->type->name, e.text);
    free(block);
    free(pick);
    return ok ? l->type->result(l->plan, "logits") : NULL;
}

struct json_doc *read_json(const char *path)
{
    struct buf       text;
    struct json_doc *doc = NULL;
    struct err       e = {0};
    buf_init(&text, 0);
    if (!file_read(&text, path, 1 << 24, &e) || !json_parse(&doc, buf_view(&text), &e)) {
        printf("%s: %s\n", path, e.text);
        exit(1);
    }
    buf_drop(&text);
    return doc;
}

int32_t *read_ids(json array, uint32_t *n)
{
    int32_t *ids = mem_array(json_len(array), sizeof *ids);
    *n = 0;
    for (struct json_iter it = json_iter(array); json_next(&it);)
        ids[(*n)++] = (int32_t)json_int_or(it.value, -1);
    return ids;
}

int32_t largest(const float *logits, uint32_t n)
{
    int32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = (int32_t)i;
    return best;
}
