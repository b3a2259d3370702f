/* kernels.c -- which instruction sets this machine has. */
#include "backend/cpu/kernels.h"

#include <string.h>

#if defined(__x86_64__)
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");     /* whoever has these has F16C */
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
           && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
           && __builtin_cpu_supports("avx512vnni");
}
#endif

static bool always(void)
{
    return true;
}

static const struct {
    const struct kernels *kernels;
    bool (*here)(void);
} all[] = {
#if defined(__x86_64__)
    {&kernels_avx512, has_avx512},
    {&kernels_avx2, has_avx2},
#endif
    {&kernels_portable, always},
};

const struct kernels *kernels_at(size_t i)
{
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
        if (all[k].here() && i-- == 0)
            return all[k].kernels;
    return NULL;
}

const struct kernels *kernels_find(const char *isa)
{
    const struct kernels *k = kernels_at(0);
    for (size_t i = 1; isa && k && strcmp(k->isa, isa) != 0; i++)
        k = kernels_at(i);
    return k;
}
