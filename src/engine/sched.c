/* sched.c -- see sched.h.
 *
 * TIME.  A step may take opts.step_ns, twice that where nobody draws.  Rows that draw are always in it.  Prompts get what is left, and never less
 * than half of what the drawing rows take: on a machine where those alone fill the step, it grows by half rather than
 * that prompts stand still.
 *
 * ORDER.  A quarter of the prompts' time is shared out evenly, so that every one of them moves; the rest goes to
 * whoever has least left to read, so that most wait least.  Each step of age counts as AGE_ROWS less left to read, so
 * that long prompts come first in the end.
 *
 * SHARED PROMPTS.  When several read the same text, one of them reads it and the others wait at the block they are at
 * until it can be found.  Who waits lends its place in the order to the one it waits for.
 *
 * SNAPSHOTS.  What a model remembers of a sequence as a whole is only known behind the last row of a run.  So runs end
 * where it is to be copied (seq_save_after), and who waits for another's reading waits for such a copy.
 *
 * GUESSES.  A sequence that draws may take along tokens that it will likely draw next (draft.h).  Each such row makes
 * the step longer for everybody, so it must multiply its own sequence's speed by more than it divides those of all
 * together.  Alone, that is what gives most tokens a second; in a full batch only what is nearly certain passes.  No
 * prompt loses its row to a guess, and nobody's block is short because of one.
 *
 * BLOCKS.  When drawing rows find none, a job is put back: its full blocks go to the cache, and when its turn comes
 * again only what was evicted in between is computed again.  The oldest job of all is never put back while another
 * runs, so something always gets done. */
#include "engine/sched.h"

#include "engine/aside.h"
#include "engine/jobs.h"
#include "engine/step.h"

enum { AGE_ROWS = 32 };

/* Odds and costs are estimates, and a row that draws costs a little more than the prompts' rows beside which it was
 * measured: a guess must pay by an eighth more than it seems to cost. */
static const double GUESS_MARGIN = 1.125;

/* ---- who runs ---------------------------------------------------------------------------------------------------- */

static void put_back(struct engine *g, struct seq *s)
{
    uint32_t at = 0;
    CHECK(!g->flight);
    while (g->run[at] != s)
        at++;
    g->n_run--;
    memmove(&g->run[at], &g->run[at + 1], (g->n_run - at) * sizeof(struct seq *));
    aside_leave(g, s);
    seq_release(s, &g->kv);
    look_leave(g, s);
    g->slot_taken[s->slot] = false;
    s->running = false;
    s->put_back = true;
    turns_put_back(&g->turns, s);
    g->count.n_preempted++;
}

/* Only what its prompt found counts, not what it finds again after it was put back: more would be found than was asked
 * for. */
static void found(struct engine *g, struct seq *s, uint32_t n)
{
    if (s->put_back || s->n_token > s->n_prompt)
        return;
    g->count.tokens_cached += n;
    s->n_cached += n;
}

/* Notes where the prompt parts from all that is known, for people who wonder why so little was found. */
static void note_parting(struct seq *s, const struct kv_near *near)
{
    static const enum parted how[] = {[PARTING_UNKNOWN] = PARTED_UNKNOWN, [PARTING_TOKEN] = PARTED_TOKEN,
                                      [PARTING_SEEN] = PARTED_PICTURE, [PARTING_END] = PARTED_END};
    uint32_t at = s->n_run + near->same;
    if (s->put_back || s->n_token > s->n_prompt)
        return;
    s->reuse.parted_at = s->cached ? at : 0;
    s->reuse.parted = !s->cached ? PARTED_OFF : at + 1 >= s->n_token ? PARTED_NOT : how[near->parting];
}

/* Takes the full blocks that the cache has of its next tokens, and what was remembered behind them. */
static void take_known(struct engine *g, struct seq *s)
{
    uint32_t snapshot;
    seq_match(s, &g->kv, &g->snapshots, &snapshot);
    if (snapshot == KV_NONE)
        return;
    g->opts.type->slot_copy(g->backend, g->plan.seq_max + snapshot, s->slot);
    kv_ref(&g->snapshots, snapshot);
    kv_unref(&g->snapshots, snapshot);      /* the youngest of all now */
    g->count.snapshots_found++;
}

