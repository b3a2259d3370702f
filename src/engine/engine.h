/* engine.h -- many answers at once from one model.
 *
 * The engine knows token ids and rows; no text, no JSON, no sockets.  One thread, its own, calls the backend.  Jobs
 * come in through a bounded queue, are admitted by turns (by client, so that one with a hundred jobs waits like one
 * with a single one), and share every step: all rows that draw a token, and as much of the waiting prompts as the
 * step's time allows.
 *
 * What a job gets does not depend on who else is served: same tokens, same seed, same answer, bit for bit. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "backend/backend.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "model/model.h"

#ifdef __cplusplus
extern "C" {
#endif

struct engine;

struct engine_opts {
    const struct backend_type *type;
    struct backend_opts        backend;
    uint32_t context_max;           /* tokens in a sequence, prompt and answer; 0: the model's, or what memory allows */
    uint32_t seq_max;               /* sequences in a step; 0: 16 */
    uint32_t queue_max;             /* jobs waiting; over it submit says ERR_BUSY; 0: 256 */
    uint32_t token_max;             /* rows in a step; 0: 512 */
    uint32_t block_tokens;          /* 0: 64 */
    uint64_t memory_bytes;          /* for everything; 0: a share of what is free that leaves the machine usable */
    uint64_t snapshot_bytes;        /* for copies of what sequences remember as a whole, which prompts can begin from; fewer than
                                       one takes: none; 0: four a sequence, or what a quarter of the free memory holds */
    uint64_t step_ns;               /* time a step may take in which tokens are drawn, half of what others may; 0: 50 ms */
    bool     no_cache;              /* finished sequences leave nothing behind */
    bool     no_draft;              /* never guess tokens ahead; changes how fast answers come, not what is in them */
    uint32_t guess_seqs;            /* guesses only while at most so many draw; 0: half of seq_max */
    uint64_t gallery_bytes;         /* for features of pictures; 0: 256 MiB, and always room for two of the largest pictures */
    uint32_t patches_max;           /* of one picture; 0: 8192, or what the model's pictures all have */
    struct clock      clock;        /* ns NULL: the real one */
    const struct log *log;
    void (*progress)(void *ctx, uint64_t done, uint64_t all);       /* bytes of weights taken in; NULL: silent */
    void  *progress_ctx;
};

/* What was sized at start and never grows. */
struct engine_plan {
    uint64_t weight_bytes, kv_bytes, scratch_bytes, memory_bytes;
    uint64_t slot_bytes;            /* of what seq_max sequences remember as a whole; 0 for most models */
    uint64_t snapshot_bytes;        /* of n_snapshot copies of such memories */
    uint32_t n_snapshot;
    uint32_t n_block, block_tokens, context_max, seq_max, token_max;
    uint32_t pick_max;              /* rows of a step that may draw; over seq_max: those of guessed tokens */
    uint64_t tower_bytes;           /* what looking at one picture takes; 0: the model sees nothing */
    uint64_t gallery_bytes;         /* features of pictures, n_page pages of GALLERY_ROWS rows and all levels */
    uint32_t n_page, patches_max;
};

/* Where a prompt parts from what the cache knows. */
enum parted {
    PARTED_NOT,                     /* all but its last token was found, which is always computed */
    PARTED_OFF,                     /* the job wanted no cache, or there is none */
    PARTED_UNKNOWN,                 /* nothing is known behind what was found: it is new here, or was given up for others */
    PARTED_TOKEN,                   /* another text went on with another token there */
    PARTED_PICTURE,                 /* … with another picture */
    PARTED_END,                     /* another text ended there */
};

/* What a job found and what it had to look at; pictures are counted when it comes to read them. */
struct reuse {
    enum parted parted;
    uint32_t    parted_at;          /* tokens before that place */
    uint32_t    n_skipped;          /* pictures whose rows all came from the cache of blocks: not even their features were wanted */
    uint32_t    n_hit, n_encoded;   /* pictures whose features were there, or on their way; that the tower had to look at */
};

enum end_reason {
    END_STOP,                       /* an id of `stop` was drawn */
    END_LENGTH,                     /* tokens_max or the context was reached */
    END_CANCELLED,
    END_TIMEOUT,                    /* the job's deadline passed */
    END_FAILED,                     /* event.err says why */
};

struct event {
    enum { EVENT_STARTED, EVENT_TOKEN, EVENT_END } kind;
    const struct drawn *drawn;      /* TOKEN: the id and its logprobs; the id that ends an answer comes here too */
    enum end_reason     reason;     /* END */
    const struct err   *err;        /* END_FAILED */
    uint32_t n_prompt, n_cached, n_drawn;       /* tokens so far; n_cached were not computed, and grow until the first */
                                                /* is drawn: what others read meanwhile is found */
    uint32_t n_drafted, n_accepted;             /* TOKEN, END: tokens guessed ahead so far; those that came true */
    const struct reuse *reuse;
    uint64_t queued_ns, prefill_ns, decode_ns;  /* END: waiting, until the first token, from there to the end */
};

/* What the tower looks at as one: an image, a tile of one, a pair of frames (model.h). */
struct picture {
    struct sha256 key;              /* names its features: of equal pictures, shown to the model alike, it is equal */
    uint32_t      rows, columns;    /* in patches */
    /* Writes its patches, rows * columns of vision.patch_width numbers, in blocks of merge * merge neighbours, the blocks in
     * reading order.  Called on the engine's thread, at most once at a time and only before the job's END; never when the
     * features are known. */
    bool (*patches)(void *ctx, float *out, struct err *e);
    void  *ctx;
};

