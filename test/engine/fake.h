/* fake.h -- a backend without arithmetic, a clock without time, and what each job ought to get.
 *
 * The backend keeps in each slot of its blocks a hash of all tokens up to that one, made from the slot before, and
 * the logits of a row come from all slots that the row can see.  So a wrong table of blocks, a stale or overwritten
 * block, a wrong past or a wrong token all end in wrong tokens; the oracle computes the right ones from the token
 * list alone.
 *
 * Of a model that remembers sequences as a whole it keeps a hash in each of these slots too, and how many tokens are in
 * it: a run behind any other number of tokens fails the test, and where there are blocks as well both must agree. */
#ifndef TEST_ENGINE_FAKE_H
#define TEST_ENGINE_FAKE_H

#include "engine/state.h"

enum { FAKE_VOCAB = 61, FAKE_SLOT_BYTES = 300 };

struct fake {
    uint64_t now;                               /* the clock */
    uint64_t device_free;                       /* when the device is done with all it was given */
    uint64_t step_cost, row_cost, reach_cost;   /* ns; reach_cost a thousandth of one for each attended token */
    uint64_t budget_ns;                         /* with check_time: no step may take longer, but for one row */
    bool     check_time;
    uint32_t fail_in, fail_wait_in;             /* the run, the wait that fails, counted down; 0: none */
    uint32_t broken_in;                         /* the run whose first logits are no numbers, counted down; 0: none */
    uint32_t period;                            /* what stood so many tokens ago mostly comes again; 0: nothing does */
    uint32_t n_run;                             /* runs so far */
    uint32_t rows, reads;                       /* of the last run: all; those that read prompts */
    const struct kv *kv;                        /* of the engine, to see who may write where */
    uint64_t patch_cost;                        /* ns of the tower for a patch */
    uint32_t tower_fail_in;                     /* the tower's run that fails, counted down; 0: none */
    uint32_t asides;                            /* runs of the text that were given a time */
    uint32_t towers, tower_runs, tower_stops;   /* pictures begun; runs, those that stopped included; runs forgotten */
};

extern struct fake fake;                        /* one engine at a time: backend functions take no context */

extern const struct backend_type fake_host;     /* the host draws */
extern const struct backend_type fake_device;   /* it draws by itself and works ahead */
extern const struct backend_type fake_draws;    /* it draws by itself, and is done when it returns */

void         fake_reset(void);
struct clock fake_clock(void);
uint64_t     fake_cost(uint32_t rows, double attended);

/* A model for it, of `context` tokens, with states of tokens alone; with both kinds; with states of whole sequences
 * alone, which knows no period. */
enum fake_states { FAKE_TOKEN, FAKE_BOTH, FAKE_WHOLE };
struct model *fake_model(uint32_t context);

/* One that sees: blocks of 2 x 2 patches, two levels. */
enum { FAKE_PATCH_WIDTH = 2, FAKE_WIDTH = 2, FAKE_LEVELS = 2, FAKE_PAD = 60 };
struct fake_eyes {
    bool     axes, sees, ordered;
    uint32_t side;                              /* patches along a side, where all have one size */
};
struct model *fake_seeing_model(uint32_t context, const struct fake_eyes *eyes);

/* A picture for it: what it shows follows from its seed. */
struct fake_picture {
    uint64_t seed;
    uint32_t rows, columns, n_asked;            /* n_asked: how often its patches were asked for */
    bool     fails;
};
struct picture fake_picture(struct fake_picture *p);

/* A prompt that shows pictures, for a job. */
enum { FAKE_ITEMS = 8 };
struct fake_prompt {
    struct picture    picture[FAKE_ITEMS];
    struct item       item[FAKE_ITEMS];
    struct media_span span[FAKE_ITEMS];
    uint32_t          n_item;
    int32_t          *token;                    /* the caller's */
    uint32_t          n_token;
};
void fake_say(struct fake_prompt *q, int32_t token);
void fake_show(struct fake_prompt *q, struct fake_picture *p);
struct media fake_media(const struct fake_prompt *q);
struct model *fake_model_with(uint32_t context, enum fake_states states);
void          fake_model_free(struct model *m);

/* Opens an engine; fails the test when it cannot. */
struct engine *fake_engine(const struct model *m, const struct engine_opts *o);

/* What the job draws when it is alone: at most n_max tokens.  Returns how many, its stop ids and tokens_max
 * honoured. */
uint32_t fake_oracle(const struct job *j, uint32_t context, int32_t *out, uint32_t n_max);

/* The counts, lists and tables of the pool agree with each other and with what the running hold. */
void fake_check_blocks(const struct engine *g);

/* The same for the gallery and who holds its sights. */
void fake_check_gallery(const struct engine *g);
/* The same of snapshots; and when nothing is under way, that the running have in their slots, and find in snapshots, what
 * their own tokens give and nothing else. */
void fake_check_snapshots(const struct engine *g);
void fake_check_memory(const struct engine *g, const struct seq *s);    /* of one of them */

/* Numbers for tests: the same every time. */
uint32_t fake_random(uint64_t *state, uint32_t n);      /* 0 .. n-1 */

/* A job that remembers what it got. */
struct asked {
    struct job      job;
    uint64_t        id;
    uint32_t        n_start, n_end, n_got, n_cached;
    enum end_reason reason;
    struct err      err;
    int32_t        *got;            /* [room] borrowed from the caller; NULL: only counted */
    uint32_t        room;
    uint64_t        started_step, asked_step;           /* runs of the backend by then */
    uint64_t        queued_ns, prefill_ns, decode_ns;
    struct reuse    reuse;
};
void asked_event(void *ctx, const struct event *ev);
void asked_submit(struct engine *g, struct asked *a);   /* fills in event and ctx; fails the test when refused */
struct draw greedy(void);

#endif
