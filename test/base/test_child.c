/* The cage that a child puts itself into: what it can no longer do, and what it still can. */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { LIMITED = 0 };       /* but in time */
#else
enum { LIMITED = 1 };
#endif

enum { MEMORY = 256 << 20 };

/* How a child ends that goes into its cage and then does this. */
static int caged(int (*run)(void))
{
    int   status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        child_cage(1, MEMORY);
        _exit(run());
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static int computes_on(void)
{
    volatile unsigned i = 0;
    while (++i || i == 0) {}
    return 1;
}

static int fine(void)
{
    char *p = malloc(MEMORY / 16), letter;
    if (!p)
        return 1;
    memset(p, 1, MEMORY / 16);
    letter = p[MEMORY / 32];
    free(p);
    return letter == 1 && pread(CHILD_FILE, &letter, 1, 0) == 1 && letter == 's' ? 0 : 2;
}

static int takes_much(void)
{
    void *volatile p = malloc((size_t)MEMORY * 2);
    return p == NULL;
}

/* Which of these it still can. */
static int reaches_out(void)
{
    int can = 0;
    can |= open("/etc/passwd", O_RDONLY) >= 0 ? 1 : 0;
    can |= open("/tmp/hearth-caged", O_WRONLY | O_CREAT, 0600) >= 0 ? 2 : 0;
    can |= socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 4 : 0;
    can |= dup(CHILD_FILE) >= 0 ? 8 : 0;
    can |= kill(getppid(), 0) == 0 ? 16 : 0;
    return can;
}

static void it_cannot_compute_for_ever(void **state)
{
    (void)state;
    int status = caged(computes_on);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGXCPU);
}

static void it_can_compute_and_read(void **state)
{
    struct err e;
    int        fd = file_unnamed(STR("some bytes"), &e);
    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(dup2(fd, CHILD_FILE), CHILD_FILE);
    assert_int_equal(caged(fine), 0);
    if (fd != CHILD_FILE)
        close(fd);
}

static void it_cannot_take_much_or_reach_out(void **state)
{
    (void)state;
    if (!LIMITED)
        return;
    assert_int_equal(caged(takes_much), 1 << 8);
    int status = caged(reaches_out);
    assert_true(WIFEXITED(status));
#ifdef __linux__
    assert_int_equal(WEXITSTATUS(status), 0);
#endif
    assert_int_not_equal(access("/tmp/hearth-caged", F_OK), 0);
}

static void a_program_that_is_not_there(void **state)
{
    struct child c;
    struct err   e = {0};
    int          fd = file_unnamed(STR(""), &e);
    (void)state;
    assert_false(child_start(&c, "/nowhere/program", fd, &e));
    assert_int_equal(e.kind, ERR_NOT_FOUND);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_cannot_compute_for_ever),
        cmocka_unit_test(it_can_compute_and_read),
        cmocka_unit_test(it_cannot_take_much_or_reach_out),
        cmocka_unit_test(a_program_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
