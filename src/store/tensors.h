/* tensors.h -- the tensors of one file, gathered and checked: what the GGUF and safetensors readers have in common.
 *
 * Each is added as the file claims it to be; a claim that cannot be true is refused with its reason.  tensors_end()
 * then looks at all of them together. */
#ifndef STORE_TENSORS_H
#define STORE_TENSORS_H

#include "store/names.h"

#include "base/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TENSOR_BYTES_UNSAID UINT64_MAX

struct tensor_claim {
    struct str  name;
    const char *type;                           /* the file's own word for it */
    uint32_t    block_values, block_bytes;
    int         format;                         /* enum format or beyond; -1: checked as the others are, but not listed */
    uint64_t    shape[TENSOR_AXES_MAX];         /* outermost first */
    uint8_t     n_dim;
    uint64_t    begin, bytes;                   /* in the file's data; TENSOR_BYTES_UNSAID: as the shape has it */
};

struct tensor_entry {
    struct str    name;
    struct tensor tensor;
};

struct tensors {
    const uint8_t       *data;                  /* where offsets count from */
    uint64_t             data_bytes, source;    /* source: names the file in source ids */
    struct tensor_entry *entry;                 /* those listed, in the order they were added */
    size_t               n, room;
    struct names         names;                 /* of all; an unlisted one's i is NAMES_NONE */
    struct span         *span;                  /* of all; gone after tensors_end() */
    size_t               n_span, span_room;
};

void tensors_init(struct tensors *t, const uint8_t *data, uint64_t data_bytes, uint64_t source);
void tensors_drop(struct tensors *t);

/* The claim's name is borrowed.  ERR_CORRUPT, ERR_UNSUPPORTED: the reason only, the caller says which tensor. */
MUST_USE bool tensors_add(struct tensors *t, const struct tensor_claim *c, struct err *e);

/* No name twice, no two in the same place; dense: no byte of the data left over either. */
MUST_USE bool tensors_end(struct tensors *t, bool dense, struct err *e);

/* Takes in those of another file, both ended; its data stays where it is.  ERR_CORRUPT: a name is in both. */
MUST_USE bool tensors_join(struct tensors *t, const struct tensors *more, struct err *e);

bool tensors_find(const struct tensors *t, struct str name, struct tensor *out);

#ifdef __cplusplus
}
#endif
#endif
