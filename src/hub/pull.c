/* pull.c -- see pull.h. */
#include "hub/pull.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/threads.h"
#include "hub/blob.h"
#include "hub/cache.h"
#include "hub/plan.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { WORKERS_MAX = 8, PAGES_MAX = 1000, WATCH_MS = 200, DISK_SPARE_BYTES = 64 << 20 };

/* ---- what there is -------------------------------------------------------------------------------------------------- */

static void api_path(struct buf *out, const struct hub_name *n, const char *what, const char *revision)
{
    buf_clear(out);
    buf_printf(out, "/api/models/%s/%s/", n->repo, what);
    hub_url_part(out, str_of(revision), "");
}

static bool read_tree(struct hub_get *g, struct buf *path, struct hub_listing *l, struct err *e)
{
    struct buf page;
    bool       ok = true;
    buf_init(&page, HUB_JSON_MAX);
    for (int i = 0; ok && path->n; i++) {
        ok = (i < PAGES_MAX || err_set(e, ERR_TOO_LARGE, "the hub's list of files has no end")) &&
             hub_get_text(g, path->p, &page, e) && hub_listing_read(l, buf_view(&page), e);
        struct str next = hub_next_page(hub_get_link(g));
        buf_clear(path);
        buf_str(path, next);
    }
    buf_drop(&page);
    return ok;
}

/* The revision's commit and its files. */
static bool look(struct hub_get *g, const struct hub_name *n, char commit[HUB_COMMIT + 1], struct hub_listing *l, struct err *e)
{
    struct buf path, text;
    buf_init(&path, 0);
    buf_init(&text, HUB_JSON_MAX);
    api_path(&path, n, "revision", n->revision);
    bool ok = hub_get_text(g, path.p, &text, e) && hub_commit_read(commit, buf_view(&text), e);
    if (ok) {
        api_path(&path, n, "tree", commit);
        buf_str(&path, STR("?recursive=true"));
        ok = read_tree(g, &path, l, e);
    }
    buf_drop(&path);
    buf_drop(&text);
    return ok;
}

/* ---- the files ------------------------------------------------------------------------------------------------------ */

struct job {
    struct hub_run           *run;
    const struct hub_folders *folders;
    const struct hub_file   **at;       /* those not there yet, the largest first */
    size_t                    n, next;  /* next, left: under the run's lock */
    unsigned                  left;     /* workers at work */
};

static const struct hub_file *next_file(struct job *j)
{
    pthread_mutex_lock(&j->run->lock);
    const struct hub_file *f = j->next < j->n && !j->run->stop ? j->at[j->next++] : NULL;
    pthread_mutex_unlock(&j->run->lock);
    return f;
}

static void *work(void *arg)
{
    struct job     *j = arg;
    struct hub_get *g = hub_get_new(j->run);
    for (const struct hub_file *f; (f = next_file(j)) != NULL;) {
        struct err e;
        if (hub_blob_fetch(j->run, g, j->folders, f, &e))
            hub_run_count(j->run, 0, 0, 1);
        else
            hub_run_fail(j->run, &e);
    }
    hub_get_free(g);
    pthread_mutex_lock(&j->run->lock);
    j->left--;
    pthread_cond_broadcast(&j->run->changed);
    pthread_mutex_unlock(&j->run->lock);
    return NULL;
}

static void wait_for(struct job *j)
{
    struct hub_run *r = j->run;
    for (bool done = false; !done;) {
        uint64_t until = cond_deadline((uint64_t)WATCH_MS * 1000000);
        pthread_mutex_lock(&r->lock);
        while (j->left > 0 && cond_wait(&r->changed, &r->lock, until)) {}
        done = j->left == 0;
        if (r->watch && r->watch->progress)
            r->watch->progress(r->watch->ctx, &r->now);
        pthread_mutex_unlock(&r->lock);
    }
}

/* Signals are for the threads that were there before. */
static unsigned start(struct job *j, unsigned n, pthread_t *thread)
{
    sigset_t   all, before;
    unsigned   started = 0;
    struct err e;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    j->left = n;
    while (started < n && thread_start(&thread[started], "pull", work, j, &e))
        started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_mutex_lock(&j->run->lock);
    j->left -= n - started;
    pthread_mutex_unlock(&j->run->lock);
    if (started == 0)
        hub_run_fail(j->run, &e);
    return started;
}

