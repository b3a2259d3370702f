/* vision.h -- the sentences in which model files write towers: a transformer over patches that all see each other. */
#ifndef MODEL_VISION_H
#define MODEL_VISION_H

#include "model/model.h"
#include "model/write.h"

/* What the blocks of a tower are called and how they differ.  '#' stands for the layer. */
struct tower {
    const char *norm[2], *qkv[3], *proj, *up[2], *down;     /* modules; qkv[1] NULL: one has all three; up[1] NULL: no gate */
    uint32_t    width, n_head, ff, n_layer;
    uint8_t     act;
    bool        centred;            /* norms are layer norms, with biases */
    wt          freqs, axes;        /* of rotary positions; none: 0 */
    bool      (*is_full)(const void *ctx, uint32_t layer);  /* NULL: every layer sees all; else others see their windows */
    const void *ctx;
};

/* The writer of program "vision"; eps is the norms'. */
struct writer tower_writer(struct model *m, double eps);

/* Norm of whole rows by a module's weight (and bias). */
val tower_norm(const struct writer *w, val x, const char *module, bool centred);

/* One module, cut over no ranks. */
val tower_linear(const struct writer *w, val x, const char *module, uint32_t out, bool biased);

/* The patches, through the module's kernel; rows of the tables, by the run's "place" and "share", added. */
val tower_patches(const struct writer *w, const char *module, uint32_t width, bool biased);
val tower_places(const struct writer *w, val x, const char *table, uint32_t n, const char *behind);

/* Layer w->layer. */
val tower_layer(const struct writer *w, const struct tower *t, val x);

/* Constants for rotary positions by row and column: half of a head's pairs turn by each. */
void tower_rope(struct model *m, struct tower *t);

/* Reads an activation by its name. */
MUST_USE bool tower_act(json config, const char *fallback, uint8_t *out, struct err *e);

#endif
