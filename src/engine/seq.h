/* seq.h -- one job on its way: waiting, reading its prompt, drawing, put back, ended.
 *
 * What is known of a sequence are its tokens: the prompt and what was drawn.  What the backend remembers are states in
 * blocks.  Four counts say how far each is:
 *
 *   n_done    tokens whose states are surely in the blocks
 *   n_run     the same once the step under way has succeeded                    n_done <= n_run
 *   n_token   tokens the host knows                                             n_run <= n_token + n_ahead
 *   n_ahead   1 when one more was drawn by the step under way                   n_token + n_ahead <= limit
 *
 * Behind the known tokens may lie guessed ones (draft.h), for the step under way alone.
 *
 * The host work is done where a sequence is made, on the submitter's thread: everything is sized and copied there. */
#ifndef ENGINE_SEQ_H
#define ENGINE_SEQ_H

#include "engine/draft.h"
#include "engine/engine.h"
#include "engine/kv.h"
#include "engine/shown.h"

#include <stdatomic.h>

struct turn;

enum { SEQ_SAVES = 6 };             /* places of a prompt that get snapshots: its last ones, which are where prompts part */

struct seq {
    uint64_t id, client, deadline_ns;
    void   (*event)(void *ctx, const struct event *ev);
    void    *ctx;
    atomic_bool cancelled;          /* set by any thread */

    int32_t       *token;           /* [limit] */
    uint32_t       n_token, n_prompt, limit;
    const int32_t *stop;
    uint32_t       n_stop;
    bool           draws;           /* false: only the prompt is read */
    struct draft   draft;
    uint32_t       n_drafted, n_accepted;
    struct draw    draw;            /* but for counter: as the next token is to be drawn */

    /* Counts for the penalties, when one is on: an open hash table of places in `seen`. */
    struct draw_seen *seen;
    uint32_t         *seen_at, seen_mask;

    uint32_t  n_run, n_done, n_ahead, ahead_row;
    uint32_t *block, n_block, slot;     /* slot: of what it remembers as a whole, while it runs */
    struct sha256 *key, root;       /* of the full blocks of known tokens; n_key 0 for ever when nothing is cached */
    uint32_t  n_key, n_public;      /* keys computed; leading blocks that were offered to the cache */
    bool      cached;

    struct shown *shown;            /* pictures in its prompt; NULL: none */
    bool          fresh;            /* it uses nothing that others computed */
    struct reuse  reuse;
    /* Of a sequence whose states cannot go back: where to make snapshots, in tokens, always at the edge of a block. */
    bool      whole;
    uint32_t  save[SEQ_SAVES], n_save;      /* rising: the prompt's */
    uint32_t  there;                /* leading blocks that could be found when it looked last, snapshot or not */
    uint32_t  kept, kept_at;        /* the last of its answer and where it stands; kept_at 0: none */

    uint32_t  long_from;            /* beyond so many tokens all of it is computed otherwise (OP_rope: from); 0: never */
    bool      is_long;              /* it is that long, and so are its states */

    bool      running, put_back;    /* it has its share of the steps; it had it before and lost it */
    uint32_t  n_cached, age;        /* tokens not computed; steps since it was taken in */
    uint64_t  queued_at, started_at, drawn_at;      /* 0: not yet */

    struct seq  *next, *prev;       /* in its client's line */
    struct seq  *chain;             /* in its slot of the table of live jobs */
    struct turn *turn;
};

struct seq_room {
    uint32_t context_max, block_tokens, long_from;
    bool     cached, whole, drafts;
    const struct vision *vision;
};

/* The job must have been checked: ids in the vocabulary, a prompt that fits. */
struct seq *seq_new(const struct job *j, const struct seq_room *room);
void        seq_free(struct seq *s);

/* A token was drawn: it is known now. */
void seq_push(struct seq *s, int32_t token, struct sha256_run *h, uint32_t block_tokens);

bool seq_stops_at(const struct seq *s, int32_t token);

/* Lets go of all states when it has become too long for them.  Nothing may be under way. */
void seq_lengthen(struct seq *s, struct kv *kv, struct sha256_run *h);

/* Rows it needs before it can draw: 1 for one that draws a token a step.  0: nothing, its last token is under way. */
static inline uint32_t seq_need(const struct seq *s)
{
    uint32_t n = s->n_token + s->n_ahead;
    return s->draws && n == s->limit ? 0 : n - s->n_run;
}

/* Whether the host must know the last token before the next can be drawn. */
static inline bool seq_counts(const struct seq *s)
{
    return s->seen_mask != 0;
}

/* Blocks that n tokens take. */
static inline uint32_t blocks_for(uint32_t n, uint32_t block_tokens)
{
    return n / block_tokens + (n % block_tokens != 0);
}

/* Blocks that it takes to draw its next token. */
static inline uint32_t seq_blocks(const struct seq *s, uint32_t block_tokens)
{
    return blocks_for(s->n_token < s->limit ? s->n_token + 1 : s->limit, block_tokens);
}

/* Gives it the blocks that n tokens take; they must be available. */
void seq_grow(struct seq *s, struct kv *kv, uint32_t n);

/* Takes blocks from the cache while the next tokens' states lie there.  The last known token is always computed again:
 * without it there is nothing to draw from.  Returns the tokens found.
 *
 * A `whole` sequence takes them as far as there is a snapshot at their end, *snapshot, which must be put into its slot;
 * KV_NONE: nothing was found, or the sequence is another one. */
uint32_t seq_match(struct seq *s, struct kv *kv, const struct kv *snapshots, uint32_t *snapshot);

/* The next place behind n tokens where a snapshot is wanted: behind the last full block of the prompt, of the answer as far
 * as it is known, of what lies before each of the last few marks, of what others left.  UINT32_MAX: none. */
uint32_t seq_save_after(const struct seq *s, uint32_t n, uint32_t block_tokens);

/* Full blocks that may come from the cache: those that end before the last known token. */
uint32_t seq_matchable(const struct seq *s, uint32_t block_tokens);

/* Makes the snapshot behind its n_done tokens findable. */
void seq_keep(struct seq *s, struct kv *snapshots, uint32_t snapshot, uint32_t block_tokens);

/* Pictures whose tokens see each other come whole: where what was found behind `from` tokens ends within one, its blocks are
 * given back from that picture's first on. */
void seq_back_off(struct seq *s, struct kv *kv, uint32_t from);

/* The block that has most of what comes next at its beginning, for a sequence that is at the edge of a block with nothing
 * under way, and how their texts part there.  KV_NONE: none has any. */
struct kv_near seq_near(const struct seq *s, const struct kv *kv);

/* Block b, the sequence's own, holds its next n tokens. */
void seq_adopt(struct seq *s, uint32_t b, uint32_t n);

/* Blocks it would take from the cache that somebody holds, so that they cost nothing. */
uint32_t seq_shared(const struct seq *s, const struct kv *kv, const struct kv *snapshots);

/* Gives back the blocks behind those that n tokens take. */
void seq_trim(struct seq *s, struct kv *kv, uint32_t n);

/* Makes the full blocks that are surely there findable. */
void seq_publish(struct seq *s, struct kv *kv);

/* Lets go of all blocks, the last first, so that of an idle sequence the end is evicted before the beginning.  What a partly
 * filled block has is noted. */
void seq_release(struct seq *s, struct kv *kv);

#endif
