/* decoder.h -- what llama, qwen2 and qwen3 have in common: norm, attention, norm, gated feed-forward, each added to the
 * row that runs through.  A model file reads the rest of its configuration and sets what differs. */
#ifndef MODEL_DECODER_H
#define MODEL_DECODER_H

#include "model/model.h"

struct decoder {
    /* Set by decoder_read(), with the sizes in m->info. */
    float   eps, rope_factor;
    wt      freqs;
    uint8_t act;
    bool    tied, interleaved;

    /* Set by the model file. */
    bool     qkv_bias, o_bias, mlp_bias;
    bool     qk_norm;               /* queries and keys are normalised, head by head, before they are turned */
    uint32_t window;                /* 0: every layer sees everything */
    uint32_t window_from;           /* the first layer that has the window, … */
    json     layer_types;           /* … unless this says for each: "full_attention" or "sliding_attention" */
};

/* Fills m->info, makes m->bundle's constants, refuses what none of these models can honour. */
MUST_USE bool decoder_read(struct decoder *d, struct model *m, struct err *e);

/* Reads sliding_window (`fallback` when the key is absent; null: none) and layer_types. */
MUST_USE bool decoder_window(struct decoder *d, const struct model *m, uint32_t fallback, struct err *e);

/* The same where use_sliding_window must switch it on, from layer max_window_layers on. */
MUST_USE bool decoder_window_switch(struct decoder *d, const struct model *m, struct err *e);

/* Writes m->text. */
MUST_USE bool decoder_write(const struct decoder *d, struct model *m, struct err *e);

#endif
