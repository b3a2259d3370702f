/* step.c -- see step.h.
 *
 * With a backend that draws by itself and works while the host does something else, a step is launched before the one
 * in flight has landed: rows that draw give the place of their last token in the draw before (-1-i) instead of its
 * id.  A sequence that turns out to have ended leaves an empty row behind, and what that row draws is dropped.  Its
 * blocks may be given away at once, since the backend keeps the order of the runs. */
#include "engine/step.h"

#include "base/mem.h"
#include "engine/jobs.h"

#include <stdlib.h>

/* Rows of the table of blocks are as long as the longest sequence needs. */
static uint32_t block_max(const struct engine_plan *p)
{
    return blocks_for(p->context_max, p->block_tokens);
}

uint64_t step_bytes(const struct engine_plan *p)
{
    uint64_t seq = sizeof(struct step_row) + (4 + (uint64_t)block_max(p)) * sizeof(uint32_t);
    uint64_t pick = sizeof(uint32_t) + sizeof(struct draw) + sizeof(struct drawn);
    uint64_t seen = p->tower_bytes ? (SHOWN_AXES + 1) * sizeof(uint32_t) + sizeof(struct span) : 0;
    return p->seq_max * seq + p->pick_max * pick + p->token_max * (sizeof(int32_t) + seen);
}

void step_init(struct step *step, const struct engine_plan *p)
{
    *step = (struct step){
        .row = mem_array(p->seq_max, sizeof *step->row),
        .token = mem_array(p->token_max, sizeof *step->token),
        .start = mem_array((size_t)p->seq_max + 1, sizeof *step->start),
        .past = mem_array(p->seq_max, sizeof *step->past),
        .reach = mem_array(p->seq_max, sizeof *step->reach),
        .slot = mem_array(p->seq_max, sizeof *step->slot),
        .block = mem_array(p->seq_max, block_max(p) * sizeof *step->block),
        .pick = mem_array(p->pick_max, sizeof *step->pick),
        .how = mem_array(p->pick_max, sizeof *step->how),
        .drawn = mem_array(p->pick_max, sizeof *step->drawn),
    };
    if (p->tower_bytes == 0)
        return;
    step->pos = mem_array(p->token_max, SHOWN_AXES * sizeof *step->pos);
    step->see = mem_array(p->token_max, sizeof *step->see);
    step->span = mem_array(p->token_max, sizeof *step->span);
}

void step_drop(struct step *step)
{
    free(step->row);
    free(step->token);
    free(step->start);
    free(step->past);
    free(step->reach);
    free(step->slot);
    free(step->block);
    free(step->pick);
    free(step->how);
    free(step->drawn);
    free(step->pos);
    free(step->see);
    free(step->span);
    *step = (struct step){0};
}

/* ---- launching --------------------------------------------------------------------------------------------------- */

/* How the i-th token not yet known will be drawn.  What was seen by then is known for the first alone. */
static struct draw draw_of(const struct seq *s, uint32_t i)
{
    struct draw d = s->draw;
    d.counter = s->n_token + i - s->n_prompt;
    return d;
}

static void add_draws(struct step *step, struct step_row *r)
{
    struct seq *s = r->seq;
    r->pick = s->ahead_row = step->n_pick;
    step->how[step->n_pick] = draw_of(s, s->n_ahead++);
    for (uint32_t i = 0; i <= r->n_draft; i++)
        step->pick[step->n_pick++] = step->n_token - 1 - r->n_draft + i;
}

static void add_tokens(struct step *step, const struct step_row *r)
{
    const struct seq *s = r->seq;
    for (uint32_t i = r->past; i < r->past + r->n; i++)
        step->token[step->n_token++] = i < s->n_token + r->n_draft ? s->token[i] : -1 - (int32_t)s->ahead_row;
    step->attended += cost_attended(r->past, r->n);
}

/* Where the rows stand for positions, what they see, and the features that they show.  Sequences without pictures are as if
 * nothing were said. */
