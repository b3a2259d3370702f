/* state.h -- all that an engine is, for the files of this room and its tests.
 *
 * Three parties touch it.  The engine's thread owns everything but what stands under `lock`; submitters and those who
 * ask for figures take the lock, for a few instructions; new jobs pass through the queue. */
#ifndef ENGINE_STATE_H
#define ENGINE_STATE_H

#include "backend/sample.h"
#include "base/queue.h"
#include "base/threads.h"
#include "engine/cost.h"
#include "engine/engine.h"
#include "engine/kv.h"
#include "engine/look.h"
#include "engine/seq.h"
#include "engine/turns.h"

/* One step's part for one sequence: n tokens behind `past` others, the last n_draft of them guessed.  It draws behind
 * its last known token and behind each guessed one. */
struct step_row {
    struct seq *seq;                /* NULL: it ended while the step was under way; what it draws is dropped */
    uint32_t    past, n, n_draft;
    uint32_t    snapshot;           /* made behind its last row, not yet findable; or KV_NONE */
    uint32_t    pick;               /* the place of its first among the drawing rows, or KV_NONE */
    double      chance, tokens;     /* that one more guess comes true, and all before it; tokens it may expect */
};

/* A step from its plan to its landing, with room for the largest. */
struct step {
    struct step_row *row;           /* [seq_max] */
    uint32_t         n_row, n_token, n_pick;
    int32_t         *token;
    uint32_t        *start, *past, *block, *pick, *reach, *slot;
    uint32_t        *pos, *see;     /* [axes][token_max], [token_max]; NULL: the model sees nothing */
    struct span     *span;          /* [token_max] */
    uint32_t         n_span;
    struct draw     *how;
    struct drawn    *drawn;
    double           attended;
    uint64_t         launched_at;
    bool             failed;
    struct err       err;
};

struct engine {
    struct engine_opts  opts;       /* the zeroes filled in */
    struct engine_plan  plan;
    struct kept         kept;
    const struct model *model;
    struct backend     *backend;
    struct plan        *text;
    bool                waits;      /* the backend's runs are over when they were waited for */
    bool                ahead;      /* … and the host looks at one step while the next is under way */
    uint32_t            n_vocab, jobs_max, long_from;

    struct kv           kv;
    struct turns        turns;
    struct cost_model   cost;
    struct look         look;
    struct sampler     *sampler;    /* NULL: the backend draws */
    struct sha256_run  *sha;
    struct seq        **run;        /* [seq_max] the running, in the order they were taken */
    uint32_t            n_run;
    bool                has_slots, *slot_taken;     /* [seq_max] which sequences' memories are somebody's */
    struct kv           snapshots;                  /* number i lies in slot seq_max + i; no blocks: none are made */
    struct seq        **order;      /* [seq_max] for planning */
    struct step         step[2], *flight;       /* flight: launched, not landed */

    /* A picture that is read whole, in pieces between the steps (aside.h). */
    struct plan        *aside_plan;             /* NULL: no picture must be read whole */
    struct step         aside;
    struct batch        aside_batch;
    struct seq         *aside_seq;              /* whose; NULL: none is under way */
    bool                aside_begun;            /* its run has stopped, and is not over */

    uint64_t            landed_at;
    struct engine_stats count;      /* its own view of the figures */

    struct queue   *jobs;
    pthread_t       thread;
    bool            started;

    pthread_mutex_t     lock;       /* guards what follows */
    struct seq        **table;      /* live jobs by id */
    uint32_t            table_mask, n_live;
    uint64_t            last_id, n_job, n_refused;
    struct engine_stats published;
};

#endif
