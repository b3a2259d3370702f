/* bundle.h -- what program.c needs of bundle.c and the other way round; nobody else's business. */
#ifndef PROGRAM_BUNDLE_H
#define PROGRAM_BUNDLE_H

#include "program/program.h"

const struct err *bundle_err(const struct bundle *b);       /* kind ERR_NONE: no mistake so far */
void              bundle_use(struct bundle *b, wt w, enum op op);

struct prog *prog_new(struct bundle *b, const char *name);
void         prog_free(struct prog *p);
const char  *prog_name(const struct prog *p);

#endif
