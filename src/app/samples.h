/* samples.h -- measured values, kept one by one so that percentiles are exact, and what is told of them.
 *
 * Room is taken once, for as many as may come (4 bytes each); memory is touched as they come. */
#ifndef APP_SAMPLES_H
#define APP_SAMPLES_H

#include "base/err.h"

#include <stdint.h>

struct samples {
    float *v;
    size_t n, n_max;
    size_t n_lost;              /* came when there was no room left */
};

enum { SPREAD_POINTS = 101 };

/* at[i] is the i-th percentile, at[0] the least and at[100] the greatest value, straight lines drawn between ranks.
 * n 0: everything is NaN. */
struct spread {
    uint64_t n;
    double   mean, at[SPREAD_POINTS];
};

MUST_USE bool samples_init(struct samples *s, size_t n_max, struct err *e);     /* ERR_MEMORY */
void          samples_drop(struct samples *s);                                  /* a zeroed one is fine */
void          samples_add(struct samples *s, double v);
struct spread samples_spread(struct samples *s);                                /* sorts them */

#endif
