/* decoder.h -- what llama and its many relatives have in common: norm, attention, norm, gated feed-forward, each added to
 * the row that runs through.  A model file reads the rest of its configuration and sets what differs. */
#ifndef MODEL_DECODER_H
#define MODEL_DECODER_H

#include "model/model.h"
#include "model/rope.h"
#include "model/write.h"

struct decoder {
    /* Set by the model file before decoder_read(). */
    const char *const *honours;     /* keys otherwise refused, the last NULL */
    struct rope_ask    rope_ask;    /* head_dim is filled in */
    const struct model_info *defaults;      /* sizes where the configuration is silent; NULL: it may not be */

    /* Set by decoder_read(), with the sizes in m->info. */
    float             eps, scale;   /* of norms; of attention's scores */
    struct rope_freqs rope;
    uint8_t           act;
    bool              tied, interleaved;

    /* Set by the model file. */
    bool     sinks;                 /* attention has them */
    uint32_t n_level;               /* of features that are placed: level 0 before the first layer, level k behind layer k - 1 */
    val    (*attention)(const struct decoder *d, const struct writer *w, val h);     /* the model file's own; NULL: as all */
    const struct moe *moe;          /* of the layers that moe_layer() tells; NULL: all have one feed-forward network */
    bool   (*moe_layer)(const struct decoder *d, uint32_t layer);
    val    (*moe_write)(const struct decoder *d, const struct writer *w, val h);     /* NULL: write_moe() is all there is */
    const void *more, *own;         /* the model file's own: for these two, for attention() */
    bool     fused;                 /* q, k and v are one tensor of the checkpoint, gate and up another */
    bool     norm_one;              /* norms' weights count from 1 */
    bool     norm_after;            /* attention and feed-forward are normalised behind, too, before they are added */
    float    embed_scale;           /* 0: 1 */
    float    attend_softcap, logit_softcap;     /* 0: none */
    const struct rope_freqs *window_rope;       /* of layers with a window; NULL: as all */
    bool     qkv_bias, o_bias, mlp_bias;
    bool     qk_norm;               /* queries and keys are normalised, head by head, before they are turned */
    uint32_t window;                /* 0: every layer sees everything */
    uint32_t window_from;           /* the first layer that has the window, … */
    json     layer_types;           /* … unless this says for each: "full_attention" or "sliding_attention", … */
    uint32_t window_period;         /* … or only every so many-th layer has none */
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
