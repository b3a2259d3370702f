/* cases.h -- every op's test cases, in every format, on any backend, against ref. */
#ifndef TEST_BACKEND_CASES_H
#define TEST_BACKEND_CASES_H

#include "backend/backend.h"

/* Runs all of them with 1 and with 3 threads, prints the worst error per op (and format, for linear) beside its bound.
 * The bound is that of bounds.def, or `least` where that is larger.  Returns how many are over it. */
unsigned run_cases(const struct backend_type *t, enum precision precision, double least);
unsigned run_cases_of(const struct backend_type *t, enum precision precision, double least, enum op op);    /* one op's */

/* Attention's, with keys and values in int8: as run_cases() against ref with the same, and within bounds.def's error of the
 * option against ref without it. */
unsigned run_int8_cases(const struct backend_type *t, enum precision precision);

#endif
