/* cost.h -- what a step will take, learned from what steps took.
 *
 *   ns = step + row * rows + reach * attended
 *
 * where `attended` sums over the rows how many tokens each looks back at.  The three numbers are fitted to all kinds of
 * steps met so far, each kind remembered by itself, so that an hour of nothing but short steps does not make it forget
 * what a long one costs.  All of it is multiplied by the pace: how much longer than that the last few steps took, for
 * other work may take the cores at any moment. */
#ifndef ENGINE_COST_H
#define ENGINE_COST_H

#include <stdint.h>

enum { COST_ROWS = 16, COST_REACH = 16 };           /* kinds: powers of two of rows, and of attended tokens a row */

struct cost_kind {
    double   rows, attended, ns;                    /* means */
    uint32_t n;                                     /* steps in them, 0 to 8 */
};

struct cost_model {
    struct cost_kind kind[COST_ROWS][COST_REACH];
    double           step, row, reach, pace;
    double           rows_max, attended_max;        /* the largest step measured */
};

void   cost_learn(struct cost_model *c, double rows, double attended, double ns);
double cost_ns(const struct cost_model *c, double rows, double attended);

/* How many more rows, at most n_max, of a sequence that has `past` tokens fit into a step that holds rows and attended
 * already, so that it takes ns at most and is not much larger than any that was measured. */
uint32_t cost_fit(const struct cost_model *c, double rows, double attended, uint32_t past, uint32_t n_max, double ns);

/* Tokens that n rows behind `past` others look back at, themselves included. */
static inline double cost_attended(uint32_t past, uint32_t n)
{
    return (double)n * past + (double)n * ((double)n + 1) / 2;
}

#endif