static int by_size(const void *a, const void *b)
{
    const struct hub_file *x = *(const struct hub_file *const *)a, *y = *(const struct hub_file *const *)b;
    return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static bool disk_has(const struct hub_place *p, uint64_t wanted, struct err *e)
{
    struct statvfs disk;
    if (statvfs(p->cache, &disk) != 0)
        return true;                    /* then writing will say */
    uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize;
    return wanted == 0 || room >= DISK_SPARE_BYTES + wanted ||
           err_set(e, ERR_IO, "the disk with %s has %.1f GB free, and %.1f GB are still to come: free some (hearth list, hearth rm "
                              "NAME), or set HF_HUB_CACHE to a folder on another disk",
                   p->cache, (double)room / 1e9, (double)wanted / 1e9);
}

/* Has all of the picks there. */
static bool fetch_all(struct hub_run *r, const struct hub_folders *f, const struct hub_picks *p, struct err *e)
{
    struct job j = {.run = r, .folders = f, .at = mem_array(p->n + 1, sizeof *j.at)};
    pthread_t  thread[WORKERS_MAX];
    uint64_t   missing = 0;
    for (size_t i = 0; i < p->n; i++) {
        bool linked = hub_blob_linked(f, p->at[i]);
        missing += p->at[i]->bytes - hub_blob_there(f, p->at[i]);
        r->now.bytes_all += p->at[i]->bytes;
        r->now.bytes += linked ? p->at[i]->bytes : 0;
        if (!linked)
            j.at[j.n++] = p->at[i];
    }
    qsort(j.at, j.n, sizeof *j.at, by_size);
    r->now.files += p->n - j.n;
    r->now.files_all += p->n;
    bool     ok = disk_has(r->place, missing, e);
    unsigned n = ok && j.n ? start(&j, j.n < WORKERS_MAX ? (unsigned)j.n : WORKERS_MAX, thread) : 0;
    if (ok)
        wait_for(&j);
    for (unsigned i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    if (ok && r->stop) {
        *e = r->why;
        ok = false;
    }
    free(j.at);
    return ok;
}

static void say_what(struct hub_run *r, const struct hub_plan *plan, const char *commit)
{
    hub_run_note(r, "%s: %s is commit %.8s", r->name->repo, r->name->revision, commit);
    if (plan->gguf && plan->n_gguf > 1 && !*r->name->choice)
        hub_run_note(r, "%s it is, one of %zu GGUF files; to choose another: %s:ITS-NAME", plan->gguf->path, plan->n_gguf, r->name->repo);
}

static bool pull(struct hub_run *r, char **path, struct err *e)
{
    struct hub_listing l;
    struct hub_plan    plan = {0};
    struct hub_folders f = {0};
    struct hub_get    *g = hub_get_new(r);
    char               commit[HUB_COMMIT + 1] = "";
    hub_listing_init(&l);
    bool ok = look(g, r->name, commit, &l, e) && (hub_plan(&plan, &l, r->name->choice, e) || err_in(e, "%s", r->name->repo));
    hub_get_free(g);
    if (ok) {
        say_what(r, &plan, commit);
        hub_folders_init(&f, r->place, r->name->repo, commit);
        ok = folder_make_as(f.snapshot, 0777, e) && fetch_all(r, &f, &plan.first, e) &&
             hub_plan_weights(&plan, &l, f.snapshot, e) && fetch_all(r, &f, &plan.weights, e) &&
             hub_ref_write(r->place, r->name, commit, e);
    }
    if (ok)
        *path = plan.gguf ? path_join(f.snapshot, plan.gguf->path) : mem_copy(f.snapshot, strlen(f.snapshot));
    hub_folders_drop(&f);
    hub_plan_drop(&plan);
    hub_listing_drop(&l);
    return ok;
}

bool hub_pull(char **path, const struct hub_place *p, const struct hub_name *name, const struct hub_watch *w, struct err *e)
{
    struct hub_run r;
    if (p->offline)
        return err_set(e, ERR_UNSUPPORTED, "HF_HUB_OFFLINE is set: nothing is fetched");
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    hub_run_init(&r, p, name, w);
    bool ok = pull(&r, path, e);
    hub_run_drop(&r);
    curl_global_cleanup();
    return ok;
}
