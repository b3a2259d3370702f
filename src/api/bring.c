/* bring.c -- see bring.h.
 *
 * FILES.  A path is taken only where it really leads into a permitted folder, symbolic links followed; whether it exists is
 * not told of any other.  Who can change links within that folder while we look is trusted not to.  Files are read, not
 * mapped: one that is written anew meanwhile would end the server by a signal. */
#include "api/bring.h"

#include "api/data_url.h"
#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static bool has_scheme(struct str url, const char *scheme)
{
    size_t n = strlen(scheme);
    if (url.n < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = url.p[i] >= 'A' && url.p[i] <= 'Z' ? (char)(url.p[i] - 'A' + 'a') : url.p[i];
        if (c != scheme[i])
            return false;
    }
    return true;
}

/* Whether a real path lies in a permitted folder. */
static bool permitted(const struct eyes *eyes, const char *path)
{
    bool ok = false;
    for (size_t i = 0; !ok && eyes->root && eyes->root[i]; i++) {
        char *root = realpath(eyes->root[i], NULL);
        if (!root)
            continue;
        size_t n = strlen(root);
        ok = strncmp(path, root, n) == 0 && (path[n] == '/' || root[n - 1] == '/');
        free(root);
    }
    return ok;
}

static bool read_file(const char *path, struct buf *out, struct err *e)
{
    if (file_kind(path) != FILE_PLAIN)
        return err_set(e, ERR_INVALID, "it is no plain file");
    if (file_read(out, path, out->bytes_max, e))
        return true;
    return e->kind == ERR_TOO_LARGE ? err_set(e, ERR_TOO_LARGE, "it has over %zu bytes", out->bytes_max)
                                    : err_set(e, ERR_INVALID, "it cannot be read, or became shorter while it was");
}

static bool from_file(const struct eyes *eyes, struct str url, struct buf *out, struct err *e)
{
    if (!eyes->root || !eyes->root[0])
        return err_set(e, ERR_INVALID, "files of this machine are not shown here (hearth serve --media-root FOLDER permits it)");
    if (memchr(url.p, '\0', url.n))
        return err_set(e, ERR_INVALID, "the path holds a NUL");
    char *given = mem_copy(url.p, url.n), *path = realpath(given, NULL);
    bool  ok = path && permitted(eyes, path);
    if (!ok)
        err_set(e, ERR_INVALID, "there is no such file in a folder that may be shown (--media-root)");
    ok = ok && read_file(path, out, e);
    free(path);
    free(given);
    return ok;
}

/* What stands behind file://: a host, which may only be this one, and the path with percent signs (pathlib's as_uri()). */
static bool from_file_url(const struct eyes *eyes, struct str rest, struct buf *out, struct err *e)
{
    static const struct str host = {"localhost", 9};
    struct buf              path;
    if (str_starts(rest, host) && rest.n > host.n && rest.p[host.n] == '/')
        rest = (struct str){rest.p + host.n, rest.n - host.n};
    buf_init(&path, 0);
    bool ok = percent_bytes(rest, &path, e) && from_file(eyes, buf_view(&path), out, e);
    buf_drop(&path);
    return ok;
}

static bool from_network(const struct eyes *eyes, struct str url, struct buf *out, struct view_totals *totals, const atomic_word *stop,
                         struct err *e)
{
    if (!eyes->fetch)
        return err_set(e, ERR_INVALID, "nothing is fetched from the network here");
    if (memchr(url.p, '\0', url.n))
        return err_set(e, ERR_INVALID, "the address holds a NUL");
    char *address = mem_copy(url.p, url.n);
    bool  ok = fetch_get(eyes->fetch, address, out, stop, e);
    atomic_fetch_add(&totals->fetches, 1);
    atomic_fetch_add(ok ? &totals->fetched_bytes : &totals->fetch_failures, ok ? out->n : 1);
    free(address);
    return ok;
}

bool bring(const struct eyes *eyes, struct str url, struct buf *out, struct view_totals *totals, const atomic_word *stop, struct err *e)
{
    static const struct str file = {"file://", 7};
    if (data_url_is(url))
        return data_url_bytes(url, out, e);
    if (has_scheme(url, "http://") || has_scheme(url, "https://"))
        return from_network(eyes, url, out, totals, stop, e);
    if (has_scheme(url, file.p))
        return from_file_url(eyes, (struct str){url.p + file.n, url.n - file.n}, out, e);
    if (str_find(url, STR("://")) != STR_NONE)
        return err_set(e, ERR_INVALID, "addresses begin with http://, https://, data: or file://");
    return from_file(eyes, url, out, e);
}
