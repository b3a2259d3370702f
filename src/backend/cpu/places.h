/* places.h -- where packed weights lie: in a file of packed weights where one is wanted and to be had, else in memory.
 *
 * There is one copy in either case.  With a file it is the page cache's: mapped, whether an earlier start packed it or this
 * one does now. */
#ifndef BACKEND_CPU_PLACES_H
#define BACKEND_CPU_PLACES_H

#include "backend/cpu/pack.h"
#include "backend/packfile.h"

struct places {
    struct packfile      file;
    struct packfile_head head;
    uint64_t            *at;        /* [n_weight] in the file's data, by wt id - 1; NULL: there is no file */
    size_t               n_weight, n_to_come;
    bool                 filled;    /* the file's data are those of all weights */
    struct kept          kept;
    struct chunk        *chunk;     /* memory for weights that no file has */
};

/* All weights that will be asked for, by wt id - 1.  Looks for the file, looks it through, or makes a new one; what fails
 * is noted in `kept` and means memory. */
void places_expect(struct places *p, const struct pack_opts *o, const struct bundle *m, const struct parts parts[],
                   struct team *t);

/* Room for a weight, zeroed and aligned to PANEL_ALIGN; *filled: it lies there already.  NULL: no memory. */
uint8_t *places_take(struct places *p, wt w, uint64_t bytes, bool *filled);

/* That weight is packed now.  With the last one the file is finished. */
void places_done(struct places *p, struct team *t);

void places_drop(struct places *p);

#endif
