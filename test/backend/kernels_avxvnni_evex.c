/* kernels_avxvnni_evex.c -- kernels_avxvnni.c with the other encoding of its one instruction, so that machines which have only
 * that one test the rest of it. */
#define ISA avxvnni_evex
#define DPBUSD _mm256_dpbusd_epi32
#include "backend/cpu/lanes_avx2.h"

#include "backend/cpu/linear.inc.h"
#include "backend/cpu/rows.inc.h"

#include "backend/cpu/attend.inc.h"
#include "backend/cpu/scan.inc.h"

#include "backend/cpu/table.inc.h"
