/* child.c -- see child.h. */
#include "base/child.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* ---- the parent's side -------------------------------------------------------------------------------------------- */

/* A descriptor out of the way of those that the child gets. */
static int high(int fd)
{
    int other = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 10);
    if (fd >= 0)
        close(fd);
    return other;
}

static int spawn(pid_t *pid, const char *path, int theirs, int file)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t          attr;
    sigset_t                   none, most;
    short                      flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    char                      *argv[] = {(char *)(uintptr_t)path, NULL}, *env[] = {NULL};
    sigemptyset(&none);
    sigemptyset(&most);
    sigaddset(&most, SIGPIPE);
    sigaddset(&most, SIGINT);
    sigaddset(&most, SIGTERM);
    CHECK(posix_spawn_file_actions_init(&files) == 0 && posix_spawnattr_init(&attr) == 0);
    posix_spawn_file_actions_adddup2(&files, theirs, CHILD_SOCKET);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&files, file, CHILD_FILE);
#ifdef __APPLE__
    posix_spawn_file_actions_addinherit_np(&files, STDERR_FILENO);
    flags |= POSIX_SPAWN_CLOEXEC_DEFAULT;
#else
    posix_spawn_file_actions_addclosefrom_np(&files, CHILD_FILE + 1);
#endif
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &most);
    posix_spawnattr_setflags(&attr, flags);
    int why = posix_spawn(pid, path, &files, &attr, argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return why;
}

bool child_start(struct child *out, const char *path, int file, struct err *e)
{
    int ends[2] = {-1, -1};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return err_os(e, "a socket for %s", path);
    int ours = high(ends[0]), theirs = high(ends[1]), own_file = fcntl(file, F_DUPFD_CLOEXEC, 10);
    int why = ours >= 0 && theirs >= 0 && own_file >= 0 && fcntl(ours, F_SETFL, O_NONBLOCK) == 0 ? 0 : errno;
#ifdef SO_NOSIGPIPE
    setsockopt(ours, SOL_SOCKET, SO_NOSIGPIPE, &(int){1}, sizeof(int));
#endif
    if (why == 0)
        why = spawn(&out->pid, path, theirs, own_file);
    if (theirs >= 0)
        close(theirs);
    if (own_file >= 0)
        close(own_file);
    out->socket = ours;
    if (why == 0)
        return true;
    if (ours >= 0)
        close(ours);
    errno = why;
    return err_os(e, "starting %s", path);
}

int child_end(struct child *c)
{
    int status = 0;
    kill(c->pid, SIGKILL);      /* first: the socket's end would end it by another signal */
    close(c->socket);
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) {}
    return status;
}

int file_unnamed(struct str bytes, struct err *e)
{
#ifdef __linux__
    int fd = memfd_create("media", MFD_CLOEXEC);
#else
    char path[] = "/tmp/hearth-XXXXXX";
    int  fd = mkstemp(path);
    if (fd >= 0) {
        unlink(path);
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
#endif
    bool ok = fd >= 0;
    for (size_t at = 0; ok && at < bytes.n;) {
        ssize_t n = write(fd, bytes.p + at, bytes.n - at);
        at += n > 0 ? (size_t)n : 0;
        ok = n > 0 || errno == EINTR;
    }
    if (ok && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    err_os(e, "a file of %zu bytes without a name", bytes.n);
    if (fd >= 0)
        close(fd);
    return -1;
}

char *program_folder(void)
{
    char path[PATH_MAX] = "";
#ifdef __APPLE__
    char     raw[PATH_MAX];
    uint32_t room = sizeof raw;
    if (_NSGetExecutablePath(raw, &room) != 0 || !realpath(raw, path))
        path[0] = 0;
#else
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
#endif
    char *slash = strrchr(path, '/');
    return slash ? mem_copy(path, (size_t)(slash - path)) : mem_copy(".", 1);
}

/* ---- the child's side --------------------------------------------------------------------------------------------- */

#ifdef __linux__

#ifdef __x86_64__
#define OUR_ARCH AUDIT_ARCH_X86_64
#else
#define OUR_ARCH AUDIT_ARCH_AARCH64
#endif

/* All else fails with EPERM, as if this user were not permitted to do it. */
static const int calls[] = {
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_close, SYS_lseek, SYS_mmap, SYS_munmap, SYS_mremap,
    SYS_mprotect, SYS_madvise, SYS_brk, SYS_futex, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_clock_gettime,
    SYS_gettimeofday, SYS_clock_nanosleep, SYS_nanosleep, SYS_getrandom, SYS_sched_yield, SYS_sched_getaffinity, SYS_getpid, SYS_gettid,
    SYS_tgkill, SYS_sysinfo, SYS_exit, SYS_exit_group,
};

static void forbid_the_rest(void)
{
    enum { N = sizeof calls / sizeof calls[0] };
    struct sock_filter f[N + 6] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    };
    for (unsigned i = 0; i < N; i++)
        f[4 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], (uint8_t)(N - i), 0);
    f[4 + N] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    f[5 + N] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = N + 6, .filter = f};
    /* A kernel built without it leaves the limits alone to hold. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        (void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

#else

static void forbid_the_rest(void) {}

#endif

void child_cage(unsigned seconds, uint64_t memory_bytes)
{
    struct rlimit time = {.rlim_cur = seconds, .rlim_max = seconds + 1};        /* SIGXCPU comes first, and says why */
    struct rlimit none = {0}, memory = {.rlim_cur = (rlim_t)memory_bytes, .rlim_max = (rlim_t)memory_bytes};
    struct rlimit files = {.rlim_cur = CHILD_FILE + 1, .rlim_max = CHILD_FILE + 1};
    setrlimit(RLIMIT_CPU, &time);
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_FSIZE, &none);
    if (SANITIZED)
        return;
    if (memory_bytes != UINT64_MAX)
        setrlimit(RLIMIT_AS, &memory);
    setrlimit(RLIMIT_NOFILE, &files);
    forbid_the_rest();
}
