/* sigmoid_moe.h -- experts as DeepSeek-V3 has them (DeepSeek-AI 2024), and GLM-4.5: chosen by sigmoid and a bias, from groups,
 * beside networks that every row goes through; the first layers have none. */
#ifndef MODEL_SIGMOID_MOE_H
#define MODEL_SIGMOID_MOE_H

#include "model/decoder.h"

struct sigmoid_moe {
    struct moe moe;
    uint32_t   dense_first;         /* layers without experts, from the first on */
    uint32_t   shared_ff;           /* columns of all shared networks together; 0: there is none */
};

/* How they are chosen: n, k, ff, groups and scaling. */
MUST_USE bool sigmoid_router_read(struct moe *e, json config, struct err *err);

/* Reads them and has d point to x, which must live as long. */
MUST_USE bool sigmoid_moe_read(struct decoder *d, const struct model *m, struct sigmoid_moe *x, struct err *e);

#endif
