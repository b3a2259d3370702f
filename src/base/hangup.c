/* hangup.c -- a table of sockets by descriptor, and the system's queue of events about them.
 *
 * An event may have left the queue when its socket is forgotten, closed, and its number given to another.  So every
 * watch has a turn, which goes with the event: what is left of an older turn says nothing about the present one. */
#include "base/hangup.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/threads.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/epoll.h>
#else
#include <sys/types.h>
#include <sys/event.h>
#endif

enum { EVENTS = 64, LOOK_MS = 20 };

struct slot {
    void    *who;       /* NULL: not watched */
    uint32_t turn;      /* 0: all is told */
    uint64_t half_ns;   /* when to tell that its peer sends no more; UINT64_MAX: told; 0: it may send */
};

struct event {
    int      fd;        /* -1: the watcher is to end */
    uint32_t turn;
    bool     gone;
};

struct hangup {
    void          (*hung_up)(void *who, enum hangup_how how);
    pthread_mutex_t lock;
    struct slot    *slot;       /* by descriptor */
    size_t          n_slot, n_half;     /* n_half: slots with a time in half_ns */
    uint32_t        turn;
    int             queue, stop[2];
    pthread_t       thread;
};

#ifdef __linux__

static int queue_new_fd(void)
{
    return epoll_create1(EPOLL_CLOEXEC);
}

static bool queue_stop(int queue, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
    return epoll_ctl(queue, EPOLL_CTL_ADD, fd, &ev) == 0;
}

static bool queue_add(int queue, int fd, uint32_t turn)
{
    struct epoll_event ev = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.u64 = (uint64_t)turn << 32 | (uint32_t)fd};
    return epoll_ctl(queue, EPOLL_CTL_ADD, fd, &ev) == 0;
}

/* The end of what the peer sends stays true, and is not to be told again; that it is gone always is. */
static void queue_half(int queue, int fd, uint32_t turn)
{
    struct epoll_event ev = {.events = EPOLLONESHOT, .data.u64 = (uint64_t)turn << 32 | (uint32_t)fd};
    epoll_ctl(queue, EPOLL_CTL_MOD, fd, &ev);
}

static void queue_remove(int queue, int fd)
{
    epoll_ctl(queue, EPOLL_CTL_DEL, fd, NULL);
}

static int queue_wait(int queue, struct event out[EVENTS], int wait_ms)
{
    struct epoll_event ev[EVENTS];
    int                n = epoll_wait(queue, ev, EVENTS, wait_ms);
    for (int i = 0; i < n; i++) {
        uint64_t word = ev[i].data.u64;
        out[i] = (struct event){(int)(uint32_t)word, (uint32_t)(word >> 32), ev[i].events & (EPOLLERR | EPOLLHUP)};
    }
    return n;
}

#else

