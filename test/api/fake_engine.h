/* fake_engine.h -- an engine that says what it was told to, when it was told to.
 *
 * It defines the functions of engine/engine.h.  Each job that is submitted takes the next script (the last one serves
 * all that follow); nothing happens until fake_step(), which the test calls in place of the engine's thread. */
#ifndef TEST_API_FAKE_ENGINE_H
#define TEST_API_FAKE_ENGINE_H

#include "engine/engine.h"

enum { FAKE_SCRIPT_MAX = 64, FAKE_SCRIPTS_MAX = 16, FAKE_CONTEXT = 4096, FAKE_SEQS = 8 };

enum fake_kind { FAKE_TOKEN, FAKE_HOLD, FAKE_FAIL, FAKE_TIMEOUT, FAKE_AGAIN };

struct fake_line {
    enum fake_kind kind;
    int32_t        token;
};

struct fake_script {
    struct fake_line line[FAKE_SCRIPT_MAX];
    size_t           n;
};

struct engine *fake_engine_new(struct clock clock);
void           fake_engine_free(struct engine *g);      /* no job may be alive */
void           fake_add_script(struct engine *g, const struct fake_script *s);
void           fake_refuse(struct engine *g, enum err_kind kind);      /* every submit; ERR_NONE: no more */
void           fake_refuse_after(struct engine *g, unsigned n, enum err_kind kind);     /* n are taken first */
void           fake_cached(struct engine *g, uint32_t n);              /* what STARTED and each token say */

/* One event for each live job, in the order of submission: STARTED, then a token a step, then END.  False: there was
 * nothing to say. */
bool fake_step(struct engine *g);
void fake_release(struct engine *g);                    /* jobs go on behind their HOLD */

unsigned fake_live(struct engine *g);
unsigned fake_cancels(struct engine *g);                /* calls of engine_cancel() for a live job */

/* What was asked of the engine so far: a line per job.  Freed by the caller. */
char *fake_jobs(struct engine *g);

#endif
