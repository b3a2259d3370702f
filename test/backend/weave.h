/* weave.h -- the same sequences run in different ways: whole, in chunks, token by token, alone, woven together.
 *
 * Everything is static, so that test programs of several folders can use it. */
#ifndef TEST_BACKEND_WEAVE_H
#define TEST_BACKEND_WEAVE_H

#include "backend/backend.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WEAVE_SEQS = 16, WEAVE_LONGEST = 71, WEAVE_BLOCK_TOKENS = 16 };
enum { WEAVE_WHOLE = 0, WEAVE_RANDOM = -1 };        /* or a chunk of so many tokens */

/* One sequence after the other, or all in one batch; how many tokens of a sequence go into a run. */
struct weave {
    const char *name;
    int         chunk;
    bool        together;
};

struct weave_seqs {
    uint32_t n_vocab, n_seq, len[WEAVE_SEQS];
    int32_t  token[WEAVE_SEQS][WEAVE_LONGEST];
};

static inline uint64_t weave_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Six sequences of 1 to `longest` tokens and ten of 1 to `longest_other`. */
static inline struct weave_seqs weave_seqs(uint32_t n_vocab, uint32_t longest, uint32_t longest_other)
{
    static const uint32_t len[WEAVE_SEQS] = {1, WEAVE_LONGEST, 17, 2, 33, 16, 48, 5, 64, 31, 3, 15, 29, 1, 50, 8};
    struct weave_seqs     q = {.n_vocab = n_vocab, .n_seq = WEAVE_SEQS};
    uint64_t              seed = 99;
    for (uint32_t s = 0; s < q.n_seq; s++) {
        uint32_t most = s < 6 ? longest : longest_other;
        q.len[s] = len[s] < most ? len[s] : most;
        for (uint32_t i = 0; i < q.len[s]; i++)
            q.token[s][i] = (int32_t)(weave_random(&seed) % n_vocab);
    }
    return q;
}

/* For a plan that can run all of it at once. */
static inline struct plan_opts weave_plan(const struct weave_seqs *q)
{
    uint32_t all = 0;
    for (uint32_t s = 0; s < q->n_seq; s++)
        all += q->len[s];
    return (struct plan_opts){.token_max = all, .seq_max = q->n_seq, .pick_max = all,
                              .block_tokens = WEAVE_BLOCK_TOKENS,
                              .context_max = WEAVE_LONGEST};
}

enum { WEAVE_BLOCK_MAX = (WEAVE_LONGEST + WEAVE_BLOCK_TOKENS - 1) / WEAVE_BLOCK_TOKENS,
       WEAVE_BLOCKS = WEAVE_BLOCK_MAX * WEAVE_SEQS };

struct weave_run {
    const struct backend_type *type;
    struct plan               *plan;
    const struct weave_seqs   *q;
    float                     *logits;      /* [sequence][token][n_vocab] */
    uint32_t                   done[WEAVE_SEQS];
    uint32_t                   block[WEAVE_SEQS][WEAVE_BLOCK_MAX];
    uint64_t                   seed;
};

static inline size_t weave_place(const struct weave_seqs *q, uint32_t s, uint32_t pos)
{
    size_t row = pos;
    for (uint32_t k = 0; k < s; k++)
        row += q->len[k];
    return row * q->n_vocab;
}

static inline size_t weave_floats(const struct weave_seqs *q)
{
    return weave_place(q, q->n_seq, 0);
}

