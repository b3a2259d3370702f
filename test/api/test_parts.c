/* The parts by themselves: stop strings against a plain search, routes, keys. */
#include "api/auth.h"
#include "api/choice.h"
#include "api/prompt.h"
#include "api/stop.h"
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint32_t next(uint64_t *state, uint32_t n)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % n;
}

/* What must come out: the text before the match that is complete first, the longest of those that end together. */
static size_t plain_search(const struct str *stop, size_t n, struct str text)
{
    for (size_t end = 1; end <= text.n; end++) {
        size_t longest = 0;
        for (size_t i = 0; i < n; i++)
            if (str_ends((struct str){text.p, end}, stop[i]) && stop[i].n > longest)
                longest = stop[i].n;
        if (longest)
            return end - longest;
    }
    return text.n;
}

/* The same text in pieces: never more than the search allows, and in the end all of it. */
static void in_pieces(const struct str *stop, size_t n, struct str text, uint64_t *seed)
{
    size_t            want = plain_search(stop, n, text), out = 0, in = 0;
    const struct str *found = NULL;
    while (in < text.n && !found) {
        size_t piece = 1 + next(seed, 4);
        in = in + piece < text.n ? in + piece : text.n;
        out += stop_scan(stop, n, (struct str){text.p + out, in - out}, &found);
        assert_true(out <= want);
        for (size_t i = 0; i < n && !found; i++)
            assert_true(in - out < stop[i].n || !str_starts((struct str){text.p + out, in - out}, stop[i]));
    }
    if (found)
        assert_int_equal(out, want);
    else
        assert_int_equal(want, text.n);
}

static void stops_do_not_depend_on_the_cuts(void **state)
{
    (void)state;
    uint64_t seed = 7;
    unsigned hits = 0;
    for (unsigned round = 0; round < 20000; round++) {
        char       text[24], word[3][5];
        struct str stop[3];
        size_t     n = 1 + next(&seed, 3);
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = (char)('a' + next(&seed, 3));
        for (size_t i = 0; i < n; i++) {
            stop[i] = (struct str){word[i], 1 + next(&seed, 5)};
            for (size_t k = 0; k < stop[i].n; k++)
                word[i][k] = (char)('a' + next(&seed, 3));
        }
        struct str all = {text, sizeof text};
        hits += plain_search(stop, n, all) < all.n;
        in_pieces(stop, n, all, &seed);
    }
    assert_true(hits > 1000 && hits < 19999);
}

static void only_a_beginning_is_held(void **state)
{
    (void)state;
    static const struct { struct str stop, held; size_t out; } cases[] = {
        {STR("STOP"), STR("abc"), 3}, {STR("STOP"), STR("abST"), 2},  {STR("STOP"), STR("abSTx"), 5},
        {STR("aab"), STR("aaa"), 1},  {STR("STOP"), STR("STSTO"), 2}, {STR("x"), STR("abc"), 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct str *found;
        assert_int_equal(stop_scan(&cases[i].stop, 1, cases[i].held, &found), cases[i].out);
        assert_null(found);
    }
}

static void routes_are_found(void **state)
{
    (void)state;
    static const struct { const char *method, *path, *route, *id; } cases[] = {
        {"GET", "/", "/", NULL},
        {"HEAD", "/health/", "/health", NULL},
        {"GET", "/v1/models/a/b", "/v1/models/{id}", "a/b"},
        {"DELETE", "/v1/requests/x", "/v1/requests/{id}", "x"},
        {"POST", "/v1/requests/x/cancel", "/v1/requests/{id}/cancel", "x"},
    };
    const struct route *r;
    struct str          id;
    char                allow[64];
    struct err          e;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(route_find(str_of(cases[i].method), str_of(cases[i].path), &r, &id, allow, &e));
        assert_string_equal(r->path.p, cases[i].route);
        assert_true(cases[i].id ? str_is(id, cases[i].id) : true);
    }
    assert_false(route_find(STR("POST"), STR("/v1/requests//cancel"), &r, &id, allow, &e));
    assert_false(route_find(STR("POST"), STR("/v1/requests/x/y/cancel"), &r, &id, allow, &e));
    assert_false(route_find(STR("GET"), STR(""), &r, &id, allow, &e));
    assert_int_equal(e.kind, ERR_NOT_FOUND);
    assert_false(route_find(STR("PUT"), STR("/v1/completions"), &r, &id, allow, &e));
    assert_int_equal(e.kind, ERR_METHOD);
    assert_string_equal(allow, "POST");
    assert_false(route_find(STR("GET"), STR("/v1/model"), &r, &id, allow, &e));
    assert_non_null(strstr(e.text, "near: GET /v1/models, "));
}

