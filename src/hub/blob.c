/* blob.c -- see blob.h. */
#include "hub/blob.h"

#include "base/file.h"
#include "base/mem.h"
#include "hub/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MODE = 0666, FOLDER_MODE = 0777, TRIES_MAX = 5, LOCK_MS = 100, PIECE_BYTES = 1 << 20 };

/* ---- names -------------------------------------------------------------------------------------------------------- */

void hub_folders_init(struct hub_folders *f, const struct hub_place *p, const char *repo, const char *commit)
{
    char *name = hub_folder_name(repo), *locks = path_join(p->cache, ".locks");
    *f = (struct hub_folders){.repo = path_join(p->cache, name), .locks = path_join(locks, name)};
    char *snapshots = path_join(f->repo, "snapshots");
    f->blobs = path_join(f->repo, "blobs");
    f->snapshot = path_join(snapshots, commit);
    snprintf(f->commit, sizeof f->commit, "%s", commit);
    free(snapshots);
    free(locks);
    free(name);
}

void hub_folders_drop(struct hub_folders *f)
{
    free(f->repo);
    free(f->blobs);
    free(f->snapshot);
    free(f->locks);
    *f = (struct hub_folders){0};
}

/* folder/ID and what comes behind, to be freed. */
static char *named(const char *folder, const struct hub_file *file, const char *end)
{
    char name[HUB_ID_MAX + 40];
    snprintf(name, sizeof name, "%s%s", file->id, end);
    return path_join(folder, name);
}

/* The plain file's size; UINT64_MAX: there is none. */
static uint64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : UINT64_MAX;
}

bool hub_blob_linked(const struct hub_folders *f, const struct hub_file *file)
{
    char *link = path_join(f->snapshot, file->path);
    bool  there = size_of(link) == file->bytes;
    free(link);
    return there;
}

uint64_t hub_blob_there(const struct hub_folders *f, const struct hub_file *file)
{
    char    *whole = named(f->blobs, file, ""), *part = named(f->blobs, file, ".incomplete");
    uint64_t bytes = hub_blob_linked(f, file) || size_of(whole) == file->bytes ? file->bytes : size_of(part);
    free(whole);
    free(part);
    return bytes <= file->bytes ? bytes : 0;
}

/* ---- locks -------------------------------------------------------------------------------------------------------- */

