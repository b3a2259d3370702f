/* quant.h -- quantised weights of safetensors files: what lies there as several tensors of integers becomes one tensor.
 *
 *   X.weight (U32) with X.scales, and X.biases if affine    MLX's; bits, group_size and mode stand in config.json under
 *                                                           "quantization", for all or for the path X
 *   X_blocks (U8) with X_scales (U8)                        experts as gpt-oss has them, quant_method "mxfp4": MXFP4 named X
 *
 * The shapes must bear out what the configuration says. */
#ifndef STORE_QUANT_H
#define STORE_QUANT_H

#include "store/tensors.h"

#include "base/json.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Takes the tensors of all files and leaves *n of them, in their order: those joined where their codes were, no integers.
 * ERR_CORRUPT, ERR_UNSUPPORTED: names the tensor, and what it is or lacks; *entry is then in disorder. */
MUST_USE bool quant_join(struct tensor_entry *entry, size_t *n, json config, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
