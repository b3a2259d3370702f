/* packfile.c -- see packfile.h.
 *
 * An unfinished file is locked by its maker for as long as he lives, so whoever gets the lock may remove it.  Process
 * numbers would not do: they mean something else in the next container. */
#include "backend/packfile.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* The head as it lies in the file. */
struct raw {
    uint8_t       magic[8];
    uint32_t      version, layout;
    struct sha256 key;
    uint64_t      shape, bytes, sum;
    char          label[PACKFILE_LABEL];
    uint8_t       zero[PACKFILE_HEAD - 72 - PACKFILE_LABEL - 8];
    uint64_t      check;            /* of all before it */
};
_Static_assert(sizeof(struct raw) == PACKFILE_HEAD, "the head is one page");

static const uint8_t MAGIC[8] = {'h', 'e', 'a', 'r', 't', 'h', 'P', '\n'};
enum { VERSION = 1 };

static uint64_t check_of(const struct raw *r)
{
    return hash64(r, offsetof(struct raw, check), VERSION);
}

void packfile_print(const struct packfile_head *h, uint8_t out[PACKFILE_HEAD])
{
    struct raw r = {.version = VERSION, .layout = h->layout, .key = h->key, .shape = h->shape, .bytes = h->bytes, .sum = h->sum};
    memcpy(r.magic, MAGIC, sizeof MAGIC);
    snprintf(r.label, sizeof r.label, "%s", h->label);
    r.check = check_of(&r);
    memcpy(out, &r, sizeof r);
}

/* It is printed in lists: text, and nothing that a terminal would obey. */
static bool label_fits(const char *label)
{
    size_t n = strnlen(label, PACKFILE_LABEL);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)label[i] < 32 || label[i] == 127)
            return false;
    return n < PACKFILE_LABEL;
}

bool packfile_parse(struct packfile_head *out, const uint8_t *p, size_t n, uint64_t file_bytes, struct err *e)
{
    struct raw r;
    if (n < sizeof r)
        return err_set(e, ERR_CORRUPT, "it has no head");
    memcpy(&r, p, sizeof r);
    if (memcmp(r.magic, MAGIC, sizeof MAGIC) != 0)
        return err_set(e, ERR_CORRUPT, "it does not hold packed weights");
    if (r.version != VERSION)
        return err_set(e, ERR_UNSUPPORTED, "its form is version %" PRIu32 ", not %d", r.version, VERSION);
    if (r.check != check_of(&r))
        return err_set(e, ERR_CORRUPT, "its head has changed");
    if (file_bytes < sizeof r || r.bytes != file_bytes - sizeof r)
        return err_set(e, ERR_CORRUPT, "it holds %" PRIu64 " bytes, and says %" PRIu64, file_bytes, r.bytes);
    if (!label_fits(r.label))
        return err_set(e, ERR_CORRUPT, "its label is no text");
    *out = (struct packfile_head){.key = r.key, .layout = r.layout, .shape = r.shape, .bytes = r.bytes, .sum = r.sum};
    memcpy(out->label, r.label, sizeof r.label);
    return true;
}

uint32_t packfile_pieces(uint64_t bytes)
{
    return (uint32_t)((bytes + PACKFILE_PIECE - 1) / PACKFILE_PIECE);
}

uint64_t packfile_piece_sum(const uint8_t *data, uint64_t bytes, uint32_t i)
{
    uint64_t from = (uint64_t)i * PACKFILE_PIECE, n = bytes - from < PACKFILE_PIECE ? bytes - from : PACKFILE_PIECE;
    return hash64(data + from, (size_t)n, i);
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

/* Opens a file of ours and reads its head; -1 and *e otherwise.  What others could have written there is not trusted. */
static int open_head(struct packfile_head *out, const char *path, struct err *e)
{
    uint8_t     head[PACKFILE_HEAD];
    struct stat st;
    int         fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        err_os(e, "opening %s", path);
        return -1;
    }
    ssize_t n = pread(fd, head, sizeof head, 0);
    bool    ok = n >= 0 && fstat(fd, &st) == 0;
    if (!ok)
        err_os(e, "reading %s", path);
    else if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
        ok = err_set(e, ERR_DENIED, "%s is not a file of this user's", path);
    else
        ok = packfile_parse(out, head, (size_t)n, (uint64_t)st.st_size, e) || err_in(e, "%s", path);
    if (ok)
        return fd;
    close(fd);
    return -1;
}

