/* kernels_avxvnni.c -- see kernels.h. */
#define ISA avxvnni
#define DPBUSD _mm256_dpbusd_avx_epi32
#include "backend/cpu/lanes_avx2.h"

#include "backend/cpu/linear.inc.h"
#include "backend/cpu/rows.inc.h"

#include "backend/cpu/attend.inc.h"
#include "backend/cpu/scan.inc.h"

#include "backend/cpu/table.inc.h"
