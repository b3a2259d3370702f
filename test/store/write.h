/* write.h -- a small writer of GGUF and safetensors files, true ones and false ones, for tests. */
#ifndef TEST_STORE_WRITE_H
#define TEST_STORE_WRITE_H

#include "base/buf.h"
#include "base/tensor.h"
#include "store/gguf.h"

struct gguf_out {
    uint32_t   version;
    uint64_t   alignment, n_key, n_tensor;
    struct buf keys, places, data;
};

/* A tensor's place as it is to be written, true or not. */
struct gguf_place {
    struct str name;
    uint32_t   type, n_dim;
    uint64_t   axis[5];         /* innermost first, as in the file */
    uint64_t   offset;
};

void gguf_out_init(struct gguf_out *o, uint32_t version);
void gguf_out_drop(struct gguf_out *o);

void gguf_put_value(struct gguf_out *o, struct str key, uint32_t type, const void *p, size_t n);
void gguf_put_u32(struct gguf_out *o, const char *key, uint32_t v);
void gguf_put_f32(struct gguf_out *o, const char *key, float v);
void gguf_put_str(struct gguf_out *o, const char *key, const char *v);
void gguf_put_array(struct gguf_out *o, const char *key, enum gguf_type type, uint64_t n, const void *p, size_t bytes);
void gguf_put_strs(struct gguf_out *o, const char *key, const char *const *s, size_t n);

/* A true tensor of rows x cols (rows 0: one axis); its bytes count up from `seed`. */
void gguf_put_tensor(struct gguf_out *o, const char *name, enum format f, uint64_t rows, uint64_t cols);
void gguf_put_place(struct gguf_out *o, const struct gguf_place *x);

/* The file. */
void gguf_write(const struct gguf_out *o, struct buf *out);

/* The keys that every model of that architecture has: 2 layers, width 64, 4 heads, 2 of them for keys, 5 tokens. */
void gguf_put_model(struct gguf_out *o, const char *arch);
void gguf_put_model_of(struct gguf_out *o, const char *arch, uint32_t n_layer);

/* header as it stands, then data_bytes bytes that count up. */
void safetensors_write(const char *header, size_t data_bytes, struct buf *out);

/* A folder for the test's files; removed with everything in it. */
char *folder_new(void);
void  folder_free(char *folder);
void  folder_put(const char *folder, const char *name, struct str bytes);
void  folder_cut(const char *folder, const char *name);      /* removes that file */

#endif
