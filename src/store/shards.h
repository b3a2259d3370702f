/* shards.h -- the safetensors files of one folder, mapped.
 *
 * Which ones: model.safetensors alone when it is there; else those that model.safetensors.index.json names, each tensor
 * taken from the file that the index says; else every *.safetensors, by name. */
#ifndef STORE_SHARDS_H
#define STORE_SHARDS_H

#include "store/names.h"
#include "store/safetensors.h"

#include "base/file.h"
#include "base/json.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shard {
    char               *path;
    struct file_map     map;
    struct safetensors *tensors;
};

struct shards {
    struct shard    *at;
    size_t           n, room;
    struct json_doc *index;     /* NULL: none; owns the names in `home` */
    struct names     home;      /* tensor -> number of the shard it is taken from */
};

/* *out must be zero.  On failure it is so again.  The index's file names must be plain names inside the folder. */
MUST_USE bool shards_open(struct shards *out, const char *folder, struct err *e);
void          shards_close(struct shards *s);

/* Whether the tensor of that name in shard i counts. */
bool shards_own(const struct shards *s, size_t i, struct str name);

/* Reads a file of JSON that must be an object.  ERR_CORRUPT names it; ERR_NOT_FOUND. */
MUST_USE bool object_read(struct json_doc **out, const char *path, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
