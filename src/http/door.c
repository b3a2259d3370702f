/* door.c -- see door.h.
 *
 * The HTTP library listens at one socket only; accepting here gives it any number of them, with one network thread. */
#include "http/door.h"

#include "base/mem.h"
#include "base/threads.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LISTENERS_MAX = 8,
    BACKLOG = 1024,         /* a burst of clients; the system may cut it */
    PORT_TRIES = 16,        /* with port 0, the one that the system gave for one address may be taken at the next */
    PAUSE_MS = 100          /* when the process has no descriptor left */
};

struct door {
    int               listener[LISTENERS_MAX];
    unsigned          n_listener;
    uint16_t          port;
    int               stop[2];
    bool              running;
    pthread_t         thread;
    struct door_enter to;
    const struct log *log;
};

static void sockaddr_port_set(struct sockaddr *a, uint16_t port)
{
    if (a->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)a)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)(void *)a)->sin_port = htons(port);
}

static uint16_t listener_port(int fd)
{
    struct sockaddr_storage a;
    socklen_t               n = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &n) != 0)
        return 0;
    if (a.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
    return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

/* The descriptor, or -1 and errno.  "::" means every address of both kinds; other IPv6 addresses mean themselves. */
static int listen_at(const struct addrinfo *a, uint16_t port)
{
    struct sockaddr_storage at;
    memcpy(&at, a->ai_addr, a->ai_addrlen);
    sockaddr_port_set((struct sockaddr *)&at, port);
    int fd = socket(a->ai_family, SOCK_STREAM, 0), on = 1, off = 0;
    if (fd < 0)
        return -1;
    bool any6 = a->ai_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&((struct sockaddr_in6 *)&at)->sin6_addr);
    bool ok = fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 &&
              setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
              (a->ai_family != AF_INET6 ||
               setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, any6 ? &off : &on, sizeof on) == 0) &&
              bind(fd, (struct sockaddr *)&at, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
    if (ok)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static void listeners_close(struct door *d)
{
    while (d->n_listener)
        close(d->listener[--d->n_listener]);
}

static bool listen_failed(const struct addrinfo *a, uint16_t port, struct err *e)
{
    int  why = errno;
    char host[64] = "?";
    getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    if (why == EADDRINUSE)
        return err_set(e, ERR_IO, "port %u of %s is in use: another server, perhaps another hearth, listens there; "
                       "stop it or choose another port with --port", port, host);
    if (why == EACCES)
        return err_set(e, ERR_IO, "port %u of %s needs more rights than this process has; "
                       "choose one over 1023 with --port", port, host);
    if (why == EADDRNOTAVAIL)
        return err_set(e, ERR_IO, "%s is no address of this machine; choose another with --host", host);
    errno = why;
    return err_os(e, "listening at %s, port %u", host, port);
}

/* An address of a kind that this machine does not have is passed over, unless it is the only one. */
static bool listen_once(struct door *d, const struct addrinfo *all, uint16_t port, struct err *e)
{
    d->port = port;
    for (const struct addrinfo *a = all; a && d->n_listener < LISTENERS_MAX; a = a->ai_next) {
        int fd = listen_at(a, d->port);
        if (fd >= 0) {
            d->listener[d->n_listener++] = fd;
            d->port = listener_port(fd);
            continue;
        }
        bool absent = errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL;
        if (absent && (d->n_listener || a->ai_next))
            continue;
        listen_failed(a, d->port, e);
        listeners_close(d);
        return false;
    }
    return true;
}

static bool listen_all(struct door *d, const struct addrinfo *all, uint16_t port, struct err *e)
{
    bool ok = listen_once(d, all, port, e);
    for (unsigned tries = 1; !ok && port == 0 && tries < PORT_TRIES; tries++)
        ok = listen_once(d, all, port, e);
    return ok;
}

static bool listen_name(struct door *d, const char *host, uint16_t port, struct err *e)
{
    struct addrinfo hint = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *all;
    int             why = getaddrinfo(host, "0", &hint, &all);
    if (why != 0)
        return err_set(e, ERR_IO, "listening at %s: %s; --host takes an address of this machine or a name for one",
                       host, gai_strerror(why));
    bool ok = listen_all(d, all, port, e);
    freeaddrinfo(all);
    return ok;
}

static bool listen_local(struct door *d, uint16_t port, struct err *e)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in  four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct addrinfo     b = {.ai_family = AF_INET6, .ai_addr = (struct sockaddr *)&six, .ai_addrlen = sizeof six};
    struct addrinfo     a = {.ai_family = AF_INET, .ai_addr = (struct sockaddr *)&four, .ai_addrlen = sizeof four,
                             .ai_next = &b};
    return listen_all(d, &a, port, e);
}

bool door_open(struct door **out, const char *host, uint16_t port, struct err *e)
{
    struct door *d = mem_new(sizeof *d);
    d->stop[0] = d->stop[1] = -1;
    if (!(host ? listen_name(d, host, port, e) : listen_local(d, port, e))) {
        free(d);
        return false;
    }
    *out = d;
    return true;
}

uint16_t door_port(const struct door *d)
{
    return d->port;
}

/* False: the process has no descriptor or memory for another connection now. */
static bool accept_some(struct door *d, int listener)
{
    for (unsigned n = 0; n < BACKLOG; n++) {
        struct sockaddr_storage peer;
        socklen_t               len = sizeof peer;
        int                     fd = accept(listener, (struct sockaddr *)&peer, &len);
        if (fd < 0)
            return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        d->to.enter(d->to.ctx, fd, (struct sockaddr *)&peer, len);
    }
    return true;
}

static void *stand(void *arg)
{
    struct door  *d = arg;
    struct pollfd at[LISTENERS_MAX + 1] = {{.fd = d->stop[0], .events = POLLIN}};
    for (unsigned i = 0; i < d->n_listener; i++)
        at[i + 1] = (struct pollfd){.fd = d->listener[i], .events = POLLIN};
    for (bool short_of = false;;) {
        /* Out of descriptors, waiting at the sockets would return at once, again and again. */
        int n = poll(at, short_of ? 1 : d->n_listener + 1, short_of ? PAUSE_MS : -1);
        if (n > 0 && at[0].revents)
            return NULL;
        bool was_short = short_of;
        short_of = false;
        for (unsigned i = 0; i < d->n_listener && !short_of; i++)
            if (was_short || (n > 0 && at[i + 1].revents))
                short_of = !accept_some(d, d->listener[i]);
        if (short_of && !was_short)
            log_warn(d->log, "no descriptor or memory left for another connection; those that come wait");
    }
}

bool door_start(struct door *d, struct door_enter to, const struct log *log, struct err *e)
{
    d->to = to;
    d->log = log;
    if (pipe(d->stop) != 0 || fcntl(d->stop[0], F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(d->stop[1], F_SETFD, FD_CLOEXEC) != 0)
        return err_os(e, "letting connections in");
    d->running = thread_start(&d->thread, "hearth-door", stand, d, e);
    return d->running;
}

void door_close(struct door *d)
{
    if (!d)
        return;
    if (d->stop[1] >= 0)
        close(d->stop[1]);
    if (d->running)
        pthread_join(d->thread, NULL);
    if (d->stop[0] >= 0)
        close(d->stop[0]);
    listeners_close(d);
    free(d);
}
