/* load.c -- see load.h. */
#include "app/load.h"

#include "app/packs.h"
#include "app/show.h"
#include "app/vocab_gguf.h"
#include "base/file.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Puts what to try after the text already there; returns false. */
static bool add_hint(struct err *e, const char *hint)
{
    size_t n = strlen(e->text);
    snprintf(e->text + n, sizeof e->text - n, "%s", hint);
    return false;
}

static bool open_checkpoint(struct checkpoint **out, const char *path, struct err *e)
{
    if (checkpoint_open(out, path, e))
        return true;
    if (e->kind == ERR_NOT_FOUND && file_kind(path) == FILE_FOLDER)
        add_hint(e, "; a model's folder holds config.json, tokenizer.json and *.safetensors; hearth pull ORG/NAME "
                    "fetches one, or give MODEL as the path of a .gguf file (scripts/fetch-model prints a small one's)");
    else if (file_kind(path) == FILE_NONE)
        add_hint(e, "; MODEL is a .gguf file, a folder with config.json, or ORG/NAME on a hub (scripts/fetch-model prints the path "
                    "of a small one)");
    return false;
}

static bool open_tokenizer(struct loaded *l, struct err *e)
{
    const struct gguf *g = checkpoint_gguf(l->checkpoint);
    const char        *path = checkpoint_path(l->checkpoint);
    if (g)
        return vocab_from_gguf(&l->tokenizer, g, e) || err_in(e, "%s", path);
    size_t n;
    char  *text = checkpoint_text(l->checkpoint, "tokenizer.json", &n);
    if (!text)
        return err_set(e, ERR_NOT_FOUND, "%s has no tokenizer.json", path);
    bool ok = tokenizer_from_json(&l->tokenizer, (struct str){text, n}, e) || err_in(e, "%s", path);
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

static char *spelling(const struct tokenizer *t, int32_t id)
{
    struct str s = id >= 0 ? tokenizer_token(t, id) : (struct str){NULL, 0};
    return s.p ? mem_copy(s.p, s.n) : NULL;
}

/* A member of tokenizer_config.json that names a token: its text, or an object with it; otherwise what was known. */
static char *named(json v, char *known)
{
    struct str s = json_str(json_type(v) == JSON_OBJECT ? json_get(v, "content") : v);
    if (!s.p)
        return known;
    free(known);
    return mem_copy(s.p, s.n);
}

/* A folder's tokenizer_config.json names the tokens that templates call bos_token and eos_token. */
static void read_words(struct loaded *l)
{
    json config = checkpoint_tokenizer(l->checkpoint);
    l->bos_text = named(json_get(config, "bos_token"), spelling(l->tokenizer, tokenizer_bos(l->tokenizer)));
    l->eos_text = named(json_get(config, "eos_token"), spelling(l->tokenizer, tokenizer_eos(l->tokenizer)));
}

/* What the checkpoint's authors recommend; without the file, nothing. */
static void read_defaults(struct loaded *l)
{
    json r = checkpoint_generation(l->checkpoint);
    l->defaults.temperature = (float)json_num_or(json_get(r, "temperature"), 1);
    l->defaults.top_p = (float)json_num_or(json_get(r, "top_p"), 1);
    l->defaults.min_p = (float)json_num_or(json_get(r, "min_p"), 0);
    l->defaults.repeat = (float)json_num_or(json_get(r, "repetition_penalty"), 1);
    l->defaults.top_k = (int32_t)json_int_or(json_get(r, "top_k"), 0);
    if (!json_bool(json_get(r, "do_sample"), true))
        l->defaults.temperature = 0;
}

bool load_open(struct loaded *out, const struct options *o, struct err *e)
{
    struct loaded l = {0};
    bool ok = model_place_find(&l.place, o, e) && open_checkpoint(&l.checkpoint, l.place.path, e) &&
              model_open(&l.model, l.checkpoint, e) && open_tokenizer(&l, e) && open_template(&l, e);
    if (ok && tokenizer_len(l.tokenizer) > l.model->info.n_vocab)
        ok = err_set(e, ERR_CORRUPT, "%s: the tokenizer has %zu ids, the model only %u", l.place.path,
                     tokenizer_len(l.tokenizer), l.model->info.n_vocab);
    if (!ok) {
        load_close(&l);
        return false;
    }
    l.n_eos = checkpoint_eos(l.checkpoint, l.eos, EOS_MAX);
    if (l.n_eos == 0 && tokenizer_eos(l.tokenizer) >= 0)
        l.eos[l.n_eos++] = tokenizer_eos(l.tokenizer);
    read_words(&l);
    read_defaults(&l);
    *out = l;
    return true;
}

void load_close(struct loaded *l)
{
    free(l->pack_path);
    free(l->real_path);
    free(l->bos_text);
    free(l->eos_text);
    template_free(l->template);
    tokenizer_free(l->tokenizer);
    model_close(l->model);
    checkpoint_close(l->checkpoint);
    model_place_drop(&l->place);
    *l = (struct loaded){0};
}

bool load_engine_opts(const struct options *o, struct engine_opts *out, struct err *e)
{
    const char *name = o->given.backend ? o->backend.v : backend_at(0)->name;
    const char *how = o->given.precision ? o->precision.v : "fast", *kv = o->given.kv_format ? o->kv_format.v : "f16";
    *out = (struct engine_opts){
        .context_max = (uint32_t)o->ctx.v,
        .seq_max = (uint32_t)o->parallel.v,
        .queue_max = (uint32_t)o->queue.v,
        .memory_bytes = o->memory.v,
        .gallery_bytes = o->features.v,
        .patches_max = (uint32_t)o->patches.v,
        .snapshot_bytes = o->snapshots.v,
        .no_cache = o->no_cache.v,
        .no_draft = o->no_draft.v,
        .backend.n_thread = (unsigned)o->threads.v,
    };
    if (!backend_load(&out->type, name, o->plugins.v, e))
        return false;
    if (strcmp(how, "fast") != 0 && strcmp(how, "exact") != 0)
        return err_param(e, "precision", "--precision is fast or exact, not \"%s\"", how);
    if (strcmp(kv, "f16") != 0 && strcmp(kv, "int8") != 0)
        return err_param(e, "kv-format", "--kv-format is f16 or int8, not \"%s\"", kv);
    out->backend.kv_format = strcmp(kv, "int8") == 0 ? KV_FORMAT_INT8 : KV_FORMAT_F16;
    out->backend.precision = strcmp(how, "exact") == 0 ? PRECISION_EXACT : PRECISION_FAST;
    return true;
}

char *load_pack_path(const struct loaded *l, const struct options *o)
{
    return o->no_pack.v ? NULL : packs_path(checkpoint_key(l->checkpoint));
}

bool load_engine(struct loaded *l, const struct options *o, struct engine_opts *eo, struct engine **out, struct err *e)
{
    l->pack_path = load_pack_path(l, o);
    l->real_path = realpath(checkpoint_path(l->checkpoint), NULL);
    eo->backend.pack = (struct pack_opts){.path = l->pack_path, .key = checkpoint_key(l->checkpoint), .label = l->real_path};
    eo->progress = show_progress;
    if (engine_open(out, l->model, eo, e)) {
        if (engine_kept(*out)->how == KEPT_NOW)
            packs_tidy(l->pack_path, l->real_path);
        return true;
    }
    return e->kind == ERR_MEMORY && add_hint(e, " (--memory, --ctx, --parallel)");
}

char *load_kept_text(const struct loaded *l, const struct engine *g)
{
    static const char *const how[] = {[KEPT_NOT] = "", [KEPT_NOW] = "packed now, kept in ", [KEPT_BEFORE] = "packed, mapped from "};
    struct buf               text;
    buf_init(&text, 0);
    buf_printf(&text, "%s%s", how[engine_kept(g)->how], engine_kept(g)->how == KEPT_NOT ? "" : l->pack_path);
    return buf_take(&text);
}

struct prompter load_prompter(const struct loaded *l)
{
    return (struct prompter){l->tokenizer, l->template, str_of(l->bos_text), str_of(l->eos_text), false};
}
