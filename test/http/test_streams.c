/* What goes out: replies written by other threads, slow readers, clients that vanish, drain and close. */
#include "wire.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/threads.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

enum { REPLIES_MAX = 1000 };

/* Replies that the handler was given and left open. */
struct desk {
    pthread_mutex_t lock;
    struct reply   *reply[REPLIES_MAX];
    atomic_uint     n, n_gone;
    bool            start;      /* the handler starts them */
};

static void gone(void *ctx)
{
    atomic_fetch_add(&((struct desk *)ctx)->n_gone, 1);
}

static void events_start(struct reply *r)
{
    struct http_header h[] = {{"Content-Type", "text/event-stream"}, {"Cache-Control", "no-cache"}};
    reply_start(r, 200, h, 2);
}

static void leave_open(void *ctx, const struct http_request *in, struct reply *out)
{
    struct desk *d = ctx;
    if (str_is(in->path, "/now")) {
        reply_text(out, 200, "now");
        return;
    }
    if (d->start)
        events_start(out);
    reply_on_gone(out, gone, d);
    pthread_mutex_lock(&d->lock);
    assert_true(atomic_load(&d->n) < REPLIES_MAX);
    d->reply[atomic_load(&d->n)] = out;
    atomic_fetch_add(&d->n, 1);
    pthread_mutex_unlock(&d->lock);
}

static struct server *desk_open(struct desk *d, struct server_opts *o)
{
    *d = (struct desk){.start = true};
    pthread_mutex_init(&d->lock, NULL);
    *o = opts_plain(leave_open, d);
    return open_plain(o);
}

static void thread(pthread_t *t, void *(*run)(void *), void *arg)
{
    struct err e;
    assert_true(thread_start(t, "test", run, arg, &e));
}

/* ---- many at once ------------------------------------------------------------------------------------------------ */

enum { STREAMS = 1000, EVENTS = 100 };

static void *speak(void *arg)
{
    struct desk *d = arg;
    for (unsigned k = 0; k < EVENTS; k++)
        for (unsigned i = 0; i < STREAMS; i++) {
            char event[64];
            int  n = snprintf(event, sizeof event, "data: %u\n\n", k);
            if (!reply_write(d->reply[i], (struct str){event, (size_t)n}))
                atomic_fetch_add(&d->n_gone, 1);
        }
    for (unsigned i = 0; i < STREAMS; i++)
        reply_end(d->reply[i]);
    return NULL;
}

static void a_thousand_streams_arrive_whole(void **state)
{
    (void)state;
    struct desk        d;
    struct server_opts o;
    pthread_t          speaker;
    struct buf         want;
    fds_want(2 * STREAMS + 100);
    struct server *s = desk_open(&d, &o);
    struct wire   *w = mem_array(STREAMS, sizeof *w);
    for (unsigned i = 0; i < STREAMS; i++) {
        wire_open(&w[i], server_port(s));
        wire_say(&w[i], GET("/stream"));
    }
    wait_for(&d.n, STREAMS);
    thread(&speaker, speak, &d);
    buf_init(&want, 0);
    for (unsigned k = 0; k < EVENTS; k++)
        buf_printf(&want, "data: %u\n\n", k);
    for (unsigned i = 0; i < STREAMS; i++) {
        struct answer a;
        answer_read(&w[i], &a, false);
        assert_true(a.whole && a.chunked && a.status == 200);
        assert_true(str_eq(buf_view(&a.body), buf_view(&want)));
        answer_drop(&a);
    }
    pthread_join(speaker, NULL);
    assert_int_equal(atomic_load(&d.n_gone), 0);
    /* The connections live on. */
    struct answer a;
    wire_say(&w[7], GET("/now"));
    answer_read(&w[7], &a, false);
    assert_string_equal(a.body.p, "now");
    answer_drop(&a);
    buf_drop(&want);
    for (unsigned i = 0; i < STREAMS; i++)
        wire_close(&w[i]);
    free(w);
    wait_connections(s, 0);
    server_close(s, 1000);
}

/* ---- the head goes out at once; what is ready whole has a length ------------------------------------------------- */

