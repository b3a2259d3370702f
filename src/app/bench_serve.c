/* bench_serve.c -- hearth bench serve: a load generator for any server that speaks OpenAI's API.
 *
 * The same command measures hearth and its peers: it knows nothing about the server but its answers.  It asks for the
 * model's name, calibrates the length of prompts with two requests, runs the load, and writes the table, JSON and plot. */
#include "app/bench_load.h"
#include "app/bench_plot.h"
#include "app/commands.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum {
    COMPARE_MAX = BENCH_PLOT_MAX - 1, USERS_OPEN = 1024, REQUESTS_OPEN = 100, REQUESTS_USER = 8,
    CALIBRATION_WORDS_MAX = 2000, PROMPT_TOKENS_MAX = 1 << 25, MODELS_BYTES_MAX = 4 << 20, FILES_SPARE = 64,
    RESULT_BYTES_MAX = 16 << 20,
};

/* No request of a run has this number: calibration leaves nothing in a cache that the run would find, but the prefix. */
static const uint64_t CALIBRATION = UINT64_MAX;

struct bench {
    const struct options *o;
    char                 *url, *key, *model;
    unsigned              timeout_s;
    struct bench_load     load;
    struct bench_client  *client;
    struct bench_result   result[1 + COMPARE_MAX];      /* this run's, then earlier ones */
    size_t                n_result;
    struct bench_errors   errors;
    uint64_t              begun_s;
};

/* ---- what is asked for ------------------------------------------------------------------------------------------- */

static unsigned count_or(bool given, uint64_t v, unsigned fallback)
{
    return given ? (unsigned)v : fallback;
}

/* As --help has it, and as OpenAI's clients take it (…/v1). */
static char *base_of(const char *url)
{
    struct str s = str_of(url);
    while (str_ends(s, STR("/")))
        s.n--;
    if (str_ends(s, STR("/v1")))
        s.n -= 3;
    return mem_copy(s.p, s.n);
}

static bool read_key(struct bench *b, const char *key, struct err *e)
{
    struct buf file;
    buf_init(&file, 0);
    bool ok = key[0] != '@' || file_read(&file, key + 1, 4096, e);
    if (ok) {
        struct str text = str_trim(key[0] == '@' ? buf_view(&file) : str_of(key));
        b->key = mem_copy(text.p, text.n);
        for (size_t i = 0; ok && i < text.n; i++)
            if ((unsigned char)text.p[i] <= ' ')
                ok = err_param(e, "api-key", "--api-key holds a blank or a line break");
    }
    buf_drop(&file);
    return ok;
}

static bool check_sizes(const struct bench_load *l, struct err *e)
{
    if (l->prompt.shared_tokens >= l->prompt.tokens)
        return err_param(e, "shared-prefix", "--shared-prefix %u leaves nothing of --prompt-tokens %u for the prompt's own words",
                         l->prompt.shared_tokens, l->prompt.tokens);
    if ((uint64_t)l->requests * l->answer_tokens > BENCH_SAMPLES_MAX)
        return err_param(e, "requests", "--requests %u times --answer-tokens %u is over %d, the pauses that are kept",
                         l->requests, l->answer_tokens, BENCH_SAMPLES_MAX);
    return (uint64_t)l->users * l->prompt.tokens <= PROMPT_TOKENS_MAX ||
           err_param(e, "users", "--users %u times --prompt-tokens %u is over %d", l->users, l->prompt.tokens,
                     PROMPT_TOKENS_MAX);
}

