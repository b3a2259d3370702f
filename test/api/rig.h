/* rig.h -- an api on a scripted engine, a small tokenizer and a ChatML template, with a clock that stands still. */
#ifndef TEST_API_RIG_H
#define TEST_API_RIG_H

#include "api/inside.h"
#include "fake_engine.h"
#include "memory_reply.h"

/* Ids 0 to 255 are the bytes; then these. */
enum { RIG_EOS = 256, RIG_START, RIG_STOP, RIG_WORDS, RIG_VOCAB = 512 };

struct rig {
    struct engine    *engine;
    struct tokenizer *tokenizer;
    struct template  *template;
    struct model_info info;
    struct api       *api;
    _Atomic uint64_t  now;
};

struct rig_opts {
    const struct api_key *key;
    size_t                n_key;
    bool                  no_template;
    bool                  plain_template;   /* one that reads only the messages */
    uint32_t              calls_max, tokens_max, timeout_s;
    const struct log     *log;
};

void rig_init(struct rig *r, const struct rig_opts *o);
void rig_drop(struct rig *r);           /* steps the engine until the api has closed */

/* A script in words: pieces split at '|', each a word of the vocabulary, \xHH for one byte, <eos>, or !hold, !fail,
 * !timeout, !again (from the beginning, for ever).  A piece that is no word is spelled in bytes. */
void rig_script(struct rig *r, const char *words);

/* Hands the request in and steps the engine until the reply has ended. */
void rig_serve(struct rig *r, struct memory_reply *m);

/* Steps the engine until the condition holds; fails the test when it takes too long. */
#define RIG_UNTIL(r, condition)                                                                                        \
    for (unsigned tries_ = 0; !(condition); tries_++)                                                                  \
        rig_step(r, tries_, #condition)
void rig_step(struct rig *r, unsigned tries, const char *what);

/* Waits without stepping. */
#define RIG_WAIT(condition)                                                                                            \
    for (unsigned tries_ = 0; !(condition); tries_++)                                                                  \
        rig_step(NULL, tries_, #condition)

#endif
