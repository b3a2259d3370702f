/* child.h -- a program of ours that runs beside us, for work on bytes that nobody can trust.
 *
 * It has one socket to us as its standard input, one open file, and nothing else of ours: no other descriptor, no variables of
 * the environment.  It goes into its cage itself, before it looks at a byte. */
#ifndef BASE_CHILD_H
#define BASE_CHILD_H

#include "base/err.h"
#include "base/str.h"

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CHILD_SOCKET = 0, CHILD_FILE = 3 };

struct child {
    pid_t pid;
    int   socket;           /* ours; never blocks */
};

/* Starts the program with `file` open as CHILD_FILE.  ERR_NOT_FOUND, ERR_MEMORY or ERR_IO: the system refuses. */
MUST_USE bool child_start(struct child *out, const char *path, int file, struct err *e);

/* Kills it, should it still run.  Returns how it ended, as waitpid() says. */
int child_end(struct child *c);

/* In the child: from now on it computes at most so many seconds, has at most so many bytes of memory, and can neither open nor
 * make anything.  On Linux no system call is left but those that compute, read, write and end (seccomp); with a sanitizer,
 * which needs more of both, only the time is limited. */
void child_cage(unsigned seconds, uint64_t memory_bytes);

/* An open file without a name that holds these bytes, to be closed by the caller; -1: the system refuses. */
int file_unnamed(struct str bytes, struct err *e);

/* The folder that this program lies in, to be freed. */
char *program_folder(void);

#ifdef __cplusplus
}
#endif
#endif
