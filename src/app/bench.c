/* bench.c -- hearth bench: tokens a second, prefill and decode, at several numbers of streams.
 *
 * The engine is driven as the server drives it, with jobs; only HTTP and text are left out.  Prompts are random ids, each
 * its own, so that nothing is found in the cache. */
#include "app/await.h"
#include "app/commands.h"
#include "app/load.h"
#include "app/show.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the jobs of one measurement report, on the engine's thread. */
struct tally {
    struct await await;
    unsigned     n, started;
    uint64_t     first_ns, all_first_ns, last_ns;       /* first token of the first and of the last stream; last token */
    uint64_t     tokens_after;                          /* drawn after every stream had its first */
};

struct stream {
    struct tally *tally;
    bool          begun;
};

static void on_event(void *ctx, const struct event *ev)
{
    struct stream *s = ctx;
    struct tally  *t = s->tally;
    uint64_t       now = clock_ns(clock_real());
    if (ev->kind == EVENT_TOKEN) {
        if (t->started == t->n)
            t->tokens_after++;
        if (!s->begun) {
            s->begun = true;
            t->first_ns = t->first_ns ? t->first_ns : now;
            t->started++;
            t->all_first_ns = now;
        }
        t->last_ns = now;
    }
    await_note(&t->await, ev);
}

struct measure {
    unsigned streams, prompt, decode;
    double   prefill_tok_s, decode_tok_s, first_ms;
};

