/* file.c -- see file.h. */
#include "base/file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum file_kind file_kind(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return FILE_NONE;
    return S_ISREG(st.st_mode) ? FILE_PLAIN : S_ISDIR(st.st_mode) ? FILE_FOLDER : FILE_OTHER;
}

static struct file_mark mark_of(const struct stat *st)
{
#ifdef __APPLE__
    const struct timespec *t = &st->st_mtimespec;
#else
    const struct timespec *t = &st->st_mtim;
#endif
    return (struct file_mark){(uint64_t)st->st_dev, (uint64_t)st->st_ino, (uint64_t)st->st_size,
                              (int64_t)t->tv_sec * 1000000000 + t->tv_nsec};
}

/* Opens a plain file for reading; -1 and *e otherwise. */
static int open_plain(const char *path, struct file_mark *mark, struct err *e)
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
        *mark = mark_of(&st);
        return fd;
    }
    close(fd);
    return -1;
}

bool file_map(struct file_map *out, const char *path, struct err *e)
{
    struct file_mark mark;
    int              fd = open_plain(path, &mark, e);
    if (fd < 0)
        return false;
    size_t n = (size_t)mark.bytes;
    void  *p = n ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    bool   ok = p != MAP_FAILED || err_os(e, "mapping %s", path);
    close(fd);
    if (ok)
        *out = (struct file_map){p, n, mark};
    return ok;
}

void file_unmap(struct file_map *m)
{
    if (m->p)
        munmap((void *)(uintptr_t)m->p, m->n);
    *m = (struct file_map){0};
}

void file_forget(const void *p, size_t n)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)p / page * page;
    if (n)
        madvise((void *)from, (uintptr_t)p + n - from, MADV_DONTNEED);
}

/* Reserving is refused before it is tried where a limit says so: the system would send a signal that ends the process. */
bool file_reserve(int fd, uint64_t n, struct err *e)
{
    struct rlimit limit;
    if (n > INT64_MAX)
        return err_set(e, ERR_TOO_LARGE, "no file has %llu bytes", (unsigned long long)n);
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < n)
        return err_set(e, ERR_TOO_LARGE, "files may have %llu bytes (ulimit -f), not %llu",
                       (unsigned long long)limit.rlim_cur, (unsigned long long)n);
#ifdef __APPLE__
    fstore_t all = {.fst_flags = F_ALLOCATEALL, .fst_posmode = F_PEOFPOSMODE, .fst_length = (off_t)n};
    if (fcntl(fd, F_PREALLOCATE, &all) != 0 || ftruncate(fd, (off_t)n) != 0)
        return err_os(e, "reserving %llu bytes", (unsigned long long)n);
    return true;
#else
    errno = posix_fallocate(fd, 0, (off_t)n);
    return errno == 0 || err_os(e, "reserving %llu bytes", (unsigned long long)n);
#endif
}

bool folder_make(const char *path, struct err *e)
{
    return folder_make_as(path, 0700, e);
}

bool folder_make_as(const char *path, unsigned mode, struct err *e)
{
    char *at = mem_copy(path, strlen(path));
    for (char *p = at + 1; *p; p++)
        if (*p == '/') {
            *p = '\0';
            (void)mkdir(at, (mode_t)mode);
            *p = '/';
        }
    bool ok = mkdir(at, (mode_t)mode) == 0 || file_kind(at) == FILE_FOLDER || err_os(e, "making the folder %s", path);
    free(at);
    return ok;
}

bool file_read(struct buf *out, const char *path, size_t bytes_max, struct err *e)
{
    struct file_mark mark;
    int              fd = open_plain(path, &mark, e);
    if (fd < 0)
        return false;
    size_t n = (size_t)mark.bytes;
    bool   ok = n <= bytes_max || err_set(e, ERR_TOO_LARGE, "%s has %zu bytes; the limit is %zu", path, n, bytes_max);
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

char *cache_folder(void)
{
#ifdef __APPLE__
    static const char custom[] = "Library/Caches/hearth";
#else
    static const char custom[] = ".cache/hearth";
#endif
    const char *said = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (said && said[0] == '/')
        return path_join(said, "hearth");
    return home && home[0] == '/' ? path_join(home, custom) : NULL;
}

char *path_join(const char *folder, const char *name)
{
    struct buf b;
    buf_init(&b, 0);
    bool slash = folder[0] && folder[strlen(folder) - 1] != '/';
    buf_printf(&b, "%s%s%s", folder, slash ? "/" : "", name);
    return buf_take(&b);
}