/* The same for one that has begun to read. */
static void match(struct engine *g, struct seq *s)
{
    uint32_t from = s->n_run;
    take_known(g, s);
    seq_back_off(s, &g->kv, from);
    if (s->n_run == from)
        return;
    struct kv_near near = seq_near(s, &g->kv);
    note_parting(s, &near);
    found(g, s, s->n_run - from);
}

/* Whether o's blocks have, or will have, the same name as s's for number k. */
static bool same_block(const struct seq *o, const struct seq *s, uint32_t k)
{
    return o->n_key > k && memcmp(&o->key[k], &s->key[k], sizeof o->key[k]) == 0;
}

/* Whether another will fill the block that s needs next: then it is worth waiting for. */
static bool awaited(const struct engine *g, const struct seq *s)
{
    uint32_t k = s->n_block;
    for (uint32_t i = 0; k < s->n_key && i < g->n_run; i++) {
        const struct seq *o = g->run[i];
        if (o != s && same_block(o, s, k))
            return true;
    }
    return false;
}

/* Copies the beginning of the block that comes next from one that begins like it.  False: there is none, or of no use. */
static bool copy_part(struct engine *g, struct seq *s, const struct kv_near *near)
{
    uint32_t from = s->whole ? KV_NONE : near->block, end = shown_whole(s->shown, s->n_run + near->same);
    if (from == KV_NONE || end <= s->n_run || !g->opts.type->copy || awaited(g, s))
        return false;
    kv_ref(&g->kv, from);
    bool ok = kv_available(&g->kv) > 0;
    if (ok) {
        uint32_t to = kv_take(&g->kv, s->n_block ? s->block[s->n_block - 1] : KV_NONE);
        g->opts.type->copy(g->backend, from, to);
        seq_adopt(s, to, end - s->n_run);
    }
    kv_unref(&g->kv, from);
    return ok;
}

/* The same for one that has nothing yet: full blocks, and what it can of the one behind them. */
static void match_all(struct engine *g, struct seq *s)
{
    take_known(g, s);
    struct kv_near near = seq_near(s, &g->kv);
    note_parting(s, &near);
    if (!copy_part(g, s, &near) && shown_whole(s->shown, s->n_run) < s->n_run) {
        seq_back_off(s, &g->kv, 0);
        near = seq_near(s, &g->kv);
        copy_part(g, s, &near);
    }
    found(g, s, s->n_run);
}

/* Room for the job's known tokens and one more, beside what the running still need for theirs and a block each to go on
 * with; otherwise somebody would soon be put back for it. */
static bool fits(const struct engine *g, const struct seq *s)
{
    uint32_t bt = g->plan.block_tokens;
    uint64_t need = seq_blocks(s, bt) - seq_shared(s, &g->kv, &g->snapshots) + g->n_run;
    if (g->n_run == 0)
        return true;
    for (uint32_t i = 0; i < g->n_run; i++) {
        uint32_t wants = seq_blocks(g->run[i], bt), has = g->run[i]->n_block;
        need += wants > has ? wants - has : 0;
    }
    return need <= kv_available(&g->kv);
}

static void take(struct engine *g, struct seq *s)
{
    turns_take(&g->turns, s);
    g->run[g->n_run++] = s;
    s->running = true;
    for (s->slot = 0; g->slot_taken[s->slot];)
        s->slot++;
    g->slot_taken[s->slot] = true;
    match_all(g, s);
    if (s->put_back)
        return;
    s->started_at = clock_ns(g->opts.clock);
    struct event ev = {.kind = EVENT_STARTED, .n_prompt = s->n_prompt, .n_cached = s->n_cached, .reuse = &s->reuse,
                       .queued_ns = s->started_at - s->queued_at};
    g->count.tokens_prompt += s->n_prompt;
    s->event(s->ctx, &ev);
}

void sched_admit(struct engine *g)
{
    for (struct seq *s; (s = turns_next(&g->turns));) {
        if (g->n_run < g->plan.seq_max && fits(g, s)) {
            take(g, s);
            continue;
        }
        struct seq *v = turns_victim(g->run, g->n_run);
        if (v->turn->n_running < s->turn->n_running + 2)
            return;
        if (g->flight)
            step_land(g);           /* which may end v or s: look again */
        else
            put_back(g, v);
    }
}

