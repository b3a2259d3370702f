/* measure.h -- tokens a second of an engine.
 *
 * It is driven as the server drives it, with jobs; only HTTP and text are left out.  Prompts are random ids, each its own,
 * so that nothing is found in the cache. */
#ifndef APP_MEASURE_H
#define APP_MEASURE_H

#include "engine/engine.h"

struct measure {
    unsigned streams, prompt, decode;
    double   prefill_tok_s, decode_tok_s, first_ms;
};

/* Runs m->streams jobs at once, each of m->prompt tokens and m->decode drawn, and fills in the rest. */
MUST_USE bool measure_once(struct engine *g, uint32_t n_vocab, struct measure *m, uint64_t *seed, struct err *e);

#endif
