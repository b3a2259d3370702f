/* rope.h -- the frequencies of rotary positions, scaled as the configuration says.
 *
 * Sources: Su et al. 2021 (plain), Llama 3.1's published scaling, Peng et al. 2023 (YaRN); where single precision makes
 * a difference, as in the implementations that models are trained with. */
#ifndef MODEL_ROPE_H
#define MODEL_ROPE_H

#include "model/model.h"

/* Appends a constant of head_dim / 2 frequencies to the bundle and says by what cosines and sines are multiplied.
 * ERR_UNSUPPORTED: a kind of scaling not known here, by name. */
MUST_USE bool rope_read(const struct model *m, uint32_t head_dim, wt *freqs, float *factor, struct err *e);

#endif
