/* What comes in: framing, limits, paths, headers, connections. */
#include "wire.h"

#include "http/cors.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static atomic_uint n_smuggled, n_handled;

/* Says what it understood. */
static void echo(void *ctx, const struct http_request *in, struct reply *out)
{
    char        text[2048];
    const char *x = in->header(in, "x-tESt");
    (void)ctx;
    atomic_fetch_add(&n_handled, 1);
    if (str_starts(in->path, STR("/smuggled")))
        atomic_fetch_add(&n_smuggled, 1);
    snprintf(text, sizeof text, "%.*s|%.*s|%.*s|%zu|%.*s|%s", (int)in->method.n, in->method.p, (int)in->path.n,
             in->path.p, (int)in->query.n, in->query.p, in->body.n, (int)in->peer.n, in->peer.p, x ? x : "-");
    reply_text(out, 200, text);
}

static struct server *server;
static uint16_t       port;

static int setup(void **state)
{
    (void)state;
    struct server_opts o = opts_plain(echo, NULL);
    o.body_bytes_max = 1000;
    server = open_plain(&o);
    port = server_port(server);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    server_close(server, 1000);
    return 0;
}

static void expect(const char *request, int status, const char *body)
{
    struct answer a;
    int           got = ask(port, &a, request);
    if (got != status || (body && !str_is(buf_view(&a.body), body)))
        fail_msg("%s\n-> %d, wanted %d: %s", request, got, status, a.body.p ? a.body.p : "");
    answer_drop(&a);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static void requests_come_out_whole(void **state)
{
    (void)state;
    expect(GET("/"), 200, "GET|/||0|127.0.0.1|-");
    expect(GET("/a/b?x=1&y=%20"), 200, "GET|/a/b|x=1&y=%20|0|127.0.0.1|-");
    expect(GET("/a%2Fb%C3%A9+%25"), 200, "GET|/a/b\xC3\xA9+%||0|127.0.0.1|-");
    expect("GET / HTTP/1.1\r\nHost: h\r\nX-Test:  some value \t\r\n\r\n", 200, "GET|/||0|127.0.0.1|some value");
    expect("DELETE /x HTTP/1.1\r\nHost: h\r\n\r\n", 200, "DELETE|/x||0|127.0.0.1|-");
    expect("GET http://h/a?b=c HTTP/1.1\r\nHost: h\r\n\r\n", 200, "GET|/a|b=c|0|127.0.0.1|-");
    expect("GET HTTPS://other:8000?b HTTP/1.1\r\nHost: h\r\n\r\n", 200, "GET|/|b|0|127.0.0.1|-");
    expect("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n", 200, "GET|/||0|127.0.0.1|-");
    expect("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 200, "POST|/p||5|127.0.0.1|-");
    expect("POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
           "3\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n", 200, "POST|/p||5|127.0.0.1|-");
    expect("GET /old HTTP/1.0\r\n\r\n", 200, "GET|/old||0|127.0.0.1|-");
}

static void paths_are_refused(void **state)
{
    (void)state;
    expect(GET("/a%00b"), 400, NULL);
    expect(GET("/a%zz"), 400, NULL);
    expect(GET("/a%2"), 400, NULL);
    expect(GET("/a%"), 400, NULL);
    expect(GET("/%C3"), 400, NULL);
    expect(GET("/%ED%A0%80"), 400, NULL);
    expect(GET("/\xFF"), 400, NULL);
    expect(GET("/a\x01"), 400, NULL);
    expect(GET("x"), 400, NULL);
    expect(GET("*"), 400, NULL);
    expect(GET("*/"), 400, NULL);
    expect(GET("http:///a"), 400, NULL);
    expect(GET("http://?a"), 400, NULL);
    expect(GET("ftp://h/a"), 400, NULL);
    expect(GET("http:/h/a"), 400, NULL);
}

static void the_server_says_its_methods(void **state)
{
    (void)state;
    static const char *const targets[] = {"*", "http://h"};
    for (int i = 0; i < 2; i++) {
        struct wire   w;
        struct answer a;
        atomic_store(&n_handled, 0);
        wire_open(&w, port);
        wire_say(&w, "OPTIONS %s HTTP/1.1\r\nHost: h\r\n\r\n", targets[i]);
        answer_read(&w, &a, false);
        assert_int_equal(a.status, 204);
        assert_true(answer_has(&a, "Allow: GET, HEAD, POST, DELETE, OPTIONS"));
        assert_int_equal(atomic_load(&n_handled), 0);
        answer_drop(&a);
        wire_close(&w);
    }
}

/* The second request of its connection, and the first, with `line` among its headers. */
static void line_is_refused(struct str line)
{
    for (int second = 0; second < 2; second++)
        for (int last = 0; last < 2; last++) {
            struct wire   w;
            struct answer a;
            wire_open(&w, port);
            if (second) {
                wire_say(&w, GET("/"));
                answer_read(&w, &a, false);
                assert_int_equal(a.status, 200);
                answer_drop(&a);
            }
            atomic_store(&n_handled, 0);
            wire_say(&w, "GET / HTTP/1.1\r\nHost: h\r\nX-Long: 0123456789\r\n");
            wire_send(&w, line.p, line.n);
            wire_say(&w, last ? "\r\n" : "X-Last: y\r\n\r\n");
            answer_read(&w, &a, false);
            if (a.status != 400 || atomic_load(&n_handled))
                fail_msg("%.*s: %d", (int)line.n, line.p, a.status);
            answer_drop(&a);
            wire_close(&w);
        }
}

static void lines_are_whole(void **state)
{
    (void)state;
    line_is_refused(STR("X-Test: a\r\n b\r\n"));
    line_is_refused(STR("X-Test:\r\n\tb\r\n"));
    line_is_refused(STR("X-Test:   a\r\n b\r\n c\r\n"));
    line_is_refused(STR("X-Test: a\r\n  \r\n"));
    line_is_refused(STR("X-Test: a\0\r\n"));
    line_is_refused(STR("X-Test: \0\r\n"));
    line_is_refused(STR("X-Test: a\0b\r\n"));
    line_is_refused(STR("X-Te\0st: a\r\n"));
    line_is_refused(STR("X-Test: a\0Content-Length: 3\r\n"));
    expect("GET / HTTP/1.1\r\nHost: h\r\nX-Test:\r\n\r\n", 200, NULL);
    expect("GET / HTTP/1.1\r\nX-Test: \t\r\nHost:h \r\n\r\n", 200, NULL);
    expect("\r\nGET / HTTP/1.1\nHost: h\nX-Test: a\n\n", 200, NULL);
}

/* Nothing is decoded; the client may send all of it before it looks, and go on. */
static void bodies_come_as_they_are(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
        "content-encoding: identity\r\ncontent-encoding: br\r\nContent-Length: 5\r\n\r\nhello",
        "Content-Encoding: x-thing\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    };
    atomic_store(&n_handled, 0);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct wire   w;
        struct answer a;
        wire_open(&w, port);
        wire_say(&w, "POST /p HTTP/1.1\r\nHost: h\r\n%s", refused[i]);
        answer_read(&w, &a, false);
        assert_int_equal(a.status, 415);
        assert_non_null(strstr(a.body.p, "Content-Encoding"));
        assert_int_equal(atomic_load(&n_handled), 0);
        answer_drop(&a);
        wire_say(&w, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
        answer_read(&w, &a, false);
        assert_int_equal(a.status, 204);
        answer_drop(&a);
        wire_close(&w);
    }
    expect("POST /p HTTP/1.1\r\nHost: h\r\nContent-Encoding: Identity\r\nContent-Length: 5\r\n\r\nhello", 200, NULL);
    expect("GET /p HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\n\r\n", 200, NULL);
}

static void head_sends_no_body(void **state)
{
    (void)state;
    struct wire   w;
    struct answer a;
    wire_open(&w, port);
    wire_say(&w, "HEAD /h HTTP/1.1\r\nHost: h\r\n\r\n" GET("/next"));
    answer_read(&w, &a, true);
    assert_int_equal(a.status, 200);
    assert_true(answer_has(&a, "Content-Length: 22"));
    answer_drop(&a);
    answer_read(&w, &a, false);
    assert_string_equal(a.body.p, "GET|/next||0|127.0.0.1|-");
    answer_drop(&a);
    wire_close(&w);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct wire w;
    wire_open(&w, port);
    for (int turn = 0; turn < 3; turn++) {
        wire_say(&w, GET("/1") "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
                 "POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n" GET("/4"));
        static const char *const bodies[] = {"GET|/1||0", "POST|/2||3", "POST|/3||2", "GET|/4||0"};
        for (int i = 0; i < 4; i++) {
            struct answer a;
            answer_read(&w, &a, false);
            assert_int_equal(a.status, 200);
            assert_false(a.chunked);
            assert_memory_equal(a.body.p, bodies[i], strlen(bodies[i]));
            answer_drop(&a);
        }
    }
    wire_close(&w);
}

static void a_slow_head_is_waited_for(void **state)
{
    (void)state;
    struct wire       w;
    struct answer     a;
    static const char request[] = "POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody";
    wire_open(&w, port);
    for (size_t i = 0; i < sizeof request - 1; i++) {
        wire_send(&w, request + i, 1);
        sleep_ms(1);
    }
    answer_read(&w, &a, false);
    assert_string_equal(a.body.p, "POST|/slow||4|127.0.0.1|-");
    answer_drop(&a);
    wire_close(&w);
}

static int post(size_t n, bool chunked)
{
    struct wire   w;
    struct answer a;
    char         *body = calloc(1, n + 1);
    memset(body, 'b', n);
    wire_open(&w, port);
    if (chunked) {
        wire_say(&w, "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (size_t at = 0, some; at < n; at += some) {
            some = n - at < 300 ? n - at : 300;
            if (!wire_say(&w, "%zx\r\n", some) || !wire_send(&w, body + at, some) || !wire_say(&w, "\r\n"))
                break;
        }
        wire_say(&w, "0\r\n\r\n");
    } else {
        wire_say(&w, "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", n);
        wire_send(&w, body, n);
    }
    free(body);
    answer_read(&w, &a, false);
    int status = a.status;
    answer_drop(&a);
    wire_close(&w);
    return status;
}

static void bodies_have_a_limit(void **state)
{
    (void)state;
    atomic_store(&n_handled, 0);
    assert_int_equal(post(1000, false), 200);
    assert_int_equal(post(1000, true), 200);
    assert_int_equal(atomic_load(&n_handled), 2);
    assert_int_equal(post(1001, false), 413);
    assert_int_equal(post(1001, true), 413);
    assert_int_equal(post(1800, true), 413);
    assert_int_equal(post(100000, true), 0);
    assert_int_equal(atomic_load(&n_handled), 2);
}

/* Far more than the sockets hold: a client that sends all before it reads still has its answer, and may go on. */
static void a_declared_body_over_the_limit_is_heard_out(void **state)
{
    (void)state;
    enum { PIECE = 1 << 20, PIECES = 64 };
    struct wire   w;
    struct answer a;
    char         *piece = calloc(1, PIECE);
    assert_non_null(piece);
    atomic_store(&n_handled, 0);
    wire_open(&w, port);
    wire_say(&w, "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", PIECE * PIECES);
    for (int i = 0; i < PIECES; i++)
        assert_true(wire_send(&w, piece, PIECE));
    answer_read(&w, &a, false);
    assert_int_equal(a.status, 413);
    assert_non_null(strstr(a.body.p, "the body has 67108864 bytes; the most taken is 1000"));
    answer_drop(&a);
    assert_int_equal(atomic_load(&n_handled), 0);
    wire_say(&w, GET("/next"));
    answer_read(&w, &a, false);
    assert_string_equal(a.body.p, "GET|/next||0|127.0.0.1|-");
    answer_drop(&a);
    wire_close(&w);
    free(piece);

    /* One byte more is not waited for. */
    wire_open(&w, port);
    wire_say(&w, "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", PIECE * PIECES + 1);
    answer_read(&w, &a, false);
    assert_int_equal(a.status, 413);
    assert_true(answer_has(&a, "Connection: close"));
    assert_false(wire_more(&w));
    answer_drop(&a);
    wire_close(&w);
}

static void a_body_is_asked_for(void **state)
{
    (void)state;
    struct wire   w;
    struct answer a;
    wire_open(&w, port);
    wire_say(&w, "POST /e HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    answer_read(&w, &a, false);
    assert_int_equal(a.status, 100);
    answer_drop(&a);
    wire_say(&w, "body");
    answer_read(&w, &a, false);
    assert_string_equal(a.body.p, "POST|/e||4|127.0.0.1|-");
    answer_drop(&a);
    wire_close(&w);
    expect("POST /e HTTP/1.1\r\nHost: h\r\nContent-Length: 4000\r\nExpect: 100-continue\r\n\r\n", 413, NULL);
}

#define TAIL "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST(headers, body) "POST /p HTTP/1.1\r\nHost: h\r\n" headers "\r\n" body

/* REFUSED: no handler may be called at all.  SERVED: the front request is, but what follows it on the wire may not be
 * taken for another one.  EITHER: as the library's release has it, and what follows is no request either way. */
enum outcome { REFUSED, SERVED, EITHER };

static const struct { const char *what; struct str bytes; enum outcome want; } probes[] = {
    {"both lengths", STR(POST("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" TAIL)), REFUSED},
    {"both, turned", STR(POST("Transfer-Encoding: chunked\r\nContent-Length: 60\r\n", "0\r\n\r\n" TAIL)), REFUSED},
    {"two lengths", STR(POST("Content-Length: 0\r\nContent-Length: 35\r\n", TAIL)), REFUSED},
    {"the same twice", STR(POST("Content-Length: 0\r\nContent-Length: 0\r\n", TAIL)), REFUSED},
    {"a list", STR(POST("Content-Length: 0, 0\r\n", TAIL)), REFUSED},
    {"plus", STR(POST("Content-Length: +0\r\n", TAIL)), REFUSED},
    {"minus", STR(POST("Content-Length: -1\r\n", TAIL)), REFUSED},
    {"hexadecimal", STR(POST("Content-Length: 0x0\r\n", TAIL)), REFUSED},
    {"two numbers", STR(POST("Content-Length: 0 35\r\n", TAIL)), REFUSED},
    {"2^64", STR(POST("Content-Length: 18446744073709551616\r\n", TAIL)), REFUSED},
    {"empty", STR(POST("Content-Length:\r\n", TAIL)), REFUSED},
    {"other coding", STR(POST("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n" TAIL)), REFUSED},
    {"coding behind", STR(POST("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n" TAIL)), REFUSED},
    {"coding before", STR(POST("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n" TAIL)), REFUSED},
    {"identity", STR(POST("Transfer-Encoding: identity\r\n", "0\r\n\r\n" TAIL)), REFUSED},
    {"two codings", STR(POST("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" TAIL)), REFUSED},
    {"vertical tab", STR(POST("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n" TAIL)), REFUSED},
    {"blank at the colon", STR(POST("Transfer-Encoding : chunked\r\n", "0\r\n\r\n" TAIL)), REFUSED},
    {"tab at the colon", STR(POST("Content-Length\t: 35\r\n", TAIL)), REFUSED},
    {"folded coding", STR(POST("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n" TAIL)), REFUSED},
    {"folded length", STR(POST("Content-Length: 3\r\n 5\r\n", TAIL)), REFUSED},
    {"blank first", STR(POST(" Content-Length: 35\r\n", TAIL)), REFUSED},
    {"lone CR", STR(POST("X: a\rContent-Length: 35\r\n", TAIL)), REFUSED},
    {"no colon", STR(POST("Content-Length 35\r\n", TAIL)), REFUSED},
    {"chunks in 1.0", STR("POST /p HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" TAIL), REFUSED},
    {"no Host", STR("POST /p HTTP/1.1\r\nContent-Length: 0\r\n\r\n" TAIL), REFUSED},
    {"two Hosts", STR(POST("Host: i\r\n", TAIL)), REFUSED},
    {"no version", STR("GET /p\r\nHost: h\r\n\r\n" TAIL), REFUSED},
    {"version 3.7", STR("GET /p HTTP/3.7\r\nHost: h\r\n\r\n" TAIL), REFUSED},
    {"version 0.9", STR("GET /p HTTP/0.9\r\nHost: h\r\n\r\n" TAIL), REFUSED},
    {"blank in the path", STR("GET /p /q HTTP/1.1\r\nHost: h\r\n\r\n" TAIL), REFUSED},
    {"method", STR("GE(T /p HTTP/1.1\r\nHost: h\r\n\r\n" TAIL), REFUSED},
    {"chunk 0x", STR(POST("Transfer-Encoding: chunked\r\n", "0x0\r\n\r\n" TAIL)), REFUSED},
    {"chunk minus", STR(POST("Transfer-Encoding: chunked\r\n", "-1\r\n\r\n" TAIL)), REFUSED},
    {"chunk 2^64", STR(POST("Transfer-Encoding: chunked\r\n", "10000000000000000\r\n\r\n" TAIL)), REFUSED},
    {"chunk overrun", STR(POST("Transfer-Encoding: chunked\r\n", "1\r\nabc\r\n0\r\n\r\n" TAIL)), REFUSED},
    {"in the body", STR(POST("Content-Length: 35\r\n", TAIL)), SERVED},
    {"in a chunk", STR(POST("Transfer-Encoding: chunked\r\n", "23\r\n" TAIL "\r\n0\r\n\r\n")), SERVED},
    {"lone LF", STR("POST /p HTTP/1.1\nHost: h\nContent-Length: 35\n\n" TAIL), EITHER},
    /* To older releases it is the end of the head. */
    {"no name", STR(POST(":\r\nContent-Length: 35\r\n", TAIL)), EITHER},
    {"in a NUL", STR("GET /p HTTP/1.1\r\nHost: h\r\nX: a\0\r\nContent-Length: 35\r\n\r\n" TAIL), REFUSED},
};

static void no_request_is_smuggled(void **state)
{
    (void)state;
    unsigned n_silent = 0;
    for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++) {
        struct wire   w;
        struct answer a;
        atomic_store(&n_smuggled, 0);
        atomic_store(&n_handled, 0);
        wire_open(&w, port);
        wire_send(&w, probes[i].bytes.p, probes[i].bytes.n);
        shutdown(w.fd, SHUT_WR);
        answer_read(&w, &a, false);
        while (wire_more(&w))
            ;
        enum outcome got = atomic_load(&n_handled) ? SERVED : REFUSED;
        if (atomic_load(&n_smuggled) || (probes[i].want != EITHER && probes[i].want != got))
            fail_msg("%s: answered %d, %u handled, %u smuggled", probes[i].what, a.status, atomic_load(&n_handled),
                     atomic_load(&n_smuggled));
        if (got == REFUSED && a.status != 0 && (a.status < 400 || (a.status >= 500 && a.status != 505)))
            fail_msg("%s: answered %d", probes[i].what, a.status);
        n_silent += a.status == 0;
        answer_drop(&a);
        wire_close(&w);
    }
    print_message("%zu probes, %u of them without an answer\n", sizeof probes / sizeof probes[0], n_silent);
}

/* Malformed requests are answered by fail(), not with the library's page, and the reason is named. */
static void what_is_no_request_is_refused_in_our_words(void **state)
{
    (void)state;
    static const struct { const char *bytes; int status; const char *word; } cases[] = {
        {"hello\r\n\r\n", 400, "request line"},
        {"GET /\r\nHost: h\r\n\r\n", 400, "request line"},
        {"GET  HTTP/1.1\r\nHost: h\r\n\r\n", 400, "request line"},
        {" / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "method"},
        {"G(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "method"},
        {"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400, "blank"},
        {"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400, "blank"},
        {"GET / HTTP/1\r\nHost: h\r\n\r\n", 400, "version"},
        {"GET / http/1.1\r\nHost: h\r\n\r\n", 400, "version"},
        {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505, "HTTP/2.0"},
        {"GET / HTTP/0.9\r\nHost: h\r\n\r\n", 505, "HTTP/0.9"},
        {"GET / HTTP/1.1\r\n\r\n", 400, "Host"},
        {"GET / HTTP/1.1\r\nHost: h\r\nnothing\r\n\r\n", 400, "colon"},
        {"GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", 400, "byte"},
        {"GET / HTTP/1.1\r\nHost: h\r\nX : x\r\n\r\n", 400, "byte"},
        {"GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", 400, "byte"},
        {"GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", 400, "folded"},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: many\r\n\r\n", 400, "Content-Length"},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", 400, "Content-Length"},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", 400, "Content-Length"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int bytewise = 0; bytewise < 2; bytewise++) {
            struct wire   w;
            struct answer a;
            size_t        n = strlen(cases[i].bytes);
            atomic_store(&n_handled, 0);
            wire_open(&w, port);
            for (size_t at = 0, some = bytewise ? 1 : n; at < n && wire_send(&w, cases[i].bytes + at, some); at += some)
                if (bytewise && at % 8 == 0)
                    sleep_ms(1);
            answer_read(&w, &a, false);
            if (a.status != cases[i].status || !a.whole || !strstr(a.body.p, cases[i].word) || strchr(a.body.p, '<'))
                fail_msg("%s: %d %s", cases[i].bytes, a.status, a.body.p ? a.body.p : "");
            assert_true(answer_has(&a, "Content-Type: text/plain") && answer_has(&a, "Connection: close"));
            assert_false(wire_say(&w, GET("/smuggled")) && wire_more(&w));
            assert_int_equal(atomic_load(&n_handled), 0);
            answer_drop(&a);
            wire_close(&w);
        }
    wait_connections(server, 0);
}

static void heads_have_a_limit(void **state)
{
    (void)state;
    struct wire   w;
    struct answer a;
    wire_open(&w, port);
    wire_say(&w, "GET / HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < 5000 && wire_say(&w, "X-%d: y\r\n", i); i++)
        ;
    wire_say(&w, "\r\n");
    answer_read(&w, &a, false);
    assert_int_equal(a.status, 431);
    assert_non_null(strstr(a.body.p, "too long"));
    answer_drop(&a);
    wire_close(&w);
    expect(GET("/"), 200, NULL);

    /* One long line, up to the limit, and a path of many small parts. */
    static char line[20000];
    for (int over = 0; over < 2; over++) {
        memset(line, 'x', sizeof line);
        line[over ? 16384 - 30 : 16384 - 50] = '\0';
        wire_open(&w, port);
        wire_say(&w, "GET / HTTP/1.1\r\nHost: h\r\nX-Long: ");
        wire_send(&w, line, strlen(line));
        wire_say(&w, "\r\n\r\n");
        answer_read(&w, &a, false);
        assert_int_equal(a.status, over ? 431 : 200);
        answer_drop(&a);
        wire_close(&w);
    }
    for (size_t i = 0; i < 2000; i++)
        line[i] = "a&"[i % 2];
    line[2000] = '\0';
    wire_open(&w, port);
    wire_say(&w, "GET /?%s HTTP/1.1\r\nHost: h\r\n\r\n", line);
    answer_read(&w, &a, false);
    assert_int_equal(a.status, 431);
    assert_null(strchr(a.body.p, '<'));
    answer_drop(&a);
    wire_close(&w);
}

static void pages_from_localhost_may_call(void **state)
{
    (void)state;
    static const struct { const char *setting, *origin; bool may; } cases[] = {
        {NULL, "http://localhost", true},          {NULL, "http://localhost:3000", true},
        {NULL, "https://127.0.0.1:8443", true},    {NULL, "http://[::1]:80", true},
        {NULL, "http://localhost.evil.org", false}, {NULL, "http://localhost:3000x", false},
        {NULL, "http://localhost:", false},        {NULL, "http://127.0.0.1@evil.org", false},
        {NULL, "http://evil.org", false},          {NULL, "null", false},
        {NULL, "ftp://localhost", false},          {NULL, "", false},
        {"*", "http://evil.org", true},            {"https://a.org", "https://a.org", true},
        {"https://a.org", "https://b.org", false}, {"https://a.org", "http://localhost", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (cors_allows(cases[i].setting, cases[i].origin) != cases[i].may)
            fail_msg("%s under %s", cases[i].origin, cases[i].setting ? cases[i].setting : "NULL");

    struct answer a;
    atomic_store(&n_handled, 0);
    ask(port, &a, "OPTIONS /v1 HTTP/1.1\r\nHost: h\r\nOrigin: http://localhost:3000\r\n"
        "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization, x-a\r\n\r\n");
    assert_int_equal(a.status, 204);
    assert_true(answer_has(&a, "Access-Control-Allow-Origin: http://localhost:3000"));
    assert_true(answer_has(&a, "Access-Control-Allow-Headers: authorization, x-a"));
    assert_true(answer_names(&a, "Access-Control-Allow-Methods"));
    assert_true(answer_has(&a, "Vary: Origin"));
    answer_drop(&a);
    ask(port, &a, "OPTIONS /v1 HTTP/1.1\r\nHost: h\r\nOrigin: http://evil.org\r\n"
        "Access-Control-Request-Method: POST\r\n\r\n");
    assert_int_equal(a.status, 204);
    assert_false(answer_names(&a, "Access-Control-Allow-Origin"));
    answer_drop(&a);
    assert_int_equal(atomic_load(&n_handled), 0);
    ask(port, &a, "GET / HTTP/1.1\r\nHost: h\r\nOrigin: http://[::1]\r\n\r\n");
    assert_true(answer_has(&a, "Access-Control-Allow-Origin: http://[::1]"));
    answer_drop(&a);
    ask(port, &a, "GET /%00 HTTP/1.1\r\nHost: h\r\nOrigin: http://[::1]\r\n\r\n");
    assert_int_equal(a.status, 400);
    assert_true(answer_has(&a, "Access-Control-Allow-Origin: http://[::1]"));
    answer_drop(&a);
    ask(port, &a, GET("/"));
    assert_false(answer_names(&a, "Access-Control-Allow-Origin"));
    answer_drop(&a);
}

static void both_loopbacks_are_served(void **state)
{
    (void)state;
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_port = htons(port)};
    struct wire         w = {.fd = socket(AF_INET6, SOCK_STREAM, 0)};
    struct answer       a;
    buf_init(&w.in, 0);
    if (w.fd < 0 || connect(w.fd, (struct sockaddr *)&to, sizeof to) != 0) {
        print_message("no IPv6 here\n");
        if (w.fd >= 0)
            close(w.fd);
        skip();
    }
    wire_say(&w, GET("/six"));
    answer_read(&w, &a, false);
    assert_string_equal(a.body.p, "GET|/six||0|::1|-");
    answer_drop(&a);
    wire_close(&w);
}

static void a_taken_port_is_explained(void **state)
{
    (void)state;
    struct server     *other;
    struct err         e;
    struct server_opts o = opts_plain(echo, NULL);
    unsigned           fds = fds_open();
    o.port = port;
    assert_false(server_open(&other, &o, &e));
    assert_int_equal(e.kind, ERR_IO);
    assert_non_null(strstr(e.text, "--port"));
    assert_non_null(strstr(e.text, "in use"));
    o.port = 0;
    o.host = "192.0.2.1";
    assert_false(server_open(&other, &o, &e));
    assert_non_null(strstr(e.text, "--host"));
    assert_int_equal(fds_open(), fds);
}

static void too_many_connections_are_told(void **state)
{
    (void)state;
    struct wire        w[3];
    struct answer      a;
    struct server_opts o = opts_plain(echo, NULL);
    o.connections_max = 2;
    struct server *s = open_plain(&o);
    for (int i = 0; i < 2; i++) {
        wire_open(&w[i], server_port(s));
        wait_connections(s, (unsigned)i + 1);
    }
    wire_open(&w[2], server_port(s));
    wire_say(&w[2], "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n");
    answer_read(&w[2], &a, false);
    assert_int_equal(a.status, 503);
    assert_true(answer_names(&a, "Retry-After"));
    assert_true(answer_has(&a, "Connection: close"));
    assert_false(wire_more(&w[2]));
    answer_drop(&a);
    wire_close(&w[2]);
    wire_say(&w[0], GET("/"));
    answer_read(&w[0], &a, false);
    assert_int_equal(a.status, 200);
    answer_drop(&a);
    wire_close(&w[0]);
    wait_connections(s, 1);
    assert_int_equal(ask(server_port(s), &a, GET("/")), 200);
    answer_drop(&a);
    wire_close(&w[1]);
    server_close(s, 1000);

    o.connections_max = 100;
    o.connections_per_ip_max = 1;
    s = open_plain(&o);
    wire_open(&w[0], server_port(s));
    wait_connections(s, 1);
    assert_int_equal(ask(server_port(s), &a, GET("/")), 429);
    assert_true(answer_names(&a, "Retry-After"));
    answer_drop(&a);
    wire_close(&w[0]);
    server_close(s, 1000);
}

static void a_flood_of_connections_passes(void **state)
{
    (void)state;
    enum { FLOOD = 200 };
    struct wire        w[FLOOD];
    struct answer      a;
    struct server_opts o = opts_plain(echo, NULL);
    o.connections_max = 2;
    struct server *s = open_plain(&o);
    unsigned       n_busy = 0;
    for (int i = 0; i < FLOOD; i++) {
        wire_open(&w[i], server_port(s));
        if (i < 2)
            wait_connections(s, (unsigned)i + 1);
    }
    for (int i = 2; i < FLOOD; i++) {
        wire_say(&w[i], GET("/"));
        answer_read(&w[i], &a, false);
        assert_true(a.status == 503 || a.status == 0);
        n_busy += a.status == 503;
        answer_drop(&a);
        wire_close(&w[i]);
    }
    assert_true(n_busy > 0);
    wait_connections(s, 2);
    wire_close(&w[0]);
    wire_close(&w[1]);
    wait_connections(s, 0);
    assert_int_equal(ask(server_port(s), &a, GET("/")), 200);
    answer_drop(&a);
    server_close(s, 1000);
}

static void silent_connections_are_closed(void **state)
{
    (void)state;
    static const char *const starts[] = {
        "", "GET / HT", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc", GET("/"),
    };
    struct wire        w[4];
    struct server_opts o = opts_plain(echo, NULL);
    o.idle_s_max = 1;
    struct server *s = open_plain(&o);
    for (int i = 0; i < 4; i++) {
        wire_open(&w[i], server_port(s));
        wire_send(&w[i], starts[i], strlen(starts[i]));
    }
    wait_connections(s, 4);
    wait_connections(s, 0);
    for (int i = 0; i < 4; i++)
        wire_close(&w[i]);
    server_close(s, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_come_out_whole),
        cmocka_unit_test(paths_are_refused),
        cmocka_unit_test(the_server_says_its_methods),
        cmocka_unit_test(lines_are_whole),
        cmocka_unit_test(bodies_come_as_they_are),
        cmocka_unit_test(head_sends_no_body),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_slow_head_is_waited_for),
        cmocka_unit_test(bodies_have_a_limit),
        cmocka_unit_test(a_declared_body_over_the_limit_is_heard_out),
        cmocka_unit_test(a_body_is_asked_for),
        cmocka_unit_test(no_request_is_smuggled),
        cmocka_unit_test(what_is_no_request_is_refused_in_our_words),
        cmocka_unit_test(heads_have_a_limit),
        cmocka_unit_test(pages_from_localhost_may_call),
        cmocka_unit_test(both_loopbacks_are_served),
        cmocka_unit_test(a_taken_port_is_explained),
        cmocka_unit_test(too_many_connections_are_told),
        cmocka_unit_test(a_flood_of_connections_passes),
        cmocka_unit_test(silent_connections_are_closed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
