/* jobs.c -- see jobs.h; and the part of engine.h that other threads call. */
#include "engine/jobs.h"

#include "engine/aside.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- from any thread --------------------------------------------------------------------------------------------- */

static bool check(const struct engine *g, const struct job *j, struct err *e)
{
    uint32_t least = j->tokens_max ? 1 : 0, most = g->plan.context_max;
    CHECK(j->event);
    if (j->n_token == 0)
        return err_set(e, ERR_INVALID, "the prompt has no tokens");
    if (j->n_token > most || most - j->n_token < least) {
        err_set(e, ERR_CONTEXT,
                "the context holds %" PRIu32 " tokens, but the prompt has %" PRIu32 "%s; shorten it", most, j->n_token,
                least ? " and the answer needs at least 1" : "");
        if (e)
            snprintf(e->code, sizeof e->code, "context_length_exceeded");
        return false;
    }
    for (uint32_t i = 0; i < j->n_token; i++)
        if (j->token[i] < 0 || (uint32_t)j->token[i] >= g->n_vocab)
            return err_set(e, ERR_INVALID, "token %" PRIu32 " of the prompt is %" PRId32
                           ", but the vocabulary has ids from 0 to %" PRIu32, i, j->token[i], g->n_vocab - 1);
    return shown_check(j, &g->model->vision, g->plan.patches_max, g->plan.n_page ? g->plan.n_page - 1 : 0, e)
           && sample_check(&j->draw, g->n_vocab, e);
}

bool engine_sees(const struct engine *g, uint32_t rows, uint32_t columns, struct err *e)
{
    if (!g->model->vision.prog)
        return err_set(e, ERR_UNSUPPORTED, "this model reads text; it has no eyes for pictures");
    return (uint64_t)rows * columns <= g->plan.patches_max
           || err_set(e, ERR_INVALID, "it makes %" PRIu64 " patches; a picture may have %" PRIu32, (uint64_t)rows * columns, g->plan.patches_max);
}

static uint32_t waiting(const struct engine *g)
{
    return g->n_live > g->published.running ? g->n_live - g->published.running : 0;
}

/* Takes a place among the live jobs. */
static bool reserve(struct engine *g, struct err *e)
{
    pthread_mutex_lock(&g->lock);
    uint32_t n = waiting(g);
    bool     ok = n < g->opts.queue_max && g->n_live < g->jobs_max;
    if (ok)
        g->n_live++;
    else
        g->n_refused++;
    pthread_mutex_unlock(&g->lock);
    return ok || err_set(e, ERR_BUSY, "%" PRIu32 " requests are waiting already; try again later", n);
}

static struct seq **table_slot(struct engine *g, uint64_t id)
{
    return &g->table[id & g->table_mask];
}

static void table_remove(struct engine *g, struct seq *s)
{
    struct seq **at = table_slot(g, s->id);
    while (*at != s)
        at = &(*at)->chain;
    *at = s->chain;
    g->n_live--;
}

bool engine_submit(struct engine *g, const struct job *j, uint64_t *id, struct err *e)
{
    if (!check(g, j, e)) {
        pthread_mutex_lock(&g->lock);
        g->n_refused++;
        pthread_mutex_unlock(&g->lock);
        return false;
    }
    if (!reserve(g, e))
        return false;
    /* Without room for snapshots, nothing can go on behind the blocks of a model that remembers sequences as a whole. */
    struct seq_room room = {g->plan.context_max, g->plan.block_tokens, g->long_from,
                            .cached = !g->opts.no_cache && !j->fresh && (!g->has_slots || g->plan.n_snapshot), .whole = g->has_slots,
                            .vision = &g->model->vision,
                            .drafts = g->plan.pick_max > g->plan.seq_max};
    struct seq     *s = seq_new(j, &room);
    s->queued_at = clock_ns(g->opts.clock);

    pthread_mutex_lock(&g->lock);
    s->id = ++g->last_id;
    struct seq **slot = table_slot(g, s->id);
    s->chain = *slot;
    *slot = s;
    g->n_job++;
    if (id)
        *id = s->id;
    pthread_mutex_unlock(&g->lock);

    if (queue_put(g->jobs, s))
        return true;
    pthread_mutex_lock(&g->lock);
    table_remove(g, s);
    g->n_job--;
    g->n_refused++;
    pthread_mutex_unlock(&g->lock);
    seq_free(s);
    return err_set(e, ERR_BUSY, "the engine is closing");
}

void engine_cancel(struct engine *g, uint64_t id)
{
    pthread_mutex_lock(&g->lock);
    struct seq *s = *table_slot(g, id);
    while (s && s->id != id)
        s = s->chain;
    if (s)
        atomic_store(&s->cancelled, true);
    pthread_mutex_unlock(&g->lock);
}

