/* doctor.c -- hearth doctor: whether this machine computes what it should, and how fast; a report to paste into an issue. */
#include "app/commands.h"
#include "app/load.h"
#include "app/measure.h"
#include "app/readrate.h"
#include "app/report.h"
#include "app/show.h"
#include "base/file.h"
#include "base/machine.h"
#include "base/mem.h"
#include "base/threads.h"
#include "hub/cache.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BACKENDS_MAX = 8, DISK_LEAST_GB = 5, FILES_LEAST = 1024, STREAMS = 4, PROMPT = 128, DECODE = 32, CONTEXT = 512 };

struct doctor {
    const struct options      *o;
    struct report             *report;
    bool                       terminal;
    const struct backend_type *type[BACKENDS_MAX];      /* those that opened, without the reference */
    bool                       slow[BACKENDS_MAX];
    size_t                     n_type;
    char                      *model;                   /* what to measure; NULL: nothing */
};

/* What is being done now, over the line before, on a terminal. */
static void say(const struct doctor *d, const char *what, const char *more, const char *most)
{
    if (d->terminal)
        fprintf(stderr, "\r%s %s %s\033[K", what, more, most);
}

/* ---- the machine ---------------------------------------------------------------------------------------------------- */

static void look_at_machine(struct doctor *d)
{
    struct machine m;
    char           a[24], b[24];
    struct report *r = d->report;
    machine_read(&m);
    report_fact(r, "system", "hearth", "%s", HEARTH_VERSION);
    report_fact(r, "system", "system", "%s", m.os);
    report_fact(r, "system", "processor", "%s", *m.chip ? m.chip : "the system does not say");
    if (m.fast_cores)
        report_fact(r, "system", "cores", "%u, %u of them fast; hearth computes with %u", m.cores, m.fast_cores, cpu_count());
    else
        report_fact(r, "system", "cores", "%u; hearth computes with %u", m.cores, cpu_count());
    report_fact(r, "system", "memory", "%s, %s of it free", show_bytes(mem_physical(), a), show_bytes(mem_available(), b));
    if (m.shared_gpu)
        report_fact(r, "system", "GPU memory", "%s (sysctl iogpu.wired_limit_mb)",
                    m.gpu_limit ? show_bytes(m.gpu_limit, a) : "as the system chooses");
    report_fact(r, "system", "locked", "%s may be kept from being swapped out",
                m.locked_max == MACHINE_NO_LIMIT ? "everything" : show_bytes(m.locked_max, a));
    if (m.files_max == MACHINE_NO_LIMIT)
        report_fact(r, "system", "files", "any number may be open");
    else
        report_fact(r, "system", "files", "%" PRIu64 " may be open, connections among them", m.files_max);
    if (m.files_max < FILES_LEAST)
        report_advise(r, "only %" PRIu64 " files and connections may be open at once: ulimit -n 4096 before hearth serve", m.files_max);
}

static void look_at_disk(struct doctor *d, const char *what, const char *folder)
{
    uint64_t left;
    char     a[24];
    if (!machine_disk(folder, &left)) {
        report_fact(d->report, "disk", what, "%s: not known", folder);
        return;
    }
    report_fact(d->report, "disk", what, "%s free in %s", show_bytes(left, a), folder);
    if (left < (uint64_t)DISK_LEAST_GB * 1000000000)
        report_advise(d->report, "%s are left for %s in %s: hearth list and hearth rm make room", show_bytes(left, a), what, folder);
}

/* ---- models on the disk ----------------------------------------------------------------------------------------------- */

/* The smallest that is whole and fits easily. */
static const struct hub_model *choose(const struct hub_models *all)
{
    const struct hub_model *best = NULL;
    for (size_t i = 0; i < all->n; i++)
        if (all->at[i].whole && all->at[i].bytes < mem_available() / 2 && (!best || all->at[i].bytes < best->bytes))
            best = &all->at[i];
    return best;
}

static void look_at_models(struct doctor *d)
{
    struct hub_place  place;
    struct hub_models models;
    struct err        e;
    char              a[24], *packs = cache_folder();
    if (d->o->arg[0])
        d->model = mem_copy(d->o->arg[0], strlen(d->o->arg[0]));
    if (packs)
        look_at_disk(d, "weights", packs);
    free(packs);
    if (!hub_place_open(&place, &e)) {
        report_wrong(d->report, "models cannot be kept: %s", e.text);
        return;
    }
    look_at_disk(d, "models", place.cache);
    hub_models_read(&models, &place);
    for (size_t i = 0; i < models.n; i++)
        report_fact(d->report, "models", models.at[i].whole ? "pulled" : "not whole", "%s, %s", models.at[i].repo,
                    show_bytes(models.at[i].bytes, a));
    if (models.n == 0)
        report_fact(d->report, "models", "pulled", "none");
    const struct hub_model *found = choose(&models);
    if (!d->model && found)
        d->model = mem_copy(found->path, strlen(found->path));
    hub_models_drop(&models);
    hub_place_drop(&place);
}

