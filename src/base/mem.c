/* mem.c -- see mem.h. */
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach/mach.h>
#include <sys/sysctl.h>
#endif

static void *have(void *p, size_t bytes)
{
    if (!p) {
        fprintf(stderr, "hearth: out of memory (%zu bytes)\n", bytes);
        abort();
    }
    return p;
}

void *mem_new(size_t bytes)
{
    return have(calloc(1, bytes ? bytes : 1), bytes);
}

void *mem_array(size_t n, size_t each)
{
    CHECK(each == 0 || n <= SIZE_MAX / each);
    return mem_new(n * each);
}

void *mem_grow(void *p, size_t n, size_t each)
{
    CHECK(each == 0 || n <= SIZE_MAX / each);
    size_t bytes = n * each;
    if (bytes == 0)
        bytes = 1;
    return have(realloc(p, bytes), bytes);
}

char *mem_copy(const char *p, size_t n)
{
    char *s = mem_new(n + 1);
    if (n)
        memcpy(s, p, n);
    return s;
}

void *mem_try(size_t bytes)
{
    if (bytes == 0)
        bytes = 1;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
#ifdef MADV_HUGEPAGE
    if (bytes >= (size_t)4 << 20)
        madvise(p, bytes, MADV_HUGEPAGE);
#endif
    return p;
}

void mem_try_free(void *p, size_t bytes)
{
    if (p)
        munmap(p, bytes ? bytes : 1);
}

bool mem_populate(void *p, size_t bytes)
{
#if defined(__linux__) && !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23      /* Linux 5.14; Debian 12's headers know it, older ones may not */
#endif
#ifdef MADV_POPULATE_WRITE
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)p & ~(page - 1);
    return madvise((void *)from, (uintptr_t)p + bytes - from, MADV_POPULATE_WRITE) == 0;
#else
    (void)p, (void)bytes;
    return false;
#endif
}

#ifdef __APPLE__

uint64_t mem_physical(void)
{
    uint64_t bytes = 0;
    size_t   n = sizeof bytes;
    return sysctlbyname("hw.memsize", &bytes, &n, NULL, 0) == 0 ? bytes : 0;
}

uint64_t mem_available(void)
{
    vm_statistics64_data_t vm;
    mach_msg_type_number_t n = HOST_VM_INFO64_COUNT;
    if (host_statistics64(mach_host_self(), HOST_VM_INFO64, (host_info64_t)&vm, &n) != KERN_SUCCESS)
        return 0;
    return ((uint64_t)vm.free_count + vm.inactive_count + vm.purgeable_count) * (uint64_t)getpagesize();
}

uint64_t mem_resident(void)
{
    mach_task_basic_info_data_t info;
    mach_msg_type_number_t      n = MACH_TASK_BASIC_INFO_COUNT;
    if (task_info(mach_task_self(), MACH_TASK_BASIC_INFO, (task_info_t)&info, &n) != KERN_SUCCESS)
        return 0;
    return info.resident_size;
}

#else

/* The number after `key` in a file of lines "key: number kB"; key NULL: the first number of the file.  0: none. */
static uint64_t number_in(const char *path, const char *key)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    char     line[256];
    uint64_t got = 0;
    size_t   n = key ? strlen(key) : 0;
    while (fgets(line, sizeof line, f))
        if (!key || strncmp(line, key, n) == 0) {
            got = strtoull(line + n, NULL, 10);
            break;
        }
    fclose(f);
    return got;
}

/* What the control group leaves: its limit, or 0 for none. */
static uint64_t group_limit(void)
{
    uint64_t v2 = number_in("/sys/fs/cgroup/memory.max", NULL);
    return v2 ? v2 : number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes", NULL);
}

uint64_t mem_physical(void)
{
    uint64_t all = number_in("/proc/meminfo", "MemTotal:") * 1024, group = group_limit();
    return group && group < all ? group : all;
}

uint64_t mem_available(void)
{
    uint64_t free_now = number_in("/proc/meminfo", "MemAvailable:") * 1024, group = group_limit();
    if (!group)
        return free_now;
    uint64_t used = number_in("/sys/fs/cgroup/memory.current", NULL);
    uint64_t left = group > used ? group - used : 0;
    return left < free_now ? left : free_now;
}

uint64_t mem_resident(void)
{
    return number_in("/proc/self/status", "VmRSS:") * 1024;
}

#endif
