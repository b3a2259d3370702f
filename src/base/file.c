/* file.c -- see file.h. */
#include "base/file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum file_kind file_kind(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return FILE_NONE;
    return S_ISREG(st.st_mode) ? FILE_PLAIN : S_ISDIR(st.st_mode) ? FILE_FOLDER : FILE_OTHER;
}

/* Opens a plain file for reading; -1 and *e otherwise. */
static int open_plain(const char *path, size_t *bytes, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        err_os(e, "opening %s", path);
        return -1;
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        err_os(e, "reading %s", path);
    } else if (!S_ISREG(st.st_mode)) {
        err_set(e, ERR_INVALID, "%s is not a plain file", path);
    } else {
        *bytes = (size_t)st.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

bool file_map(struct file_map *out, const char *path, struct err *e)
{
    size_t n;
    int    fd = open_plain(path, &n, e);
    if (fd < 0)
        return false;
    void *p = n ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    bool  ok = p != MAP_FAILED || err_os(e, "mapping %s", path);
    close(fd);
    if (ok)
        *out = (struct file_map){p, n};
    return ok;
}

void file_unmap(struct file_map *m)
{
    if (m->p)
        munmap((void *)(uintptr_t)m->p, m->n);
    *m = (struct file_map){0};
}

bool file_read(struct buf *out, const char *path, size_t bytes_max, struct err *e)
{
    size_t n;
    int    fd = open_plain(path, &n, e);
    if (fd < 0)
        return false;
    bool  ok = n <= bytes_max || err_set(e, ERR_TOO_LARGE, "%s has %zu bytes; the limit is %zu", path, n, bytes_max);
    char *at = ok ? buf_reserve(out, n) : NULL;
    if (ok && !at)
        ok = err_set(e, ERR_TOO_LARGE, "%s does not fit its buffer", path);
    size_t got = 0;
    while (ok && got < n) {
        ssize_t r = read(fd, at + got, n - got);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            ok = r < 0 ? err_os(e, "reading %s", path) : err_set(e, ERR_IO, "%s became shorter while being read", path);
        else
            got += (size_t)r;
    }
    close(fd);
    if (ok && at) {
        out->n += n;
        out->p[out->n] = '\0';
    }
    return ok;
}

char *path_join(const char *folder, const char *name)
{
    struct buf b;
    buf_init(&b, 0);
    bool slash = folder[0] && folder[strlen(folder) - 1] != '/';
    buf_printf(&b, "%s%s%s", folder, slash ? "/" : "", name);
    return buf_take(&b);
}
