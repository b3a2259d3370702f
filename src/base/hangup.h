/* hangup.h -- tells when the peer of a socket hangs up, while nobody reads from it or writes to it.
 *
 * One thread watches them all (epoll on Linux, kqueue elsewhere).  A peer that only shuts down its sending side counts
 * as one that hung up: over TCP the two cannot be told apart. */
#ifndef BASE_HANGUP_H
#define BASE_HANGUP_H

#include "base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hangup;

/* Has hung_up(who) called, at most once a watch, on the watching thread (or within hangup_watch() should the system
 * refuse to watch).  It must not wait and not call back here.  ERR_IO when the system has no descriptor or thread
 * left. */
MUST_USE bool hangup_open(struct hangup **out, void (*hung_up)(void *who), struct err *e);
void          hangup_close(struct hangup *h);       /* sockets still watched are forgotten; NULL is fine */

/* Any thread.  fd stays the caller's, is watched once at a time, and is forgotten before it is closed.  After
 * hangup_forget() returned, hung_up() is not running for it and will not be called. */
void hangup_watch(struct hangup *h, int fd, void *who);
void hangup_forget(struct hangup *h, int fd);

#ifdef __cplusplus
}
#endif
#endif
