/* machine.c -- see machine.h. */
#include "base/machine.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifdef __APPLE__

#include <sys/sysctl.h>

static void read_text(const char *name, char *out, size_t room)
{
    size_t n = room - 1;
    memset(out, 0, room);
    if (sysctlbyname(name, out, &n, NULL, 0) != 0)
        *out = 0;
}

static uint64_t read_number(const char *name)
{
    uint64_t x = 0;                             /* the system's are of 4 or 8 bytes, little-endian */
    size_t   n = sizeof x;
    return sysctlbyname(name, &x, &n, NULL, 0) == 0 ? x : 0;
}

static void read_system(struct machine *m, char name[static 96])
{
    char version[32];
    read_text("kern.osproductversion", version, sizeof version);
    snprintf(name, 96, "macOS %s", version);
    read_text("machdep.cpu.brand_string", m->chip, sizeof m->chip);
    m->fast_cores = (unsigned)read_number("hw.perflevel0.physicalcpu");
    m->shared_gpu = read_number("hw.optional.arm64") != 0;
    m->gpu_limit = read_number("iogpu.wired_limit_mb") << 20;
}

#else

/* What stands behind `key` and `mark` in a file of such lines, without quotes; "": nothing. */
static void read_line(const char *path, const char *key, char mark, char *out, size_t room)
{
    char  line[512];
    FILE *f = fopen(path, "re");
    *out = 0;
    while (f && !*out && fgets(line, sizeof line, f)) {
        char *at = strchr(line, mark);
        if (strncmp(line, key, strlen(key)) != 0 || !at)
            continue;
        at += 1 + strspn(at + 1, " \t\"");
        snprintf(out, room, "%.*s", (int)strcspn(at, "\"\n"), at);
    }
    if (f)
        fclose(f);
}

static void read_system(struct machine *m, char name[static 96])
{
    read_line("/etc/os-release", "PRETTY_NAME", '=', name, 96);
    read_line("/proc/cpuinfo", "model name", ':', m->chip, sizeof m->chip);
}

#endif

static uint64_t limit_of(const struct rlimit *r)
{
    return r->rlim_cur == RLIM_INFINITY ? MACHINE_NO_LIMIT : (uint64_t)r->rlim_cur;
}

void machine_read(struct machine *out)
{
    struct utsname u = {0};
    char           name[96] = "";
    struct rlimit  locked = {.rlim_cur = RLIM_INFINITY}, files = locked;
    getrlimit(RLIMIT_MEMLOCK, &locked);
    getrlimit(RLIMIT_NOFILE, &files);
    *out = (struct machine){.locked_max = limit_of(&locked), .files_max = limit_of(&files)};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    out->cores = cores > 0 ? (unsigned)cores : 1;
    read_system(out, name);
    uname(&u);
    snprintf(out->os, sizeof out->os, "%s%s%.31s %.31s %.15s", name, *name ? ", " : "", u.sysname, u.release, u.machine);
}

bool machine_disk(const char *path, uint64_t *out)
{
    struct statvfs s;
    char          *at = mem_copy(path, strlen(path)), *slash;
    while (statvfs(at, &s) != 0) {
        slash = strrchr(at, '/');
        if (!slash || slash == at) {
            free(at);
            return false;
        }
        *slash = 0;
    }
    free(at);
    *out = (uint64_t)s.f_bavail * s.f_frsize;
    return true;
}
