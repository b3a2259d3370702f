/* pattern.h -- a literal text or a regular expression (PCRE2 wrapped) that behaves as Oniguruma's, for which the
 * patterns in tokenizer.json were written: \s and \w mean what they mean there, ^ and $ hold at every line.
 *
 * Patterns come from model files and may be hostile, so a search has limits and can fail. */
#ifndef TEXT_PATTERN_H
#define TEXT_PATTERN_H

#include "base/err.h"
#include "base/str.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pattern;

/* ERR_UNSUPPORTED: not to be had here (an empty literal; a set within a set); ERR_CORRUPT: no regular expression. */
MUST_USE bool pattern_new(struct pattern **out, struct str text, bool regex, struct err *e);
void          pattern_free(struct pattern *p);      /* NULL is fine */

/* What one thread needs for searching; any number of patterns may share it in turn. */
struct pattern_run;
struct pattern_run *pattern_run_new(void);
void                pattern_run_free(struct pattern_run *r);

/* A part of a text: a match, or what lies between two. */
struct part {
    uint32_t from, to;
    bool     match;
};

struct parts {
    struct part *p;
    size_t       n, room;
};
void parts_push(struct parts *x, size_t from, size_t to, bool match);     /* nothing where from == to and no match */
void parts_drop(struct parts *x);

/* Appends the parts of the text, in order and without gap.  ERR_INVALID: a limit was hit. */
MUST_USE bool pattern_cut(const struct pattern *p, struct pattern_run *r, struct str text, struct parts *out,
                          struct err *e);

#ifdef __cplusplus
}
#endif
#endif
