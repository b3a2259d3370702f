/* look.h -- the tower looks at pictures, a piece of time between each two steps of the text.
 *
 * One picture is under way at a time.  A run of the tower stops when its slice is over and goes on behind the next step, so
 * that whoever draws meanwhile waits for a slice at most, however large the picture is.  Between pictures the clients whose
 * jobs wait for one take turns.
 *
 * A picture is looked at only when a job comes to read its rows: what the cache of blocks has needs no features.  It is held by
 * all jobs that wait for it; when the last of them goes, it is dropped where it stands. */
#ifndef ENGINE_LOOK_H
#define ENGINE_LOOK_H

#include "engine/gallery.h"
#include "engine/shown.h"

struct engine;
struct engine_plan;
struct seq;

struct look {
    const struct vision *vision;    /* NULL: the model sees nothing */
    struct plan         *plan;
    struct gallery       gallery;
    float               *patches, *place, *share, *one;     /* of the picture under way, as the program wants them */
    uint32_t            *pos, *order, *moved, *window;
    struct batch         batch;
    uint32_t             start[2], past;
    const float         *input[INPUTS_MAX];
    struct sight        *now;       /* under way, and held; NULL: none */
    uint32_t             n_row, n_feature;
    bool                 begun;     /* a run of it has stopped */
    uint64_t             turn;      /* counts pictures begun */
};

/* Host and backend memory for the tower and one picture, and pages of the gallery; nothing is allocated. */
uint64_t look_bytes(const struct vision *v, uint32_t patches_max);
uint32_t look_rows(const struct vision *v, uint32_t patches_max);   /* of the program, at most */

MUST_USE bool look_open(struct engine *g, struct err *e);
void          look_close(struct engine *g);

/* Has s, which is to read what comes next, hold the features there, as far as a step could read; the first that nobody has
 * looked at is wanted from now on. */
void look_want(struct engine *g, struct seq *s);

/* A picture is under way, or one that could be is wanted. */
bool look_busy(const struct engine *g);

/* Looks for about so long, at the next pictures too.  False: there was nothing to look at. */
bool look_slice(struct engine *g, uint64_t ns);

/* s needs nothing any more of what lies before its n_done tokens; nothing at all. */
void look_pass(struct engine *g, struct seq *s);
void look_leave(struct engine *g, struct seq *s);

#endif