static void show(struct engine *g, struct step *step, struct batch *in)
{
    const struct vision *v = &g->model->vision;
    bool                 any = false;
    step->n_span = 0;
    for (uint32_t i = 0; i < step->n_row; i++) {
        const struct step_row *r = &step->row[i];
        any |= r->seq->shown != NULL;
        if (r->seq->shown)
            step->n_span += shown_spans(r->seq->shown, &g->look.gallery, r->past, r->n, step->start[i], step->span + step->n_span);
    }
    for (uint32_t i = 0; any && i < step->n_row; i++) {
        const struct step_row *r = &step->row[i];
        for (uint32_t k = 0, at = step->start[i]; k < r->n; k++, at++) {
            for (uint32_t axis = 0; axis < SHOWN_AXES; axis++)
                step->pos[axis * step->n_token + at] = shown_pos(r->seq->shown, axis, r->past + k);
            step->see[at] = shown_see(r->seq->shown, r->past + k);
        }
    }
    in->span = step->span;
    in->n_span = step->n_span;
    in->pos = any && v->axes ? step->pos : NULL;
    in->see = any && v->sees ? step->see : NULL;
}

struct batch step_build(struct engine *g, struct step *step)
{
    uint32_t width = 0;
    step->n_token = step->n_pick = 0;
    step->attended = 0;
    for (uint32_t i = 0; i < step->n_row; i++) {
        struct step_row *r = &step->row[i];
        seq_grow(r->seq, &g->kv, r->past + r->n);
        width = r->seq->n_block > width ? r->seq->n_block : width;
    }
    for (uint32_t i = 0; i < step->n_row; i++) {
        struct step_row *r = &step->row[i];
        struct seq      *s = r->seq;
        bool             last = r->n - r->n_draft == seq_need(s);
        step->start[i] = step->n_token;
        step->past[i] = r->past;
        step->slot[i] = s->slot;
        step->reach[i] = s->is_long ? UINT32_MAX : r->past + r->n;
        memcpy(step->block + (size_t)i * width, s->block, s->n_block * sizeof *s->block);
        memset(step->block + (size_t)i * width + s->n_block, 0, (width - s->n_block) * sizeof *s->block);
        if (r->n_draft)
            draft_write(&s->draft, s->token, s->n_token, r->n_draft);
        add_tokens(step, r);
        r->pick = KV_NONE;
        if (last && s->draws)
            add_draws(step, r);
        s->n_run += r->n - r->n_draft;
        s->n_drafted += r->n_draft;
        g->count.tokens_drafted += r->n_draft;
    }
    step->start[step->n_row] = step->n_token;
    struct batch in = {
        .n_token = step->n_token, .n_seq = step->n_row, .n_pick = step->n_pick, .token = step->token,
        .start = step->start, .past = step->past, .block = step->block, .block_max = width, .pick = step->pick,
        .reach = step->reach, .slot = step->slot,
    };
    show(g, step, &in);
    return in;
}

/* Copies what sequences remember behind this run where it is wanted and not known yet. */
static void take_snapshots(struct engine *g, struct step *step)
{
    uint32_t bt = g->plan.block_tokens;
    for (uint32_t i = 0; i < step->n_row; i++) {
        struct step_row  *r = &step->row[i];
        const struct seq *s = r->seq;
        uint32_t          at = r->past + r->n;
        r->snapshot = KV_NONE;
        if (step->failed || !g->snapshots.n_block || seq_save_after(s, r->past, bt) != at || kv_available(&g->snapshots) == 0
            || (at / bt <= s->n_key && kv_find(&g->snapshots, &s->key[at / bt - 1]) != KV_NONE))
            continue;
        r->snapshot = kv_take(&g->snapshots, KV_NONE);
        g->opts.type->slot_copy(g->backend, s->slot, g->plan.seq_max + r->snapshot);
        g->count.snapshots_made++;
    }
}

void step_launch(struct engine *g, struct step *step)
{
    struct batch         in = step_build(g, step);
    struct engine_stats *c = &g->count;
    c->n_step++;
    c->tokens_computed += step->n_token;
    c->step_rows = step->n_token;
    c->step_seqs = step->n_row;
    c->step_rows_max = step->n_token > c->step_rows_max ? step->n_token : c->step_rows_max;
    step->launched_at = clock_ns(g->opts.clock);
    step->failed = !g->opts.type->run(g->text, &in, NULL, &step->err);
    /* A draw of nothing too, where steps are waited for: that is done by their draws. */
    if (!step->failed && !g->sampler && (step->n_pick || g->waits))
        step->failed = !g->opts.type->draw(g->text, step->how, step->drawn, &step->err);
    take_snapshots(g, step);
}

/* ---- landing ----------------------------------------------------------------------------------------------------- */

/* A row whose logits are no good fails alone: its token is -1 then, as one that a backend could not draw. */
static void draw_here(struct engine *g, const struct seq *s, uint32_t pick, struct drawn *out)
{
    const float *logits = g->opts.type->result(g->text, "logits");
    struct draw  how = draw_of(s, 0);
    if (!sample(g->sampler, logits + (size_t)pick * g->n_vocab, &how, out))
        out->token = -1;
}

