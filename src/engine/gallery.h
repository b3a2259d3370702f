/* gallery.h -- features of pictures that were looked at, for whoever shows the same picture again.
 *
 * All features lie in one piece of the backend's memory, sized at start, in pages of GALLERY_ROWS rows and all levels.  A
 * picture takes as many pages as it needs, wherever they are: nothing is moved, and nothing grows.
 *
 * A sight is a picture's place here.  It is known by the picture's key, to all jobs, from the moment that the first of them
 * wants it: who comes while it is being looked at waits for the same features.  Who needs it holds it; of those that nobody
 * holds the one idle for longest is given up when room is short.
 *
 * Nothing is allocated after gallery_open().  Engine thread only. */
#ifndef ENGINE_GALLERY_H
#define ENGINE_GALLERY_H

#include "backend/backend.h"

enum { GALLERY_ROWS = 64 };

enum sight_state {
    SIGHT_BLANK,                    /* nobody has looked yet, or somebody is looking */
    SIGHT_READY,
    SIGHT_FAILED,                   /* nobody finds it any more; who holds it must let go */
};

struct sight {
    struct sha256    key;
    enum sight_state state;
    bool             findable;
    uint32_t         n_row, first_page, ref;    /* pages are chained through gallery.next */
    uint32_t         next, prev;                /* among the idle; next also among the unused */
    uint32_t         chain;                     /* in its slot of the table */
};

struct gallery {
    const struct backend_type *type;
    struct features *features;
    uint32_t         n_level, row_bytes;
    uint32_t        *next, n_page, spare, n_spare;          /* pages */
    struct sight    *sight;
    uint32_t         n_sight, unused, *slot, slot_mask;     /* as many sights as pages */
    uint32_t         idle_first, idle_last;
    uint32_t         newline;                               /* the page of the model's own row, or GALLERY_NONE */
    uint32_t         n_known;
    uint64_t         n_evicted;
};

#define GALLERY_NONE UINT32_MAX

uint64_t gallery_page_bytes(uint32_t n_level, uint32_t width);
uint64_t gallery_host_bytes(uint32_t n_page);

MUST_USE bool gallery_open(struct gallery *x, const struct backend_type *t, struct backend *b, uint32_t n_page, uint32_t n_level,
                           uint32_t width, struct err *e);
void          gallery_close(struct gallery *x);         /* a zeroed one is fine */

/* Puts a row of the model's own into a page that stays. */
MUST_USE bool gallery_newline(struct gallery *x, const float *row, struct err *e);

static inline uint32_t gallery_pages(uint32_t n_row)
{
    return n_row / GALLERY_ROWS + (n_row % GALLERY_ROWS != 0);
}

struct sight *gallery_find(const struct gallery *x, const struct sha256 *key);       /* NULL: not known; not held by this */

/* A blank one, held once, giving up idle ones for it.  NULL: what is held leaves no room now.  hidden: nobody is to find it. */
struct sight *gallery_make(struct gallery *x, const struct sha256 *key, uint32_t n_row, bool hidden);

void gallery_ref(struct gallery *x, struct sight *s);
void gallery_unref(struct gallery *x, struct sight *s);     /* the last of a blank, failed or hidden one frees it */
void gallery_fail(struct gallery *x, struct sight *s);      /* it is found no more */

/* Copies row `from` of the plan's results, on all levels, to row `to` of the sight; n of them, one after the other. */
MUST_USE bool gallery_keep(struct gallery *x, struct sight *s, struct plan *pl, uint32_t from, uint32_t to, uint32_t n,
                           struct err *e);

/* The span for rows from … of the sight (NULL: the model's own row), at most n: as many as lie in one page. */
struct span gallery_span(const struct gallery *x, const struct sight *s, uint32_t from, uint32_t n);

uint64_t gallery_bytes_used(const struct gallery *x);       /* held or idle */

#endif
