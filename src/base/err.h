/* err.h -- how a failure of the world travels, and how a mistake of ours ends.
 *
 * A function that can fail because of the world (a file, a request, memory that was asked for by size) returns bool and
 * takes a `struct err *e`.  False means: *e was filled by the deepest function that knows, nothing was created and
 * nothing changed.  Callers on the way up may add where it happened with err_in(), and either return it or log it, never
 * both.
 *
 * A mistake of ours is CHECKed: always on, aborts with the expression and the place. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum err_kind {
#define ERR(name, status, type, when) ERR_##name,
#include "base/err.def"
#undef ERR
    ERR_COUNT
};

struct err {
    enum err_kind kind;
    char          text[512];    /* one line, for a person; cut at the end when longer */
    char          param[64];    /* the request field or option at fault, or "" */
    char          code[48];     /* a word that programs can test, as "context_length_exceeded", or "" */
};

/* Fills *e and returns false, so that a failing function can end with `return err_set(e, ...)`.  e may be NULL. */
bool err_set(struct err *e, enum err_kind kind, const char *fmt, ...) PRINTF(3, 4);

/* The same, naming the request field at fault. */
bool err_param(struct err *e, const char *param, const char *fmt, ...) PRINTF(3, 4);

/* The same for a failed system call: appends ": " and what errno means. */
bool err_os(struct err *e, const char *fmt, ...) PRINTF(2, 3);

/* Puts "context: " before the text already there; returns false. */
bool err_in(struct err *e, const char *fmt, ...) PRINTF(2, 3);

int         err_status(enum err_kind kind);    /* HTTP status */
const char *err_type(enum err_kind kind);      /* OpenAI error type */

#ifdef __cplusplus
[[noreturn]]
#else
_Noreturn
#endif
void check_failed(const char *expr, const char *file, int line);
#define CHECK(x) ((x) ? (void)0 : check_failed(#x, __FILE__, __LINE__))

#ifdef __cplusplus
}
#endif
#endif
