/* gate.c -- see gate.h.
 *
 * A head that comes in pieces would wake poll() over and over, since nothing is taken from the socket: so the socket is
 * told to wake it only for more than was seen (SO_RCVLOWAT). */
#include "http/gate.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/threads.h"
#include "http/head.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0      /* there the program ignores SIGPIPE, as hearth does everywhere */
#endif

enum { LINGER_S = 2, READS_MAX = 16 };

struct waiter {
    int      fd;
    void    *who;
    size_t   seen;          /* bytes of its head */
    uint64_t until_ns;
    bool     refused;       /* what it still sends is thrown away, or it would lose the answer */
};

struct gate {
    struct gate_opts o;
    pthread_mutex_t  lock;
    struct waiter   *waiter;        /* others only add to them, at the end */
    size_t           n, room;
    bool             shut, running;
    int              wake[2];
    pthread_t        thread;
    struct pollfd   *at;            /* the thread's */
    char             head[HEAD_BYTES_MAX];
};

static uint64_t after_s(unsigned s)
{
    return clock_ns(clock_real()) + s * UINT64_C(1000000000);
}

static void wake_above(int fd, size_t n)
{
    int least = (int)n + 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
}

/* Reads on for a while; true: the peer has nothing more to say. */
static bool throw_away(struct gate *g, const struct waiter *w)
{
    for (unsigned i = 0; i < READS_MAX; i++) {
        ssize_t n = recv(w->fd, g->head, sizeof g->head, MSG_DONTWAIT);
        if (n <= 0)
            return n == 0 || (errno != EAGAIN && errno != EINTR);
    }
    return false;
}

static bool refuse(struct gate *g, struct waiter *w, const struct err *e)
{
    struct buf out;
    buf_init(&out, 0);
    g->o.refuse(g->o.ctx, w->who, e, &out);
    /* All or nothing: it is the first that is sent to this peer. */
    bool sent = send(w->fd, out.p, out.n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)out.n;
    buf_drop(&out);
    shutdown(w->fd, SHUT_WR);
    wake_above(w->fd, 0);
    w->refused = true;
    w->until_ns = after_s(LINGER_S);
    return !sent || throw_away(g, w);
}

/* The following are called under the lock; true: w is to be passed. */

/* What ends before its head does is for the library to close. */
static bool look(struct gate *g, struct waiter *w)
{
    struct err e;
    ssize_t    n = recv(w->fd, g->head, sizeof g->head, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0 || (size_t)n == w->seen)
        return true;
    enum head_state state = head_look((struct str){g->head, (size_t)n}, &e);
    if (state == HEAD_BAD)
        return refuse(g, w, &e);
    w->seen = state == HEAD_MORE ? (size_t)n : 0;
    w->until_ns = after_s(g->o.wait_s);
    wake_above(w->fd, w->seen);
    return state == HEAD_FINE;
}

static bool is_through(struct gate *g, struct waiter *w, bool ready)
{
    if (ready && (w->refused ? throw_away(g, w) : look(g, w)))
        return true;
    if (clock_ns(clock_real()) < w->until_ns)
        return false;
    shutdown(w->fd, SHUT_RDWR);
    return true;
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static int wait_ms(const struct gate *g)
{
    uint64_t now = clock_ns(clock_real()), first = UINT64_MAX;
    for (size_t i = 0; i < g->n; i++)
        first = g->waiter[i].until_ns < first ? g->waiter[i].until_ns : first;
    if (first == UINT64_MAX)
        return -1;
    uint64_t ms = first > now ? (first - now) / 1000000 + 1 : 0;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* Under the lock, which is let go meanwhile; returns how many of those that wait were looked at. */
static size_t wait_for_some(struct gate *g)
{
    size_t n = g->n;
    int    ms = wait_ms(g);
    g->at = mem_grow(g->at, n + 1, sizeof *g->at);
    for (size_t i = 0; i < n; i++)
        g->at[i] = (struct pollfd){.fd = g->waiter[i].fd, .events = POLLIN};
    g->at[n] = (struct pollfd){.fd = g->wake[0], .events = POLLIN};
    pthread_mutex_unlock(&g->lock);
    char some[64];
    if (poll(g->at, (nfds_t)n + 1, ms) < 0)
        for (size_t i = 0; i <= n; i++)
            g->at[i].revents = 0;
    if (g->at[n].revents)
        (void)!read(g->wake[0], some, sizeof some);
    pthread_mutex_lock(&g->lock);
    return n;
}

static void *stand(void *arg)
{
    struct gate *g = arg;
    pthread_mutex_lock(&g->lock);
    while (!g->shut) {
        /* Backwards: the last takes the place of one that leaves. */
        for (size_t i = wait_for_some(g); i-- > 0;) {
            struct waiter *w = &g->waiter[i];
            if (g->shut || !is_through(g, w, g->at[i].revents))
                continue;
            void *who = w->who;
            *w = g->waiter[--g->n];
            g->o.pass(g->o.ctx, who);
        }
    }
    while (g->n)
        g->o.pass(g->o.ctx, g->waiter[--g->n].who);
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

static void wake(struct gate *g)
{
    (void)!write(g->wake[1], "", 1);    /* full is as good */
}

void gate_hold(struct gate *g, int fd, void *who)
{
    struct waiter w = {.fd = fd, .who = who, .until_ns = after_s(g->o.wait_s)};
    pthread_mutex_lock(&g->lock);
    bool through = g->shut || is_through(g, &w, true);
    if (!through) {
        if (g->n == g->room) {
            g->room = g->room ? 2 * g->room : 16;
            g->waiter = mem_grow(g->waiter, g->room, sizeof *g->waiter);
        }
        g->waiter[g->n++] = w;
        wake(g);
    }
    pthread_mutex_unlock(&g->lock);
    if (through)
        g->o.pass(g->o.ctx, who);
}

/* ---- opening and closing ----------------------------------------------------------------------------------------- */

bool gate_open(struct gate **out, const struct gate_opts *o, struct err *e)
{
    struct gate *g = mem_new(sizeof *g);
    g->o = *o;
    g->wake[0] = g->wake[1] = -1;
    pthread_mutex_init(&g->lock, NULL);
    bool ok = pipe(g->wake) == 0;
    for (int i = 0; ok && i < 2; i++)
        ok = fcntl(g->wake[i], F_SETFD, FD_CLOEXEC) == 0 && fcntl(g->wake[i], F_SETFL, O_NONBLOCK) == 0;
    if (!ok)
        err_os(e, "watching connections");
    g->running = ok && thread_start(&g->thread, "hearth-gate", stand, g, e);
    if (!g->running) {
        gate_close(g);
        return false;
    }
    *out = g;
    return true;
}

void gate_shut(struct gate *g)
{
    if (!g || !g->running)
        return;
    pthread_mutex_lock(&g->lock);
    g->shut = true;
    wake(g);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->thread, NULL);
    g->running = false;
}

void gate_close(struct gate *g)
{
    if (!g)
        return;
    gate_shut(g);
    for (int i = 0; i < 2; i++)
        if (g->wake[i] >= 0)
            close(g->wake[i]);
    pthread_mutex_destroy(&g->lock);
    free(g->waiter);
    free(g->at);
    free(g);
}
