/* write.h -- the sentences in which model files write programs: a norm, some modules of the checkpoint side by side, experts. */
#ifndef MODEL_WRITE_H
#define MODEL_WRITE_H

#include "model/model.h"

struct writer {
    const struct model *m;
    struct prog        *p;
    struct bundle      *b;
    int                 layer;      /* -1: none */
    float               eps;        /* of norms */
    bool                one;        /* norms' weights count from 1 */
};

/* A module of the checkpoint that gives `out` columns. */
struct part {
    const char *weight, *bias;
    uint32_t    out;
};
#define PART(module, out) {module ".weight", module ".bias", out}

/* Of whole rows, or of groups of so many columns. */
val write_norm(const struct writer *w, val x, const char *name, uint32_t group);

/* Up to four modules side by side, the last with out 0.  Cut along their inputs they give parts of a sum, to which one rank
 * adds the bias. */
val write_linear(const struct writer *w, val x, enum split split, const struct part part[], bool biased);

/* The module cut along its inputs, and its parts summed up over the ranks. */
val write_down(const struct writer *w, val x, struct part one, bool biased);

/* A mixture of feed-forward networks: the modules below `at` ("model.layers.#.mlp"), the experts' in any of the forms that
 * checkpoints have them in. */
struct moe {
    const char *at;
    uint32_t    n, k, ff, groups, groups_kept;
    uint8_t     router, act;        /* enum router, enum act; RELU2 has no gate */
    bool        normalise;
    bool        pairs;              /* where gate and up are one tensor, their rows alternate */
    bool        choice_bias;        /* gate.e_score_correction_bias */
    bool        turned;             /* where gate and up are one tensor, it and down's are [in, out] */
    bool        biased;             /* the router is called so, and it and the experts have biases */
    float       scaling, limit;
};
val write_moe(const struct writer *w, val x, const struct moe *e);

/* Columns of a and b side by side, in the order of a list that is to be freed here. */
val write_order(const struct writer *w, val a, val b, float *list, uint32_t n);

/* Whether the checkpoint has the tensor, '#' in its name standing for the layer, '*' for the first expert. */
bool write_has(const struct writer *w, const char *name);

#endif
