/* load.c -- see load.h. */
#include "app/load.h"

#include "app/show.h"
#include "app/vocab_gguf.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool open_tokenizer(struct loaded *l, struct err *e)
{
    const struct gguf *g = checkpoint_gguf(l->checkpoint);
    if (g)
        return vocab_from_gguf(&l->tokenizer, g, e);
    size_t n;
    char  *text = checkpoint_text(l->checkpoint, "tokenizer.json", &n);
    if (!text)
        return err_set(e, ERR_NOT_FOUND, "%s has no tokenizer.json", checkpoint_path(l->checkpoint));
    bool ok = tokenizer_from_json(&l->tokenizer, (struct str){text, n}, e) || err_in(e, "tokenizer.json");
    free(text);
    return ok;
}

static bool open_template(struct loaded *l, struct err *e)
{
    size_t n;
    char  *text = checkpoint_text(l->checkpoint, "chat_template.jinja", &n);
    if (!text)
        return true;
    bool ok = template_new(&l->template, (struct str){text, n}, e) ||
              err_in(e, "chat template of %s", checkpoint_path(l->checkpoint));
    free(text);
    return ok;
}

/* What the checkpoint's authors recommend; a file that is absent or broken recommends nothing. */
static void read_defaults(struct loaded *l)
{
    l->defaults.temperature = l->defaults.top_p = l->defaults.repeat = 1;
    size_t           n;
    struct json_doc *doc = NULL;
    char            *text = checkpoint_text(l->checkpoint, "generation_config.json", &n);
    if (!text)
        return;
    if (json_parse(&doc, (struct str){text, n}, NULL)) {
        json r = json_root(doc);
        l->defaults.temperature = (float)json_num_or(json_get(r, "temperature"), 1);
        l->defaults.top_p = (float)json_num_or(json_get(r, "top_p"), 1);
        l->defaults.min_p = (float)json_num_or(json_get(r, "min_p"), 0);
        l->defaults.repeat = (float)json_num_or(json_get(r, "repetition_penalty"), 1);
        l->defaults.top_k = (int32_t)json_int_or(json_get(r, "top_k"), 0);
        if (!json_bool(json_get(r, "do_sample"), true))
            l->defaults.temperature = 0;
    }
    json_free(doc);
    free(text);
}

bool load_open(struct loaded *out, const char *path, struct err *e)
{
    struct loaded l = {0};
    bool ok = checkpoint_open(&l.checkpoint, path, e) && model_open(&l.model, l.checkpoint, e) &&
              open_tokenizer(&l, e) && open_template(&l, e);
    if (ok && tokenizer_len(l.tokenizer) > l.model->info.n_vocab)
        ok = err_set(e, ERR_CORRUPT, "%s: the tokenizer has %zu ids, the model only %u", path, tokenizer_len(l.tokenizer),
                     l.model->info.n_vocab);
    if (!ok) {
        load_close(&l);
        return false;
    }
    l.n_eos = checkpoint_eos(l.checkpoint, l.eos, EOS_MAX);
    if (l.n_eos == 0 && tokenizer_eos(l.tokenizer) >= 0)
        l.eos[l.n_eos++] = tokenizer_eos(l.tokenizer);
    read_defaults(&l);
    *out = l;
    return true;
}

void load_close(struct loaded *l)
{
    template_free(l->template);
    tokenizer_free(l->tokenizer);
    model_close(l->model);
    checkpoint_close(l->checkpoint);
    *l = (struct loaded){0};
}

bool load_engine_opts(const struct options *o, struct engine_opts *out, struct err *e)
{
    const char *name = o->given.backend ? o->backend.v : backend_at(0)->name;
    const char *how = o->given.precision ? o->precision.v : "fast";
    *out = (struct engine_opts){
        .type = backend_find(name),
        .context_max = (uint32_t)o->ctx.v,
        .seq_max = (uint32_t)o->parallel.v,
        .queue_max = (uint32_t)o->queue.v,
        .memory_bytes = o->memory.v,
        .no_cache = o->no_cache.v,
        .backend.n_thread = (unsigned)o->threads.v,
    };
    if (!out->type)
        return err_param(e, "backend", "there is no backend \"%s\" in this build", name);
    if (strcmp(how, "fast") != 0 && strcmp(how, "exact") != 0)
        return err_param(e, "precision", "--precision is fast or exact, not \"%s\"", how);
    out->backend.precision = strcmp(how, "exact") == 0 ? PRECISION_EXACT : PRECISION_FAST;
    if (o->parallel.v > 1024 || o->threads.v > 1024 || o->ctx.v > (1u << 30) || o->queue.v > 1000000)
        return err_set(e, ERR_INVALID, "--parallel and --threads go up to 1024, --queue to 1000000, --ctx to 2^30");
    return true;
}

bool load_engine(const struct loaded *l, struct engine_opts *o, struct engine **out, struct err *e)
{
    o->progress = show_progress;
    if (engine_open(out, l->model, o, e))
        return true;
    size_t n = strlen(e->text);
    if (e->kind == ERR_MEMORY)
        snprintf(e->text + n, sizeof e->text - n, " (--memory, --ctx, --parallel)");
    return false;
}

char *load_name(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t from = n;
    while (from > 0 && path[from - 1] != '/')
        from--;
    struct str name = {path + from, n - from};
    if (str_ends(name, STR(".gguf")))
        name.n -= 5;
    return mem_copy(name.p, name.n);
}

/* The template's variables: the messages, and what Hugging Face's caller adds. */
static bool template_values(const struct loaded *l, json messages, struct json_doc **out, struct err *e)
{
    struct json_out *w = json_out_new();
    struct buf       text;
    buf_init(&text, 0);
    json_open(w, NULL, '{');
    json_put(w, "messages", messages);
    json_put_bool(w, "add_generation_prompt", true);
    int32_t bos = tokenizer_bos(l->tokenizer), eos = tokenizer_eos(l->tokenizer);
    json_put_str(w, "bos_token", bos >= 0 ? tokenizer_token(l->tokenizer, bos) : STR(""));
    json_put_str(w, "eos_token", eos >= 0 ? tokenizer_token(l->tokenizer, eos) : STR(""));
    json_close(w);
    json_out_write(w, &text);
    json_out_free(w);
    bool ok = json_parse(out, buf_view(&text), e);
    buf_drop(&text);
    return ok;
}

static bool encode_rendered(const struct loaded *l, const struct rendered *r, struct ids *out, struct err *e)
{
    struct piece *piece = mem_array(r->n_run, sizeof *piece);
    size_t        from = 0;
    for (size_t i = 0; i < r->n_run; i++) {
        piece[i] = (struct piece){{r->text.p + from, r->run[i].end - from}, r->run[i].trusted};
        from = r->run[i].end;
    }
    bool ok = tokenizer_encode(l->tokenizer, piece, r->n_run, false, out, e);
    free(piece);
    return ok;
}

bool load_prompt(const struct loaded *l, json messages, struct ids *out, struct err *e)
{
    struct json_doc *values;
    struct rendered  r;
    if (!l->template)
        return err_set(e, ERR_UNSUPPORTED, "the model brings no chat template; use --raw to continue a text");
    if (!template_values(l, messages, &values, e))
        return false;
    struct template_input in = {.values = json_root(values), .user_keys = {STR("messages")}, .n_user_keys = 1,
                                .now_s = (int64_t)time(NULL)};
    bool ok = template_render(l->template, &in, &r, e);
    if (ok) {
        ok = encode_rendered(l, &r, out, e);
        rendered_drop(&r);
    }
    json_free(values);
    return ok;
}
