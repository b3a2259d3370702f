/* toy.h -- a small decoder whose matrices fit every format: two layers, grouped heads, a window in the second. */
#ifndef TEST_BACKEND_TOY_H
#define TEST_BACKEND_TOY_H

#include "program/program.h"

enum { TOY_VOCAB = 128 };

/* "text": tokens in, "logits" out.  Freed with bundle_free(prog_bundle(p)). */
struct prog *toy_prog(void);

#endif
