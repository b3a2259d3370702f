/* door.h -- the listening sockets, and one thread that lets connections in. */
#ifndef HTTP_DOOR_H
#define HTTP_DOOR_H

#include "base/err.h"
#include "base/log.h"

#include <stdint.h>
#include <sys/socket.h>

struct door;

/* Listens at host (NULL: 127.0.0.1, and ::1 where there is IPv6; a name: all its addresses) and port (0: any free one,
 * the same for all addresses).  Nobody is let in yet, they queue. */
MUST_USE bool door_open(struct door **out, const char *host, uint16_t port, struct err *e);
uint16_t      door_port(const struct door *d);

/* From now on each connection goes to enter(), on the door's thread, which owns fd from there. */
struct door_enter {
    void (*enter)(void *ctx, int fd, const struct sockaddr *peer, socklen_t n);
    void  *ctx;
};
MUST_USE bool door_start(struct door *d, struct door_enter to, const struct log *log, struct err *e);

/* Stops listening; when it returns, enter() is not running and will not be called. */
void door_close(struct door *d);

#endif