/* A path of any length and any bytes. */
static void long_paths_are_answered(void **state)
{
    (void)state;
    struct buf          path;
    const struct route *r;
    struct str          id;
    char                allow[64];
    struct err          e;
    buf_init(&path, 0);
    for (int i = 0; i < 100000; i++)
        buf_char(&path, (char)(i % 255 + 1));
    assert_false(route_find(STR("GET"), buf_view(&path), &r, &id, allow, &e));
    buf_drop(&path);
}

static bool ask(const struct auth *a, const char *name, const char *value, bool needed, struct client *c)
{
    struct memory_reply m;
    struct err          e;
    memory_reply_init(&m, "GET", "/", STR(""));
    if (name)
        m.sent[m.n_sent++] = (struct http_header){name, value};
    bool ok = auth_check(a, &m.request, needed, c, &e);
    assert_true(ok || e.kind == ERR_AUTH);
    memory_reply_drop(&m);
    return ok;
}

static void keys_open(void **state)
{
    (void)state;
    static const struct api_key keys[] = {{"alice", "sesame"}, {"bob", "open barley"}};
    struct auth  *a = auth_new(keys, 2), *none = auth_new(NULL, 0);
    struct client alice, bob, other;
    assert_true(ask(a, "Authorization", "Bearer sesame", true, &alice));
    assert_string_equal(alice.name, "alice");
    assert_true(ask(a, "X-Api-Key", "open barley", true, &bob));
    assert_string_equal(bob.name, "bob");
    assert_true(alice.id != bob.id);
    assert_true(ask(a, "authorization", "bearer  open barley ", true, &other));
    assert_true(other.id == bob.id);
    static const char *const wrong[] = {"", "Bearer", "Bearer ", "Basic sesame", "Bearer sesam", "Bearer sesame1",
                                        "sesame"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(ask(a, "Authorization", wrong[i], true, &other));
    assert_false(ask(a, NULL, NULL, true, &other));
    assert_true(ask(a, NULL, NULL, false, &other));
    assert_string_equal(other.name, "127.0.0.1");
    assert_true(ask(none, "Authorization", "Bearer anything", true, &other));
    assert_string_equal(other.name, "127.0.0.1");
    auth_free(a);
    auth_free(none);
}

/* Clients try a 500 again, and a long chat would fail again. */
static void messages_over_a_limit_are_too_large(void **state)
{
    (void)state;
    struct prompter  p = {0};
    struct template *t;
    struct json_doc *d;
    struct ids       ids = {0};
    struct err       e;
    assert_true(template_new(&t, STR("{% for m in messages %}{% for i in range(100000) %}{% for k in range(1000) %}"
                                     "{% endfor %}{% endfor %}{% endfor %}"), &e));
    assert_true(json_parse(&d, STR("{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}"), &e));
    p.template = t;
    assert_false(prompt_chat(&p, json_root(d), NULL, &ids, &e));
    assert_int_equal(e.kind, ERR_TOO_LARGE);
    assert_string_equal(e.param, "messages");
    assert_true(str_starts(str_of(e.text), STR("the messages make too much work for the chat template: line 1: ")));
    json_free(d);
    template_free(t);
    ids_drop(&ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_do_not_depend_on_the_cuts), cmocka_unit_test(only_a_beginning_is_held),
        cmocka_unit_test(routes_are_found),                cmocka_unit_test(long_paths_are_answered),
        cmocka_unit_test(keys_open),
        cmocka_unit_test(messages_over_a_limit_are_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
