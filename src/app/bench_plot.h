/* bench_plot.h -- runs of `hearth bench serve` drawn beside each other, as SVG.
 *
 * Above, how first tokens and the pauses between tokens are distributed: how many of a hundred came within so many
 * milliseconds (a logarithmic axis; dots at p50 and p99).  Below, throughput, a bar a run. */
#ifndef APP_BENCH_PLOT_H
#define APP_BENCH_PLOT_H

#include "app/bench_result.h"

enum { BENCH_PLOT_MAX = 9 };

/* Appends a whole SVG document.  n <= BENCH_PLOT_MAX.  Labels and subtitle may hold any bytes. */
void bench_plot_svg(const struct bench_result *r, size_t n, const char *subtitle, struct buf *out);

#endif