/* What stands in a prompt as one: an image with all its tiles, a video or one pair of its frames.  Its rows' tokens are
 * placeholders. */
struct item {
    uint32_t      row, n;           /* rows row … row + n - 1 of the prompt */
    struct sha256 key;              /* names what is seen there: equal only if features and their order in the rows are */
    uint32_t      n_pair, rows, columns;        /* for positions (vision_positions): pictures, and patches of each */
    double        seconds;          /* between pairs of frames; 0: an image */
};

/* Rows of an item and the features that they show. */
#define MEDIA_NEWLINE UINT32_MAX    /* as `picture`: the model's own row (vision.newline) */
struct media_span {
    uint32_t row, n, picture, from; /* rows row … are features from … of job.picture[picture] */
};

/* What a prompt shows.  Items and spans rise and do not overlap; every row of an item is in a span, no other row is. */
struct media {
    const struct picture    *picture;
    const struct item       *item;
    const struct media_span *span;
    uint32_t                 n_picture, n_item, n_span;
};

/* One answer wanted.  Everything is copied by engine_submit(), but what pictures' ctx points to. */
struct job {
    const int32_t *token;           /* the prompt */
    uint32_t       n_token;
    uint32_t       tokens_max;      /* ids to draw at most; 0: only the prompt is read */
    const int32_t *stop;            /* ids that end the answer */
    uint32_t       n_stop;
    struct draw    draw;            /* counter and seen are the engine's */
    /* Places at which other prompts may go on otherwise: where messages begin.  Tokens before them, rising; hints alone. */
    const uint32_t *mark;
    uint32_t        n_mark;
    uint64_t       client;          /* whose turn it takes */
    struct str     salt;            /* only jobs of equal salt share cached blocks */
    struct media   media;           /* n_item 0: text alone */
    bool           fresh;           /* computes everything itself, pictures included, and leaves nothing behind */
    uint64_t       deadline_ns;     /* on the engine's clock; 0: none */
    /* Called on the engine's thread: STARTED once (none when it ends before), TOKENs, END exactly once and last.
     * Must not wait and must not call the engine. */
    void (*event)(void *ctx, const struct event *ev);
    void  *ctx;
};

struct engine_stats {
    uint64_t n_step, n_job, n_end, n_cancelled, n_failed, n_refused, n_preempted;
    uint64_t tokens_prompt, tokens_cached, tokens_computed, tokens_drawn;   /* totals */
    uint64_t tokens_drafted, tokens_accepted;   /* guessed and computed with; guessed right */
    uint64_t evicted_blocks;
    uint64_t pictures, picture_hits, encodings, encodings_failed, encodings_dropped;    /* asked for; found, or on their way; done,
                                                                                            failed, wanted by nobody any more */
    uint64_t patches_encoded, tower_ns, tower_slices, evicted_pictures;
    uint64_t gallery_bytes, gallery_bytes_max;      /* of features now; that there is room for */
    uint32_t gallery_pictures;
    uint64_t tower_slice_ns_max;                    /* the longest piece of looking between two steps */
    uint64_t snapshots_made, snapshots_found, evicted_snapshots;
    uint32_t running, waiting;                                              /* jobs now */
    uint32_t blocks, blocks_used, blocks_cached;    /* all; held by running jobs; idle but findable */
    uint32_t snapshots, snapshots_cached;           /* room for; findable */
    uint32_t step_rows, step_seqs, step_rows_max;   /* of the last step; the largest so far */
    uint64_t step_ns, busy_ns;                      /* of the last step; total */
};

/* Sizes everything, asks the backend for it, loads the weights.  ERR_MEMORY: the table of what was wanted and what
 * there is.  The model stays the caller's and must outlive the engine. */
MUST_USE bool engine_open(struct engine **out, const struct model *m, const struct engine_opts *o, struct err *e);

/* What engine_open() would decide, with nothing allocated or read. */
MUST_USE bool engine_size(const struct model *m, const struct engine_opts *o, struct engine_plan *out, struct err *e);

const struct engine_plan *engine_plan(const struct engine *g);
const struct kept        *engine_kept(const struct engine *g);      /* what became of opts.backend.pack */

/* Starts the engine's thread.  Without it a test calls engine_step() itself. */
MUST_USE bool engine_start(struct engine *g, struct err *e);
bool          engine_step(struct engine *g);        /* one step; false: there was nothing to do */

/* Ends what runs (END_CANCELLED), stops the thread, frees everything.  NULL is fine. */
void engine_close(struct engine *g);

/* From any thread.  ERR_CONTEXT: prompt and at least one token can never fit, with the counts; ERR_INVALID: an id is
 * not in the vocabulary; ERR_BUSY: the queue is full.  On true, event() will be called; maybe before this returns. */
MUST_USE bool engine_submit(struct engine *g, const struct job *j, uint64_t *id, struct err *e);

/* Whether a picture of so many patches could be looked at.  ERR_INVALID says the limit; ERR_UNSUPPORTED: the model sees
 * nothing. */
MUST_USE bool engine_sees(const struct engine *g, uint32_t rows, uint32_t columns, struct err *e);

/* From any thread.  The job ends at the next step with END_CANCELLED, if it has not ended. */
void engine_cancel(struct engine *g, uint64_t id);

void     engine_stats(struct engine *g, struct engine_stats *out);      /* from any thread */
uint32_t engine_jobs_ahead(struct engine *g);                           /* waiting now; for Retry-After */

/* The plan behind it, for `bench --kernels` and tests; the engine must not be started. */
struct plan *engine_text_plan(struct engine *g);

#ifdef __cplusplus
}
#endif
#endif