/* Whether its next row draws: one is left to read, and what it shows is there. */
static bool draws(const struct seq *s)
{
    return seq_need(s) == 1 && (!s->shown || shown_readable(s->shown, s->n_run, 1) == 1);
}

static bool reads(const struct seq *s)
{
    return seq_need(s) > 0 && !draws(s);
}

/* ---- which rows -------------------------------------------------------------------------------------------------- */

/* What a plan has used so far. */
struct budget {
    uint32_t n_row, n_token, blocks;
    double   attended, ns;
    struct seq *aside;              /* what is to be read aside from now on */
    uint32_t    aside_n;
};

static void add_row(struct budget *b, struct step_row *row, struct seq *s)
{
    row[b->n_row++] = (struct step_row){.seq = s, .past = s->n_run, .snapshot = KV_NONE};
}

/* Lets row r have n more tokens. */
static void extend(const struct engine *g, struct budget *b, struct step_row *r, uint32_t n)
{
    uint32_t had = blocks_for(r->past + r->n, g->plan.block_tokens), has = r->seq->n_block;
    uint32_t wants = blocks_for(r->past + r->n + n, g->plan.block_tokens);
    had = had > has ? had : has;
    b->blocks -= wants > had ? wants - had : 0;
    b->attended += cost_attended(r->past + r->n, n);
    b->n_token += n;
    r->n += n;
}

/* How many more tokens row r could have if time were no matter.  A run ends where a snapshot is to be made. */
static uint32_t room_for(const struct engine *g, const struct budget *b, const struct step_row *r)
{
    uint32_t has = blocks_for(r->past + r->n, g->plan.block_tokens);
    has = has > r->seq->n_block ? has : r->seq->n_block;
    uint64_t held = ((uint64_t)has + b->blocks) * g->plan.block_tokens - r->past - r->n;
    uint32_t n = seq_need(r->seq) - r->n, rows = g->plan.token_max - b->n_token;
    n = n < rows ? n : rows;
    n = n < held ? n : (uint32_t)held;
    uint32_t before = seq_save_after(r->seq, r->past, g->plan.block_tokens) - r->past - r->n;
    n = n < before ? n : before;
    return r->seq->shown ? shown_readable(r->seq->shown, r->past + r->n, n) : n;
}

/* So many of n more tokens that no picture which must come whole is cut. */
static uint32_t uncut(const struct step_row *r, uint32_t n)
{
    uint32_t at = r->past + r->n, end = shown_whole(r->seq->shown, at + n);
    return end > at ? end - at : 0;
}

/* Blocks for the rows that draw, putting others back while they are short.  False: the flight must land first. */
static bool room_to_draw(struct engine *g)
{
    for (;;) {
        uint32_t need = 0;
        for (uint32_t i = 0; i < g->n_run; i++) {
            const struct seq *s = g->run[i];
            need += draws(s) && s != g->aside_seq && blocks_for(s->n_run + 1, g->plan.block_tokens) > s->n_block;
        }
        if (need <= kv_available(&g->kv))
            return true;
        if (g->flight)
            return false;
        CHECK(g->n_run > 1);
        put_back(g, turns_victim(g->run, g->n_run));
    }
}

/* ---- which guesses ----------------------------------------------------------------------------------------------- */

static void add_drawer(const struct engine *g, struct budget *b, struct step_row *row, struct seq *s)
{
    struct step_row *r = &row[b->n_row];
    add_row(b, row, s);
    extend(g, b, r, 1);
    r->tokens = 1;
    r->chance = s->draft.length ? draft_odds(&s->draft, 0) : 0;
}

/* By how much one guess more would multiply the tokens that row r may expect, less one.  0: it can have none. */
static double gain(const struct engine *g, const struct budget *b, const struct step_row *r)
{
    const struct seq *s = r->seq;
    uint32_t bt = g->plan.block_tokens, wants = blocks_for(r->past + r->n + 1, bt);
    bool     grows = wants > s->n_block && wants > blocks_for(r->past + r->n, bt);
    if (s->long_from && !s->is_long && s->n_token + r->n_draft >= s->long_from)
        return 0;                   /* what is guessed would be computed for another length */
    if (r->n_draft == DRAFT_MAX || s->n_token + r->n_draft + 1 >= s->limit || (grows && b->blocks <= g->n_run))
        return 0;
    return r->chance / r->tokens;
}

