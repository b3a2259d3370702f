/* aside.c -- see aside.h. */
#include "engine/aside.h"

#include "engine/jobs.h"
#include "engine/memory.h"
#include "engine/step.h"

bool aside_open(struct engine *g, struct err *e)
{
    struct plan_opts po = memory_aside_opts(g->model, &g->plan);
    if (po.token_max == 0 || g->opts.type->wait)        /* who is waited for knows no pieces */
        return true;
    struct engine_plan p = g->plan;
    p.token_max = po.token_max;
    p.seq_max = p.pick_max = 1;
    step_init(&g->aside, &p);
    return g->opts.type->compile(g->backend, g->model->text, &po, &g->aside_plan, e);
}

void aside_close(struct engine *g)
{
    if (g->aside_plan)
        g->opts.type->plan_free(g->aside_plan);
    step_drop(&g->aside);
}

void aside_begin(struct engine *g, struct seq *s, uint32_t n)
{
    CHECK(!g->aside_seq && s->n_run + n < s->n_token);
    g->aside.row[0] = (struct step_row){.seq = s, .past = s->n_run, .n = n, .snapshot = KV_NONE};
    g->aside.n_row = 1;
    g->aside_batch = step_build(g, &g->aside);
    g->aside_seq = s;
    g->aside_begun = false;
    g->count.tokens_computed += n;
}

bool aside_slice(struct engine *g, uint64_t ns)
{
    struct seq *s = g->aside_seq;
    bool        done = true;
    if (!s)
        return false;
    uint64_t from = clock_ns(g->opts.clock);
    g->aside_batch.run_max = (uint32_t)(ns / 1000 + 1);
    g->aside.failed = !g->opts.type->run(g->aside_plan, &g->aside_batch, &done, &g->aside.err);
    g->aside_begun = !g->aside.failed && !done;
    g->count.busy_ns += clock_ns(g->opts.clock) - from;
    if (g->aside_begun)
        return true;
    g->aside_seq = NULL;
    step_land_row(g, &g->aside, &g->aside.row[0]);
    return true;
}

void aside_leave(struct engine *g, struct seq *s)
{
    if (g->aside_seq != s)
        return;
    if (g->aside_begun && g->opts.type->stop)
        g->opts.type->stop(g->aside_plan);
    g->aside_seq = NULL;
    g->aside_begun = false;
}
