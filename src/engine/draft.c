/* draft.c -- see draft.h.  A place is the index of the token that follows a gram; 0 stands for none. */
#include "engine/draft.h"

#include "base/mem.h"

enum {
    CHAIN_MAX = 16,                 /* places looked at for one guess */
    MATCH_MAX = 32,                 /* tokens compared at each */
    MEMORY = 16,                    /* guesses that the odds remember, about */
};

static uint32_t slots(uint32_t limit)
{
    uint32_t n = 16;
    while (n < limit && n < UINT32_C(1) << 31)
        n *= 2;
    return n;
}

size_t draft_words(uint32_t limit)
{
    return (size_t)slots(limit) + limit + 1;
}

void draft_init(struct draft *d, uint32_t *word, uint32_t limit)
{
    *d = (struct draft){.head = word, .prev = word + slots(limit), .mask = slots(limit) - 1};
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

static uint32_t *head_of(const struct draft *d, const int32_t *token, uint32_t n)
{
    uint32_t x = (uint32_t)token[n - 1] * 0x9E3779B1u;
    x = (x ^ (uint32_t)token[n - 2]) * 0x85EBCA77u;
    x = (x ^ (uint32_t)token[n - 3]) * 0xC2B2AE3Du;
    return &d->head[(x ^ x >> 15) & d->mask];
}

static uint32_t match_length(const int32_t *token, uint32_t place, uint32_t n)
{
    uint32_t most = place < MATCH_MAX ? place : MATCH_MAX, i = 0;
    while (i < most && token[place - 1 - i] == token[n - 1 - i])
        i++;
    return i;
}

/* The longest match, the latest of equals. */
static void find(struct draft *d, const int32_t *token, uint32_t n)
{
    uint32_t place = *head_of(d, token, n);
    d->length = 0;
    for (int i = 0; place && i < CHAIN_MAX; i++, place = d->prev[place]) {
        uint32_t length = match_length(token, place, n);
        if (length >= DRAFT_GRAM && length > d->length) {
            d->length = length;
            d->from = place;
        }
    }
}

static void add(struct draft *d, const int32_t *token, uint32_t n)
{
    uint32_t *head = head_of(d, token, n);
    d->prev[n] = *head;
    *head = n;
}

/* ---- odds -------------------------------------------------------------------------------------------------------- */

/* Three equal tokens happen by chance, nine hardly ever. */
static unsigned kind_of(uint32_t length)
{
    return length < 4 ? 0 : length < 6 ? 1 : length < 9 ? 2 : 3;
}

static void score(struct draft_rate *r, bool right)
{
    const double keep = 1 - 1.0 / (double)MEMORY;
    r->right = r->right * keep + right;
    r->tried = r->tried * keep + 1;
}

/* As if one more had been tried and had failed: a single success is no certainty. */
double draft_odds(const struct draft *d, uint32_t i)
{
    const struct draft_rate *r = &d->rate[kind_of(d->length + i)];
    return r->right / (r->tried + 1);
}

/* ---- guesses ----------------------------------------------------------------------------------------------------- */

void draft_begin(struct draft *d, const int32_t *token, uint32_t n)
{
    for (uint32_t i = DRAFT_GRAM; i < n; i++)
        add(d, token, i);
    if (n < DRAFT_GRAM)
        return;
    find(d, token, n);
    add(d, token, n);
}

/* A match that went on to be one is the longest still: who is longer now was longer before. */
void draft_next(struct draft *d, const int32_t *token, uint32_t n)
{
    bool right = d->length && token[d->from] == token[n - 1];
    if (d->length)
        score(&d->rate[kind_of(d->length)], right);
    if (n < DRAFT_GRAM)
        return;
    if (right) {
        d->from++;
        d->length++;
    } else
        find(d, token, n);
    add(d, token, n);
}

/* In order, so that a guess may go on into itself: what repeats with a short period is foretold for as long as one
 * likes. */
void draft_write(const struct draft *d, int32_t *token, uint32_t n, uint32_t k)
{
    CHECK(d->length > 0);
    for (uint32_t i = 0; i < k; i++)
        token[n + i] = token[d->from + i];
}
