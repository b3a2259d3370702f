/* kernels.c -- which instruction sets this machine has. */
#include "backend/cpu/kernels.h"

#include <string.h>

#if defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#elif defined(__x86_64__)
#include <cpuid.h>
#endif

#if defined(__x86_64__)
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");     /* whoever has these has F16C */
}

static bool has_avxvnni(void)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4) != 0;
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
           && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
           && __builtin_cpu_supports("avx512vnni");
}
#elif defined(__aarch64__)
#if defined(__APPLE__)
static bool has_feature(const char *name)
{
    int    is = 0;
    size_t n = sizeof is;
    return sysctlbyname(name, &is, &n, NULL, 0) == 0 && is;
}

static bool has_neon(void)
{
    return has_feature("hw.optional.arm.FEAT_DotProd");
}

static bool has_i8mm(void)
{
    return has_neon() && has_feature("hw.optional.arm.FEAT_I8MM");
}
#else
static bool has_neon(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
}

static bool has_i8mm(void)
{
    return has_neon() && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
}
#endif
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
    {&kernels_avxvnni, has_avxvnni},
    {&kernels_avx2, has_avx2},
#elif defined(__aarch64__)
    {&kernels_i8mm, has_i8mm},
    {&kernels_neon, has_neon},
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

bool kernels_pairs(const struct kernels *k)
{
#if defined(__x86_64__)
    return k->pairs && __builtin_cpu_supports("avx512bf16");
#else
    return k->pairs;
#endif
}
