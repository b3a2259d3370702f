/* Requests and what must come back, from the files of test/talk.
 *
 *   ### what this shows
 *   script: Hello| world|<eos>         what the engine says to the first job; further lines: to the next ones
 *   rig: keys | drain | no-template | plain-template | busy | busy after 1 | cached 4 | tokens 3
 *   > POST /v1/chat/completions        then "> Name: value" for each header, then the body
 *   < 200                              then, in any number:
 *   < Name: value                      a header of the reply
 *   < has TEXT   < lacks TEXT          the body holds it, or not
 *   < job TEXT                         what was asked of the engine holds it
 *   expected body                      (none: not compared); a stream has one event a line
 *
 * In an expected body <id> is an id, the same in all of it, <time> a time stamp, <num> a number, <any> anything. */
#include "rig.h"

#include "base/file.h"

#include <ctype.h>
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LINES_MAX = 64, FILE_BYTES_MAX = 1 << 20 };

struct talk {
    const char *file;
    char       *title, *request;
    char       *script[LINES_MAX], *rig[LINES_MAX], *header[LINES_MAX], *want[LINES_MAX];
    size_t      n_script, n_rig, n_header, n_want;
    struct buf  body, expected;
    bool        went_wrong;
};

static bool take(const char *line, const char *prefix, char *list[], size_t *n)
{
    size_t length = strlen(prefix);
    if (strncmp(line, prefix, length) != 0)
        return false;
    assert_true(*n < LINES_MAX);
    list[(*n)++] = strdup(line + length);
    return true;
}

static void drop_lines(char *list[], size_t n)
{
    while (n > 0)
        free(list[--n]);
}

static void talk_drop(struct talk *t)
{
    free(t->title);
    free(t->request);
    drop_lines(t->script, t->n_script);
    drop_lines(t->rig, t->n_rig);
    drop_lines(t->header, t->n_header);
    drop_lines(t->want, t->n_want);
    buf_drop(&t->body);
    buf_drop(&t->expected);
}

static void add_line(struct talk *t, const char *line)
{
    if (strncmp(line, "> ", 2) == 0 && !t->request)
        t->request = strdup(line + 2);
    else if (!take(line, "script: ", t->script, &t->n_script) && !take(line, "rig: ", t->rig, &t->n_rig) &&
             !take(line, "> ", t->header, &t->n_header) && !take(line, "< ", t->want, &t->n_want)) {
        struct buf *b = t->n_want ? &t->expected : &t->body;
        if (t->request && *line)
            buf_printf(b, "%s%s", b->n ? "\n" : "", line);
    }
}

/* ---- the rig that a case wants ----------------------------------------------------------------------------------- */

static bool has_rig(const struct talk *t, const char *word)
{
    for (size_t i = 0; i < t->n_rig; i++)
        if (strcmp(t->rig[i], word) == 0)
            return true;
    return false;
}

