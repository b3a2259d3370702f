/* models.c -- see models.h. */
#include "app/models.h"

#include "app/show.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "hub/cache.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINE_S = 10 };

/* ---- watching a pull ------------------------------------------------------------------------------------------------ */

struct view {
    bool     terminal;
    uint64_t begun_ns, last_ns, said_ns, last_fresh, fresh;
    double   rate;              /* bytes a second, lately; 0: not known */
};

static void note(void *ctx, const char *line)
{
    const struct view *v = ctx;
    if (v->terminal)
        show_bar_end();
    fprintf(stderr, "%s\n", line);
}

/* Smoothed over some three seconds. */
static void take_rate(struct view *v, uint64_t now_ns, uint64_t fresh)
{
    double s = (double)(now_ns - v->last_ns) / 1e9;
    if (s < 0.05)
        return;
    double now = (double)(fresh - v->last_fresh) / s, share = s < 3 ? s / 3 : 1;
    v->rate = v->rate > 0 ? v->rate + share * (now - v->rate) : now;
    v->last_ns = now_ns;
    v->last_fresh = fresh;
}

static void progress(void *ctx, const struct hub_progress *p)
{
    struct view *v = ctx;
    uint64_t     now_ns = clock_ns(clock_real()), left = p->bytes < p->bytes_all ? p->bytes_all - p->bytes : 0;
    char         tail[80] = "", rate[24], done[24], all[24];
    v->fresh = p->fresh;
    take_rate(v, now_ns, p->fresh);
    if (p->bytes_all == 0 || left == 0)
        return;
    if (v->rate >= 1) {
        uint64_t s = (uint64_t)((double)left / v->rate);
        s = s < 359999 ? s : 359999;
        snprintf(tail, sizeof tail, ", %s/s, %llu:%02llu:%02llu left", show_bytes((uint64_t)v->rate, rate), (unsigned long long)(s / 3600),
                 (unsigned long long)(s / 60 % 60), (unsigned long long)(s % 60));
    }
    if (v->terminal) {
        show_bar("pulling", p->bytes, p->bytes_all, tail);
    } else if (now_ns - v->said_ns >= (uint64_t)LINE_S * 1000000000) {
        v->said_ns = now_ns;
        fprintf(stderr, "%s of %s, %zu of %zu files%s\n", show_bytes(p->bytes, done), show_bytes(p->bytes_all, all), p->files,
                p->files_all, tail);
    }
}

static void say_end(const struct view *v, const struct hub_name *name)
{
    char   fresh[24], rate[24];
    double s = (double)(clock_ns(clock_real()) - v->begun_ns) / 1e9;
    if (v->terminal)
        show_bar_end();
    if (v->fresh == 0)
        fprintf(stderr, "%s: all of it was here\n", name->repo);
    else
        fprintf(stderr, "%s: %s in %.1f s (%s/s)\n", name->repo, show_bytes(v->fresh, fresh), s,
                show_bytes((uint64_t)((double)v->fresh / s), rate));
}

bool models_pull(char **path, const struct hub_place *p, const struct hub_name *name, struct err *e)
{
    uint64_t         now = clock_ns(clock_real());
    struct view      v = {.terminal = isatty(2), .begun_ns = now, .last_ns = now, .said_ns = now};
    struct hub_watch w = {.note = note, .progress = progress, .ctx = &v};
    sigset_t         ending, before;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    signal(SIGXFSZ, SIG_IGN);           /* a file over the user's limit is an error like a full disk */
    pthread_sigmask(SIG_UNBLOCK, &ending, &before);
    bool ok = hub_pull(path, p, name, &w, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (ok)
        say_end(&v, name);
    else if (v.terminal)
        show_bar_end();
    return ok;
}

/* ---- finding -------------------------------------------------------------------------------------------------------- */

char *models_name(const char *path)
{
    char       repo[2 * HUB_PART_MAX + 2];
    struct str name = str_of(path);
    if (hub_repo_of(path, repo))
        return mem_copy(repo, strlen(repo));
    while (name.n > 1 && name.p[name.n - 1] == '/')
        name.n--;
    for (size_t i = name.n; i > 0; i--)
        if (name.p[i - 1] == '/') {
            name = (struct str){name.p + i, name.n - i};
            break;
        }
    if (str_ends(name, STR(".gguf")))
        name.n -= 5;
    return mem_copy(name.p, name.n);
}

/* A file that is not there is a file all the same. */
static bool may_be_on_a_hub(const char *text)
{
    return file_kind(text) == FILE_NONE && strchr(text, '/') && !str_ends(str_of(text), STR(".gguf")) &&
           !str_ends(str_of(text), STR(".safetensors"));
}

static bool have(struct model_place *out, const struct hub_place *p, const struct hub_name *name, struct err *e)
{
    if (hub_find(&out->path, p, name, e))
        return true;
    if (p->offline)
        return err_set(e, ERR_NOT_FOUND, "%s%s%s is not on this disk, or not all of it, and nothing is fetched offline: hearth pull it "
                                         "first, with --offline and HF_HUB_OFFLINE unset", name->repo, *name->choice ? ":" : "", name->choice);
    return models_pull(&out->path, p, name, e) ||
           (e->kind == ERR_NOT_FOUND && err_in(e, "there is no file or folder %s here", name->repo));
}

bool model_place_find(struct model_place *out, const struct options *o, struct err *e)
{
    const char      *text = o->arg[0];
    struct hub_place p;
    struct hub_name  name;
    *out = (struct model_place){0};
    if (!may_be_on_a_hub(text) || !hub_name_parse(&name, text, NULL)) {
        out->path = mem_copy(text, strlen(text));
        out->name = models_name(text);
        return true;
    }
    if (!hub_place_open(&p, e))
        return false;
    p.offline |= o->offline.v;
    bool ok = have(out, &p, &name, e);
    if (ok) {
        struct buf shown;
        buf_init(&shown, 0);
        buf_printf(&shown, "%s%s%s", name.repo, *name.choice ? ":" : "", name.choice);
        out->name = buf_take(&shown);
    }
    hub_place_drop(&p);
    return ok;
}

void model_place_drop(struct model_place *m)
{
    free(m->path);
    free(m->name);
    *m = (struct model_place){0};
}
