/* gguf.h -- the GGUF container, versions 2 and 3 (specification: ggml docs/gguf.md): typed keys and tensors.
 *
 * gguf_parse() checks everything it will ever hand out: counts against the file's size, every string and array inside
 * the file, tensor offsets aligned, inside, and not overlapping, element counts without overflow, known types.  After
 * it has said yes nothing else can fail.  The bytes are borrowed.
 *
 * Keys and tensor names are UTF-8 without control characters; string values are bytes as they come. */
#ifndef STORE_GGUF_H
#define STORE_GGUF_H

#include "base/err.h"
#include "base/str.h"
#include "base/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

struct gguf;

enum gguf_type {
    GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL,
    GGUF_STRING, GGUF_ARRAY, GGUF_U64, GGUF_I64, GGUF_F64, GGUF_TYPE_COUNT
};

/* A value, or an array's place: its element type and count. */
struct gguf_value {
    enum gguf_type type;        /* of the value; of the elements when array */
    bool           array;
    uint64_t       n;           /* elements; 1 for a plain value */
    const uint8_t *p;           /* where it lies */
};

/* name is used in messages and in source ids.  ERR_CORRUPT; ERR_UNSUPPORTED for versions, value types and tensor types
 * not known here. */
MUST_USE bool gguf_parse(struct gguf **out, const uint8_t *p, size_t n, const char *name, struct err *e);
void          gguf_free(struct gguf *g);        /* NULL is fine */

/* Takes in the tensors of another part of the same model, whose bytes must live as long; `more` itself may go.  What is then
 * among g's is unspecified when this fails.  ERR_CORRUPT: a name is in both. */
MUST_USE bool gguf_join(struct gguf *g, const struct gguf *more, struct err *e);

size_t     gguf_n_keys(const struct gguf *g);
struct str gguf_key_at(const struct gguf *g, size_t i, struct gguf_value *out);
bool       gguf_find(const struct gguf *g, const char *key, struct gguf_value *out);

/* Plain values with a fallback for absent or other types.  Whole numbers of every width convert when they fit. */
struct str gguf_str(const struct gguf *g, const char *key);             /* {NULL, 0}: none */
int64_t    gguf_int(const struct gguf *g, const char *key, int64_t fallback);
double     gguf_num(const struct gguf *g, const char *key, double fallback);
bool       gguf_bool(const struct gguf *g, const char *key, bool fallback);

/* Elements of an array value.  gguf_array_str walks: start with *at = v->p, call v->n times. */
struct str gguf_array_str(const uint8_t **at);
double     gguf_array_num(const struct gguf_value *v, uint64_t i);      /* 0: no number type */

size_t     gguf_n_tensors(const struct gguf *g);
struct str gguf_tensor_at(const struct gguf *g, size_t i, struct tensor *out);    /* shape outermost first */
bool       gguf_tensor_find(const struct gguf *g, const char *name, struct tensor *out);

#ifdef __cplusplus
}
#endif
#endif
