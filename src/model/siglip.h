/* siglip.h -- the towers of CLIP (Radford et al. 2021) and SigLIP (Zhai et al. 2023): layer norms, learned positions, pictures of
 * one size. */
#ifndef MODEL_SIGLIP_H
#define MODEL_SIGLIP_H

#include "model/vision.h"

struct siglip {
    struct tower t;
    double       eps;
};

/* Reads vision_config, whose silence means these defaults, and fills in m->vision but for merge, lead and levels. */
MUST_USE bool siglip_read(struct siglip *s, struct model *m, json config, double eps, const char *act, struct err *e);

/* Layers first .. n - 1 of them. */
val siglip_layers(struct writer *w, const struct siglip *s, val x, uint32_t n);

#endif
