/* plan.h -- which files of a repository make the model.
 *
 * A folder in Hugging Face form: the small files of files.def, and the weights as store/checkpoint.h looks for them:
 * model.safetensors, else what model.safetensors.index.json names, else every *.safetensors.  Or one GGUF file alone, when the
 * user chose one or there is nothing else. */
#ifndef HUB_PLAN_H
#define HUB_PLAN_H

#include "hub/listing.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HUB_SHARDS_MAX = 4096 };

/* Some files of a listing, which keeps them; a file is there once. */
struct hub_picks {
    const struct hub_file **at;
    size_t                  n;
};

struct hub_plan {
    struct hub_picks       first;       /* to be had before the weights */
    struct hub_picks       weights;
    const struct hub_file *index;       /* one of first: weights is empty until hub_plan_index() has read it */
    const struct hub_file *gguf;        /* weights is this file, and it is the model; NULL: a folder is */
    size_t                 n_gguf;      /* how many there were to choose from */
};

/* ERR_NOT_FOUND: nothing there is as chosen, and the text names what is.  ERR_UNSUPPORTED: nothing that hearth runs. */
MUST_USE bool hub_plan(struct hub_plan *out, const struct hub_listing *l, const char *choice, struct err *e);
void          hub_plan_drop(struct hub_plan *p);

/* Completes the weights from the text of the index.  ERR_CORRUPT: it names a file that is not in the listing. */
MUST_USE bool hub_plan_index(struct hub_plan *p, const struct hub_listing *l, struct str json_text, struct err *e);

/* The same from the file in that folder, when there is an index at all. */
MUST_USE bool hub_plan_weights(struct hub_plan *p, const struct hub_listing *l, const char *folder, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