/* Adds guesses, the best first, to the n drawing rows.  Not where many draw: there a row costs nearly what it costs
 * alone, and wrong guesses were measured to lose more than right ones gained. */
static void add_guesses(const struct engine *g, struct budget *b, struct step_row *row)
{
    uint32_t n = b->n_row, reading = g->n_run - n, rows = g->plan.token_max - b->n_token - reading;
    uint32_t most = g->plan.pick_max - g->plan.seq_max;
    double   least = reading ? (double)g->opts.step_ns : 0;     /* prompts fill the step */
    if (n > (g->opts.guess_seqs ? g->opts.guess_seqs : (g->plan.seq_max + 1) / 2))
        return;
    for (most = most < rows ? most : rows; most > 0; most--) {
        struct step_row *r = NULL;
        double           best = 0;
        for (uint32_t i = 0; i < n; i++) {
            double x = gain(g, b, &row[i]);
            if (x > best) {
                best = x;
                r = &row[i];
            }
        }
        if (!r)
            return;
        double ns = cost_ns(&g->cost, b->n_token, b->attended);
        double more = cost_ns(&g->cost, b->n_token + 1, b->attended + r->past + r->n + 1) - ns;
        if (best * (ns > least ? ns : least) <= GUESS_MARGIN * more * g->n_run)
            return;
        extend(g, b, r, 1);
        r->tokens += r->chance;
        r->chance *= draft_odds(&r->seq->draft, ++r->n_draft);
    }
}

/* ---- which prompts ----------------------------------------------------------------------------------------------- */

static int64_t left_to_read(const struct seq *s)
{
    return (int64_t)seq_need(s) - (int64_t)s->age * AGE_ROWS;
}

/* The readers in their order; insertion keeps the elder first among equals. */
static uint32_t readers(const struct engine *g)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->n_run; i++) {
        struct seq *s = g->run[i];
        if (!reads(s) || s == g->aside_seq)
            continue;
        uint32_t at = n++;
        for (; at > 0 && left_to_read(s) < left_to_read(g->order[at - 1]); at--)
            g->order[at] = g->order[at - 1];
        g->order[at] = s;
    }
    return n;
}

/* Whether o reads what s, which is at the edge of block k, can go on behind. */
static bool reads_for(const struct engine *g, const struct seq *o, const struct seq *s, uint32_t k)
{
    uint32_t bt = g->plan.block_tokens;
    if (!s->whole)
        return o->n_public <= k && same_block(o, s, k);
    uint32_t at = seq_save_after(o, o->n_done > s->n_run ? o->n_done : s->n_run, bt);
    return s->there >= o->n_public && at / bt <= seq_matchable(s, bt) && same_block(o, s, at / bt - 1);
}

/* The one that reads what order[i] has next: itself, or whoever is furthest of those that share that block.  Only at
 * the edge of a block; who has begun one goes on with it. */
static struct seq *leader(const struct engine *g, uint32_t i)
{
    struct seq *s = g->order[i], *lead = s;
    uint32_t    bt = g->plan.block_tokens, k = s->n_run / bt;
    if (s->n_run % bt || s->n_done != s->n_run || k >= s->n_key || (k + 1) * (uint64_t)bt >= s->n_token)
        return s;
    for (uint32_t j = 0; j < g->n_run; j++) {
        struct seq *o = g->run[j];
        if (o != s && o->n_run > lead->n_run && reads_for(g, o, s, k))
            lead = o;
    }
    for (uint32_t j = 0; lead == s && j < i; j++) {
        struct seq *o = g->order[j];
        if (o->n_run == s->n_run && reads_for(g, o, s, k))
            return o;
    }
    return lead;
}

/* Adds a row without tokens for every reader that does not wait for another's; those that are waited for take the
 * place of the first who waits. */
static void add_readers(struct engine *g, struct budget *b, struct step_row *row)
{
    uint32_t from = b->n_row, n = readers(g);
    for (uint32_t i = 0; i < n; i++) {
        struct seq *s = leader(g, i);
        uint32_t    at = from;
        while (at < b->n_row && row[at].seq != s)
            at++;
        if (at == b->n_row && reads(s) && s != g->aside_seq) {
            add_row(b, row, s);
            if (s->shown)
                look_want(g, s);
        }
    }
}