static void set_up(struct rig *r, const struct talk *t)
{
    static const struct api_key keys[] = {{"alice", "sesame"}, {"bob", "open barley"}};
    struct rig_opts o = {.key = keys, .n_key = has_rig(t, "keys") ? 2 : 0, .no_template = has_rig(t, "no-template"),
                         .plain_template = has_rig(t, "plain-template")};
    unsigned        n;
    for (size_t i = 0; i < t->n_rig; i++)
        if (sscanf(t->rig[i], "tokens %u", &n) == 1)
            o.tokens_max = n;
    rig_init(r, &o);
    for (size_t i = 0; i < t->n_script; i++)
        rig_script(r, t->script[i]);
    if (t->n_script == 0)
        rig_script(r, "Hello| world|!|<eos>");
    for (size_t i = 0; i < t->n_rig; i++) {
        if (sscanf(t->rig[i], "busy after %u", &n) == 1)
            fake_refuse_after(r->engine, n, ERR_BUSY);
        if (sscanf(t->rig[i], "cached %u", &n) == 1)
            fake_cached(r->engine, n);
    }
    if (has_rig(t, "busy"))
        fake_refuse(r->engine, ERR_BUSY);
    if (has_rig(t, "drain"))
        api_drain(r->api);
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */

static size_t span_of(const char *kind, const char *text)
{
    size_t n = 0;
    if (strcmp(kind, "<id>") == 0) {
        while (isalpha((unsigned char)text[n]))
            n++;
        return text[n] == '-' && strspn(text + n + 1, "0123456789abcdef") == 32 ? n + 33 : 0;
    }
    return strspn(text, strcmp(kind, "<time>") == 0 ? "0123456789" : "0123456789.-e");
}

static bool matches(const char *want, const char *text, const char **id)
{
    static const char *const kinds[] = {"<id>", "<time>", "<num>"};
    for (; *want; want++, text++) {
        if (strncmp(want, "<any>", 5) == 0) {
            for (;; text++) {
                if (matches(want + 5, text, id))
                    return true;
                if (!*text)
                    return false;
            }
        }
        size_t k = 0, n = 0;
        while (k < 3 && strncmp(want, kinds[k], strlen(kinds[k])) != 0)
            k++;
        if (k == 3) {
            if (*want != *text)
                return false;
            continue;
        }
        n = span_of(kinds[k], text);
        if (n == 0 || (k == 0 && *id && strncmp(*id, text, n) != 0))
            return false;
        if (k == 0)
            *id = text;
        want += strlen(kinds[k]) - 1;
        text += n - 1;
    }
    return *text == '\0';
}

/* A stream as the talk files have it: one event a line. */
static char *flat(struct str body)
{
    struct buf b;
    buf_init(&b, 0);
    for (size_t i = 0; i < body.n; i++)
        if (body.p[i] != '\n' || i == 0 || body.p[i - 1] != '\n')
            buf_char(&b, body.p[i]);
    while (b.n && b.p[b.n - 1] == '\n')
        b.p[--b.n] = '\0';
    return buf_take(&b);
}

/* Says what is wrong and goes on, so that one run shows everything. */
static void complain(struct talk *t, const char *wanted, const char *got)
{
    printf("%s: %s: wanted\n%s\ngot\n%s\n", t->file, t->title, wanted, got);
    t->went_wrong = true;
}

/* A JSON reply has to be JSON, and so has each event of a stream. */
static void check_well_formed(struct talk *t, const struct memory_reply *m)
{
    struct json_doc *d;
    struct err       e;
    if (strstr(m->headers.p, "Content-Type: application/json") && !str_is(m->request.method, "HEAD")) {
        if (!json_parse(&d, buf_view(&m->body), &e))
            complain(t, "JSON", e.text);
        else
            json_free(d);
    }
}

static void check(struct talk *t, const char *want, const struct memory_reply *m, const char *jobs)
{
    bool        ok;
    const char *seen = m->body.p ? m->body.p : "";
    if (isdigit((unsigned char)*want)) {
        ok = atoll(want) == m->status;
    } else if (strncmp(want, "has ", 4) == 0) {
        ok = strstr(seen, want + 4) != NULL;
    } else if (strncmp(want, "lacks ", 6) == 0) {
        ok = !strstr(seen, want + 6) && !strstr(m->headers.p, want + 6);
    } else if (strncmp(want, "job ", 4) == 0) {
        ok = strstr(jobs, want + 4) != NULL;
        seen = jobs;
    } else {
        ok = strstr(m->headers.p, want) != NULL;
        seen = m->headers.p;
    }
    if (!ok)
        complain(t, want, seen);
}

static void check_body(struct talk *t, const struct memory_reply *m)
{
    char       *text = flat(buf_view(&m->body));
    const char *id = NULL;
    if (t->expected.n && !matches(t->expected.p, text, &id))
        complain(t, t->expected.p, text);
    free(text);
}

static void talk_run(struct talk *t)
{
    struct rig          r;
    struct memory_reply m;
    char                method[16] = "", path[256] = "";
    char               *values[MEMORY_HEADERS_MAX];
    assert_int_equal(sscanf(t->request, "%15s %255s", method, path), 2);
    set_up(&r, t);
    memory_reply_init(&m, method, path, buf_view(&t->body));
    for (size_t i = 0; i < t->n_header; i++) {
        values[i] = strdup(t->header[i]);
        char *colon = strstr(values[i], ": ");
        assert_non_null(colon);
        *colon = '\0';
        m.sent[m.n_sent++] = (struct http_header){values[i], colon + 2};
    }
    rig_serve(&r, &m);
    RIG_UNTIL(&r, fake_live(r.engine) == 0);
    char *jobs = fake_jobs(r.engine);
    check_well_formed(t, &m);
    for (size_t i = 0; i < t->n_want; i++)
        check(t, t->want[i], &m, jobs);
    check_body(t, &m);
    assert_int_equal(m.n_start, 1);
    assert_int_equal(m.n_end, 1);
    assert_int_equal(m.n_after_end, 0);
    free(jobs);
    rig_drop(&r);
    memory_reply_drop(&m);
    while (m.n_sent > 0)
        free(values[--m.n_sent]);
}

static unsigned run_file(const char *path, unsigned *n_wrong)
{
    struct buf  text;
    struct talk t = {.file = path};
    struct err  e;
    unsigned    n = 0;
    buf_init(&text, 0);
    assert_true(file_read(&text, path, FILE_BYTES_MAX, &e));
    for (char *line = text.p, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (strncmp(line, "### ", 4) == 0 || !next) {
            if (t.title) {
                assert_non_null(t.request);
                talk_run(&t);
                *n_wrong += t.went_wrong;
                n++;
            }
            talk_drop(&t);
            t = (struct talk){.file = path, .title = next ? strdup(line + 4) : NULL};
        } else {
            add_line(&t, line);
        }
    }
    talk_drop(&t);
    buf_drop(&text);
    return n;
}

static void every_talk_comes_out(void **state)
{
    (void)state;
    const char *folder = FIXTURES "/../talk";
    DIR        *dir = opendir(folder);
    unsigned    n = 0, n_wrong = 0;
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        if (!str_ends(str_of(d->d_name), STR(".talk")))
            continue;
        char *path = path_join(folder, d->d_name);
        n += run_file(path, &n_wrong);
        free(path);
    }
    closedir(dir);
    printf("%u talks, %u wrong\n", n, n_wrong);
    assert_int_equal(n_wrong, 0);
    assert_true(n >= 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_talk_comes_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
