/* file.h -- files: mapped, read whole, named. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct file_map {
    const uint8_t *p;
    size_t         n;
};

enum file_kind { FILE_NONE, FILE_PLAIN, FILE_FOLDER, FILE_OTHER };
enum file_kind file_kind(const char *path);

/* Maps a plain file for reading.  An empty file maps to {NULL, 0}. */
MUST_USE bool file_map(struct file_map *out, const char *path, struct err *e);
void          file_unmap(struct file_map *m);

/* Appends the whole file.  ERR_TOO_LARGE when it is over bytes_max. */
MUST_USE bool file_read(struct buf *out, const char *path, size_t bytes_max, struct err *e);

/* folder/name, to be freed by the caller. */
char *path_join(const char *folder, const char *name);

#ifdef __cplusplus
}
#endif
#endif
