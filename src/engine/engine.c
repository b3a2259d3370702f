/* engine.c -- see engine.h: the pieces put together, and the thread that steps. */
#include "engine/engine.h"

#include "base/mem.h"
#include "engine/aside.h"
#include "engine/jobs.h"
#include "engine/load.h"
#include "engine/memory.h"
#include "engine/sched.h"
#include "engine/step.h"

#include <stdlib.h>

/* ---- opening and closing ----------------------------------------------------------------------------------------- */

/* The program must give as many logits as the vocabulary has ids: nothing looks beyond that again. */
static bool logits_match(const struct model *m, struct err *e)
{
    val v = prog_result(m->text, "logits");
    if (v.id == 0)
        return err_set(e, ERR_INTERNAL, "the program of %s has no logits", m->info.arch);
    uint32_t width = prog_value(m->text, v)->width;
    return width == m->info.n_vocab || err_set(e, ERR_INTERNAL, "the program of %s gives %u logits for %u tokens",
                                               m->info.arch, width, m->info.n_vocab);
}

/* What the host keeps for itself; small beside the rest. */
static void make_rooms(struct engine *g)
{
    uint32_t n_slot = 16;
    g->jobs_max = g->opts.queue_max + g->plan.seq_max;
    while (n_slot < g->jobs_max)
        n_slot *= 2;
    g->table = mem_array(n_slot, sizeof(struct seq *));
    g->table_mask = n_slot - 1;
    kv_init(&g->kv, g->plan.n_block, g->plan.block_tokens);
    if (g->plan.n_snapshot)
        kv_init(&g->snapshots, g->plan.n_snapshot, 1);
    turns_init(&g->turns, g->jobs_max);
    step_init(&g->step[0], &g->plan);
    step_init(&g->step[1], &g->plan);
    g->run = mem_array(g->plan.seq_max, sizeof(struct seq *));
    g->slot_taken = mem_array(g->plan.seq_max, sizeof *g->slot_taken);
    g->order = mem_array(g->plan.seq_max, sizeof(struct seq *));
    g->sampler = g->opts.type->draw ? NULL : sample_new(g->n_vocab);
    g->sha = sha256_new();
    g->jobs = queue_new(g->jobs_max);
    jobs_publish(g);
}

static bool open_backend(struct engine *g, const struct engine_opts *o, struct err *e)
{
    const struct backend_type *t = o->type;
    const struct model        *m = g->model;
    if (!t->open(&g->backend, &o->backend, e) || !memory_plan(m, o, g->backend, &g->plan, e))
        return false;
    if (!load_weights(m, t, g->backend, o->progress, o->progress_ctx, e))
        return false;
    if (t->kept)
        t->kept(g->backend, &g->kept);
    struct plan_opts po = memory_plan_opts(&g->plan);
    return t->reserve(g->backend, m->bundle, &po, g->plan.n_block, e)
           && t->compile(g->backend, m->text, &po, &g->text, e) && look_open(g, e) && aside_open(g, e);
}

bool engine_open(struct engine **out, const struct model *m, const struct engine_opts *o, struct err *e)
{
    struct engine *g = mem_new(sizeof *g);
    g->model = m;
    g->n_vocab = m->info.n_vocab;
    pthread_mutex_init(&g->lock, NULL);
    if (!memory_opts(m, o, &g->opts, e) || !logits_match(m, e) || !open_backend(g, o, e)) {
        engine_close(g);
        return false;
    }
    g->long_from = prog_long_from(m->text);
    g->has_slots = bundle_has_state(m->bundle, STATE_SEQUENCE);
    g->waits = o->type->draw && o->type->wait;
    g->ahead = g->waits && !g->long_from;     /* seq_lengthen() wants nothing under way */
    if (!o->context_max && g->plan.context_max < m->info.context)
        log_warn(o->log, "the context is %u tokens, as memory is short; the model was made for %u",
                 g->plan.context_max, m->info.context);
    if (g->kept.why[0])
        log_warn(o->log, "the packed weights are not kept for the next start: %s", g->kept.why);
    make_rooms(g);
    *out = g;
    return true;
}

void engine_close(struct engine *g)
{
    if (!g)
        return;
    if (g->jobs) {
        queue_close(g->jobs);
        if (g->started)
            pthread_join(g->thread, NULL);
        else
            jobs_end_all(g);
        if (g->flight)
            step_land(g);
    }
    aside_close(g);
    look_close(g);
    if (g->text)
        g->opts.type->plan_free(g->text);
    if (g->backend)
        g->opts.type->close(g->backend);
    sha256_free(g->sha);
    sample_free(g->sampler);
    queue_free(g->jobs);
    step_drop(&g->step[0]);
    step_drop(&g->step[1]);
    turns_drop(&g->turns);
    kv_drop(&g->kv);
    kv_drop(&g->snapshots);
    free(g->run);
    free(g->slot_taken);
    free(g->order);
    free(g->table);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

const struct engine_plan *engine_plan(const struct engine *g)
{
    return &g->plan;
}

const struct kept *engine_kept(const struct engine *g)
{
    return &g->kept;
}

struct plan *engine_text_plan(struct engine *g)
{
    return g->text;
}

/* ---- stepping ---------------------------------------------------------------------------------------------------- */

/* Some penalties need the last token to be known before the next is drawn. */
static bool flight_counts(const struct step *step)
{
    for (uint32_t i = 0; i < step->n_row; i++)
        if (step->row[i].seq && step->row[i].pick != KV_NONE && seq_counts(step->row[i].seq))
            return true;
    return false;
}

/* What the step left of its time, for what is done in pieces; where it left little, half as long as it took. */
static uint64_t left_ns(const struct engine *g, uint64_t took)
{
    uint64_t left = took < g->opts.step_ns ? g->opts.step_ns - took : 0, least = took / 2;
    return left > least ? left : least;
}

bool engine_step(struct engine *g)
{
    uint64_t from = clock_ns(g->opts.clock);
    jobs_take_in(g);
    jobs_end_gone(g);
    if (g->flight && flight_counts(g->flight))
        step_land(g);
    sched_admit(g);
    struct step *step = &g->step[g->flight == &g->step[0]];
    step->n_row = sched_plan(g, step->row);
    if (step->n_row)
        step_launch(g, step);
    bool did = step->n_row || g->flight;
    if (g->flight)
        step_land(g);
    if (step->n_row) {
        g->flight = step;
        if (!g->ahead || step->failed)
            step_land(g);
    }
    /* Its tokens are not to wait for a slice, nor its time to be taken for longer than it was. */
    if (g->flight && (g->aside_seq || look_busy(g)))
        step_land(g);
    uint64_t left = left_ns(g, clock_ns(g->opts.clock) - from);
    if (g->aside_seq && look_busy(g))
        left /= 2;
    did |= aside_slice(g, left);
    did |= look_slice(g, left);
    CHECK(did || (g->n_run == 0 && g->turns.n_waiting == 0));
    jobs_publish(g);
    return did;
}

static void *work(void *arg)
{
    struct engine *g = arg;
    while (!queue_closed(g->jobs))
        if (!engine_step(g)) {
            struct seq *s = queue_take(g->jobs, UINT64_MAX);
            if (s)
                jobs_add(g, s);
        }
    jobs_end_all(g);
    return NULL;
}

bool engine_start(struct engine *g, struct err *e)
{
    CHECK(!g->started);
    g->started = thread_start(&g->thread, "engine", work, g, e);
    return g->started;
}
