/* kernels_i8mm.c -- see kernels.h. */
#define ISA i8mm
#define SMMLA
#include "backend/cpu/lanes_neon.h"

#include "backend/cpu/linear.inc.h"
#include "backend/cpu/rows.inc.h"

#include "backend/cpu/attend.inc.h"
#include "backend/cpu/scan.inc.h"

#include "backend/cpu/table.inc.h"
