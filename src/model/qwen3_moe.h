/* qwen3_moe.h -- the experts of Qwen3's relatives: which layers have them, and how they are chosen. */
#ifndef MODEL_QWEN3_MOE_H
#define MODEL_QWEN3_MOE_H

#include "model/decoder.h"

struct qwen3_sparse {
    json     dense_only;            /* layers without experts; NULL: none is named */
    uint32_t step;                  /* of the others every so many-th has them */
};

/* Reads them and has d point to s and e, which must live as long. */
MUST_USE bool qwen3_moe_read(struct decoder *d, const struct model *m, struct qwen3_sparse *s, struct moe *e, struct err *err);

#endif