/* Runs n[s] tokens of each listed sequence and keeps the logits of all of them. */
static inline bool weave_step(struct weave_run *w, const uint32_t seq[], const uint32_t n[], uint32_t n_seq)
{
    static const size_t most = (size_t)WEAVE_SEQS * WEAVE_LONGEST;
    int32_t  *token = mem_array(most, sizeof *token);
    uint32_t *pick = mem_array(most, sizeof *pick), start[WEAVE_SEQS + 1] = {0}, past[WEAVE_SEQS];
    uint32_t  block[WEAVE_SEQS][WEAVE_BLOCK_MAX];
    uint32_t  reach[WEAVE_SEQS];
    struct batch in = {.slot = seq, .n_seq = n_seq, .token = token, .start = start, .past = past, .reach = reach, .block = block[0],
                       .block_max = WEAVE_BLOCK_MAX, .pick = pick};
    for (uint32_t i = 0; i < n_seq; i++) {
        memcpy(block[i], w->block[seq[i]], sizeof block[i]);
        past[i] = w->done[seq[i]];
        reach[i] = w->q->len[seq[i]];
        for (uint32_t k = 0; k < n[i]; k++) {
            pick[in.n_token] = in.n_token;
            token[in.n_token++] = w->q->token[seq[i]][past[i] + k];
        }
        start[i + 1] = in.n_token;
    }
    in.n_pick = in.n_token;
    struct err   e;
    bool         ok = w->type->run(w->plan, &in, NULL, &e);
    const float *rows = ok ? w->type->result(w->plan, "logits") : NULL;
    for (uint32_t i = 0; i < n_seq && rows; i++) {
        memcpy(w->logits + weave_place(w->q, seq[i], past[i]), rows + (size_t)start[i] * w->q->n_vocab,
               sizeof(float) * n[i] * w->q->n_vocab);
        w->done[seq[i]] += n[i];
    }
    free(token);
    free(pick);
    return rows != NULL;
}

/* How many of the tokens left of a sequence go into the next run; sometimes none when random. */
static inline uint32_t weave_part(struct weave_run *w, int chunk, uint32_t left)
{
    uint32_t n = chunk == WEAVE_WHOLE ? left : (uint32_t)chunk;
    if (chunk == WEAVE_RANDOM)
        n = weave_random(&w->seed) % 3 ? (uint32_t)(weave_random(&w->seed) % 20) : 1;
    return n < left ? n : left;
}

/* The logits of every token, run in the given way, to be freed; NULL: the backend failed. */
static inline float *weave(const struct backend_type *t, struct plan *plan, const struct weave_seqs *q,
                           struct weave how)
{
    struct weave_run w = {.type = t, .plan = plan, .q = q, .seed = (uint64_t)how.chunk + 5};
    uint32_t         order[WEAVE_BLOCKS];
    for (uint32_t i = 0; i < WEAVE_BLOCKS; i++) {
        uint32_t at = (uint32_t)(weave_random(&w.seed) % (i + 1));
        order[i] = order[at];
        order[at] = i;
    }
    memcpy(w.block, order, sizeof w.block);
    w.logits = mem_array(weave_floats(q), sizeof(float));
    for (uint32_t from = 0; from < q->n_seq;) {
        uint32_t seq[WEAVE_SEQS], n[WEAVE_SEQS], n_seq = 0, to = how.together ? q->n_seq : from + 1;
        bool     left = false;
        for (uint32_t s = from; s < to; s++) {
            n[n_seq] = weave_part(&w, how.chunk, q->len[s] - w.done[s]);
            left = left || w.done[s] < q->len[s];
            seq[n_seq] = s;
            n_seq += n[n_seq] > 0;
        }
        if (!left)
            from = to;
        else if (n_seq && !weave_step(&w, seq, n, n_seq)) {
            free(w.logits);
            return NULL;
        }
    }
    return w.logits;
}

static const struct weave weave_ways[] = {
    {"together, at random", WEAVE_RANDOM, true}, {"alone, whole", WEAVE_WHOLE, false},
    {"alone, chunks of 7", 7, false},            {"alone, chunks of 16", 16, false},
    {"alone, token by token", 1, false},         {"together, whole", WEAVE_WHOLE, true},
    {"together, chunks of 13", 13, true},        {"together, token by token", 1, true},
};
enum { WEAVE_WAYS = sizeof weave_ways / sizeof weave_ways[0] };

/* Runs q in the first n_way ways and compares, bit for bit, with what *first points to; when that is NULL, the first
 * way's logits are put there, to be freed.  False: a difference, or a failure; which is printed. */
static inline bool weave_same(const struct backend_type *t, struct plan *plan, const struct weave_seqs *q, size_t n_way,
                              float **first)
{
    for (size_t i = 0; i < n_way; i++) {
        float *got = weave(t, plan, q, weave_ways[i]);
        bool   ok = got && (!*first || memcmp(got, *first, weave_floats(q) * sizeof *got) == 0);
        if (!ok)
            printf("  %s: %s %s\n", t->name, weave_ways[i].name, got ? "differs" : "failed");
        if (ok && !*first)
            *first = got;
        else
            free(got);
        if (!ok)
            return false;
    }
    return true;
}

#endif
