/* machine.h -- what machine this is, for people who read reports. */
#ifndef BASE_MACHINE_H
#define BASE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MACHINE_NO_LIMIT UINT64_MAX

struct machine {
    char     os[192];               /* "macOS 15.1, Darwin 24.1.0 arm64" */
    char     chip[128];             /* as the system calls it; "": it does not say */
    unsigned cores;                 /* online; cpu_count() are those that this process may use */
    unsigned fast_cores;            /* of them, where the system knows of two kinds; 0: it does not */
    uint64_t locked_max;            /* bytes that this process may keep from being swapped out */
    uint64_t files_max;             /* files and connections that it may have open */
    bool     shared_gpu;            /* an Apple GPU, which computes in this machine's own memory */
    uint64_t gpu_limit;             /* bytes of it, as somebody has set (sysctl iogpu.wired_limit_mb); 0: the system's choice */
};

void machine_read(struct machine *out);

/* Bytes free for this user on the disk of that path, or of the nearest folder above it that is there.  False: not known. */
bool machine_disk(const char *path, uint64_t *out);

#ifdef __cplusplus
}
#endif
#endif
