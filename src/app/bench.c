/* bench.c -- hearth bench: tokens a second, prefill and decode, at several numbers of streams. (measure.h). */
#include "app/commands.h"
#include "app/load.h"
#include "app/measure.h"
#include "app/show.h"
#include "base/mem.h"
#include "base/threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
