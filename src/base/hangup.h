/* hangup.h -- tells when the peer of a socket hangs up, while nobody reads from it or writes to it.
 *
 * One thread watches them all (epoll on Linux, kqueue elsewhere).  A peer that closes and one that only shuts down its
 * sending side look the same over TCP, until something is sent to it: what has closed answers with a reset.  So there are
 * two calls, and in between it is for the socket's owner to send something. */
#ifndef BASE_HANGUP_H
#define BASE_HANGUP_H

#include "base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hangup;

enum hangup_how {
    HANGUP_HALF,        /* it sends no more, since HANGUP_HALF_MS: most replies are away before anything needs to be known */
    HANGUP_GONE         /* the connection is reset, or closed on both sides */
};
enum { HANGUP_HALF_MS = 100 };

/* Has hung_up(who, how) called, at most once a watch for each, HALF never after GONE, on the watching thread (or within
 * hangup_watch() should the system refuse to watch: GONE).  It must not wait and not call back here.  ERR_IO when the
 * system has no descriptor or thread left. */
MUST_USE bool hangup_open(struct hangup **out, void (*hung_up)(void *who, enum hangup_how how), struct err *e);
void          hangup_close(struct hangup *h);       /* sockets still watched are forgotten; NULL is fine */

/* Any thread.  fd stays the caller's, is watched once at a time, and is forgotten before it is closed.  After
 * hangup_forget() returned, hung_up() is not running for it and will not be called. */
void hangup_watch(struct hangup *h, int fd, void *who);
void hangup_forget(struct hangup *h, int fd);

#ifdef __cplusplus
}
#endif
#endif
