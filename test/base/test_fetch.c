/* Fetching, against a server of faults, and the guard: what a client may not have us reach is not reached, by no spelling, name
 * or redirect.  "free.test" is allowed; "trap.test" is a name that turns out to be this machine. */
#include "base/fetch.h"

#include "base/clock.h"
#include "site.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { BYTES_MAX = 100000 };

struct rig {
    struct site   site;
    struct fetch *fetch;
    struct buf    out;
    char          free_at[64], trap_at[96], free_name[32];
    const char   *resolve[3], *allowed[2];
    struct err    e;
};

static int rig_open(void **state)
{
    struct rig *r = *state = calloc(1, sizeof *r);
    site_open(&r->site);
    snprintf(r->free_at, sizeof r->free_at, "free.test:%u:127.0.0.1", r->site.port);
    snprintf(r->trap_at, sizeof r->trap_at, "trap.test:%u:127.0.0.1,[::1],10.0.0.1,[::ffff:127.0.0.1]", r->site.port);
    snprintf(r->free_name, sizeof r->free_name, "free.test:%u", r->site.port);
    r->resolve[0] = r->free_at;
    r->resolve[1] = r->trap_at;
    r->allowed[0] = r->free_name;
    /* None of these may be asked. */
    setenv("http_proxy", "http://127.0.0.1:9", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:9", 1);
    buf_init(&r->out, BYTES_MAX);
    struct fetch_opts o = {.seconds_max = 2, .redirects_max = 3, .allowed = r->allowed, .resolve = r->resolve};
    return fetch_open(&r->fetch, &o, &r->e) ? 0 : 1;
}

static int rig_close(void **state)
{
    struct rig *r = *state;
    fetch_close(r->fetch);
    site_close(&r->site);
    buf_drop(&r->out);
    free(r);
    return 0;
}

/* %u in the address stands for the server's port. */
static bool get(struct rig *r, const char *format)
{
    char        url[1024];
    const char *mark = strstr(format, "%u");
    size_t      n = mark ? (size_t)(mark - format) : strlen(format);
    snprintf(url, sizeof url, "%.*s", (int)n, format);
    if (mark)
        snprintf(url + n, sizeof url - n, "%u%s", r->site.port, mark + 2);
    buf_clear(&r->out);
    buf_str(&r->out, STR("kept"));
    r->e = (struct err){0};
    return fetch_get(r->fetch, url, &r->out, NULL, &r->e);
}

static void fails(struct rig *r, const char *url, enum err_kind kind, const char *part)
{
    if (get(r, url))
        fail_msg("%s was fetched", url);
    if (r->e.kind != kind || !strstr(r->e.text, part))
        fail_msg("%s: kind %d, \"%s\"", url, r->e.kind, r->e.text);
    assert_string_equal(r->out.p, "kept");
    assert_false(r->out.full);
}

/* Fails so without a request having been sent. */
static void unasked(struct rig *r, const char *url, const char *part)
{
    uint32_t asked = r->site.asked;
    fails(r, url, ERR_INVALID, part);
    assert_int_equal(r->site.asked, asked);
}

static void a_file_comes_behind_what_is_there(void **state)
{
    struct rig *r = *state;
    assert_true(get(r, "http://free.test:%u/ok"));
    assert_string_equal(r->out.p, "kepthello");
    assert_true(get(r, "http://FREE.test:%u/to//ok#part"));
    assert_string_equal(r->out.p, "kepthello");
    assert_true(get(r, "http://free.test:%u/to/../to/../ok"));
    assert_true(r->site.asked >= 4);        /* and what the server's thread noted is there */
    assert_null(strstr(r->site.last, "Cookie"));
    assert_null(strstr(r->site.last, "Authorization"));
    assert_null(strstr(r->site.last, "Referer"));
}

static void no_spelling_gets_round_the_guard(void **state)
{
    static const char *const loop[] = {
        "http://localhost:%u/ok", "http://127.0.0.1:%u/ok", "http://127.1:%u/ok", "http://2130706433:%u/ok", "http://0x7f000001:%u/ok",
        "http://0x7f.0.0.1:%u/ok", "http://0177.0.0.1:%u/ok", "http://127.0.0.1.:%u/ok", "http://[::1]:%u/ok",
        "http://[::ffff:127.0.0.1]:%u/ok", "http://[::ffff:7f00:1]:%u/ok", "http://127.8.9.10:%u/ok", "http://%%31%%32%%37.0.0.1:%u/ok",
    };
    struct rig *r = *state;
    for (size_t i = 0; i < sizeof loop / sizeof loop[0]; i++) {
        uint32_t asked = r->site.asked;
        assert_false(get(r, loop[i]));
        assert_int_equal(r->e.kind, ERR_INVALID);
        assert_int_equal(r->site.asked, asked);
    }
    unasked(r, "http://localhost:%u/ok", "a loopback address");
    unasked(r, "http://2130706433:%u/ok", "a loopback address");
    unasked(r, "http://0177.1:%u/ok", "a loopback address");
    unasked(r, "http://0.0.0.0:%u/ok", "an unspecified address");
    unasked(r, "http://[::]:%u/ok", "an unspecified address");
    unasked(r, "http://[64:ff9b::127.0.0.1]:%u/ok", "a loopback address");
    unasked(r, "http://10.1.2.3:%u/ok", "a private address");
    unasked(r, "http://169.254.169.254/latest/meta-data", "a link-local address");
    unasked(r, "http://100.100.100.200/", "a carrier's shared address");
    unasked(r, "http://[fd00:ec2::254]/", "a private address");
}

/* Where no resolver answers, time runs out first. */
static void unresolved(struct rig *r, const char *url)
{
    assert_false(get(r, url));
    if (r->e.kind != ERR_TIMEOUT)
        fails(r, url, ERR_INVALID, "does not resolve");
}

static void no_name_gets_round_the_guard(void **state)
{
    struct rig *r = *state;
    unasked(r, "http://trap.test:%u/ok", "from which nothing is fetched");
    unresolved(r, "http://free.test.attacker.invalid:%u/ok");
    unresolved(r, "http://nowhere.invalid/");
    assert_true(get(r, "http://free.test:%u/ok"));
}

static void no_redirect_gets_round_the_guard(void **state)
{
    struct rig *r = *state;
    static const char *const to[] = {"http://trap.test:%u/ok", "http://localhost:%u/ok", "http://127.0.0.1:%u/ok", "http://[::1]:%u/ok",
                                     "//127.0.0.1:%u/ok", "http://0x7f000001:%u/ok"};
    for (size_t i = 0; i < sizeof to / sizeof to[0]; i++) {
        char     url[256], goal[128];
        uint32_t asked = r->site.asked;
        const char *mark = strstr(to[i], "%u");
        snprintf(goal, sizeof goal, "%.*s%u%s", (int)(mark - to[i]), to[i], r->site.port, mark + 2);
        snprintf(url, sizeof url, "http://free.test:%%u/to/%s", goal);
        fails(r, url, ERR_INVALID, "after 1 redirect: its host has");
        assert_int_equal(r->site.asked, asked + 1);
    }
    fails(r, "http://free.test:%u/to/file:///etc/passwd", ERR_INVALID, "after 1 redirect: addresses begin with http");
    fails(r, "http://free.test:%u/to/gopher://free.test/", ERR_INVALID, "after 1 redirect: addresses begin with http");
    fails(r, "http://free.test:%u/to/http://a:b@free.test/", ERR_INVALID, "after 1 redirect: an address with a user's name");
    fails(r, "http://free.test:%u/round", ERR_INVALID, "more than 3 redirects");
    fails(r, "http://free.test:%u/lost", ERR_UPSTREAM, "a body without an end");
}

static void addresses_that_are_none(void **state)
{
    struct rig *r = *state;
    unasked(r, "file:///etc/passwd", "");
    unasked(r, "ftp://free.test:%u/ok", "addresses begin with http");
    unasked(r, "gopher://free.test:%u/ok", "addresses begin with http");
    unasked(r, "free.test:%u/ok", "");
    unasked(r, "", "this is no address");
    unasked(r, "http://", "this is no address");
    unasked(r, "http:///ok", "");
    unasked(r, "http://free.test:99999/", "this is no address");
    unasked(r, "http://a b/", "this is no address");
    unasked(r, "http://free.test:%u/a\r\nX: y", "this is no address");
    unasked(r, "http://user@free.test:%u/ok", "an address with a user's name");
    unasked(r, "http://:secret@free.test:%u/ok", "an address with a user's name");
}

static void the_other_side_fails(void **state)
{
    struct rig *r = *state;
    fails(r, "http://free.test:%u/status/404", ERR_INVALID, "status 404: nothing is there");
    assert_null(strstr(r->e.text, "secret"));
    fails(r, "http://free.test:%u/status/403", ERR_INVALID, "status 403");
    fails(r, "http://free.test:%u/status/503", ERR_UPSTREAM, "status 503");
    fails(r, "http://free.test:%u/status/304", ERR_INVALID, "status 304");
    fails(r, "http://free.test:%u/empty", ERR_INVALID, "an empty file");
    fails(r, "http://free.test:%u/short", ERR_UPSTREAM, "before the file's end");
    fails(r, "http://free.test:%u/torn", ERR_UPSTREAM, "");
    fails(r, "http://free.test:%u/garbage", ERR_UPSTREAM, "");
    fails(r, "https://free.test:%u/ok", ERR_UPSTREAM, "");
}

static void too_much(void **state)
{
    struct rig *r = *state;
    fails(r, "http://free.test:%u/long", ERR_TOO_LARGE, "over 99996 bytes");
    fails(r, "http://free.test:%u/endless", ERR_TOO_LARGE, "over 99996 bytes");
    fails(r, "http://free.test:%u/bomb", ERR_TOO_LARGE, "over 99996 bytes");
    r->out.bytes_max = 5 << 20;
    assert_true(get(r, "http://free.test:%u/gzip"));
    assert_int_equal(r->out.n, (4 << 20) + 4);
    r->out.bytes_max = BYTES_MAX;
    char url[20000] = "http://free.test/";
    memset(url + 17, 'a', sizeof url - 18);
    buf_clear(&r->out);
    assert_false(fetch_get(r->fetch, url, &r->out, NULL, &r->e));
    assert_int_equal(r->e.kind, ERR_INVALID);
}

static void *stop_soon(void *word)
{
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    atomic_store((atomic_word *)word, 1);
    return NULL;
}

static void too_long_and_stopped(void **state)
{
    struct rig *r = *state;
    fails(r, "http://free.test:%u/slow", ERR_TIMEOUT, "took too long");
    fails(r, "http://free.test:%u/silent", ERR_TIMEOUT, "took too long");

    struct fetch     *patient;
    struct fetch_opts o = {.seconds_max = 500, .allowed = r->allowed, .resolve = r->resolve};
    atomic_word       stop = 0;
    pthread_t         thread;
    char              url[128];
    uint64_t          began = clock_ns(clock_real());
    snprintf(url, sizeof url, "http://free.test:%u/slow", r->site.port);
    assert_true(fetch_open(&patient, &o, &r->e));
    assert_true(thread_start(&thread, "stop", stop_soon, &stop, &r->e));
    assert_false(fetch_get(patient, url, &r->out, &stop, &r->e));
    assert_int_equal(r->e.kind, ERR_GONE);
    assert_true(clock_ns(clock_real()) - began < UINT64_C(20000000000));
    pthread_join(thread, NULL);
    fetch_close(patient);
}

static void every_host_when_told(void **state)
{
    struct rig       *r = *state;
    struct fetch     *open;
    struct fetch_opts o = {.any_host = true};
    char              url[128];
    snprintf(url, sizeof url, "http://localhost:%u/to/http://127.0.0.1:%u/ok", r->site.port, r->site.port);
    assert_true(fetch_open(&open, &o, &r->e));
    buf_clear(&r->out);
    assert_true(fetch_get(open, url, &r->out, NULL, &r->e));
    assert_string_equal(r->out.p, "hello");
    fetch_close(open);
}

static const char *judged(const char *text)
{
    struct sockaddr_in  four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
        return fetch_refusal((struct sockaddr *)&four);
    assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    return fetch_refusal((struct sockaddr *)&six);
}

static void what_is_public(void **state)
{
    static const char *const is[] = {"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.1", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0",
        "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700:4700::1111", "2a00:1450::1", "2001:4860:4860::8888",
        "64:ff9b::8.8.8.8", "::ffff:8.8.8.8", "3ffe::1"};
    static const char *const is_not[] = {"0.0.0.0", "0.1.2.3", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
        "127.255.255.255", "169.254.0.0", "169.254.169.254", "169.254.255.255", "172.16.0.0", "172.31.255.255", "192.0.0.192", "192.0.2.1",
        "192.88.99.1", "192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.1",
        "239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16", "::", "::1", "::2", "::127.0.0.1", "::ffff:10.0.0.1",
        "::ffff:0:127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "100::1", "fc00::1", "fdff::1", "fe80::1", "febf::1", "fec0::1", "ff02::1",
        "2001::1", "2001:1ff::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1", "4000::1", "2a00::5efe:10.0.0.1",
        "2a00::200:5efe:192.168.1.1"};
    (void)state;
    for (size_t i = 0; i < sizeof is / sizeof is[0]; i++)
        if (judged(is[i]))
            fail_msg("%s is taken for %s", is[i], judged(is[i]));
    for (size_t i = 0; i < sizeof is_not / sizeof is_not[0]; i++)
        if (!judged(is_not[i]))
            fail_msg("%s is taken for public", is_not[i]);
    assert_non_null(fetch_refusal(&(struct sockaddr){.sa_family = AF_UNIX}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_comes_behind_what_is_there),
        cmocka_unit_test(no_spelling_gets_round_the_guard),
        cmocka_unit_test(no_name_gets_round_the_guard),
        cmocka_unit_test(no_redirect_gets_round_the_guard),
        cmocka_unit_test(addresses_that_are_none),
        cmocka_unit_test(the_other_side_fails),
        cmocka_unit_test(too_much),
        cmocka_unit_test(too_long_and_stopped),
        cmocka_unit_test(every_host_when_told),
        cmocka_unit_test(what_is_public),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
