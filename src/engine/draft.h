/* draft.h -- what a sequence will say next, guessed from what was said before.
 *
 * The last tokens are looked for among all earlier ones, prompt and answer; what followed them there is the guess.
 * Every token that comes is held against the guess, whether or not a step has computed with it.  So the odds of a
 * guess are known before the first is ever tried, and to learn them costs a look-up.
 *
 * Prompt lookup: Saxena, "Prompt lookup decoding", 2023.  The index is that of deflate: a table of the last place of
 * every GRAM tokens, and for each place the one before it.  Nothing is allocated here. */
#ifndef ENGINE_DRAFT_H
#define ENGINE_DRAFT_H

#include <stddef.h>
#include <stdint.h>

enum {
    DRAFT_GRAM = 3,                 /* tokens that must be equal for a guess */
    DRAFT_MAX = 8,                  /* guessed tokens that a sequence takes into a step */
    DRAFT_ROWS = 32,                /* that all take together */
    DRAFT_KINDS = 4,                /* matches by their length, each with its own odds */
};

struct draft {
    uint32_t *head, *prev, mask;    /* mask 0: it never guesses */
    uint32_t  from, length;         /* token[from] is next: `length` tokens before it are the last ones; 0: no guess */
    struct draft_rate {
        double right, tried;        /* of the latest guesses */
    } rate[DRAFT_KINDS];
};

/* Room for a sequence of `limit` tokens: so many words, all 0, which remain the caller's. */
size_t draft_words(uint32_t limit);
void   draft_init(struct draft *d, uint32_t *word, uint32_t limit);

/* The prompt is known: n tokens.  It sets no odds, for what it repeats the answer need not. */
void draft_begin(struct draft *d, const int32_t *token, uint32_t n);

/* One more is known: token[n - 1]. */
void draft_next(struct draft *d, const int32_t *token, uint32_t n);

/* The odds that guessed token i comes, if those before it do.  0 while nothing of the kind has come true. */
double draft_odds(const struct draft *d, uint32_t i);

/* Writes the next k guessed tokens to token[n …]; there must be a guess. */
void draft_write(const struct draft *d, int32_t *token, uint32_t n, uint32_t k);

#endif