bool packfile_look(struct packfile_head *out, const char *path, struct err *e)
{
    int fd = open_head(out, path, e);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Maps head and data; the file stays open. */
static bool map(struct packfile *f, int fd, int prot, struct err *e)
{
    void *p = mmap(NULL, (size_t)f->bytes + PACKFILE_HEAD, prot, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return err_os(e, "mapping %s", f->path);
    f->data = (uint8_t *)p + PACKFILE_HEAD;
    return true;
}

bool packfile_open(struct packfile *out, const char *path, const struct packfile_head *want, uint64_t *sum, struct err *e)
{
    struct packfile_head head;
    int                  fd = open_head(&head, path, e);
    if (fd < 0)
        return false;
    struct packfile f = {.bytes = head.bytes, .path = mem_copy(path, strlen(path)), .fd = -1};
    bool ok = memcmp(&head.key, &want->key, sizeof head.key) == 0 && head.layout == want->layout &&
              head.shape == want->shape && head.bytes == want->bytes;
    if (!ok)
        err_set(e, ERR_CORRUPT, "%s was made from other weights, or in another way", path);
    ok = ok && map(&f, fd, PROT_READ, e);
    if (ok)
        (void)futimens(fd, (struct timespec[2]){{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}});
    close(fd);
    if (!ok) {
        packfile_close(&f);
        return false;
    }
    *sum = head.sum;
    *out = f;
    return true;
}

/* ---- writing ------------------------------------------------------------------------------------------------------ */

static const char UNFINISHED[] = ".unfinished";

static void remove_if_dead(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        (void)unlink(path);
    close(fd);
}

static void remove_dead(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        if (str_ends(str_of(d->d_name), STR(UNFINISHED))) {
            char *path = path_join(folder, d->d_name);
            remove_if_dead(path);
            free(path);
        }
    closedir(dir);
}

static bool have_space(const char *folder, uint64_t bytes, struct err *e)
{
    struct statvfs s;
    if (statvfs(folder, &s) != 0)
        return err_os(e, "looking at %s", folder);
    uint64_t free_bytes = (uint64_t)s.f_bavail * s.f_frsize;
    return (free_bytes >= bytes && free_bytes - bytes >= PACKFILE_SPARE)
           || err_set(e, ERR_TOO_LARGE, "%s has %" PRIu64 " MB left; %" PRIu64 " MB are wanted, and %" PRIu64 " MB shall stay free",
                      folder, free_bytes / 1000000, bytes / 1000000, PACKFILE_SPARE / 1000000);
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? mem_copy(path, slash > path ? (size_t)(slash - path) : 1) : mem_copy(".", 1);
}

static bool make(struct packfile *f, struct err *e)
{
    struct buf name;
    buf_init(&name, 0);
    buf_printf(&name, "%s.%016" PRIx64 "%s", f->path, random_u64(), UNFINISHED);
    f->unfinished = buf_take(&name);
    f->fd = open(f->unfinished, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (f->fd < 0) {
        err_os(e, "making %s", f->unfinished);
        free(f->unfinished);
        f->unfinished = NULL;
        return false;
    }
    (void)flock(f->fd, LOCK_EX | LOCK_NB);
    return file_reserve(f->fd, f->bytes + PACKFILE_HEAD, e) && map(f, f->fd, PROT_READ | PROT_WRITE, e);
}

bool packfile_new(struct packfile *out, const char *path, uint64_t bytes, struct err *e)
{
    struct packfile f = {.bytes = bytes, .path = mem_copy(path, strlen(path)), .fd = -1};
    char           *folder = folder_of(path);
    bool            ok = (bytes < SIZE_MAX / 2 || err_set(e, ERR_TOO_LARGE, "more than an address space")) && folder_make(folder, e);
    if (ok)
        remove_dead(folder);
    ok = ok && have_space(folder, bytes, e) && make(&f, e);
    free(folder);
    if (ok)
        *out = f;
    else
        packfile_close(&f);
    return ok;
}

bool packfile_finish(struct packfile *f, const struct packfile_head *h, struct err *e)
{
    uint8_t head[PACKFILE_HEAD];
    packfile_print(h, head);
    bool ok = pwrite(f->fd, head, sizeof head, 0) == (ssize_t)sizeof head && rename(f->unfinished, f->path) == 0;
    if (!ok) {
        err_os(e, "finishing %s", f->path);
        (void)unlink(f->unfinished);
    }
    (void)mprotect(f->data - PACKFILE_HEAD, (size_t)f->bytes + PACKFILE_HEAD, PROT_READ);
    free(f->unfinished);
    f->unfinished = NULL;
    close(f->fd);
    f->fd = -1;
    return ok;
}

void packfile_close(struct packfile *f)
{
    if (f->data)
        munmap(f->data - PACKFILE_HEAD, (size_t)f->bytes + PACKFILE_HEAD);
    if (f->unfinished) {
        (void)unlink(f->unfinished);
        close(f->fd);
    }
    free(f->unfinished);
    free(f->path);
    *f = (struct packfile){.fd = -1};
}
