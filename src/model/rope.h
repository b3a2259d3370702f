/* rope.h -- the frequencies of rotary positions, scaled as the configuration says.
 *
 * Sources: Su et al. 2021 (plain), Llama 3.1's published scaling, Peng et al. 2023 (YaRN),
 * Ding et al. 2024 (LongRoPE); where single precision makes
 * a difference, as in the implementations that models are trained with. */
#ifndef MODEL_ROPE_H
#define MODEL_ROPE_H

#include "model/model.h"

/* What OP_rope wants to know.  n_rot 0: whole heads are turned. */
struct rope_freqs {
    wt       axes;                  /* of each frequency, if there is more than one; else none */
    wt       w, w_long;             /* constants of the bundle; w_long: of sequences beyond `from` tokens, if there are such */
    uint32_t n_rot, from;
    float    factor;                /* on cosines and sines */
};

struct rope_ask {
    uint32_t    head_dim;
    uint32_t    turned;             /* columns of a head that are turned, whatever the configuration has; 0: as it has */
    bool        partial;            /* partial_rotary_factor is honoured */
    bool        axes;               /* and so is mrope_section: positions have three axes */
    const char *kind;               /* of layer, where rope_parameters has one set for each kind; NULL: any */
    const char *base;               /* NULL, or the key of a base that holds, without any scaling, where there is no such set */
};

/* Appends the frequencies that the configuration has for `ask` to the bundle.  ERR_UNSUPPORTED: a kind of scaling not known
 * here, by name. */
MUST_USE bool rope_read(const struct model *m, const struct rope_ask *ask, struct rope_freqs *out, struct err *e);

#endif
