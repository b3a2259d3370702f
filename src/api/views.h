/* views.h -- what a request shows, brought here: fetched, decoded, resized, named.
 *
 * A view is one picture or one video of the request, ready for the engine: the pixels of every run of the tower, 8 bits each, and
 * the names under which its features are known.  The names follow from the decoded, upright pixels, whatever they came wrapped
 * in.  Fetching and decoding take as long as they take: never on a thread that others wait for. */
#ifndef API_VIEWS_H
#define API_VIEWS_H

#include "api/media_parts.h"
#include "base/fetch.h"
#include "engine/engine.h"
#include "media/processor.h"

#include <stdatomic.h>

/* What seeing takes; all borrowed. */
struct eyes {
    const struct vision    *vision;
    const struct processor *processor;
    struct sha256           model;          /* names the weights */
    struct fetch           *fetch;
    const char *const      *root;           /* folders from which files may be shown; NULL at the end; NULL: none */
    const char             *video_helper;   /* NULL: beside this program */
    size_t                  bytes_max;      /* of a file */
    uint64_t                pixels_max;     /* of a picture, before it is made smaller */
    size_t                  held_max;       /* bytes of all pixels of one request, after it */
    size_t                  held_all_max;   /* of all requests that wait or run */
    unsigned                items_max;      /* pictures and videos of one request */
    unsigned                frames_max;     /* of a video */
    uint64_t                frame_pixels_max;   /* of one of its frames, after it was made smaller; 0: as the model has it */
    unsigned                n_thread;       /* that fetch and decode; 0: 4 */
};

struct view_totals {
    _Atomic uint64_t fetches, fetch_failures, fetched_bytes, decoded, decode_failures;
    _Atomic uint64_t held;              /* bytes of pixels now */
};

struct view_wish {
    double   fps;                   /* of a video; 0: as the model has it */
    uint32_t frames_max;
};

struct view;

/* One run of the tower. */
struct view_run {
    const struct view *view;
    const uint8_t     *pixels;
    struct sha256      key;
};

struct view {
    const struct processor *processor;
    bool                    is_video;
    struct processor_fit    fit;
    struct sha256           key;
    uint8_t                *pixels;
    struct view_run        *run;            /* [fit.n_run] */
    double                 *second;         /* [fit.grid_t] of a video's pairs */
    double                  interval;       /* between pairs */
};

struct views {
    const struct eyes  *eyes;
    struct view_totals *totals;
    struct view        *view;
    size_t              n, held;        /* held: bytes of pixels */

    /* Filled in by views_place(): what the engine's job borrows until its END. */
    struct picture    *picture;
    struct item       *item;
    struct media_span *span;
    struct media       media;
};

/* Brings all parts.  Once *stop is not 0 it gives up within a second or so (ERR_GONE).  False: *e names the part, in its param
 * too; ERR_BUSY: the pixels of those who wait take all the room there is for them. */
MUST_USE bool views_open(struct views *out, const struct eyes *eyes, const struct engine *g, const struct media_parts *parts,
                         const struct view_wish *wish, struct view_totals *totals, const atomic_word *stop, struct err *e);
void          views_drop(struct views *v);          /* a zeroed one is fine */

/* Blocks of placeholders that view i has in a prompt: one, or one for each pair of a video's frames; and tokens in each. */
uint32_t views_blocks(const struct views *v, size_t i);
uint32_t views_pads(const struct views *v, size_t i);

/* The prompt's ids are known: block k (in the order of `order`, views' numbers as they come in the prompt, each view's blocks
 * after each other) begins at row[k]. */
void views_place(struct views *v, const size_t *order, const uint32_t *row);

#endif