void engine_stats(struct engine *g, struct engine_stats *out)
{
    pthread_mutex_lock(&g->lock);
    *out = g->published;
    out->n_job = g->n_job;
    out->n_refused = g->n_refused;
    out->waiting = waiting(g);
    pthread_mutex_unlock(&g->lock);
}

uint32_t engine_jobs_ahead(struct engine *g)
{
    pthread_mutex_lock(&g->lock);
    uint32_t n = waiting(g);
    pthread_mutex_unlock(&g->lock);
    return n;
}

/* ---- on the engine's thread -------------------------------------------------------------------------------------- */

void jobs_publish(struct engine *g)
{
    struct engine_stats *c = &g->count;
    c->running = g->n_run;
    c->blocks = g->kv.n_block;
    c->blocks_cached = g->kv.idle.n;
    c->blocks_used = g->kv.n_block - kv_available(&g->kv);
    c->evicted_blocks = g->kv.n_evicted;
    c->evicted_pictures = g->look.gallery.n_evicted;
    c->gallery_bytes = gallery_bytes_used(&g->look.gallery);
    c->gallery_bytes_max = g->plan.gallery_bytes;
    c->gallery_pictures = g->look.gallery.n_known;
    c->snapshots = g->snapshots.n_block;
    c->snapshots_cached = g->snapshots.idle.n;
    c->evicted_snapshots = g->snapshots.n_evicted;
    pthread_mutex_lock(&g->lock);
    g->published = *c;
    pthread_mutex_unlock(&g->lock);
}

void jobs_add(struct engine *g, struct seq *s)
{
    turns_add(&g->turns, s);
}

void jobs_take_in(struct engine *g)
{
    for (struct seq *s; (s = queue_take(g->jobs, 0));)
        jobs_add(g, s);
}

static void forget_in_steps(struct engine *g, const struct seq *s)
{
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < g->step[k].n_row; i++)
            if (g->step[k].row[i].seq == s)
                g->step[k].row[i].seq = NULL;
}

static void leave(struct engine *g, struct seq *s)
{
    if (!s->running) {
        turns_remove(&g->turns, s);
        return;
    }
    uint32_t at = 0;
    while (g->run[at] != s)
        at++;
    g->n_run--;
    memmove(&g->run[at], &g->run[at + 1], (g->n_run - at) * sizeof(struct seq *));
    forget_in_steps(g, s);
    seq_release(s, &g->kv);
    look_leave(g, s);
    aside_leave(g, s);
    g->slot_taken[s->slot] = false;
    turns_end(&g->turns, s);
}

void jobs_end(struct engine *g, struct seq *s, enum end_reason why, const struct err *e)
{
    uint64_t now = clock_ns(g->opts.clock), started = s->started_at ? s->started_at : now;
    uint64_t drawn = s->drawn_at ? s->drawn_at : now;
    struct event ev = {
        .kind = EVENT_END, .reason = why, .err = e,
        .n_prompt = s->n_prompt, .n_cached = s->n_cached, .n_drawn = s->n_token - s->n_prompt,
        .n_drafted = s->n_drafted, .n_accepted = s->n_accepted, .reuse = &s->reuse,
        .queued_ns = started - s->queued_at, .prefill_ns = drawn - started, .decode_ns = now - drawn,
    };
    leave(g, s);
    g->count.n_end++;
    g->count.n_cancelled += why == END_CANCELLED;
    g->count.n_failed += why == END_FAILED;
    pthread_mutex_lock(&g->lock);
    table_remove(g, s);
    pthread_mutex_unlock(&g->lock);
    jobs_publish(g);
    s->event(s->ctx, &ev);
    seq_free(s);
}

/* Ends it if somebody or the clock wants it so. */
static bool end_if_gone(struct engine *g, struct seq *s, uint64_t now)
{
    bool late = s->deadline_ns && now >= s->deadline_ns;
    if (!late && !atomic_load(&s->cancelled))
        return false;
    jobs_end(g, s, atomic_load(&s->cancelled) ? END_CANCELLED : END_TIMEOUT, NULL);
    return true;
}

void jobs_end_gone(struct engine *g)
{
    uint64_t now = clock_ns(g->opts.clock);
    for (uint32_t i = 0; i < g->n_run;)
        i += !end_if_gone(g, g->run[i], now);
    for (struct turn *c = g->turns.first, *next; c; c = next) {
        next = c->next;             /* c is forgotten with its last job */
        for (struct seq *s = c->first, *after; s; s = after) {
            after = s->next;
            end_if_gone(g, s, now);
        }
    }
}

void jobs_end_all(struct engine *g)
{
    jobs_take_in(g);
    while (g->n_run)
        jobs_end(g, g->run[0], END_CANCELLED, NULL);
    for (struct seq *s; (s = turns_next(&g->turns));)
        jobs_end(g, s, END_CANCELLED, NULL);
}
