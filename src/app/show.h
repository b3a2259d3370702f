/* show.h -- what people see in the terminal: progress, sizes, the memory plan. */
#ifndef APP_SHOW_H
#define APP_SHOW_H

#include "base/buf.h"
#include "base/json.h"
#include "engine/engine.h"

/* "1.5 GB", in the caller's room. */
const char *show_bytes(uint64_t n, char out[static 24]);

/* Prints the finished value on standard output, and frees it. */
void show_json(struct json_out *w);

/* "what [####    ] 1.2 GB of 2 GB, tail", over the line that the cursor is in, on standard error. */
void show_bar(const char *what, uint64_t done, uint64_t all, const char *tail);
void show_bar_end(void);        /* clears that line */

/* A bar on standard error while weights are taken in; on a terminal only.  Fits engine_opts.progress. */
void show_progress(void *ctx, uint64_t done, uint64_t all);

/* The table of what was sized at start; weights: what to say beside theirs, "" is fine. */
void show_plan(const struct engine_plan *p, const char *weights, struct buf *out);

#endif
