/* pieces.h -- a GGUF model cut into several files, NAME-00001-of-00003.gguf and so on, as one.
 *
 * The first has the keys; each has some of the tensors, and says which part it is (split.no, split.count). */
#ifndef STORE_PIECES_H
#define STORE_PIECES_H

#include "store/gguf.h"

#include "base/file.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { PIECES_MAX = 1024 };

struct pieces {
    struct gguf     *gguf;          /* of all of them */
    struct file_map *map;           /* [n], in order */
    size_t           n;
};

/* Any of the parts' paths will do, or that of a file that is whole.  *out must be zero; on failure it is so again.
 * ERR_NOT_FOUND names a part that is not there; ERR_CORRUPT: they are not parts of one model. */
MUST_USE bool pieces_open(struct pieces *out, const char *path, struct err *e);
void          pieces_close(struct pieces *p);

#ifdef __cplusplus
}
#endif
#endif
