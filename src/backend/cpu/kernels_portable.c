/* kernels_portable.c -- see kernels.h. */
#define ISA portable
#include "backend/cpu/lanes_portable.h"

#include "backend/cpu/linear.inc.h"
#include "backend/cpu/rows.inc.h"

#include "backend/cpu/attend.inc.h"
#include "backend/cpu/scan.inc.h"

#include "backend/cpu/table.inc.h"