static bool read_options(struct bench *b, struct err *e)
{
    const struct options *o = b->o;
    struct bench_load    *l = &b->load;
    b->url = base_of(o->given.url ? o->url.v : "http://127.0.0.1:8000");
    b->timeout_s = count_or(o->given.load_timeout, o->load_timeout.v, 600);
    l->chat = o->chat.v;
    l->ignore_eos = true;
    l->rate = o->rate.v;
    l->users = count_or(o->given.users, o->users.v, l->rate > 0 ? USERS_OPEN : 1);
    l->requests = count_or(o->given.requests, o->requests.v, l->rate > 0 ? REQUESTS_OPEN : REQUESTS_USER * l->users);
    if (l->users > l->requests)
        l->users = l->requests;
    l->answer_tokens = count_or(o->given.answer_tokens, o->answer_tokens.v, 64);
    l->prompt.tokens = count_or(o->given.prompt_tokens, o->prompt_tokens.v, 256);
    l->prompt.shared_tokens = count_or(o->given.shared_prefix, o->shared_prefix.v, 0);
    l->prompt.seed = o->given.load_seed ? o->load_seed.v : random_u64() >> 32;
    l->prompt.tokens_per_word = 1;
    return check_sizes(l, e) && (!o->bearer.v || read_key(b, o->bearer.v, e));
}

static bool read_earlier(struct bench *b, struct err *e)
{
    const struct option_TEXTS *files = &b->o->compare;
    if (files->n > COMPARE_MAX)
        return err_param(e, "compare", "--compare may be given %d times", COMPARE_MAX);
    for (b->n_result = 1; b->n_result <= files->n; b->n_result++) {
        const char      *path = files->v[b->n_result - 1];
        struct json_doc *d = NULL;
        struct buf       text;
        buf_init(&text, 0);
        bool ok = file_read(&text, path, RESULT_BYTES_MAX, e);
        if (ok)
            ok = (json_parse(&d, buf_view(&text), e) && bench_result_get(&b->result[b->n_result], json_root(d), e)) ||
                 err_in(e, "%s", path);
        json_free(d);
        buf_drop(&text);
        if (!ok)
            return false;
    }
    return true;
}

/* Before the run, which may be long. */
static bool can_write(const char *path, struct err *e)
{
    FILE *f = path ? fopen(path, "a") : NULL;
    if (path && !f)
        return err_os(e, "%s", path);
    if (f)
        fclose(f);
    return true;
}

static bool write_file(const char *path, const struct buf *text, struct err *e)
{
    FILE *f = fopen(path, "w");
    if (!f)
        return err_os(e, "%s", path);
    bool written = fwrite(text->p, 1, text->n, f) == text->n;
    bool closed = fclose(f) == 0;
    return (written && closed) || err_os(e, "writing %s", path);
}

/* A socket a user; a shell's usual limit is below what --users allows. */
static bool allow_sockets(unsigned users, struct err *e)
{
    struct rlimit r;
    rlim_t        need = users + FILES_SPARE;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return err_os(e, "asking how many files may be open");
    if (r.rlim_cur >= need)
        return true;
    r.rlim_cur = need;
    return (r.rlim_max >= need && setrlimit(RLIMIT_NOFILE, &r) == 0) ||
           err_param(e, "users", "%u requests at once take more sockets than this process may have (ulimit -Hn): give --users",
                     users);
}

static bool open_client(struct bench *b, struct err *e)
{
    struct bench_client_opts co = {.url = b->url, .key = b->key, .calls_max = b->load.users, .timeout_s = b->timeout_s,
                                   .any_host = b->o->any_host.v};
    signal(SIGPIPE, SIG_IGN);
    return allow_sockets(b->load.users, e) && bench_client_open(&b->client, &co, e);
}

/* ---- before the run ---------------------------------------------------------------------------------------------- */

struct listing {
    struct bench_call call;
    struct buf        body;
};

static bool take_listing(struct bench_call *c, struct str piece)
{
    return buf_str(&((struct listing *)c)->body, piece);
}

static void listed(struct bench_call *c)
{
    (void)c;
}

