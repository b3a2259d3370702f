/* cases.h -- every op's cases on any backend, printed (proof/proof.h). */
#ifndef TEST_BACKEND_CASES_H
#define TEST_BACKEND_CASES_H

#include "backend/backend.h"

/* Returns how many are over the bound: that of bounds.def, or `least` where that is larger. */
unsigned run_cases(const struct backend_type *t, enum precision precision, double least);
unsigned run_cases_of(const struct backend_type *t, enum precision precision, double least, enum op op);    /* one op's */

/* Attention's, with keys and values in int8: as run_cases() against ref with the same, and within bounds.def's error of the
 * option against ref without it. */
unsigned run_int8_cases(const struct backend_type *t, enum precision precision);

#endif