/* ---- the port ----------------------------------------------------------------------------------------------------------- */

static size_t take(char *p, size_t size, size_t n, void *ctx)
{
    struct buf *b = ctx;
    return b->n + size * n <= 4096 ? (buf_append(b, p, size * n), size * n) : 0;
}

static void look_at_port(struct doctor *d)
{
    unsigned         port = d->o->given.port ? (unsigned)d->o->port.v : 8000;
    char             url[64], key[16];
    struct buf       body;
    struct json_doc *doc = NULL;
    CURL            *c = curl_easy_init();
    buf_init(&body, 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/health", port);
    snprintf(key, sizeof key, "%u", port);
    CHECK(c);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 2000L);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &body);
    CURLcode how = curl_easy_perform(c);
    bool     ours = how == CURLE_OK && json_parse(&doc, buf_view(&body), NULL) &&
                json_is(json_get(json_root(doc), "engine_type"), "hearth");
    struct str name = json_str(json_get(json_root(doc), "model_name"));
    if (ours)
        report_fact(d->report, "network", "port", "%u: a hearth is here already, and serves %.*s", port, (int)name.n, name.p ? name.p : "");
    else if (how == CURLE_COULDNT_CONNECT)
        report_fact(d->report, "network", "port", "%u: free", port);
    else
        report_fact(d->report, "network", "port", "%u: another program listens there", port);
    if (!ours && how != CURLE_COULDNT_CONNECT)
        report_advise(d->report, "port %u is taken by another program: hearth serve --port %u", port, port < 65535 ? port + 1 : 8000);
    curl_easy_cleanup(c);
    json_free(doc);
    buf_drop(&body);
}

/* ---- backends ------------------------------------------------------------------------------------------------------------ */

static void meet(struct doctor *d, const struct backend_type *t)
{
    struct backend     *b = NULL;
    struct backend_opts o = {.n_thread = 1};
    struct device       dev = {.slow = false};
    struct err          e;
    char                a[24];
    if (!t->open(&b, &o, &e)) {
        report_wrong(d->report, "the %s backend does not open: %s", t->name, e.text);
        return;
    }
    if (t->device)
        t->device(b, &dev);
    t->close(b);
    report_fact(d->report, "backends", t->name, "%s%s%s", *dev.name ? dev.name : t->about, *dev.library ? ", " : "", dev.library);
    if (dev.memory_max)
        report_fact(d->report, "backends", t->name, "%s recommended at most for all that it holds", show_bytes(dev.memory_max, a));
    if (t == backend_find("ref"))
        return;
    CHECK(d->n_type < BACKENDS_MAX);
    d->slow[d->n_type] = dev.slow;
    d->type[d->n_type++] = t;
}

static void look_at_backends(struct doctor *d)
{
    const struct backend_type *t;
    const char                *name;
    for (size_t i = 0; (t = backend_at(i)) != NULL; i++)
        meet(d, t);
    for (size_t i = 0; (name = backend_plugin_at(i)) != NULL; i++) {
        struct err e;
        if (backend_load(&t, name, d->o->plugins.v, &e)) {
            meet(d, t);
            continue;
        }
        report_fact(d->report, "backends", name, "not here: %s", e.text);
        if (e.kind != ERR_NOT_FOUND)
            report_wrong(d->report, "%s", e.text);
    }
}

/* ---- ops ----------------------------------------------------------------------------------------------------------------- */

struct run {
    struct doctor              *d;
    const struct backend_type  *type;
    const char                 *precision;
};

static void on_row(void *ctx, const struct proof_row *row)
{
    const struct run *x = ctx;
    report_tests(x->d->report, x->type->name, x->precision, row);
    say(x->d, "computing as the reference does:", x->type->name, row->op);
}

static void prove(struct doctor *d, const struct backend_type *t, enum precision precision)
{
    struct run      x = {d, t, precision == PRECISION_EXACT ? "exact" : "fast"};
    struct proof    p = {.type = t, .precision = precision, .row = on_row, .ctx = &x,
                         .least = precision == PRECISION_FAST ? t->fast_error : 0};
    struct proof_sum sum = proof_run(&p);
    if (sum.wrong)
        report_wrong(d->report, "the %s backend computes %u of %u cases wrongly with --precision %s: do not trust its answers%s", t->name,
                     sum.wrong, sum.n, x.precision, t == backend_at(0) ? "" : " (--backend cpu)");
}