static void heads_do_not_wait_for_bodies(void **state)
{
    (void)state;
    struct desk        d;
    struct server_opts o;
    struct server     *s = desk_open(&d, &o);
    struct wire        w;
    struct answer      a;
    wire_open(&w, server_port(s));
    wire_say(&w, GET("/stream"));
    while (!w.in.n || !strstr(w.in.p, "\r\n\r\n"))
        assert_true(wire_more(&w));
    assert_non_null(strstr(w.in.p, "text/event-stream"));
    assert_true(reply_write(d.reply[0], STR("one")));
    while (!strstr(w.in.p, "one\r\n"))
        assert_true(wire_more(&w));
    assert_true(reply_write(d.reply[0], STR("")));
    reply_write(d.reply[0], STR("two"));
    reply_end(d.reply[0]);
    answer_read(&w, &a, false);
    assert_string_equal(a.body.p, "onetwo");
    answer_drop(&a);

    d.start = false;
    wire_say(&w, GET("/later"));
    wait_for(&d.n, 2);
    reply_text(d.reply[1], 201, "later");
    answer_read(&w, &a, false);
    assert_true(a.status == 201 && a.whole);
    assert_string_equal(a.body.p, "later");
    answer_drop(&a);

    wire_say(&w, "HEAD /later HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for(&d.n, 3);
    reply_text(d.reply[2], 200, "later");
    answer_read(&w, &a, true);
    assert_true(answer_has(&a, "Content-Length: 5"));
    answer_drop(&a);
    wire_say(&w, "DELETE /later HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for(&d.n, 4);
    reply_start(d.reply[3], 204, NULL, 0);
    reply_end(d.reply[3]);
    answer_read(&w, &a, false);
    assert_int_equal(a.status, 204);
    answer_drop(&a);
    wire_close(&w);

    d.start = true;
    wire_open(&w, server_port(s));
    wire_say(&w, "GET /old HTTP/1.0\r\n\r\n");
    wait_for(&d.n, 5);
    for (int i = 0; i < 1000; i++)
        assert_true(reply_write(d.reply[4], STR("0123456789")));
    reply_end(d.reply[4]);
    answer_read(&w, &a, false);
    assert_false(a.chunked);
    assert_int_equal(a.body.n, 10000);
    answer_drop(&a);
    wire_close(&w);
    server_close(s, 1000);
}

/* ---- who does not read ------------------------------------------------------------------------------------------- */

static void a_slow_reader_is_dropped_alone(void **state)
{
    (void)state;
    enum { PIECE = 4096, PIECES_MAX = 8192 };
    struct desk        d;
    struct server_opts o;
    struct wire        slow, fast;
    size_t             read = 0, written = 0, taken = 0;
    char               piece[PIECE];
    memset(piece, 'x', sizeof piece);
    struct server *s = desk_open(&d, &o);
    wire_open(&slow, server_port(s));
    wire_say(&slow, GET("/slow"));
    wait_for(&d.n, 1);
    wire_open(&fast, server_port(s));
    wire_say(&fast, "GET /fast HTTP/1.0\r\n\r\n");
    wait_for(&d.n, 2);
    bool on = true;
    for (unsigned i = 0; i < PIECES_MAX && on; i++) {
        on = reply_write(d.reply[0], (struct str){piece, PIECE});
        taken += on ? PIECE : 0;
        assert_true(reply_write(d.reply[1], (struct str){piece, PIECE}));
        written += PIECE;
        while (read + o.reply_bytes_max / 2 < written) {
            assert_true(wire_more(&fast));
            read += fast.in.n;
            buf_clear(&fast.in);
        }
    }
    assert_false(on);
    assert_true(taken >= o.reply_bytes_max);
    wait_for(&d.n_gone, 1);
    assert_false(reply_write(d.reply[0], STR("more")));
    reply_end(d.reply[0]);
    reply_end(d.reply[1]);
    while (wire_more(&fast)) {
        read += fast.in.n;
        buf_clear(&fast.in);
    }
    assert_true(read > written && read < written + 1000);
    assert_int_equal(atomic_load(&d.n_gone), 1);
    wire_close(&slow);
    wire_close(&fast);
    wait_connections(s, 0);
    server_close(s, 1000);
}

/* ---- who goes away ----------------------------------------------------------------------------------------------- */

enum { VANISHING = 200 };

static void vanish(bool start, bool end_first)
{
    struct desk        d;
    struct server_opts o;
    struct wire        w[VANISHING];
    struct server     *s = desk_open(&d, &o);
    d.start = start;
    struct answer a;
    assert_int_equal(ask(server_port(s), &a, GET("/now")), 200);
    answer_drop(&a);
    wait_connections(s, 0);
    unsigned fds = fds_open();
    for (unsigned i = 0; i < VANISHING; i++) {
        wire_open(&w[i], server_port(s));
        wire_say(&w[i], GET("/stream"));
    }
    wait_for(&d.n, VANISHING);
    if (start)
        for (unsigned i = 0; i < VANISHING; i++)
            assert_true(reply_write(d.reply[i], STR("data: 1\n\n")));
    for (unsigned i = 0; i < VANISHING; i++) {
        if (i % 3 == 0)
            wire_reset(&w[i]);
        else
            wire_close(&w[i]);
        if (end_first && i % 2)
            reply_end(d.reply[i]), d.reply[i] = NULL;
    }
    if (!end_first)
        print_message("noticed within %u ms\n", wait_for(&d.n_gone, VANISHING));
    for (unsigned i = 0; i < VANISHING; i++) {
        struct reply *r = d.reply[i];
        if (!r)
            continue;
        if (!start)
            events_start(r);
        if (!end_first)
            assert_false(reply_write(r, STR("data: 2\n\n")));
        reply_end(r);
    }
    wait_connections(s, 0);
    assert_true(atomic_load(&d.n_gone) <= VANISHING);
    for (unsigned ms = 0; fds_open() != fds && ms < 5000; ms++)
        sleep_ms(1);
    assert_int_equal(fds_open(), fds);
    server_close(s, 1000);
}

static void clients_vanish_in_the_middle(void **state)
{
    (void)state;
    vanish(true, false);
}

static void clients_vanish_before_the_start(void **state)
{
    (void)state;
    vanish(false, false);
}

static void clients_vanish_while_replies_end(void **state)
{
    (void)state;
    vanish(true, true);
    vanish(false, true);
}

/* Who only says that it will send no more has its whole reply: before the reply begins, while it grows, and when it is
 * there at once. */
static void half_closed_clients_are_answered(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        bool               start = kind & 1, old = kind & 2;
        struct desk        d;
        struct server_opts o;
        struct wire        w;
        struct answer      a;
        struct server     *s = desk_open(&d, &o);
        d.start = start;
        wire_open(&w, server_port(s));
        wire_say(&w, old ? "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi"
                         : "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
        shutdown(w.fd, SHUT_WR);
        wait_for(&d.n, 1);
        sleep_ms(600);
        assert_int_equal(atomic_load(&d.n_gone), 0);
        if (!start)
            events_start(d.reply[0]);
        for (int i = 0; i < 3; i++) {
            assert_true(reply_write(d.reply[0], STR("data: 0123456789abcdef\n\n")));
            sleep_ms(20);
        }
        reply_end(d.reply[0]);
        answer_read(&w, &a, false);
        if (!start && !old) {
            assert_int_equal(a.status, 100);
            answer_drop(&a);
            answer_read(&w, &a, false);
        }
        assert_true(a.status == 200 && a.whole && a.chunked == !old);
        assert_int_equal(a.body.n, 72);
        assert_false(wire_more(&w));
        answer_drop(&a);
        wire_close(&w);
        wait_connections(s, 0);
        server_close(s, 1000);
    }
}

static void half_closed_clients_are_answered_at_once(void **state)
{
    (void)state;
    struct desk        d;
    struct server_opts o;
    struct wire        w;
    struct answer      a;
    struct server     *s = desk_open(&d, &o);
    wire_open(&w, server_port(s));
    wire_say(&w, GET("/now") GET("/now"));
    shutdown(w.fd, SHUT_WR);
    for (int i = 0; i < 2; i++) {
        answer_read(&w, &a, false);
        assert_int_equal(a.status, 200);
        answer_drop(&a);
    }
    assert_false(wire_more(&w));
    wire_close(&w);
    wait_connections(s, 0);
    server_close(s, 1000);
}

/* ---- on_gone ----------------------------------------------------------------------------------------------------- */

struct slow_gone {
    atomic_uint begun, finished, calls;
};

static void gone_slowly(void *ctx)
{
    struct slow_gone *g = ctx;
    atomic_fetch_add(&g->calls, 1);
    atomic_store(&g->begun, 1);
    sleep_ms(100);
    atomic_store(&g->finished, 1);
}

static void taking_on_gone_back_waits(void **state)
{
    (void)state;
    for (int by_end = 0; by_end < 2; by_end++) {
        struct desk        d;
        struct server_opts o;
        struct slow_gone   g = {0};
        struct wire        w;
        struct server     *s = desk_open(&d, &o);
        wire_open(&w, server_port(s));
        wire_say(&w, GET("/"));
        wait_for(&d.n, 1);
        reply_on_gone(d.reply[0], gone_slowly, &g);
        wire_close(&w);
        wait_for(&g.begun, 1);
        if (by_end) {
            reply_end(d.reply[0]);
        } else {
            reply_on_gone(d.reply[0], NULL, NULL);
            assert_int_equal(atomic_load(&g.finished), 1);
            reply_on_gone(d.reply[0], gone, &d);    /* has gone already: at once */
            assert_int_equal(atomic_load(&d.n_gone), 1);
            reply_end(d.reply[0]);
        }
        assert_int_equal(atomic_load(&g.finished), 1);
        assert_int_equal(atomic_load(&g.calls), 1);
        server_close(s, 1000);
    }
}

static void on_gone_taken_back_is_not_called(void **state)
{
    (void)state;
    struct desk        d;
    struct server_opts o;
    struct wire        w;
    struct server     *s = desk_open(&d, &o);
    wire_open(&w, server_port(s));
    wire_say(&w, GET("/"));
    wait_for(&d.n, 1);
    reply_on_gone(d.reply[0], NULL, NULL);
    wire_close(&w);
    wait_connections(s, 0);
    assert_int_equal(atomic_load(&d.n_gone), 0);
    reply_end(d.reply[0]);
    server_close(s, 1000);
}

/* Many replies whose end, whose takeback and whose client's leaving race. */
static void *end_all(void *arg)
{
    struct desk *d = arg;
    for (unsigned i = 0; i < VANISHING; i++) {
        if (i % 2)
            reply_on_gone(d->reply[i], NULL, NULL);
        reply_write(d->reply[i], STR("x"));
        reply_end(d->reply[i]);
    }
    return NULL;
}

static void ends_and_leavings_race(void **state)
{
    (void)state;
    for (int turn = 0; turn < 5; turn++) {
        struct desk        d;
        struct server_opts o;
        struct wire        w[VANISHING];
        pthread_t          ender;
        struct server     *s = desk_open(&d, &o);
        for (unsigned i = 0; i < VANISHING; i++) {
            wire_open(&w[i], server_port(s));
            wire_say(&w[i], GET("/"));
        }
        wait_for(&d.n, VANISHING);
        thread(&ender, end_all, &d);
        for (unsigned i = 0; i < VANISHING; i++)
            wire_close(&w[i]);
        pthread_join(ender, NULL);
        wait_connections(s, 0);
        server_close(s, 1000);
    }
}

/* ---- drain and close --------------------------------------------------------------------------------------------- */

static void streams_go_on_while_draining(void **state)
{
    (void)state;
    struct desk        d;
    struct server_opts o;
    struct wire        w[3];
    struct answer      a;
    struct server     *s = desk_open(&d, &o);
    for (unsigned i = 0; i < 3; i++)
        wire_open(&w[i], server_port(s));
    wire_say(&w[0], GET("/"));
    wire_say(&w[1], GET("/"));
    wait_for(&d.n, 2);
    wait_connections(s, 3);
    server_drain(s);
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(server_port(s)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
    wire_say(&w[2], GET("/now"));
    answer_read(&w[2], &a, false);
    assert_string_equal(a.body.p, "now");
    assert_true(answer_has(&a, "Connection: close"));
    answer_drop(&a);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(reply_write(d.reply[i], STR("still here")));
        reply_end(d.reply[i]);
        answer_read(&w[i], &a, false);
        assert_true(a.whole);
        assert_string_equal(a.body.p, "still here");
        answer_drop(&a);
    }
    for (unsigned i = 0; i < 3; i++)
        wire_close(&w[i]);
    server_close(s, 1000);
}

static void *end_later(void *arg)
{
    struct desk *d = arg;
    sleep_ms(100);
    assert_true(reply_write(d->reply[0], STR("last words")));
    reply_end(d->reply[0]);
    return NULL;
}

static void closing_waits_for_replies(void **state)
{
    (void)state;
    struct desk        d;
    struct server_opts o;
    struct wire        w;
    struct answer      a;
    pthread_t          ender;
    struct server     *s = desk_open(&d, &o);
    wire_open(&w, server_port(s));
    wire_say(&w, GET("/"));
    wait_for(&d.n, 1);
    thread(&ender, end_later, &d);
    server_close(s, 20000);
    pthread_join(ender, NULL);
    answer_read(&w, &a, false);
    assert_true(a.whole);
    assert_string_equal(a.body.p, "last words");
    answer_drop(&a);
    wire_close(&w);
}

static void closing_leaves_stuck_replies_behind(void **state)
{
    (void)state;
    unsigned           fds = fds_open();
    struct desk        d;
    struct server_opts o;
    struct wire        w[4];
    struct server     *s = desk_open(&d, &o);
    for (unsigned i = 0; i < 4; i++)
        wire_open(&w[i], server_port(s));
    wire_say(&w[0], GET("/started"));
    wait_for(&d.n, 1);
    d.start = false;
    wire_say(&w[1], GET("/not/started"));
    wire_say(&w[2], "POST /half HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf");
    wait_for(&d.n, 2);
    wait_connections(s, 4);
    server_close(s, 50);
    assert_int_equal(atomic_load(&d.n_gone), 2);
    for (unsigned i = 0; i < 4; i++) {
        while (wire_more(&w[i]))
            ;
        wire_close(&w[i]);
    }
    assert_int_equal(fds_open(), fds);
    assert_false(reply_write(d.reply[0], STR("late")));
    reply_end(d.reply[0]);
    reply_text(d.reply[1], 200, "later still");
}

static void *ask_on(void *arg)
{
    struct wire *w = arg;
    while (wire_say(w, GET("/now")) && wire_more(w))
        buf_clear(&w->in);
    return NULL;
}

static void closing_under_load(void **state)
{
    (void)state;
    for (int turn = 0; turn < 10; turn++) {
        struct desk        d;
        struct server_opts o;
        struct wire        w[4];
        pthread_t          asker[4];
        struct server     *s = desk_open(&d, &o);
        for (unsigned i = 0; i < 4; i++) {
            wire_open(&w[i], server_port(s));
            thread(&asker[i], ask_on, &w[i]);
        }
        sleep_ms(10);
        server_close(s, 20);
        for (unsigned i = 0; i < 4; i++) {
            pthread_join(asker[i], NULL);
            wire_close(&w[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_do_not_wait_for_bodies),
        cmocka_unit_test(a_thousand_streams_arrive_whole),
        cmocka_unit_test(a_slow_reader_is_dropped_alone),
        cmocka_unit_test(clients_vanish_in_the_middle),
        cmocka_unit_test(clients_vanish_before_the_start),
        cmocka_unit_test(clients_vanish_while_replies_end),
        cmocka_unit_test(half_closed_clients_are_answered),
        cmocka_unit_test(half_closed_clients_are_answered_at_once),
        cmocka_unit_test(taking_on_gone_back_waits),
        cmocka_unit_test(on_gone_taken_back_is_not_called),
        cmocka_unit_test(ends_and_leavings_race),
        cmocka_unit_test(streams_go_on_while_draining),
        cmocka_unit_test(closing_waits_for_replies),
        cmocka_unit_test(closing_leaves_stuck_replies_behind),
        cmocka_unit_test(closing_under_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