/* Whether the open file is still the one of that name: some remove theirs when they are done. */
static bool is_still(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* True: locked, or this disk knows no locks; then nothing worse can happen than that bytes come twice, since each writer puts
 * the same bytes in the same place. */
static bool lock_now(int fd)
{
    int done;
    do
        done = flock(fd, LOCK_EX | LOCK_NB);
    while (done != 0 && errno == EINTR);
    return done == 0 || errno != EWOULDBLOCK;
}

int hub_lock(struct hub_run *r, const char *path, bool at_once, struct err *e)
{
    for (bool said = false;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
        if (fd < 0) {
            err_os(e, "opening %s", path);
            return -1;
        }
        bool locked = lock_now(fd);
        if (locked && is_still(fd, path))
            return fd;
        close(fd);
        if (locked)
            continue;
        if (at_once) {
            err_set(e, ERR_BUSY, "another program is fetching it at this moment");
            return -1;
        }
        if (!said)
            hub_run_note(r, "another program fetches the same file; waiting for it");
        said = true;
        if (!hub_run_sleep(r, LOCK_MS)) {
            err_set(e, ERR_GONE, "stopped");
            return -1;
        }
    }
}

/* ---- bytes -------------------------------------------------------------------------------------------------------- */

struct blob {
    struct hub_run           *run;
    const struct hub_folders *folders;
    const struct hub_file    *file;
    char                     *whole, *part, *lock;      /* paths */
    int                       fd;                       /* of the part */
    struct hub_digest        *digest;                   /* of sink.at bytes */
    struct hub_sink           sink;
};

static void restart(struct blob *b)
{
    hub_digest_free(b->digest);
    b->digest = hub_digest_new(b->file);
    b->sink.at = 0;
}

static bool take(void *ctx, struct str piece, struct err *e)
{
    struct blob *b = ctx;
    if (piece.n > b->file->bytes - b->sink.at)
        return err_set(e, ERR_CORRUPT, "%s: more comes than the hub promised", b->file->path);
    for (size_t done = 0; done < piece.n;) {
        ssize_t n = pwrite(b->fd, piece.p + done, piece.n - done, (off_t)(b->sink.at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_os(e, "writing %s", b->part);
        done += (size_t)n;
    }
    hub_digest_add(b->digest, piece.p, piece.n);
    hub_run_count(b->run, (int64_t)piece.n, piece.n, 0);
    return true;
}

/* From the first byte on; what came of this file no longer counts. */
static bool again(void *ctx, struct err *e)
{
    struct blob *b = ctx;
    struct stat  st;
    if (fstat(b->fd, &st) != 0 || ftruncate(b->fd, 0) != 0)
        return err_os(e, "emptying %s", b->part);
    hub_run_count(b->run, -(int64_t)st.st_size, 0, 0);
    restart(b);
    return true;
}

/* Reads what an earlier pull left, for its hash. */
static bool take_part(struct blob *b, struct err *e)
{
    struct stat st;
    char       *piece = mem_new(PIECE_BYTES);
    bool        ok = fstat(b->fd, &st) == 0 || err_os(e, "reading %s", b->part);
    restart(b);
    if (ok && (uint64_t)st.st_size > b->file->bytes)
        ok = ftruncate(b->fd, 0) == 0 || err_os(e, "emptying %s", b->part);
    while (ok && (uint64_t)st.st_size <= b->file->bytes) {
        ssize_t n = pread(b->fd, piece, PIECE_BYTES, (off_t)b->sink.at);
        if (n <= 0 || hub_run_stopped(b->run))
            break;
        hub_digest_add(b->digest, piece, (size_t)n);
        b->sink.at += (uint64_t)n;
    }
    free(piece);
    hub_run_count(b->run, (int64_t)b->sink.at, 0, 0);
    return ok;
}

static bool get(struct blob *b, struct hub_get *g, struct err *e)
{
    struct buf path;
    buf_init(&path, 0);
    buf_printf(&path, "/%s/resolve/%s/", b->run->name->repo, b->folders->commit);
    hub_url_part(&path, str_of(b->file->path), "/");
    bool ok = b->sink.at == b->file->bytes || hub_get(g, path.p, &b->sink, e);
    buf_drop(&path);
    return ok;
}

static bool is_right(struct blob *b)
{
    char id[HUB_ID_MAX + 1];
    hub_digest_end(b->digest, id);
    return strcmp(id, b->file->id) == 0;
}

/* A part that somebody else left may have holes: wrong with it, the file is fetched once more, whole. */
static bool fill(struct blob *b, struct hub_get *g, struct err *e)
{
    if (!take_part(b, e))
        return false;
    bool resumed = b->sink.at > 0;
    for (;; resumed = false) {
        if (!get(b, g, e))
            return false;
        if (is_right(b))
            return true;
        if (!again(b, e))
            return false;
        if (!resumed)
            break;
        hub_run_note(b->run, "%s: the part that was there is damaged; fetching all of it", b->file->path);
    }
    (void)unlink(b->part);
    return err_set(e, ERR_CORRUPT, "%s came damaged: its hash is not the one that the hub names.  Nothing of it was kept; try again, "
                                   "and if it stays so, something between here and the hub changes files", b->file->path);
}

static bool fetch(struct blob *b, struct hub_get *g, struct err *e)
{
    b->fd = open(b->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (b->fd < 0)
        return err_os(e, "opening %s", b->part);
    bool ok = fill(b, g, e) && (fsync(b->fd) == 0 || err_os(e, "writing %s", b->part)) &&
              (rename(b->part, b->whole) == 0 || err_os(e, "naming %s", b->whole));
    close(b->fd);
    hub_digest_free(b->digest);
    return ok;
}

/* Under a name of its own first, so that the link is there whole or not at all, and replaces one that leads nowhere. */
static bool make_link(const struct blob *b, struct err *e)
{
    struct buf target;
    char       end[32], *link = path_join(b->folders->snapshot, b->file->path), *cut = strrchr(link, '/');
    snprintf(end, sizeof end, ".%ld.link", (long)getpid());
    char *early = named(b->folders->blobs, b->file, end);
    buf_init(&target, 0);
    buf_str(&target, STR("../../"));
    for (const char *p = b->file->path; *p; p++)
        if (*p == '/')
            buf_str(&target, STR("../"));
    buf_printf(&target, "blobs/%s", b->file->id);
    *cut = '\0';
    bool ok = folder_make_as(link, FOLDER_MODE, e);
    *cut = '/';
    (void)unlink(early);
    ok = ok && ((symlink(target.p, early) == 0 && rename(early, link) == 0) || err_os(e, "linking %s", link));
    buf_drop(&target);
    free(early);
    free(link);
    return ok;
}

bool hub_blob_fetch(struct hub_run *r, struct hub_get *g, const struct hub_folders *f, const struct hub_file *file, struct err *e)
{
    struct blob b = {.run = r, .folders = f, .file = file, .whole = named(f->blobs, file, ""), .fd = -1,
                     .part = named(f->blobs, file, ".incomplete"), .lock = named(f->locks, file, ".lock")};
    b.sink = (struct hub_sink){.take = take, .again = again, .ctx = &b, .bytes = file->bytes, .tries_max = TRIES_MAX};
    bool ok = folder_make_as(f->blobs, FOLDER_MODE, e) && folder_make_as(f->locks, FOLDER_MODE, e);
    int  lock = ok ? hub_lock(r, b.lock, false, e) : -1;
    bool there = lock >= 0 && size_of(b.whole) == file->bytes;
    if (there)
        hub_run_count(r, (int64_t)file->bytes, 0, 0);
    ok = lock >= 0 && (there || fetch(&b, g, e)) && make_link(&b, e);
    if (lock >= 0)
        close(lock);
    free(b.whole);
    free(b.part);
    free(b.lock);
    return ok;
}
