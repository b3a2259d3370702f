/* server.c -- the library set up, and the way of a request through it.
 *
 * Four threads: the door's lets connections in, the gate's looks at their first head, the library's (the network thread)
 * does everything else with them, and the watcher's notices peers that hang up while their connection is suspended, which
 * the library does not.  Whatever ends
 * a connection, the library's "completed" call is the one place where an exchange leaves the network. */
#include "http/server.h"

#include "base/hangup.h"
#include "base/mem.h"
#include "base/threads.h"
#include "http/cors.h"
#include "http/door.h"
#include "http/gate.h"
#include "http/refusal.h"
#include "http/request.h"

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CONNECTION_BYTES = 32 * 1024,   /* holds the request's head, and what is read or written at a time */
    READ_BYTES = 4 * 1024,          /* a step by which the room for reading grows */
    TURNED_AWAY_MAX = 64,           /* connections over the limit that are open to be told so */
    DISCARD_BYTES_MAX = 64 << 20    /* of a body whose head says that it will not be taken */
};

/* A connection.  The network thread's, but while the gate holds it. */
struct client {
    struct server  *server;
    struct MHD_Connection *net;
    struct client  *next, *prev;
    struct in6_addr addr;
    char            peer[INET6_ADDRSTRLEN];
    bool            turned_away;
    bool            refused;        /* at the gate: whatever it sends now is not listened to */
    struct err      why;
};

struct server {
    struct server_opts o;
    char              *cors_origin;
    struct MHD_Daemon *daemon;
    struct hangup     *hangup;
    struct door       *door;
    struct gate       *gate;
    uint16_t           port;
    struct client     *client;              /* network thread only */
    unsigned           n_admitted;          /* those not turned away; network thread only */
    atomic_uint        n_open;
    atomic_bool        draining;

    pthread_mutex_t  lock;                  /* before an exchange's */
    pthread_cond_t   changed;
    struct exchange *handed;                /* to the handler, and still the network's */
    bool             closing;
};

/* ---- connections ------------------------------------------------------------------------------------------------- */

/* IPv4 in its IPv6 form, so that addresses compare as 16 bytes; the text is of the plain one. */
static void client_name(struct client *c, const struct sockaddr *a)
{
    struct sockaddr_in  four;
    struct sockaddr_in6 six;
    if (a && a->sa_family == AF_INET) {
        memcpy(&four, a, sizeof four);
        c->addr.s6_addr[10] = c->addr.s6_addr[11] = 0xFF;
        memcpy(&c->addr.s6_addr[12], &four.sin_addr, 4);
    } else if (a && a->sa_family == AF_INET6) {
        memcpy(&six, a, sizeof six);
        c->addr = six.sin6_addr;
    }
    if (IN6_IS_ADDR_V4MAPPED(&c->addr))
        inet_ntop(AF_INET, &c->addr.s6_addr[12], c->peer, sizeof c->peer);
    else
        inet_ntop(AF_INET6, &c->addr, c->peer, sizeof c->peer);
}

static unsigned clients_at(const struct server *s, const struct in6_addr *addr)
{
    unsigned n = 0;
    for (const struct client *c = s->client; c; c = c->next)
        n += !c->turned_away && memcmp(&c->addr, addr, sizeof *addr) == 0;
    return n;
}

static void client_admit(struct server *s, struct client *c)
{
    unsigned per_ip = s->o.connections_per_ip_max;
    if (s->n_admitted >= s->o.connections_max)
        c->turned_away = !err_set(&c->why, ERR_BUSY, "%u connections are open, the most that this server takes",
                                  s->o.connections_max);
    else if (per_ip && clients_at(s, &c->addr) >= per_ip)
        c->turned_away = !err_set(&c->why, ERR_RATE, "%u connections from %s are open, the most for one address",
                                  per_ip, c->peer);
    else
        s->n_admitted++;
}

