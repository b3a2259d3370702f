/* names.h -- an index over the names in a file: filled, then sorted once, then asked. */
#ifndef STORE_NAMES_H
#define STORE_NAMES_H

#include "base/err.h"
#include "base/str.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NAMES_NONE SIZE_MAX

struct names {
    struct name {
        struct str name;        /* borrowed */
        size_t     i;           /* what the name stands for */
    } *at;
    size_t n, room;
};

void names_drop(struct names *x);

/* A name is UTF-8, not empty, and has no control characters, so that it can stand in a message.  ERR_CORRUPT. */
MUST_USE bool names_check(struct str name, struct err *e);

void names_push(struct names *x, struct str name, size_t i);

/* To be called once, after the last push.  ERR_CORRUPT: a name is there twice. */
MUST_USE bool names_sort(struct names *x, struct err *e);

size_t names_find(const struct names *x, struct str name);      /* its i, or NAMES_NONE */
bool   names_has(const struct names *x, struct str name);

/* For "%.*s": cut so that what follows still fits an error's line. */
#define NAME_ARGS(s) ((int)((s).n < 160 ? (s).n : 160)), (s).p

#ifdef __cplusplus
}
#endif
#endif
