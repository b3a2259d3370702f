/* load.h -- a model with everything that serving it takes: weights' places, programs, tokenizer, template. */
#ifndef APP_LOAD_H
#define APP_LOAD_H

#include "app/options.h"
#include "chat/template.h"
#include "engine/engine.h"
#include "model/model.h"
#include "store/checkpoint.h"
#include "text/tokenizer.h"

enum { EOS_MAX = 16 };

struct loaded {
    struct checkpoint *checkpoint;
    struct model      *model;
    struct tokenizer  *tokenizer;
    struct template   *template;        /* NULL: the model brings none */
    int32_t            eos[EOS_MAX];
    size_t             n_eos;
    struct { float temperature, top_p, min_p, repeat; int32_t top_k; } defaults;   /* generation_config.json */
};

/* Opens everything but the weights' numbers. */
MUST_USE bool load_open(struct loaded *out, const char *path, struct err *e);
void          load_close(struct loaded *l);

/* engine_opts as the command line asks for them. */
MUST_USE bool load_engine_opts(const struct options *o, struct engine_opts *out, struct err *e);

/* engine_open(), with a bar on the terminal; a refusal for want of memory names the options that help. */
MUST_USE bool load_engine(const struct loaded *l, struct engine_opts *o, struct engine **out, struct err *e);

/* The model's name as the API shows it: the file's or folder's name without ".gguf"; to be freed by the caller. */
char *load_name(const char *path);

/* Renders messages ([{"role", "content"}, …]) and encodes them as a prompt. */
MUST_USE bool load_prompt(const struct loaded *l, json messages, struct ids *out, struct err *e);

#endif