/* The job's next token has come.  False: it was the last, and the sequence is no more. */
static bool deliver(struct engine *g, struct seq *s, const struct drawn *d)
{
    struct event ev = {.kind = EVENT_TOKEN, .drawn = d, .n_prompt = s->n_prompt, .n_cached = s->n_cached, .reuse = &s->reuse};
    if (d->token < 0 || (uint32_t)d->token >= g->n_vocab) {
        struct err e;
        err_set(&e, ERR_INTERNAL, "the model gave logits that are not numbers");
        jobs_end(g, s, END_FAILED, &e);
        return false;
    }
    if (!s->drawn_at) {
        s->drawn_at = g->landed_at;
        s->reuse.n_skipped = s->shown ? s->shown->media.n_picture - s->reuse.n_hit - s->reuse.n_encoded : 0;
    }
    seq_push(s, d->token, g->sha, g->plan.block_tokens);
    ev.n_drawn = s->n_token - s->n_prompt;
    ev.n_drafted = s->n_drafted;
    ev.n_accepted = s->n_accepted;
    g->count.tokens_drawn++;
    s->event(s->ctx, &ev);
    bool stops = seq_stops_at(s, d->token), ends = stops || s->n_token == s->limit;
    if (ends)
        jobs_end(g, s, stops ? END_STOP : END_LENGTH, NULL);
    return !ends;
}

/* Draws the row's tokens in their order: each by the generator's number, the counts and the states that it would have
 * had without guesses.  Where a guess comes true its states are in the blocks already, and the next token is drawn from
 * the row behind it; behind the first that does not, nothing is of use, and it is written over when its turn comes. */
static void land_draws(struct engine *g, const struct step *step, const struct step_row *r)
{
    struct seq *s = r->seq;
    s->n_ahead--;
    for (uint32_t i = 0;; i++) {
        struct drawn *d = &step->drawn[r->pick + i];
        if (g->sampler)
            draw_here(g, s, r->pick + i, d);
        bool guessed = i < r->n_draft && d->token == s->token[s->n_token];
        s->n_accepted += guessed;
        g->count.tokens_accepted += guessed;
        if (!deliver(g, s, d))
            return;
        if (!guessed || atomic_load(&s->cancelled))
            break;
        s->n_run = ++s->n_done;
        seq_publish(s, &g->kv);
    }
    if (r->n_draft)
        seq_trim(s, &g->kv, s->n_run);
}

void step_land_row(struct engine *g, const struct step *step, const struct step_row *r)
{
    struct seq *s = r->seq;
    if (r->snapshot != KV_NONE && (!s || step->failed))
        kv_unref(&g->snapshots, r->snapshot);
    if (!s)
        return;
    if (step->failed) {
        jobs_end(g, s, END_FAILED, &step->err);
        return;
    }
    s->n_done = r->past + r->n - r->n_draft;
    seq_publish(s, &g->kv);
    look_pass(g, s);
    if (r->snapshot != KV_NONE)
        seq_keep(s, &g->snapshots, r->snapshot, g->plan.block_tokens);
    if (r->pick != KV_NONE)
        land_draws(g, step, r);
    else if (!s->draws && s->n_done == s->n_prompt)
        jobs_end(g, s, END_LENGTH, NULL);
}

/* Drawing here is part of the step.  Drawing there is over by now, and the next step may be under way. */
void step_land(struct engine *g)
{
    struct step *step = g->flight;
    if (!step->failed && g->waits)
        step->failed = !g->opts.type->wait(g->text, &step->err);
    g->flight = NULL;
    uint64_t now = clock_ns(g->opts.clock), from = step->launched_at > g->landed_at ? step->launched_at : g->landed_at;
    g->landed_at = now;
    for (uint32_t i = 0; i < step->n_row; i++)
        step_land_row(g, step, &step->row[i]);
    step->n_row = 0;
    now = g->sampler ? clock_ns(g->opts.clock) : now;
    g->count.step_ns = now - from;
    g->count.busy_ns += now - from;
    while (step->failed && g->snapshots.idle.n)         /* copies may have failed with it */
        kv_forget(&g->snapshots, g->snapshots.idle.first);
    if (!step->failed)
        cost_learn(&g->cost, step->n_token, step->attended, (double)(now - from));
}