static void client_open(struct server *s, struct MHD_Connection *net, void **at)
{
    struct client *c = mem_new(sizeof *c);
    c->server = s;
    c->net = net;
    client_name(c, MHD_get_connection_info(net, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
    client_admit(s, c);
    c->next = s->client;
    if (c->next)
        c->next->prev = c;
    s->client = c;
    *at = c;
}

static void client_close(struct client *c)
{
    struct server *s = c->server;
    *(c->prev ? &c->prev->next : &s->client) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    s->n_admitted -= !c->turned_away;
    atomic_fetch_sub(&s->n_open, 1);
    free(c);
}

static void on_pass(void *ctx, void *who)
{
    (void)ctx;
    MHD_resume_connection(((struct client *)who)->net);
}

static void on_refuse(void *ctx, void *who, const struct err *e, struct buf *out)
{
    struct server *s = ctx;
    struct client *c = who;
    c->refused = true;
    refusal_write(&s->o, c->peer, e, out);
}

static void on_connection(void *ctx, struct MHD_Connection *net, void **at, enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        struct server *s = ctx;
        client_open(s, net, at);
        MHD_suspend_connection(net);
        gate_hold(s->gate, MHD_get_connection_info(net, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd, *at);
    } else if (*at) {
        client_close(*at);
        *at = NULL;
    }
}

/* On the door's thread.  The count is ours: when the library's own limit is met by a connection handed to it, its
 * thread waits for itself (release 0.9.75, new_connection_process_()). */
static void on_enter(void *ctx, int fd, const struct sockaddr *peer, socklen_t n)
{
    struct server *s = ctx;
    if (atomic_fetch_add(&s->n_open, 1) >= s->o.connections_max + TURNED_AWAY_MAX) {
        close(fd);
        atomic_fetch_sub(&s->n_open, 1);
        log_debug(s->o.log, "a connection was closed at once: too many are open to tell it so");
    } else if (MHD_add_connection(s->daemon, fd, peer, n) != MHD_YES) {     /* which closes fd */
        atomic_fetch_sub(&s->n_open, 1);
    }
}

/* ---- the way of a request ---------------------------------------------------------------------------------------- */

static void *on_target(void *ctx, const char *target, struct MHD_Connection *net)
{
    struct server   *s = ctx;
    struct exchange *x = exchange_new(net, s->o.reply_bytes_max, s->o.log);
    struct client   *c = MHD_get_connection_info(net, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    x->target = arena_copy(&x->arena, target, strlen(target));
    x->request.peer.n = strlen(c->peer);
    x->request.peer.p = arena_copy(&x->arena, c->peer, x->request.peer.n);
    buf_init(&x->body, s->o.body_bytes_max);
    return x;
}

/* Decoding is ours (request.c): the library's stops at an encoded NUL. */
static size_t on_unescape(void *ctx, struct MHD_Connection *net, char *text)
{
    (void)ctx, (void)net;
    return strlen(text);
}

/* False: the server closes. */
static bool hand(struct server *s, struct exchange *x)
{
    pthread_mutex_lock(&s->lock);
    bool ok = !s->closing;
    if (ok) {
        x->next = s->handed;
        if (x->next)
            x->next->prev = x;
        s->handed = x;
        exchange_hand(x);
    }
    pthread_mutex_unlock(&s->lock);
    return ok;
}

static enum MHD_Result answer_now(struct server *s, struct exchange *x)
{
    x->last = x->last || atomic_load(&s->draining);
    return exchange_answer(x);
}

/* "OPTIONS *" asks about the server, not about anything in it. */
static void methods_answer(struct exchange *x)
{
    struct http_header allow = {"Allow", HTTP_METHODS};
    reply_start(&x->reply, 204, &allow, 1);
    reply_end(&x->reply);
}

/* `why` not to serve it, or NULL; the answer to it comes from the server's owner, who knows how errors look. */
static enum MHD_Result answer(struct server *s, struct exchange *x, const struct err *why, bool last)
{
    x->phase = EXCHANGE_ANSWER;
    cors_mark(x, s->o.cors_origin);
    if (why && (why->kind == ERR_BUSY || why->kind == ERR_RATE))
        exchange_extra(x, "Retry-After", "2");
    x->last = last;
    if (!hand(s, x))
        return MHD_NO;
    if (why)
        s->o.fail(s->o.ctx, &x->request, &x->reply, why);
    else if (cors_asks(x))
        cors_answer(x, s->o.cors_origin);
    else if (str_is(x->request.path, "*"))
        methods_answer(x);
    else
        s->o.handle(s->o.ctx, &x->request, &x->reply);
    /* Not before: most replies that are ready at once are never suspended, and need no watching. */
    if (!exchange_ended(x)) {
        x->watched = true;
        hangup_watch(s->hangup, x->fd, x);
    }
    return answer_now(s, x);
}

/* Whether a body that is not taken is read all the same, and thrown away: a client that is sending does not look
 * for an answer, and loses it when the connection is closed meanwhile.  One that asks first is waiting for it. */
static bool discards(const struct exchange *x)
{
    const char *expect = x->request.header(&x->request, "Expect");
    struct err  e;
    return !(expect && name_is(expect, "100-continue")) && request_fits(x, DISCARD_BYTES_MAX, &e);
}

/* Whether the body that the head announces is one to take. */
static bool body_check(const struct server *s, const struct exchange *x, struct err *e)
{
    return request_plain(x, e) && request_fits(x, s->o.body_bytes_max, e);
}

/* The head is there.  What is refused here is refused before its body, so the connection ends with it. */
static enum MHD_Result take_head(struct server *s, struct exchange *x, struct MHD_Connection *net, const char *method,
                                 const char *version)
{
    struct client *c = MHD_get_connection_info(net, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    struct err     e;
    x->phase = EXCHANGE_BODY;
    if (c->refused)
        return MHD_NO;
    if (!request_read(x, net, method, version, &e))
        return answer(s, x, &e, true);
    if (c->turned_away)
        return answer(s, x, &c->why, true);
    if (body_check(s, x, &e))
        return MHD_YES;
    x->discard = discards(x);
    return x->discard ? MHD_YES : answer(s, x, &e, true);
}

/* A body of undeclared length that is over the limit is read on for as much again, since a client that is still sending
 * does not look for an answer; then the connection is dropped. */
static enum MHD_Result take_body(struct server *s, struct exchange *x, const char *data, size_t n)
{
    if (!x->discard && buf_append(&x->body, data, n))
        return MHD_YES;
    x->dropped += n;
    return x->dropped <= (x->discard ? DISCARD_BYTES_MAX : s->o.body_bytes_max) ? MHD_YES : MHD_NO;
}

static enum MHD_Result take_end(struct server *s, struct exchange *x)
{
    struct err e;
    x->heard = true;
    if (x->discard && !body_check(s, x, &e))
        return answer(s, x, &e, false);
    if (x->body.full) {
        err_set(&e, ERR_TOO_LARGE, "the body has more than %zu bytes, the most taken", s->o.body_bytes_max);
        return answer(s, x, &e, false);
    }
    x->request.body = buf_view(&x->body);
    return answer(s, x, NULL, false);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *net, const char *url, const char *method,
                                  const char *version, const char *data, size_t *n, void **at)
{
    struct server   *s = ctx;
    struct exchange *x = *at;
    size_t           got = *n;
    (void)url;
    CHECK(x);
    *n = 0;
    switch (x->phase) {
    case EXCHANGE_HEAD:
        return take_head(s, x, net, method, version);
    case EXCHANGE_BODY:
        return got ? take_body(s, x, data, got) : take_end(s, x);
    case EXCHANGE_ANSWER:
        break;
    }
    return answer_now(s, x);
}

static void on_completed(void *ctx, struct MHD_Connection *net, void **at, enum MHD_RequestTerminationCode how)
{
    struct server   *s = ctx;
    struct exchange *x = *at;
    (void)net, (void)how;
    if (!x)
        return;
    *at = NULL;
    if (x->watched)
        hangup_forget(s->hangup, x->fd);
    pthread_mutex_lock(&s->lock);
    if (x->handed) {
        *(x->prev ? &x->prev->next : &s->handed) = x->next;
        if (x->next)
            x->next->prev = x->prev;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    exchange_done(x);
}

static void on_hangup(void *who, enum hangup_how how)
{
    if (how == HANGUP_GONE)
        exchange_cut(who);
    else
        exchange_probe(who);
}

static void on_library_log(void *ctx, const char *fmt, va_list ap)
{
    char line[256];
    int  n = vsnprintf(line, sizeof line, fmt, ap);
    if (n > 0 && (size_t)n < sizeof line && line[n - 1] == '\n')
        line[n - 1] = '\0';
    log_debug(((struct server *)ctx)->o.log, "http library: %s", line);
}

/* ---- opening and closing ----------------------------------------------------------------------------------------- */

/* poll(), not epoll: with the latter the library, when 128 events come at once and then none, sleeps before it handles
 * them (releases 0.9.75 and 1.0.1, MHD_epoll()).  Suspended connections are not polled, so the cost is the same. */
static bool daemon_start(struct server *s, struct err *e)
{
    unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET |
                     MHD_USE_ERROR_LOG;
    s->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, s,
        MHD_OPTION_EXTERNAL_LOGGER, on_library_log, (void *)s,      /* first, to hear of the others */
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, (void *)s,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, (void *)s,
        MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, (void *)s,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, (void *)s,
        MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)INT_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, s->o.idle_s_max,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)READ_BYTES,
        MHD_OPTION_END);
    return s->daemon || err_os(e, "starting the network thread");
}

static void server_drop(struct server *s)
{
    door_close(s->door);
    gate_shut(s->gate);
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    gate_close(s->gate);
    hangup_close(s->hangup);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->changed);
    free(s->cors_origin);
    free(s);
}

bool server_open(struct server **out, const struct server_opts *o, struct err *e)
{
    CHECK(o->handle && o->fail && o->body_bytes_max && o->reply_bytes_max);
    CHECK(o->connections_max && o->connections_max <= UINT_MAX - TURNED_AWAY_MAX);
    struct server *s = mem_new(sizeof *s);
    s->o = *o;
    if (o->cors_origin)
        s->o.cors_origin = s->cors_origin = mem_copy(o->cors_origin, strlen(o->cors_origin));
    s->o.host = NULL;
    pthread_mutex_init(&s->lock, NULL);
    cond_init(&s->changed);
    if (!door_open(&s->door, o->host, o->port, e) || !hangup_open(&s->hangup, on_hangup, e) ||
        !gate_open(&s->gate, &(struct gate_opts){on_pass, on_refuse, s, s->o.idle_s_max}, e) || !daemon_start(s, e) ||
        !door_start(s->door, (struct door_enter){on_enter, s}, o->log, e)) {
        server_drop(s);
        return false;
    }
    s->port = door_port(s->door);
    *out = s;
    return true;
}

uint16_t server_port(const struct server *s)
{
    return s->port;
}

unsigned server_connections(const struct server *s)
{
    return atomic_load(&s->n_open);
}

void server_drain(struct server *s)
{
    atomic_store(&s->draining, true);
    door_close(s->door);
    s->door = NULL;
}

void server_close(struct server *s, unsigned wait_ms)
{
    if (!s)
        return;
    server_drain(s);
    uint64_t deadline = cond_deadline((uint64_t)wait_ms * 1000000u);
    pthread_mutex_lock(&s->lock);
    while (s->handed && cond_wait(&s->changed, &s->lock, deadline))
        ;
    /* The library may not be stopped while a connection is suspended.  From here on none is: those cut are resumed and
     * not suspended again, and no other is handed out. */
    s->closing = true;
    for (struct exchange *x = s->handed; x; x = x->next)
        exchange_cut(x);
    pthread_mutex_unlock(&s->lock);
    server_drop(s);
}
