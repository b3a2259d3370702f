/* cases.h -- every op's cases on any backend, printed (proof/proof.h). */
#ifndef TEST_BACKEND_CASES_H
#define TEST_BACKEND_CASES_H

#include "backend/backend.h"

/* Returns how many are over the bound: that of bounds.def, or `least` where that is larger. */
unsigned run_cases(const struct backend_type *t, enum precision precision, double least);

#endif