/* What lets row r go on that has nothing yet, where it comes to a picture that must be read whole: if others draw it is read
 * aside.  True: it goes there, or is to wait until it can. */
static bool goes_aside(struct engine *g, struct budget *b, const struct step_row *r, uint32_t least, bool others_draw)
{
    struct seq *s = r->seq;
    uint32_t    wants = blocks_for(r->past + least, g->plan.block_tokens);
    if (least == 1 || !others_draw || !g->aside_plan || r->past + least == s->n_token)
        return false;
    if (!g->aside_seq && !b->aside && room_for(g, b, r) >= least) {
        b->blocks -= wants > s->n_block ? wants - s->n_block : 0;
        b->aside = s;
        b->aside_n = least;
    }
    return true;
}

/* The rows that got nothing: the first of all reads its picture in any case, and somebody must move. */
static void share_least(struct engine *g, struct budget *b, struct step_row *row, uint32_t first)
{
    uint32_t before = b->n_token;
    for (struct step_row *r = row + first; r < row + b->n_row; r++) {
        uint32_t least = shown_least(r->seq->shown, r->past);
        if (r->n > 0) {
            before = UINT32_MAX;                /* somebody moved */
            continue;
        }
        bool must = b->n_token == before || (least > 1 && r == row + first);
        if (!goes_aside(g, b, r, least, first > 0) && must && room_for(g, b, r) >= least)
            extend(g, b, r, least);
    }
}

/* Shares the prompts' time out among rows first .. n_row-1. */
static void share_time(struct engine *g, struct budget *b, struct step_row *row, uint32_t first)
{
    uint32_t n = b->n_row - first;
    double   draws = cost_ns(&g->cost, b->n_token ? b->n_token : 1, b->attended);
    double   may = (first ? 1.0 : 2.0) * (double)g->opts.step_ns;       /* nobody waits for a token where none is drawn */
    b->ns = draws * 1.5 > may ? draws * 1.5 : may;
    if (g->aside_seq || look_busy(g))
        b->ns -= (b->ns - draws) / 2;       /* the tower's half */
    for (uint32_t i = 0; i < n; i++) {
        struct step_row *r = &row[first + i];
        double until = draws + (b->ns - draws) * (i + 1) / (4.0 * n);
        extend(g, b, r, uncut(r, cost_fit(&g->cost, b->n_token, b->attended, r->past, room_for(g, b, r), until)));
    }
    for (uint32_t i = 0; i < n; i++) {
        struct step_row *r = &row[first + i];
        extend(g, b, r, uncut(r, cost_fit(&g->cost, b->n_token, b->attended, r->past + r->n, room_for(g, b, r), b->ns)));
    }
    share_least(g, b, row, first);
}

/* Drops the rows that got no tokens. */
static uint32_t compact(struct step_row *row, uint32_t n)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++)
        if (row[i].n)
            row[kept++] = row[i];
    return kept;
}

uint32_t sched_plan(struct engine *g, struct step_row *row)
{
    for (uint32_t i = 0; i < g->n_run; i++) {
        g->run[i]->age++;
        if (!g->flight && g->run[i] != g->aside_seq)
            seq_lengthen(g->run[i], &g->kv, g->sha);
        if (seq_need(g->run[i]) > 1)
            match(g, g->run[i]);
        look_pass(g, g->run[i]);
        if (g->run[i]->shown)
            g->run[i]->shown->want = MEDIA_NEWLINE;
    }
    for (;;) {
        if (!room_to_draw(g))
            return 0;
        struct budget b = {.blocks = kv_available(&g->kv)};
        for (uint32_t i = 0; i < g->n_run; i++)
            if (draws(g->run[i]) && g->run[i] != g->aside_seq)
                add_drawer(g, &b, row, g->run[i]);
        add_guesses(g, &b, row);
        uint32_t first = b.n_row;
        add_readers(g, &b, row);
        if (b.n_row > first)
            share_time(g, &b, row, first);
        uint32_t n = compact(row, b.n_row);
        if (b.aside)
            aside_begin(g, b.aside, b.aside_n);
        if (n > 0 || b.n_row == 0 || g->flight || g->aside_seq || look_busy(g))
            return n;
        CHECK(g->n_run > 1);        /* nobody can move for want of blocks */
        put_back(g, turns_victim(g->run, g->n_run));
    }
}
