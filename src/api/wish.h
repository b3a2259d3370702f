/* wish.h -- what a request asks for beyond its prompt: how to draw, when to stop, what to send along. */
#ifndef API_WISH_H
#define API_WISH_H

#include "api/fields.h"
#include "base/arena.h"
#include "engine/engine.h"

enum { STOP_MAX = 16, STOP_BYTES_MAX = 1024, CHOICES_MAX = 16 };

struct wish {
    bool         stream, include_usage;
    bool         echo;                  /* the prompt's text comes first */
    bool         logprobs;              /* draw.n_logprob says how many */
    bool         return_ids, ignore_eos;
    uint32_t     n;                     /* answers to each prompt */
    bool         has_max;
    uint32_t     tokens_max;            /* where has_max */
    struct draw  draw;                  /* seed drawn at random when none was sent */
    struct str   stop[STOP_MAX];
    size_t       n_stop;
    int32_t     *stop_id;
    size_t       n_stop_id;
    uint64_t     timeout_ns;            /* 0: none */
    struct str   salt;
};

struct wish_limits {
    uint32_t n_vocab, n_max;
    uint32_t timeout_s;                 /* when none was sent; 0: none */
    struct draw draw;                   /* what holds where the request says nothing */
};

/* Reads what the endpoint knows of it.  fields_check() must have passed; what outlives the request is copied into the
 * arena.  ERR_INVALID names the field. */
MUST_USE bool wish_read(struct wish *out, const struct fields *q, const struct wish_limits *l, struct arena *a,
                        struct err *e);

#endif