/* Servers that list nothing mostly ignore the name; "default" is as good as another. */
static bool find_model(struct bench *b, struct err *e)
{
    struct listing   x = {.call = {.path = "/v1/models", .take = take_listing, .done = listed}};
    struct json_doc *d = NULL;
    struct str       id = STR("default");
    if (b->o->model.v) {
        b->model = mem_copy(b->o->model.v, strlen(b->o->model.v));
        return true;
    }
    buf_init(&x.body, MODELS_BYTES_MAX);
    bench_client_send(b->client, &x.call);
    bench_client_run(b->client);
    bool ok = x.call.fate == BENCH_ANSWERED || err_set(e, ERR_IO, "%s: %s", b->url, x.call.error);
    if (ok && x.call.status == 200 && json_parse(&d, buf_view(&x.body), NULL)) {
        json first = json_get(json_at(json_get(json_root(d), "data"), 0), "id");
        id = json_str(first).n ? json_str(first) : id;
    }
    b->model = mem_copy(id.p, id.n);
    json_free(d);
    buf_drop(&x.body);
    buf_drop(&x.call.refusal);
    return ok;
}

/* Half the wished length, so that more tokens a word than thought do not overflow a context that the run fits. */
static unsigned calibration_words(const struct bench_load *l)
{
    unsigned n = l->prompt.tokens / 2;
    return n < 2 ? 2 : n > CALIBRATION_WORDS_MAX ? CALIBRATION_WORDS_MAX : n;
}

/* A prompt of so many words, answered by one token; the first time, whether the server takes ignore_eos. */
static bool ask_words(struct bench *b, unsigned words, struct bench_answer *a, struct err *e)
{
    struct bench_load one = b->load;
    int               status;
    one.answer_tokens = 1;
    one.prompt = (struct bench_prompt){.seed = b->load.prompt.seed, .tokens = words, .tokens_per_word = 1};
    bool ok = bench_load_one(&one, b->client, CALIBRATION, a, &status, e);
    if (!ok && one.ignore_eos && (status == 400 || status == 422)) {
        one.ignore_eos = b->load.ignore_eos = false;
        ok = bench_load_one(&one, b->client, CALIBRATION, a, &status, e);
        if (ok)
            fputs("hearth: the server refuses ignore_eos: answers may be shorter than asked\n", stderr);
    }
    return ok || err_in(e, "%s: the first request failed", b->url);
}

/* Two lengths give the line: what a word costs, and what a template puts around them all. */
static bool calibrate(struct bench *b, struct err *e)
{
    struct bench_prompt *p = &b->load.prompt;
    struct bench_answer  few, many;
    unsigned             words = calibration_words(&b->load);
    if (!ask_words(b, 1, &few, e) || !ask_words(b, words, &many, e))
        return false;
    if (few.has_usage && many.prompt_tokens > few.prompt_tokens) {
        p->tokens_per_word = fmax((double)(many.prompt_tokens - few.prompt_tokens) / (words - 1), 0.1);
        p->tokens_around = fmax((double)few.prompt_tokens - p->tokens_per_word, 0);
    } else {
        fputs("hearth: the server tells no usage: a word is taken for a token, an event of its answer too\n", stderr);
    }
    return true;
}

/* ---- afterwards -------------------------------------------------------------------------------------------------- */

static void put_parameters(const struct bench *b, struct json_out *w)
{
    const struct bench_load *l = &b->load;
    json_open(w, "parameters", '{');
    json_put_text(w, "url", b->url);
    json_put_text(w, "model", b->model);
    json_put_text(w, "api", l->chat ? "chat" : "completions");
    json_put_int(w, "users", l->users);
    json_put_num(w, "rate", l->rate);
    json_put_int(w, "requests", l->requests);
    json_put_int(w, "prompt_tokens", l->prompt.tokens);
    json_put_int(w, "shared_prefix", l->prompt.shared_tokens);
    json_put_int(w, "answer_tokens", l->answer_tokens);
    json_put_int(w, "seed", (int64_t)l->prompt.seed);
    json_put_int(w, "timeout_s", b->timeout_s);
    json_put_bool(w, "ignore_eos", l->ignore_eos);
    json_put_num(w, "tokens_per_word", l->prompt.tokens_per_word);
    json_put_num(w, "tokens_around", l->prompt.tokens_around);
    json_close(w);
}

