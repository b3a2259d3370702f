/* load.h -- a model with everything that serving it takes: weights' places, programs, tokenizer, template. */
#ifndef APP_LOAD_H
#define APP_LOAD_H

#include "api/prompt.h"
#include "app/models.h"
#include "engine/engine.h"
#include "model/model.h"
#include "store/checkpoint.h"

enum { EOS_MAX = 16 };

struct loaded {
    struct model_place place;
    struct checkpoint *checkpoint;
    struct model      *model;
    struct tokenizer  *tokenizer;
    struct template   *template;        /* NULL: the model brings none */
    char              *bos_text, *eos_text;     /* as the template wants them; NULL: none */
    int32_t            eos[EOS_MAX];
    size_t             n_eos;
    char              *pack_path, *real_path;   /* set by load_engine(): of the file of repacked weights, of the model */
    struct { float temperature, top_p, min_p, repeat; int32_t top_k; } defaults;   /* generation_config.json */
};

/* Finds what the first argument means, pulling it if need be, and opens everything but the weights' numbers. */
MUST_USE bool load_open(struct loaded *out, const struct options *o, struct err *e);
void          load_close(struct loaded *l);

/* Where repacked weights of the model are kept between starts; to be freed by the caller.  NULL: nowhere, as the user wants it
 * or because there is no home folder. */
char *load_pack_path(const struct loaded *l, const struct options *o);

/* engine_opts as the command line asks for them. */
MUST_USE bool load_engine_opts(const struct options *o, struct engine_opts *out, struct err *e);

/* engine_open(), with a bar on the terminal and a file of repacked weights unless o says no; a refusal for want of memory names the options that help. */
MUST_USE bool load_engine(struct loaded *l, const struct options *o, struct engine_opts *eo, struct engine **out, struct err *e);

/* Where the engine's weights come from, for its table; to be freed by the caller. */
char *load_kept_text(const struct loaded *l, const struct engine *g);

/* What makes prompts of its messages; there must be a template. */
struct prompter load_prompter(const struct loaded *l);

#endif