/* ---- speed ----------------------------------------------------------------------------------------------------------------- */

static void measure_memory(struct doctor *d)
{
    unsigned   n = d->o->given.threads ? (unsigned)d->o->threads.v : cpu_count();
    double     one = 0, all = 0;
    struct err e;
    say(d, "reading memory", "", "");
    if (!read_rate(1, &one, &e) || !read_rate(n, &all, &e)) {
        report_fact(d->report, "speed", "memory", "not measured: %s", e.text);
        return;
    }
    report_fact(d->report, "speed", "memory", "%.1f GB/s read by one thread, %.1f by %u", one / 1e9, all / 1e9, n);
}

static bool measure_streams(struct doctor *d, struct engine *g, const struct loaded *l, const char *backend, struct err *e)
{
    uint64_t seed = 1;
    for (unsigned streams = 1; streams <= STREAMS; streams *= STREAMS) {
        struct measure m = {.streams = streams, .prompt = PROMPT, .decode = DECODE};
        if (!measure_once(g, l->model->info.n_vocab, &m, &seed, e))
            return false;
        report_fact(d->report, "speed", backend, "%s, %u at once: %.1f tok/s read, %.1f tok/s drawn (%d and %d tokens each)",
                    l->place.name, streams, m.prefill_tok_s, m.decode_tok_s, PROMPT, DECODE);
    }
    return true;
}

/* Nothing is kept on the disk. */
static bool measure_model(struct doctor *d, const char *backend, struct err *e)
{
    struct options     o = *d->o;
    struct loaded      l = {0};
    struct engine_opts eo;
    struct engine     *g = NULL;
    o.arg[0] = d->model;
    o.backend.v = backend;
    o.given.backend = o.no_pack.v = true;
    bool ok = load_engine_opts(&o, &eo, e) && load_open(&l, &o, e);
    if (ok) {
        eo.context_max = l.model->info.context < CONTEXT ? l.model->info.context : CONTEXT;
        eo.seq_max = STREAMS;
        eo.no_cache = true;
        ok = load_engine(&l, &o, &eo, &g, e) && engine_start(g, e);
        say(d, "measuring", l.place.name, backend);
        ok = ok && measure_streams(d, g, &l, backend, e);
    }
    engine_close(g);
    load_close(&l);
    return ok;
}

static void measure_models(struct doctor *d)
{
    struct err e;
    if (!d->model)
        report_fact(d->report, "speed", "model", "none to measure: hearth doctor MODEL");
    for (size_t i = 0; d->model && i < d->n_type; i++) {
        if (d->slow[i] || measure_model(d, d->type[i]->name, &e))
            continue;
        if (!d->o->arg[0] && e.kind == ERR_UNSUPPORTED)         /* other programs pull into that folder too */
            report_fact(d->report, "speed", d->type[i]->name, "not measured, give a MODEL: %s", e.text);
        else
            report_wrong(d->report, "%s on %s: %s", d->model, d->type[i]->name, e.text);
    }
}

/* ---- all of it -------------------------------------------------------------------------------------------------------------- */

static void print(const struct doctor *d)
{
    if (d->terminal)
        show_bar_end();
    if (d->o->json.v) {
        struct json_out *w = json_out_new();
        json_open(w, NULL, '{');
        report_json(d->report, w);
        json_close(w);
        show_json(w);
        return;
    }
    struct buf text;
    buf_init(&text, 0);
    report_print(d->report, &text);
    fputs(text.p, stdout);
    buf_drop(&text);
}

bool command_doctor(const struct options *o, struct err *e)
{
    struct doctor d = {.o = o, .report = report_new(), .terminal = isatty(2)};
    look_at_machine(&d);
    look_at_models(&d);
    look_at_port(&d);
    look_at_backends(&d);
    measure_memory(&d);
    measure_models(&d);
    for (size_t i = 0; i < d.n_type; i++) {
        prove(&d, d.type[i], PRECISION_FAST);
        prove(&d, d.type[i], PRECISION_EXACT);
    }
    print(&d);
    size_t n = report_n_wrong(d.report);
    report_free(d.report);
    free(d.model);
    return n == 0 || err_set(e, ERR_INTERNAL, "%zu thing%s wrong (see the report)", n, n == 1 ? " is" : "s are");
}
