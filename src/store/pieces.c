/* pieces.c -- see pieces.h. */
#include "store/pieces.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* NAME, NO and COUNT of "NAME-NO-of-COUNT.gguf", numbers of five digits. */
struct part_name {
    struct str stem;
    unsigned   no, count;
};

static bool digits(const char *p, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 5; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        *out = *out * 10 + (unsigned)(p[i] - '0');
    }
    return true;
}

static bool name_read(const char *path, struct part_name *out)
{
    static const char form[] = "-00000-of-00000.gguf";
    const size_t      n = strlen(path), tail = sizeof form - 1;
    if (n < tail)
        return false;
    const char *p = path + n - tail;
    out->stem = (struct str){path, n - tail};
    return p[0] == '-' && digits(p + 1, &out->no) && strncmp(p + 6, "-of-", 4) == 0 && digits(p + 10, &out->count) &&
           strcmp(p + 15, ".gguf") == 0 && out->count > 0 && out->count <= PIECES_MAX && out->no > 0 && out->no <= out->count;
}

static char *path_of(const struct part_name *x, unsigned no)
{
    struct buf text;
    buf_init(&text, 0);
    buf_printf(&text, "%.*s-%05u-of-%05u.gguf", (int)x->stem.n, x->stem.p, no, x->count);
    return buf_take(&text);
}

static bool file_take(struct pieces *p, struct gguf **out, const char *path, struct err *e)
{
    if (!file_map(&p->map[p->n], path, e))
        return false;
    p->n++;
    return gguf_parse(out, p->map[p->n - 1].p, p->map[p->n - 1].n, path, e);
}

/* One part: the first becomes the whole, to which the others add. */
static bool part_take(struct pieces *p, const struct part_name *x, unsigned no, struct err *e)
{
    char        *path = path_of(x, no);
    struct gguf *g = NULL;
    bool         ok = file_take(p, &g, path, e);
    int64_t      is = ok ? gguf_int(g, "split.no", -1) + 1 : 0, of = ok ? gguf_int(g, "split.count", -1) : 0;
    if (ok && of < 0)
        ok = err_set(e, ERR_CORRUPT, "%s: its name says that it is one part of %u, it does not; a whole file needs another name", path, x->count);
    else if (ok && (is != no || of != x->count))
        ok = err_set(e, ERR_CORRUPT, "%s: it says that it is part %" PRId64 " of %" PRId64, path, is, of);
    if (ok && p->gguf)
        ok = gguf_join(p->gguf, g, e) || err_in(e, "%s", path);
    if (!p->gguf)
        p->gguf = g;
    else
        gguf_free(g);
    free(path);
    return ok;
}

static bool all_take(struct pieces *p, const struct part_name *x, struct err *e)
{
    for (unsigned no = 1; no <= x->count; no++)
        if (!part_take(p, x, no, e))
            return false;
    uint64_t here = gguf_n_tensors(p->gguf);
    int64_t  said = gguf_int(p->gguf, "split.tensors.count", (int64_t)here);
    return (uint64_t)said == here || err_set(e, ERR_CORRUPT, "%.*s: its parts hold %" PRIu64 " tensors, but should hold %" PRId64,
                                             (int)x->stem.n, x->stem.p, here, said);
}

static bool open_any(struct pieces *p, const char *path, struct err *e)
{
    struct part_name x;
    if (name_read(path, &x) && x.count > 1) {
        p->map = mem_array(x.count, sizeof *p->map);
        return all_take(p, &x, e);
    }
    p->map = mem_array(1, sizeof *p->map);
    if (!file_take(p, &p->gguf, path, e))
        return false;
    int64_t count = gguf_int(p->gguf, "split.count", 1);
    return count <= 1 || err_set(e, ERR_UNSUPPORTED, "%s: it is one part of %" PRId64 "; they are found by names that end in "
                                 "-00001-of-%05" PRId64 ".gguf", path, count, count);
}

bool pieces_open(struct pieces *out, const char *path, struct err *e)
{
    if (open_any(out, path, e))
        return true;
    pieces_close(out);
    return false;
}

void pieces_close(struct pieces *p)
{
    gguf_free(p->gguf);
    for (size_t i = 0; i < p->n; i++)
        file_unmap(&p->map[i]);
    free(p->map);
    *p = (struct pieces){0};
}
