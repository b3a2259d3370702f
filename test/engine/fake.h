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
struct model *fake_model_with(uint32_t context, enum fake_states states);
void          fake_model_free(struct model *m);

/* Opens an engine; fails the test when it cannot. */
struct engine *fake_engine(const struct model *m, const struct engine_opts *o);

/* What the job draws when it is alone: at most n_max tokens.  Returns how many, its stop ids and tokens_max
 * honoured. */
uint32_t fake_oracle(const struct job *j, uint32_t context, int32_t *out, uint32_t n_max);

/* The counts, lists and tables of the pool agree with each other and with what the running hold. */
void fake_check_blocks(const struct engine *g);

/* The same of snapshots; and when nothing is under way, that the running have in their slots, and find in snapshots, what
 * their own tokens give and nothing else. */
void fake_check_snapshots(const struct engine *g);

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
};
void asked_event(void *ctx, const struct event *ev);
void asked_submit(struct engine *g, struct asked *a);   /* fills in event and ctx; fails the test when refused */
struct draw greedy(void);

#endif
