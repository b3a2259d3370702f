/* bench_load.h -- the load of `hearth bench serve`: who asks what, when, and what is counted.
 *
 * Closed loop: so many users, each asks again when it has its answer.  Open loop (rate > 0): requests come at random times
 * whether or not earlier ones are answered, and a request's time begins when it should have been sent, so that a server
 * that stalls cannot hide the wait of those that queue up behind (coordinated omission).
 *
 * Times are taken when bytes arrive here.  Events that arrive in one packet are 0 ms apart: that is what a reader sees. */
#ifndef APP_BENCH_LOAD_H
#define APP_BENCH_LOAD_H

#include "app/bench_answer.h"
#include "app/bench_client.h"
#include "app/bench_prompt.h"
#include "app/bench_result.h"

struct bench_load {
    const char         *model;
    bool                chat, ignore_eos;
    unsigned            users, requests, answer_tokens;
    double              rate;               /* requests a second; 0: closed loop */
    struct bench_prompt prompt;
};

enum { BENCH_SAMPLES_MAX = 1 << 24 };       /* requests * answer_tokens at most: every pause is kept, in 64 MB */

/* Runs all of it; the client must have room for `users` calls.  A line on standard error, if that is a terminal, tells how
 * far it is.  False: there is no memory for the samples; failures of requests are counted in *errors. */
MUST_USE bool bench_load_run(const struct bench_load *l, struct bench_client *b, struct bench_result *out,
                             struct bench_errors *errors, struct err *e);

/* Request `i` alone: its usage.  False: *e says why, *status is the server's, or 0. */
MUST_USE bool bench_load_one(const struct bench_load *l, struct bench_client *b, uint64_t i, struct bench_answer *out,
                             int *status, struct err *e);

#endif