static bool measure_once(struct engine *g, uint32_t n_vocab, struct measure *m, uint64_t *seed, struct err *e)
{
    struct tally   t = {.n = m->streams};
    struct stream *s = mem_array(m->streams, sizeof *s);
    int32_t       *prompt = mem_array(m->prompt, sizeof *prompt);
    await_init(&t.await);
    uint64_t from = clock_ns(clock_real());
    bool     ok = true;
    unsigned sent = 0;
    for (; ok && sent < m->streams; sent++) {
        for (unsigned i = 0; i < m->prompt; i++) {
            *seed = *seed * 6364136223846793005u + 1442695040888963407u;
            prompt[i] = (int32_t)((*seed >> 33) % n_vocab);
        }
        s[sent].tally = &t;
        struct job j = {.token = prompt, .n_token = m->prompt, .tokens_max = m->decode, .client = sent,
                        .draw = {.top_p = 1, .repeat = 1}, .event = on_event, .ctx = &s[sent]};
        uint64_t id;
        ok = engine_submit(g, &j, &id, e);
    }
    await_jobs(&t.await, ok ? sent : sent - 1, UINT64_MAX);
    ok = ok && await_well(&t.await, e);
    m->first_ms = (double)(t.first_ns - from) / 1e6;
    m->prefill_tok_s = (double)m->prompt * m->streams / ((double)(t.all_first_ns - from) / 1e9);
    m->decode_tok_s = t.last_ns > t.all_first_ns ? (double)t.tokens_after / ((double)(t.last_ns - t.all_first_ns) / 1e9) : 0;
    await_drop(&t.await);
    free(prompt);
    free(s);
    return ok;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *v, unsigned n)
{
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

static bool measure_rounds(struct engine *g, uint32_t n_vocab, struct measure *m, unsigned rounds, struct err *e)
{
    double  *prefill = mem_array(3 * rounds, sizeof *prefill), *decode = prefill + rounds, *first = decode + rounds;
    uint64_t seed = m->streams * 1000003u + m->prompt;
    bool     ok = true;
    for (unsigned r = 0; ok && r < rounds; r++) {
        ok = measure_once(g, n_vocab, m, &seed, e);
        prefill[r] = m->prefill_tok_s;
        decode[r] = m->decode_tok_s;
        first[r] = m->first_ms;
    }
    m->prefill_tok_s = median(prefill, rounds);
    m->decode_tok_s = median(decode, rounds);
    m->first_ms = median(first, rounds);
    free(prefill);
    return ok;
}

static void print_json(const char *model, const struct measure *m, unsigned n)
{
    struct json_out *w = json_out_new();
    json_open(w, NULL, '{');
    json_put_text(w, "model", model);
    json_put_int(w, "threads", cpu_count());
    json_open(w, "rows", '[');
    for (unsigned i = 0; i < n; i++) {
        json_open(w, NULL, '{');
        json_put_int(w, "streams", m[i].streams);
        json_put_int(w, "prompt", m[i].prompt);
        json_put_int(w, "decode", m[i].decode);
        json_put_num(w, "prefill_tok_s", m[i].prefill_tok_s);
        json_put_num(w, "decode_tok_s", m[i].decode_tok_s);
        json_put_num(w, "first_token_ms", m[i].first_ms);
        json_close(w);
    }
    json_close(w);
    json_close(w);
    show_json(w);
}

static bool print_kernels(const struct loaded *l, struct engine *g, const struct backend_type *t)
{
    struct buf list;
    buf_init(&list, 0);
    prog_list(l->model->text, &list);
    const char *line = list.p;
    for (size_t i = 0; i < prog_len(l->model->text) && line; i++) {
        const char *end = strchr(line, '\n');
        printf("%-100.*s %s\n", end ? (int)(end - line) : (int)strlen(line), line, t->kernel(engine_text_plan(g), i));
        line = end ? end + 1 : NULL;
    }
    buf_drop(&list);
    return true;
}

/* Before anything is printed or measured. */
static bool lengths_fit(uint32_t context, const struct measure *m, struct err *e)
{
    return m->prompt + m->decode <= context ||
           err_param(e, "prompt", "a prompt of %u tokens and %u drawn are over the context of %u (--prompt, --decode, "
                     "--ctx)", m->prompt, m->decode, context);
}

/* What the host does for a run, where the backend says so. */
static void print_overhead(struct engine *g, const struct backend_type *t)
{
    struct overhead o;
    if (!t->overhead)
        return;
    t->overhead(engine_text_plan(g), &o);
    printf("%s: %.3f ms of the host for a run of one row a stream, %.3f ms from one's end to the next one's (%llu runs)\n", t->name,
           o.n_run ? (double)o.host_ns / 1e6 / (double)o.n_run : 0, o.n_next ? (double)o.next_ns / 1e6 / (double)o.n_next : 0,
           (unsigned long long)o.n_run);
    printf("%s: %u operations for one token", t->name, o.n_op);
    printf(o.n_op_layer ? ", %u of them in a layer\n" : "\n", o.n_op_layer);
}

static bool run_table(const struct loaded *l, struct engine *g, const struct backend_type *t, const struct options *o, struct err *e)
{
    static const unsigned streams[] = {1, 4, 8, 16};
    struct measure        m[4], one = {.prompt = o->given.prompt ? (unsigned)o->prompt.v : 512,
                                       .decode = o->given.decode ? (unsigned)o->decode.v : 64};
    unsigned              rounds = o->given.rounds ? (unsigned)o->rounds.v : 3, n = 0;
    bool                  ok = lengths_fit(engine_plan(g)->context_max, &one, e);
    if (ok && !o->json.v)
        printf("%8s %10s %10s %16s %16s %14s\n", "streams", "prompt", "drawn", "prefill tok/s", "decode tok/s", "first token ms");
    for (unsigned i = 0; ok && i < 4; i++) {
        if (o->given.parallel && streams[i] > o->parallel.v)
            break;
        m[i] = one;
        m[i].streams = streams[i];
        ok = measure_rounds(g, l->model->info.n_vocab, &m[i], rounds, e);
        n++;
        if (ok && !o->json.v) {
            printf("%8u %10u %10u %16.1f %16.1f %14.1f\n", m[i].streams, m[i].prompt, m[i].decode, m[i].prefill_tok_s,
                   m[i].decode_tok_s, m[i].first_ms);
            fflush(stdout);
        }
    }
    if (ok && o->json.v)
        print_json(o->arg[0], m, n);
    else if (ok)
        print_overhead(g, t);
    return ok;
}

bool command_bench(const struct options *o, struct err *e)
{
    struct loaded      l = {0};
    struct engine_opts eo;
    struct engine     *g = NULL;
    bool ok = load_engine_opts(o, &eo, e) && load_open(&l, o, e);
    if (ok) {
        eo.no_cache = true;
        ok = load_engine(&l, o, &eo, &g, e);
    }
    if (ok && o->kernels.v)
        ok = print_kernels(&l, g, eo.type);
    else if (ok)
        ok = engine_start(g, e) && run_table(&l, g, eo.type, o, e);
    engine_close(g);
    load_close(&l);
    return ok;
}