static int queue_new_fd(void)
{
    int fd = kqueue();
    if (fd >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}

static bool queue_change(int queue, int fd, unsigned short flags, uint32_t turn)
{
    struct kevent ev;
    EV_SET(&ev, (uintptr_t)fd, EVFILT_READ, flags, 0, 0, (void *)(uintptr_t)turn);
    return kevent(queue, &ev, 1, NULL, 0, NULL) == 0;
}

/* Turn 0 is no socket's. */
static bool queue_stop(int queue, int fd)
{
    return queue_change(queue, fd, EV_ADD, 0);
}

static bool queue_add(int queue, int fd, uint32_t turn)
{
    return queue_change(queue, fd, EV_ADD | EV_CLEAR, turn);
}

/* An event comes for each change anyway. */
static void queue_half(int queue, int fd, uint32_t turn)
{
    (void)queue, (void)fd, (void)turn;
}

static void queue_remove(int queue, int fd)
{
    queue_change(queue, fd, EV_DELETE, 0);
}

/* Bytes that arrive are events too, of no interest here. */
static int queue_wait(int queue, struct event out[EVENTS], int wait_ms)
{
    struct kevent   ev[EVENTS];
    struct timespec wait = {.tv_nsec = wait_ms * 1000000L};
    int             n = kevent(queue, NULL, 0, ev, EVENTS, wait_ms < 0 ? NULL : &wait), n_out = n < 0 ? n : 0;
    for (int i = 0; i < n; i++) {
        uint32_t turn = (uint32_t)(uintptr_t)ev[i].udata;
        if (turn == 0)
            out[n_out++] = (struct event){-1, 0, false};
        else if (ev[i].flags & EV_EOF)
            out[n_out++] = (struct event){(int)ev[i].ident, turn, ev[i].fflags != 0};
    }
    return n_out;
}

#endif

/* Under the lock, like all calls of hung_up(), so that hangup_forget() waits for one that runs. */
static void half_end(struct hangup *h, struct slot *s)
{
    h->n_half -= s->half_ns != 0 && s->half_ns != UINT64_MAX;
    s->half_ns = UINT64_MAX;
}

static void take(struct hangup *h, struct event ev)
{
    pthread_mutex_lock(&h->lock);
    struct slot *s = (size_t)ev.fd < h->n_slot ? &h->slot[ev.fd] : NULL;
    if (s && s->who && s->turn == ev.turn) {
        if (ev.gone) {
            half_end(h, s);
            s->turn = 0;
            h->hung_up(s->who, HANGUP_GONE);
        } else if (s->half_ns == 0) {
            s->half_ns = clock_ns(clock_real()) + HANGUP_HALF_MS * UINT64_C(1000000);
            h->n_half++;
            queue_half(h->queue, ev.fd, ev.turn);
        }
    }
    pthread_mutex_unlock(&h->lock);
}

/* Tells of those whose time has come; returns how long to wait for the next look. */
static int look(struct hangup *h)
{
    pthread_mutex_lock(&h->lock);
    uint64_t now = h->n_half ? clock_ns(clock_real()) : 0;
    for (size_t i = 0, left = h->n_half; left; i++) {
        struct slot *s = &h->slot[i];
        if (s->half_ns == 0 || s->half_ns == UINT64_MAX)
            continue;
        left--;
        if (s->half_ns <= now) {
            half_end(h, s);
            h->hung_up(s->who, HANGUP_HALF);
        }
    }
    int wait_ms = h->n_half ? LOOK_MS : -1;
    pthread_mutex_unlock(&h->lock);
    return wait_ms;
}

static void *watch(void *arg)
{
    struct hangup *h = arg;
    struct event   ev[EVENTS];
    for (;;) {
        int n = queue_wait(h->queue, ev, look(h));
        CHECK(n >= 0 || errno == EINTR);
        for (int i = 0; i < n; i++) {
            if (ev[i].fd < 0)
                return NULL;
            take(h, ev[i]);
        }
    }
}

static void drop(struct hangup *h)
{
    for (int i = 0; i < 2; i++)
        if (h->stop[i] >= 0)
            close(h->stop[i]);
    if (h->queue >= 0)
        close(h->queue);
    pthread_mutex_destroy(&h->lock);
    free(h->slot);
    free(h);
}

bool hangup_open(struct hangup **out, void (*hung_up)(void *who, enum hangup_how how), struct err *e)
{
    struct hangup *h = mem_new(sizeof *h);
    h->hung_up = hung_up;
    h->stop[0] = h->stop[1] = -1;
    pthread_mutex_init(&h->lock, NULL);
    h->queue = queue_new_fd();
    bool ok = h->queue >= 0 && pipe(h->stop) == 0 && fcntl(h->stop[0], F_SETFD, FD_CLOEXEC) == 0 &&
              fcntl(h->stop[1], F_SETFD, FD_CLOEXEC) == 0 && queue_stop(h->queue, h->stop[0]);
    if (!ok)
        err_os(e, "watching sockets");
    if (!ok || !thread_start(&h->thread, "hearth-hangup", watch, h, e)) {
        drop(h);
        return false;
    }
    *out = h;
    return true;
}

void hangup_close(struct hangup *h)
{
    if (!h)
        return;
    close(h->stop[1]);
    h->stop[1] = -1;
    pthread_join(h->thread, NULL);
    drop(h);
}

void hangup_watch(struct hangup *h, int fd, void *who)
{
    CHECK(fd >= 0 && who);
    pthread_mutex_lock(&h->lock);
    if ((size_t)fd >= h->n_slot) {
        size_t n = h->n_slot ? h->n_slot : 64;
        while (n <= (size_t)fd)
            n *= 2;
        h->slot = mem_grow(h->slot, n, sizeof *h->slot);
        memset(h->slot + h->n_slot, 0, (n - h->n_slot) * sizeof *h->slot);
        h->n_slot = n;
    }
    struct slot *s = &h->slot[fd];
    CHECK(!s->who);
    if (++h->turn == 0)
        h->turn = 1;
    *s = (struct slot){who, h->turn, 0};
    /* A socket that the queue does not take is as good as hung up: nobody would ever tell. */
    if (!queue_add(h->queue, fd, s->turn)) {
        s->turn = 0;
        h->hung_up(who, HANGUP_GONE);
    }
    pthread_mutex_unlock(&h->lock);
}

void hangup_forget(struct hangup *h, int fd)
{
    pthread_mutex_lock(&h->lock);
    CHECK(fd >= 0 && (size_t)fd < h->n_slot && h->slot[fd].who);
    half_end(h, &h->slot[fd]);
    h->slot[fd] = (struct slot){0};
    queue_remove(h->queue, fd);
    pthread_mutex_unlock(&h->lock);
}
