/* serve.c -- hearth serve: the rooms wired together, and taken down in order. */
#include "api/api.h"
#include "app/commands.h"
#include "app/eyes.h"
#include "app/keys.h"
#include "app/load.h"
#include "app/show.h"
#include "app/warm.h"
#include "base/awake.h"
#include "base/mem.h"
#include "http/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DRAIN_S = 30, CLOSE_MS = 2000 };

struct serving {
    struct loaded  loaded;
    struct keys    keys;
    struct app_eyes eyes;
    struct engine *engine;
    struct api    *api;
    struct server *server;
    struct awake  *awake;
    struct log     log;
};

static bool log_level(const struct options *o, enum log_level *out, struct err *e)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    *out = LOG_INFO;
    if (!o->given.log)
        return true;
    for (int i = 0; i < 4; i++)
        if (strcmp(o->log.v, names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    return err_param(e, "log", "--log is error, warn, info or debug, not \"%s\"", o->log.v);
}

/* Only what is surely this machine alone: another name, or an odd spelling of an address, needs a key. */
static bool is_loopback(const char *host)
{
    struct in_addr  v4;
    struct in6_addr v6;
    if (!host || strcmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool check_options(const struct options *o, struct err *e)
{
    if (!is_loopback(o->host.v) && !o->given.api_key && !o->insecure.v)
        return err_param(e, "host", "--host %s lets other machines in: give --api-key NAME=KEY, or --insecure to let everybody in",
                         o->host.v);
    return true;
}

static bool open_engine(struct serving *s, const struct options *o, struct err *e)
{
    struct engine_opts eo;
    if (!load_engine_opts(o, &eo, e))
        return false;
    eo.log = &s->log;
    return load_engine(&s->loaded, o, &eo, &s->engine, e) && engine_start(s->engine, e) && warm_up(s->engine, e);
}

/* The model's, as the API shows it. */
static const char *name_of(const struct serving *s, const struct options *o)
{
    return o->name.v ? o->name.v : s->loaded.place.name;
}

static bool open_api(struct serving *s, const struct options *o, struct err *e)
{
    const struct eyes *eyes;
    if (!app_eyes_open(&s->eyes, &s->loaded, o, engine_plan(s->engine)->patches_max, &eyes, e))
        return false;
    struct api_opts ao = {
        .engine = s->engine, .tokenizer = s->loaded.tokenizer, .template = s->loaded.template,
        .bos_text = str_of(s->loaded.bos_text), .eos_text = str_of(s->loaded.eos_text),
        .info = &s->loaded.model->info, .eyes = eyes, .model = name_of(s, o), .eos = s->loaded.eos, .n_eos = s->loaded.n_eos,
        .key = s->keys.key, .n_key = s->keys.n, .tokens_max = (uint32_t)o->tokens.v,
        .timeout_s = (uint32_t)o->timeout.v, .log = &s->log,
        .verify_bound = o->given.backend && strcmp(o->backend.v, "mlx") == 0 ? 0.05f : 0,
    };
    ao.defaults.temperature = s->loaded.defaults.temperature;
    ao.defaults.top_p = s->loaded.defaults.top_p;
    ao.defaults.min_p = s->loaded.defaults.min_p;
    ao.defaults.repeat = s->loaded.defaults.repeat;
    ao.defaults.top_k = s->loaded.defaults.top_k;
    return api_open(&s->api, &ao, e);
}

static bool open_server(struct serving *s, const struct options *o, struct err *e)
{
    struct server_opts so = {
        .host = o->host.v,
        .port = o->given.port ? (uint16_t)o->port.v : 8000,
        .body_bytes_max = o->given.body ? o->body.v : (size_t)16 << 20,
        .reply_bytes_max = (size_t)4 << 20,
        .connections_max = o->given.connections ? (unsigned)o->connections.v : 1024,
        .idle_s_max = 120,
        .cors_origin = o->cors.v,
        .handle = api_handle, .fail = api_fail, .ctx = s->api,
        .log = &s->log,
    };
    return server_open(&s->server, &so, e);
}

static void say_ready(const struct serving *s, const struct options *o)
{
    struct buf text;
    buf_init(&text, 0);
    buf_printf(&text, "%s on %s\n", name_of(s, o), o->given.backend ? o->backend.v : backend_at(0)->name);
    char *weights = load_kept_text(&s->loaded, s->engine);
    show_plan(engine_plan(s->engine), weights, &text);
    free(weights);
    const char *host = o->host.v ? o->host.v : "127.0.0.1";
    char        url[300];
    snprintf(url, sizeof url, strchr(host, ':') ? "http://[%s]:%u" : "http://%s:%u", host, server_port(s->server));
    buf_printf(&text, "listening on %s  (OpenAI clients: base_url=%s/v1)\n", url, url);
    fputs(text.p, stderr);
    buf_drop(&text);
}

/* A server asleep is none; one that may sleep still serves. */
static void stay_awake(struct serving *s, const struct options *o)
{
    struct err e;
    if (!o->no_awake.v && !awake_start(&s->awake, "hearth serves", &e))
        log_warn(&s->log, "this machine may fall asleep while it serves: %s", e.text);
}

/* The first signal asks everybody to finish, the second ends what still runs. */
static void wait_and_drain(struct serving *s, const sigset_t *signals)
{
    int got;
    sigwait(signals, &got);
    log_info(&s->log, "%s: finishing %u requests (again to stop at once)", strsignal(got), api_busy(s->api));
    server_drain(s->server);
    api_drain(s->api);
    for (int i = 0; i < DRAIN_S * 10 && api_busy(s->api) > 0; i++) {
        sigset_t pending;
        if (sigpending(&pending) == 0 && (sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM)))
            break;
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
}

/* The api answers everybody, the server sends that and lets nobody else in, and only then the api may go. */
static void close_all(struct serving *s)
{
    if (s->api)
        api_stop(s->api);
    awake_stop(s->awake);
    if (s->server)
        server_close(s->server, CLOSE_MS);
    api_close(s->api);
    app_eyes_close(&s->eyes);
    engine_close(s->engine);
    load_close(&s->loaded);
    keys_drop(&s->keys);
}

bool command_serve(const struct options *o, struct err *e)
{
    struct serving s = {.log = {.as_json = o->log_json.v, .fd = 2}};
    sigset_t       signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    /* Before any thread starts, so that only sigwait() sees them. */
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);

    bool ok = log_level(o, &s.log.level, e) && check_options(o, e) && keys_read(&s.keys, &o->api_key, e) &&
              load_open(&s.loaded, o, e) && open_engine(&s, o, e) && open_api(&s, o, e) && open_server(&s, o, e);
    if (ok) {
        stay_awake(&s, o);
        say_ready(&s, o);
        wait_and_drain(&s, &signals);
        log_info(&s.log, "stopped");
    }
    close_all(&s);
    return ok;
}
