/* backend.h -- what a machine must be able to do to run programs.
 *
 * All calls on one backend come from one thread at a time.  Every pointer passed in is borrowed for the call (adopt says
 * when longer).  False means *e is filled and nothing was created or changed.  After a failed run the states beyond
 * `past` are undefined.
 *
 * ARITHMETIC.  On ref and cpu a row's result depends on that row and its sequence alone: one arithmetic per (format,
 * precision) whatever the number of rows; attention is reduced over tiles of one block at absolute positions, merged in
 * one fixed order.  That is what makes batch, chunking, threads and cache hits invisible, bit for bit. */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include "base/hash.h"
#include "base/tensor.h"
#include "program/program.h"

#ifdef __cplusplus
extern "C" {
#endif

struct backend;
struct plan;
struct features;

/* EXACT: f32 activations and accumulation throughout, f32 KV: what golden tests compare.  FAST: int8 activations under
 * quantised weights, f16 KV. */
enum precision { PRECISION_FAST, PRECISION_EXACT };

/* A file to keep repacked weights in, so that the next start need not repack them. */
struct pack_opts {
    const char   *path;             /* NULL: none is wanted; borrowed until close */
    struct sha256 key;              /* names the checkpoint's bytes: another key, other weights */
    const char   *label;            /* for people who find the file: the model's path */
};

struct backend_opts {
    int      device;
    unsigned n_thread;              /* host threads for the work; 0: as many as there are cores */
    enum precision precision;
    const char *isa;                /* of the cpu backend's kernels; NULL: the best this machine has */
    struct pack_opts pack;
};

/* The checkpoint's tensors that make a weight, stacked.  n 0: a constant, or an optional one that is absent. */
struct parts {
    struct tensor part[4];
    size_t        n;
};

/* What became of pack_opts. */
struct kept {
    enum { KEPT_NOT, KEPT_NOW, KEPT_BEFORE } how;   /* not kept; packed by this start; packed by an earlier one */
    char why[512];                  /* KEPT_NOT although it was wanted: the reason; else "" */
};

/* One run, in host memory.  Sequence s owns tokens start[s] .. start[s+1]-1, which follow past[s] tokens already in its
 * state.  A sequence's tokens lie at positions past[s], past[s]+1, …, and see everything up to themselves, unless pos and
 * see say otherwise.  In a program without token ids a token is a row of the inputs, and a sequence a picture. */
struct batch {
    uint32_t        n_token, n_seq, n_pick;
    const int32_t  *token;          /* [n_token]; -1-i: what row i of the previous draw gave, not yet known to the host */
    const uint32_t *start;          /* [n_seq + 1] */
    const uint32_t *past;           /* [n_seq] */
    const uint32_t *block;          /* [n_seq][block_max] numbers of the blocks that hold the sequence's states, in order */
    uint32_t        block_max;
    const uint32_t *pick;           /* [n_pick] rows that want logits, rising */
    const uint32_t *slot;           /* [n_seq] below seq_max + slot_extra, all different: where what the sequence remembers as a whole
                                       (STATE_SEQUENCE) lies.  At past 0 it begins anew, whatever lies there; otherwise past
                                       is exactly what the slot's sequence had.  NULL: the program has no such state */
    const uint32_t *reach;          /* [n_seq] the length for which the sequence's states are made, where rotary positions
                                       depend on it: at least past[s] and this run's tokens, and on the same side of the
                                       length that matters (OP_rope: from) in all its runs.  NULL: past and this run's */
    const float *const *input;      /* [prog_n_inputs] of [n_token, width] each */
    const uint32_t *pos;            /* [n_axis][n_token], n_axis being prog_axes(): where tokens are for OP_rope.  NULL: past[s],
                                       past[s] + 1, … on every axis */
    const uint32_t *see;            /* [n_token] the first of its sequence's tokens, counted from the sequence's beginning, that
                                       OP_attend may not let it see: behind itself, and not behind the run's last.  NULL: itself
                                       is the last */
    const uint32_t *window;         /* [n_window + 1] rows where the windows of OP_attend_all begin, from 0 to n_token, rising;
                                       none reaches over the end of a sequence */
    const struct span *span;        /* [n_span] rows that have features, rising and apart; others have none */
    uint32_t        n_window, n_span;
    uint32_t        run_max;        /* microseconds after which run() stops, done or not; 0: it goes on to the end */
};

/* Rows row .. row + n - 1 of the run take rows from, from + 1, … of the features, on level l (OP_place) from + l * step, ….  The
 * features' rows are single-precision numbers, as many as a row of the run has. */
struct span {
    uint32_t row, n, from, step;
    const struct features *features;
};

struct draw_bias {
    int32_t token;
    float   add;
};

struct draw_seen {
    int32_t  token;
    uint32_t prompt, answer;        /* how often it stood in the prompt, and in the answer so far */
};

/* How one picked row becomes a token.  Same seed and counter, same token, on every backend with the same logits. */
struct draw {
    float    temperature;           /* 0: the largest logit, the lowest id among equals */
    float    top_p, min_p;          /* 1 and 0: off */
    float    repeat, presence, frequency;       /* 1, 0 and 0: off */
    int32_t  top_k;                 /* 0: off */
    uint64_t seed, counter;         /* counter: the token's index in its answer */
    const struct draw_bias *bias;   /* logit_bias */
    const struct draw_seen *seen;   /* for the penalties; ids not listed: never */
    uint32_t n_bias, n_seen;
    uint8_t  n_logprob;             /* 0: none wanted; 1: that of the chosen; k + 1: also the k best */
};

enum { DRAW_TOP_MAX = 20 };

struct drawn {
    int32_t token;
    float   logprob;                /* of the model's own distribution: before temperature, penalties and cuts */
    uint8_t n_top;
    struct { int32_t token; float logprob; } top[DRAW_TOP_MAX];
};

struct plan_opts {
    uint32_t token_max, seq_max, pick_max;      /* the largest run; sizes everything a step needs, once */
    uint32_t slot_extra;                        /* slots beyond seq_max, for copies of others */
    uint32_t block_tokens;                      /* tokens in a block of state */
    uint32_t context_max;                       /* tokens in the longest sequence */
    bool     keep_all;                          /* share no storage, so that tap() sees every value */
};

/* Bytes beside the weights, before anything is allocated: the printed memory plan comes from here. */
struct cost {
    uint64_t block_bytes;           /* of one block, all layers together */
    uint64_t slot_bytes;            /* of what one sequence remembers as a whole; there are seq_max + slot_extra of them */
    uint64_t scratch_bytes;
};

/* What runs cost beside computing. */
struct overhead {
    uint64_t n_run, host_ns;        /* runs so far, and the time that run() and draw() took in them */
    uint32_t n_op;                  /* operations handed to the device for one token */
};

struct backend_type {
    const char *name;
    const char *about;              /* one line for people: "portable C reference", … */

    bool (*open)(struct backend **out, const struct backend_opts *o, struct err *e);
    void (*close)(struct backend *b);

    bool (*size)(struct backend *b, const struct prog *p, const struct plan_opts *o, struct cost *out, struct err *e);

    /* Bytes that adopt() would hold for w, made of these parts; nothing is read.  NULL: it borrows them all. */
    uint64_t (*weight_bytes)(const struct backend *b, const struct weight *w, const struct tensor part[], size_t n);

    /* Before the first adopt: all weights that will be adopted, by wt id - 1; no number is read.  Where pack_opts has a
     * file, it is looked for or begun here.  Never an error: without the file everything works as with it.  Calling it is
     * optional, and so is having it. */
    void (*expect)(struct backend *b, const struct bundle *m, const struct parts parts[]);

    /* After the last adopt.  NULL where expect is. */
    void (*kept)(const struct backend *b, struct kept *out);

    /* Takes in weight w of the bundle, n stacked parts (0: an optional one that is absent), repacked as this backend likes
     * best; may borrow the mapped file until close.  Shapes were checked against the bundle by the caller. */
    bool (*adopt)(struct backend *b, const struct bundle *m, wt w, const struct tensor part[], size_t n, struct err *e);

    /* Memory for n blocks of state, and for slots.  Once, before the first compile. */
    bool (*reserve)(struct backend *b, const struct bundle *m, const struct plan_opts *o, uint32_t n, struct err *e);

    /* Copies all that block `from` holds into block `to`, in the order of the runs; slots are none of it.  NULL: it
     * cannot. */
    void (*copy)(struct backend *b, uint32_t from, uint32_t to);

    /* The same for slots, blocks being none of it.  What fails here is told by the next run.  NULL: it cannot. */
    void (*slot_copy)(struct backend *b, uint32_t from, uint32_t to);

    /* Names the first instruction it has no kernel for, or returns a plan.  Every weight was adopted before. */
    bool (*compile)(struct backend *b, const struct prog *p, const struct plan_opts *o, struct plan **out, struct err *e);
    void (*plan_free)(struct plan *pl);

    /* With run_max it stops soon after that time, *done false: then the same batch again goes on where it stopped, and what it
     * points to is as it was.  Meanwhile other plans may run, and it makes no difference to any bit of the results; done NULL:
     * run_max is 0.  A backend may know no such stops and run to the end. */
    bool (*run)(struct plan *pl, const struct batch *in, bool *done, struct err *e);

    /* Forgets a run that stopped: the next batch is a new one.  NULL: none ever does. */
    void (*stop)(struct plan *pl);

    /* The named result of the last run, [rows, width], in host memory until the next run.  NULL: there is none of that name
     * or it could not be had.  A backend that has draw() may have it for tests alone, and waits for the run here. */
    const float *(*result)(struct plan *pl, const char *name);

    /* Memory where features lie between runs; zeroes at first, changed between runs alone.  features_free(NULL) is fine.
     * keep() copies rows from .. from + n - 1 of a result of the last run, as single-precision numbers, to byte `at` on.
     * NULL, all of them: the backend has no programs that place features. */
    bool (*features_new)(struct backend *b, size_t bytes, struct features **out, struct err *e);
    void (*features_free)(struct features *x);
    bool (*features_write)(struct features *x, size_t at, const void *in, size_t bytes, struct err *e);
    bool (*features_read)(const struct features *x, size_t at, void *out, size_t bytes, struct err *e);
    bool (*keep)(struct plan *pl, const char *name, uint32_t from, uint32_t n, struct features *into, size_t at,
                 struct err *e);

    /* Draws one token for each picked row of the last run.  NULL: the host does it from result(). */
    bool (*draw)(struct plan *pl, const struct draw how[], struct drawn out[], struct err *e);

    /* NULL: run() and draw() are done when they return.  Otherwise they only start the work, in the order of the calls;
     * `out` stays lent until wait() returns, which waits for the oldest draw not yet waited for and gives the errors of
     * its run too.  Two are under way at most; every run is followed by a draw, of nothing when nothing is picked. */
    bool (*wait)(struct plan *pl, struct err *e);

    /* For tests and tools: a value of the last run (keep_all), [rows, width]; the kernel chosen for instruction i. */
    bool (*tap)(struct plan *pl, val v, float *out, struct err *e);
    const char *(*kernel)(const struct plan *pl, size_t i);
    void (*overhead)(const struct plan *pl, struct overhead *out);      /* NULL: it hands nothing over */
};

/* The backends of this program, best first (backends.def).  NULL: none of that name. */
const struct backend_type *backend_find(const char *name);
const struct backend_type *backend_at(size_t i);        /* NULL past the last */

/* The same, and those that lie in files of their own: hearth-NAME.so in `folder` (NULL: that of this program).  What it
 * loads stays until the program ends.  The message says what is missing. */
MUST_USE bool backend_load(const struct backend_type **out, const char *name, const char *folder, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
