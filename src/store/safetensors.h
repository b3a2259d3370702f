/* safetensors.h -- the safetensors container (specification: huggingface/safetensors, README "Format"): a JSON header
 * that says where each tensor lies, then their bytes without a gap.
 *
 * safetensors_parse() checks everything it will ever hand out: the header inside the file, every tensor's type, shape
 * and offsets against each other and the file, no overlap, no gap, no name twice.  The bytes are borrowed.
 *
 * F32, F16 and BF16 are listed, and with formats of their own the integers that quantised weights are made of
 * (store/quant.h joins them).  Tensors of other types that the specification knows (masks, positions, float8) are checked
 * and left out, except when the name ends in ".weight": a model would ask for that one, and the file is ERR_UNSUPPORTED,
 * naming tensor and type.  So is a file with a type that the specification does not know. */
#ifndef STORE_SAFETENSORS_H
#define STORE_SAFETENSORS_H

#include "base/err.h"
#include "base/str.h"
#include "base/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

struct safetensors;

/* Formats of listed integers: no model and no backend knows these. */
enum { SAFETENSORS_U32 = FORMAT_COUNT, SAFETENSORS_I32, SAFETENSORS_U8 };

/* name is used in messages and in source ids. */
MUST_USE bool safetensors_parse(struct safetensors **out, const uint8_t *p, size_t n, const char *name, struct err *e);
void          safetensors_free(struct safetensors *s);      /* NULL is fine */

size_t     safetensors_len(const struct safetensors *s);
struct str safetensors_at(const struct safetensors *s, size_t i, struct tensor *out);   /* in the header's order */
bool       safetensors_find(const struct safetensors *s, struct str name, struct tensor *out);

/* True also for a tensor that is there but not listed. */
bool safetensors_has(const struct safetensors *s, struct str name);

struct str safetensors_metadata(const struct safetensors *s, const char *key);      /* {NULL, 0}: none */

#ifdef __cplusplus
}
#endif
#endif
