/* file.h -- files: mapped, read whole, named. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What tells a file from what it was before and from every other on this machine, as far as can be known unread. */
struct file_mark {
    uint64_t device, inode, bytes;
    int64_t  changed_ns;            /* since 1970 */
};

struct file_map {
    const uint8_t   *p;
    size_t           n;
    struct file_mark mark;          /* of the very file that is mapped */
};

enum file_kind { FILE_NONE, FILE_PLAIN, FILE_FOLDER, FILE_OTHER };
enum file_kind file_kind(const char *path);

/* Maps a plain file for reading.  An empty file maps to {NULL, 0}. */
MUST_USE bool file_map(struct file_map *out, const char *path, struct err *e);
void          file_unmap(struct file_map *m);

/* Gives back the memory of a part of a map that was read; it comes again when it is read again. */
void file_forget(const void *p, size_t n);

/* Makes an open, empty file n bytes long, all of them on the disk: what is written there later cannot meet a full one. */
MUST_USE bool file_reserve(int fd, uint64_t n, struct err *e);

/* Makes the folder and those above it, for this user alone. */
MUST_USE bool folder_make(const char *path, struct err *e);

/* The same with other permissions, from which the user's umask takes. */
MUST_USE bool folder_make_as(const char *path, unsigned mode, struct err *e);

/* Appends the whole file.  ERR_TOO_LARGE when it is over bytes_max. */
MUST_USE bool file_read(struct buf *out, const char *path, size_t bytes_max, struct err *e);

/* Where programs keep what they can make again, as $XDG_CACHE_HOME or the system's custom says, with /hearth behind it; to
 * be freed by the caller.  NULL: nobody says. */
char *cache_folder(void);

/* folder/name, to be freed by the caller. */
char *path_join(const char *folder, const char *name);

#ifdef __cplusplus
}
#endif
#endif
