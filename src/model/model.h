/* model.h -- from a checkpoint to programs.
 *
 * One file a model, one line in models.def.  A model file reads the configuration, refuses what it cannot honour, and
 * writes the program "text": tokens in, "logits" out. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "program/program.h"
#include "store/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

struct model_info {
    char     arch[64];              /* as the configuration names it: "LlamaForCausalLM" */
    uint32_t n_vocab, n_layer, width, n_head, n_kv_head, head_dim, ff;
    uint32_t context;               /* tokens the model was made for */
    uint64_t n_param;
};

struct model {
    struct model_info info;
    struct bundle    *bundle;       /* owned */
    struct prog      *text;         /* of the bundle, ended */
    const struct checkpoint *checkpoint;    /* borrowed */
};

/* ERR_UNSUPPORTED for an architecture or a setting not known here, by name; ERR_CORRUPT for a configuration that makes
 * no sense, or a weight that is missing or has another shape (every weight is looked up, no number is read). */
MUST_USE bool model_open(struct model **out, const struct checkpoint *c, struct err *e);
void          model_close(struct model *m);     /* NULL is fine; the checkpoint stays open */

/* The checkpoint tensors behind weight w, in stacking order, checked.  *n 0: optional and absent, or a constant. */
MUST_USE bool model_weight(const struct model *m, wt w, struct tensor part[4], size_t *n, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
