/* kernels_avx512.c -- see kernels.h. */
#define ISA avx512
#include "backend/cpu/lanes_avx512.h"

#include "backend/cpu/linear.inc.h"
#include "backend/cpu/rows.inc.h"

#include "backend/cpu/attend.inc.h"
#include "backend/cpu/scan.inc.h"

#include "backend/cpu/table.inc.h"