static bool write_json(const struct bench *b, struct err *e)
{
    struct json_out *w = json_out_new();
    struct buf       text;
    char             date[32] = "";
    time_t           begun = (time_t)b->begun_s;
    struct tm        utc;
    if (gmtime_r(&begun, &utc))
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    buf_init(&text, 0);
    json_open(w, NULL, '{');
    json_put_text(w, "hearth", HEARTH_VERSION);
    json_put_text(w, "date", date);
    put_parameters(b, w);
    bench_result_put(&b->result[0], &b->errors, w);
    json_close(w);
    json_out_write(w, &text);
    buf_char(&text, '\n');
    bool ok = write_file(b->o->json_file.v, &text, e);
    json_out_free(w);
    buf_drop(&text);
    return ok;
}

/* What was asked, on one line. */
static void describe(const struct bench *b, struct buf *out)
{
    const struct bench_load *l = &b->load;
    buf_printf(out, "%s, %u requests, ", b->model, l->requests);
    if (l->rate > 0)
        buf_printf(out, "%g a second on average", l->rate);
    else
        buf_printf(out, "%u user%s", l->users, l->users == 1 ? "" : "s");
    buf_printf(out, ", prompts of %u tokens", l->prompt.tokens);
    if (l->prompt.shared_tokens)
        buf_printf(out, " (%u shared)", l->prompt.shared_tokens);
    buf_printf(out, ", answers of %u%s", l->answer_tokens, l->ignore_eos ? "" : " at most");
}

static bool write_plot(const struct bench *b, struct err *e)
{
    struct buf svg, line;
    buf_init(&svg, 0);
    buf_init(&line, 0);
    describe(b, &line);
    bench_plot_svg(b->result, b->n_result, line.p, &svg);
    bool ok = write_file(b->o->plot.v, &svg, e);
    buf_drop(&line);
    buf_drop(&svg);
    return ok;
}

static void print_table(const struct bench *b)
{
    const struct bench_result *r = &b->result[0];
    struct buf                 text;
    buf_init(&text, 0);
    describe(b, &text);
    buf_printf(&text, ", seed %" PRIu64 "\n\n", b->load.prompt.seed);
    bench_result_table(b->result, b->n_result, &text);
    if (r->ok > 0 && (double)r->pieces < 0.9 * (double)r->answer_tokens)
        buf_printf(&text, "\nAn event held %.1f tokens on average: the times between tokens are times between events.\n",
                   (double)r->answer_tokens / (double)r->pieces);
    fputs(text.p, stdout);
    fflush(stdout);
    buf_drop(&text);
}

/* Being turned away by an overloaded server is a result; anything else that fails is a failure. */
static bool judge(const struct bench *b, struct err *e)
{
    const struct bench_result *r = &b->result[0];
    struct buf                 kinds;
    if (r->failed == 0)
        return r->ok > 0 || err_set(e, ERR_RATE, "every request was turned away (429, 503)");
    buf_init(&kinds, 0);
    bench_errors_text(&b->errors, &kinds);
    err_set(e, ERR_IO, "%" PRIu64 " of %u requests failed (%s); the first: %s", r->failed, b->load.requests, kinds.p,
            b->errors.first);
    buf_drop(&kinds);
    return false;
}

static void bench_drop(struct bench *b)
{
    bench_client_close(b->client);
    free(b->url);
    free(b->key);
    free(b->model);
    free(b);
}

bool command_bench_serve(const struct options *o, struct err *e)
{
    struct bench *b = mem_new(sizeof *b);
    b->o = o;
    bool ok = read_options(b, e) && read_earlier(b, e) && can_write(o->json_file.v, e) && can_write(o->plot.v, e) &&
              open_client(b, e) && find_model(b, e);
    b->load.model = b->model;
    ok = ok && calibrate(b, e);
    b->begun_s = clock_unix_s();
    ok = ok && bench_load_run(&b->load, b->client, &b->result[0], &b->errors, e);
    if (ok) {
        bench_result_label(&b->result[0], str_of(o->label.v ? o->label.v : b->model));
        print_table(b);
        ok = (!o->json_file.v || write_json(b, e)) && (!o->plot.v || write_plot(b, e)) && judge(b, e);
    }
    bench_drop(b);
    return ok;
}
