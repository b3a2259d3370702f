/* fake.c -- see fake.h. */
#include "fake.h"

#include "backend/host.h"
#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct fake fake;

struct slot {
    uint64_t hash;
    uint32_t pos;
    int32_t  token;
};

struct memory {
    uint64_t hash, all;
    uint32_t n;
};

struct backend {
    struct slot   *slot;
    struct memory *memory;          /* [seq_max + slot_extra]; NULL: the model has no such states */
    bool           tokens;          /* states of tokens count */
    uint32_t       n_block, n_memory, block_tokens;
};

struct flight {
    struct drawn *out;
    uint64_t      done_at;
    struct drawn  drawn[64];
    uint32_t      n;
};

/* The content of a row, its place on the axes, and the first row that it may not see. */
struct row_is {
    uint64_t content;
    uint32_t pos[SHOWN_AXES], see;
};

struct plan {
    struct backend *b;
    bool            is_tower;
    uint32_t        n_seen;         /* patches that the run has done; 0 between runs */
    struct row_is  *row;            /* [token_max] */
    uint64_t        spent;          /* ns of a run of the text that has stopped */
    float          *feature[FAKE_LEVELS];
    uint32_t        n_pick, seq_max, pick_max;
    float          *logits;
    int32_t         last[64];       /* the draw before */
    struct flight   flight[2];
    uint32_t        n_flight;
    struct sampler *sampler;
};

/* ---- what tokens mean -------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t x[2] = {a, b};
    return hash64(x, sizeof x, 7);
}

/* ---- what pictures mean ------------------------------------------------------------------------------------------ */

static const struct vision *eyes;               /* of the model; NULL: it sees nothing */

static float patch_value(uint64_t seed, uint32_t i)
{
    return (float)(mix(seed, i) & 0xffff);
}

static bool fake_patches(void *ctx, float *out, struct err *e)
{
    struct fake_picture *p = ctx;
    p->n_asked++;
    for (uint32_t i = 0; i < p->rows * p->columns * FAKE_PATCH_WIDTH; i++)
        out[i] = patch_value(p->seed, i);
    return !p->fails || err_set(e, ERR_INVALID, "the fake picture cannot be had");
}

struct picture fake_picture(struct fake_picture *p)
{
    uint64_t name[3] = {p->seed, p->rows, p->columns};
    return (struct picture){.key = sha256_of(name, sizeof name), .rows = p->rows, .columns = p->columns, .patches = fake_patches, .ctx = p};
}

/* Number k of a feature: of four patches, their places and the level. */
static float feature_value(const float *patch, const uint32_t y[4], const uint32_t x[4], uint32_t level, uint32_t k)
{
    uint64_t hash = level * 100 + k;
    for (uint32_t i = 0; i < 4; i++) {
        hash = mix(hash, y[i] * 1000 + x[i]);
        for (uint32_t c = 0; c < FAKE_PATCH_WIDTH; c++)
            hash = mix(hash, (uint64_t)patch[i * FAKE_PATCH_WIDTH + c]);
    }
    return (float)(hash >> 40);
}

/* What a row shows: all numbers on all levels. */
static uint64_t content_of(float (*value)(const void *ctx, uint32_t level, uint32_t k), const void *ctx)
{
    uint64_t hash = 77;
    for (uint32_t level = 0; level < FAKE_LEVELS; level++)
        for (uint32_t k = 0; k < FAKE_WIDTH; k++)
            hash = mix(hash, (uint64_t)value(ctx, level, k));
    return hash;
}

struct block_of {
    const struct fake_picture *p;
    uint32_t                   at;
};

static float value_of_block(const void *ctx, uint32_t level, uint32_t k)
{
    const struct block_of *b = ctx;
    uint32_t               across = b->p->columns / 2, y[4], x[4];
    float                  patch[4 * FAKE_PATCH_WIDTH];
    for (uint32_t i = 0; i < 4; i++) {
        y[i] = b->at / across * 2 + i / 2;
        x[i] = b->at % across * 2 + i % 2;
    }
    for (uint32_t i = 0; i < 4 * FAKE_PATCH_WIDTH; i++)
        patch[i] = patch_value(b->p->seed, b->at * 4 * FAKE_PATCH_WIDTH + i);
    return feature_value(patch, y, x, level, k);
}

struct row_in {
    const struct span *span;
    uint32_t           at;
};

static float value_of_row(const void *ctx, uint32_t level, uint32_t k)
{
    const struct row_in *r = ctx;
    return host_features_row(r->span->features, r->span->from + r->at + level * r->span->step, FAKE_WIDTH)[k];
}

static uint64_t row_name(const struct row_is *r)
{
    uint64_t hash = r->content;
    for (uint32_t axis = 0; axis < SHOWN_AXES; axis++)
        hash = mix(hash, r->pos[axis]);
    return hash;
}

/* With what lies behind it and is seen all the same. */
static uint64_t next_hash(uint64_t before, const struct row_is *row, uint32_t at)
{
    uint64_t hash = mix(before, row_name(row));
    for (uint32_t i = 1; at + i < row->see; i++)
        hash += mix(row[i].content, i);
    return hash;
}

static void describe_item(const struct job *j, const struct item *it, uint32_t at, struct row_is *out)
{
    const struct vision *v = eyes;
    uint32_t            *pos = mem_array((size_t)it->n * SHOWN_AXES, sizeof *pos);
    vision_positions(v, at, it->n_pair, it->rows, it->columns, it->seconds, pos, it->n);
    for (uint32_t i = 0; i < it->n; i++) {
        for (uint32_t axis = 0; axis < SHOWN_AXES; axis++)
            out[i].pos[axis] = v->axes ? pos[axis * it->n + i] : at + i;
        out[i].see = v->sees ? it->row + it->n : it->row + i + 1;
    }
    for (uint32_t s = 0; s < j->media.n_span; s++) {
        const struct media_span *span = &j->media.span[s];
        for (uint32_t i = 0; span->row >= it->row && span->row < it->row + it->n && i < span->n; i++) {
            struct block_of b = {j->media.picture[span->picture].ctx, span->from + i};
            out[span->row - it->row + i].content = content_of(value_of_block, &b);
        }
    }
    free(pos);
}

/* All rows of the prompt; returns the position of the first token behind it. */
static uint32_t describe_prompt(const struct job *j, struct row_is *out)
{
    uint32_t at = 0, item = 0;
    for (uint32_t row = 0; row < j->n_token;) {
        const struct item *it = item < j->media.n_item ? &j->media.item[item] : NULL;
        if (it && it->row == row) {
            describe_item(j, it, at, out + row);
            uint32_t tall = it->rows / 2, wide = it->columns / 2;
            at += eyes->axes ? tall > wide ? tall : wide : it->n;
            row += it->n;
            item++;
        } else {
            out[row] = (struct row_is){(uint64_t)j->token[row], {at, at, at}, row + 1};
            at++;
            row++;
        }
    }
    return at;
}

void fake_say(struct fake_prompt *q, int32_t token)
{
    q->token[q->n_token++] = token;
}

void fake_show(struct fake_prompt *q, struct fake_picture *p)
{
    uint32_t i = q->n_item++, n = p->rows / 2 * (p->columns / 2);
    q->picture[i] = fake_picture(p);
    q->item[i] = (struct item){.row = q->n_token, .n = n, .key = q->picture[i].key, .n_pair = 1, .rows = p->rows, .columns = p->columns};
    q->span[i] = (struct media_span){.row = q->n_token, .n = n, .picture = i};
    while (n-- > 0)
        fake_say(q, FAKE_PAD);
}

struct media fake_media(const struct fake_prompt *q)
{
    return (struct media){q->picture, q->item, q->span, q->n_item, q->n_item, q->n_item};
}

/* ---- what is said to them ---------------------------------------------------------------------------------------- */

/* Where the text repeats itself, `again` is what it said a period ago; -1: it was not so long yet. */
static void make_logits(uint64_t seen, int32_t again, float *out)
{
    for (uint32_t i = 0; i < FAKE_VOCAB; i++)
        out[i] = (float)(mix(seen, i) >> 40) / (float)(1 << 22) - 2.0f;
    if (again >= 0 && mix(seen, FAKE_VOCAB) % 16)
        out[again] += 20;
}

struct draw greedy(void)
{
    return (struct draw){.top_p = 1, .repeat = 1};
}

static uint32_t count_seen(const struct job *j, const int32_t *out, uint32_t n, struct draw_seen *seen)
{
    uint32_t n_seen = 0;
    for (int32_t t = 0; t < FAKE_VOCAB; t++) {
        struct draw_seen s = {.token = t};
        for (uint32_t i = 0; i < j->n_token; i++)
            s.prompt += j->token[i] == t;
        for (uint32_t i = 0; i < n; i++)
            s.answer += out[i] == t;
        if (s.prompt || s.answer)
            seen[n_seen++] = s;
    }
    return n_seen;
}

uint32_t fake_oracle(const struct job *j, uint32_t context, int32_t *out, uint32_t n_max)
{
    struct sampler  *sampler = sample_new(FAKE_VOCAB);
    struct draw_seen seen[FAKE_VOCAB];
    float            logits[FAKE_VOCAB];
    uint64_t         hash = 0, all = 0;
    uint32_t         n = 0, pos = 0;
    struct row_is   *row = mem_array(j->n_token, sizeof *row);
    uint32_t         behind = describe_prompt(j, row);
    for (; pos < j->n_token; pos++) {
        hash = next_hash(hash, &row[pos], pos);
        all += mix(hash, pos);
    }
    free(row);
    while (n < n_max && n < j->tokens_max && pos < context) {
        uint32_t     from = pos - fake.period;
        int32_t      again = -1;
        if (fake.period && pos >= fake.period)
            again = from < j->n_token ? j->token[from] : out[from - j->n_token];
        struct draw  d = j->draw;
        struct drawn drawn;
        d.counter = n;
        d.seen = seen;
        d.n_seen = count_seen(j, out, n, seen);
        make_logits(all, again, logits);
        assert_true(sample(sampler, logits, &d, &drawn));
        out[n++] = drawn.token;
        struct row_is next = {(uint64_t)drawn.token, {behind, behind, behind}, pos + 1};
        behind++;
        hash = next_hash(hash, &next, pos);
        all += mix(hash, pos++);
        bool stops = false;
        for (uint32_t i = 0; i < j->n_stop; i++)
            stops |= j->stop[i] == drawn.token;
        if (stops)
            break;
    }
    sample_free(sampler);
    return n;
}

/* ---- the backend ------------------------------------------------------------------------------------------------- */

static bool b_open(struct backend **out, const struct backend_opts *o, struct err *e)
{
    (void)o;
    (void)e;
    *out = mem_new(sizeof **out);
    return true;
}

static void b_close(struct backend *b)
{
    free(b->slot);
    free(b->memory);
    free(b);
}

static bool b_size(struct backend *b, const struct prog *p, const struct plan_opts *o, struct cost *out, struct err *e)
{
    (void)b;
    (void)e;
    *out = (struct cost){.block_bytes = 1000, .scratch_bytes = o->token_max * 100,
                         .slot_bytes = bundle_has_state(prog_bundle(p), STATE_SEQUENCE) ? FAKE_SLOT_BYTES : 0};
    return true;
}

static uint64_t b_weight_bytes(const struct backend *b, const struct weight *w, const struct tensor part[], size_t n)
{
    (void)b, (void)w, (void)part, (void)n;
    return 1000000;
}

static bool b_adopt(struct backend *b, const struct bundle *m, wt w, const struct tensor part[], size_t n,
                    struct err *e)
{
    (void)b, (void)m, (void)w, (void)part, (void)n, (void)e;
    return true;
}

static bool b_reserve(struct backend *b, const struct bundle *m, const struct plan_opts *o, uint32_t n, struct err *e)
{
    (void)e;
    b->n_block = n;
    b->tokens = bundle_has_state(m, STATE_TOKEN) || !bundle_has_state(m, STATE_SEQUENCE);
    if (bundle_has_state(m, STATE_SEQUENCE)) {
        b->n_memory = o->seq_max + o->slot_extra;
        b->memory = mem_array(b->n_memory, sizeof *b->memory);
    }
    b->block_tokens = o->block_tokens;
    b->slot = mem_array((size_t)n * o->block_tokens, sizeof *b->slot);
    return true;
}

static void b_copy(struct backend *b, uint32_t from, uint32_t to)
{
    size_t n = b->block_tokens;
    memcpy(b->slot + to * n, b->slot + from * n, n * sizeof *b->slot);
}

static void b_slot_copy(struct backend *b, uint32_t from, uint32_t to)
{
    assert_true(from < b->n_memory && to < b->n_memory && from != to);
    b->memory[to] = b->memory[from];
}

static bool b_compile(struct backend *b, const struct prog *p, const struct plan_opts *o, struct plan **out,
                      struct err *e)
{
    (void)e;
    CHECK(o->pick_max <= 64);
    struct plan *pl = mem_new(sizeof *pl);
    if (prog_n_inputs(p)) {
        *pl = (struct plan){.b = b, .is_tower = true};
        for (uint32_t level = 0; level < FAKE_LEVELS; level++)
            pl->feature[level] = mem_array(o->token_max, FAKE_WIDTH * sizeof(float));
        *out = pl;
        return true;
    }
    *pl = (struct plan){.b = b, .seq_max = o->seq_max, .pick_max = o->pick_max,
                        .logits = mem_array((size_t)o->pick_max * FAKE_VOCAB, 4), .row = mem_array(o->token_max, sizeof *pl->row),
                        .sampler = sample_new(FAKE_VOCAB)};
    *out = pl;
    return true;
}

static void b_plan_free(struct plan *pl)
{
    assert_int_equal(pl->n_flight, 0);
    for (uint32_t level = 0; level < FAKE_LEVELS; level++)
        free(pl->feature[level]);
    sample_free(pl->sampler);
    free(pl->logits);
    free(pl->row);
    free(pl);
}

static struct slot *slot_at(const struct plan *pl, const struct batch *in, uint32_t s, uint32_t pos)
{
    uint32_t bt = pl->b->block_tokens, b = in->block[s * in->block_max + pos / bt];
    assert_true(pos / bt < in->block_max);
    assert_true(b < pl->b->n_block);
    return &pl->b->slot[b * bt + pos % bt];
}

/* Row i of the batch, which stands at pos in its sequence and holds `token` where it shows nothing. */
static struct row_is row_of(const struct batch *in, uint32_t i, uint32_t pos, int32_t token)
{
    struct row_is row = {.content = (uint64_t)token, .see = in->see ? in->see[i] : pos + 1};
    for (uint32_t axis = 0; axis < SHOWN_AXES; axis++)
        row.pos[axis] = in->pos ? in->pos[axis * in->n_token + i] : pos;
    for (uint32_t s = 0; s < in->n_span; s++)
        if (i >= in->span[s].row && i < in->span[s].row + in->span[s].n) {
            struct row_in r = {&in->span[s], i - in->span[s].row};
            assert_int_equal(token, FAKE_PAD);
            row.content = content_of(value_of_row, &r);
        }
    return row;
}

static int32_t token_at(const struct plan *pl, const struct batch *in, uint32_t i)
{
    int32_t token = in->token[i] < 0 ? pl->last[-1 - in->token[i]] : in->token[i];
    assert_in_range(token, 0, FAKE_VOCAB - 1);
    return token;
}

static void remember(struct memory *m, int32_t token)
{
    struct row_is row = {(uint64_t)token, {m->n, m->n, m->n}, m->n + 1};
    m->hash = next_hash(m->hash, &row, m->n);
    m->all += mix(m->hash, m->n++);
}

/* Adds the sequence's new tokens to what it remembers; with `garbage`, what a failed run may leave there. */
static void write_memory(const struct plan *pl, const struct batch *in, uint32_t s, bool garbage)
{
    assert_true(in->slot[s] < pl->seq_max);         /* nobody runs in a snapshot */
    struct memory *m = &pl->b->memory[in->slot[s]];
    if (in->past[s] == 0)
        *m = (struct memory){0};
    assert_int_equal(m->n, in->past[s]);
    for (uint32_t i = in->start[s]; i < in->start[s + 1]; i++)
        remember(m, token_at(pl, in, i));
    if (garbage)
        *m = (struct memory){13, 13, 99999};
}

/* Writes the sequence's new slots; with `garbage`, what a failed run may leave there. */
static void write_slots(const struct plan *pl, const struct batch *in, uint32_t s, bool garbage)
{
    uint32_t n = in->start[s + 1] - in->start[s], bt = pl->b->block_tokens;
    uint64_t hash = in->past[s] ? slot_at(pl, in, s, in->past[s] - 1)->hash : 0;
    struct row_is *row = pl->row;
    for (uint32_t i = 0; i < n; i++) {
        row[i] = row_of(in, in->start[s] + i, in->past[s] + i, token_at(pl, in, in->start[s] + i));
        assert_in_range(row[i].see, in->past[s] + i + 1, in->past[s] + n);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t     pos = in->past[s] + i;
        int32_t      token = token_at(pl, in, in->start[s] + i);
        struct slot *x = slot_at(pl, in, s, pos);
        if (fake.kv) {
            const struct kv_block *k = &fake.kv->block[in->block[s * in->block_max + pos / bt]];
            assert_int_equal(k->ref, 1);
            assert_false(k->published);
        }
        hash = next_hash(hash, &row[i], pos);
        *x = (struct slot){.hash = garbage ? 13 : hash, .pos = garbage ? 99999 : pos, .token = token};
    }
}

static uint64_t read_slots(const struct plan *pl, const struct batch *in, uint32_t s, uint32_t n)
{
    uint64_t all = 0;
    for (uint32_t pos = 0; pos < n; pos++) {
        const struct slot *x = slot_at(pl, in, s, pos);
        assert_int_equal(x->pos, pos);
        all += mix(x->hash, pos);
    }
    return all;
}

/* All that the first n tokens of the sequence give, from wherever they are remembered. */
static uint64_t read_all(const struct plan *pl, const struct batch *in, uint32_t s, uint32_t n)
{
    const struct memory *m = pl->b->memory ? &pl->b->memory[in->slot[s]] : NULL;
    uint64_t             all = pl->b->tokens ? read_slots(pl, in, s, n) : m->all;
    if (m) {
        assert_int_equal(m->n, n);      /* only its last row can be picked */
        assert_true(m->all == all);
    }
    return all;
}

/* What stood a period before the n-th token. */
static int32_t read_again(const struct plan *pl, const struct batch *in, uint32_t s, uint32_t n)
{
    return fake.period && n >= fake.period ? slot_at(pl, in, s, n - fake.period)->token : -1;
}

uint64_t fake_cost(uint32_t rows, double attended)
{
    return fake.step_cost + fake.row_cost * rows + (uint64_t)((double)fake.reach_cost * attended / 1000);
}

static void spend(const struct batch *in)
{
    double   attended = 0, drawing = 0, furthest = 0;
    uint32_t draw_rows = 0;
    fake.reads = 0;
    for (uint32_t s = 0, p = 0; s < in->n_seq; s++) {
        uint32_t n = in->start[s + 1] - in->start[s], from = p;
        double   a = cost_attended(in->past[s], n);
        while (p < in->n_pick && in->pick[p] < in->start[s + 1])
            p++;
        bool     draws = p - from == n;         /* each of its rows: one known token, and guessed ones */
        attended += a;
        furthest = in->past[s] + n > furthest ? in->past[s] + n : furthest;
        drawing += draws ? a : 0;
        draw_rows += draws ? n : 0;
        fake.reads += draws ? 0 : n;
    }
    fake.rows = in->n_token;
    fake.n_run++;
    uint64_t cost = fake_cost(in->n_token, attended);
    if (fake.check_time) {
        double least = 1.5 * (double)fake_cost(draw_rows ? draw_rows : 1, drawing);
        double may = (draw_rows ? 1.0 : 2.0) * (double)fake.budget_ns, most = least > may ? least : may;
        double row = (double)fake.row_cost + (double)fake.reach_cost * furthest / 1000;
        assert_true((double)cost <= most + row);
    }
    fake.device_free = (fake.device_free > fake.now ? fake.device_free : fake.now) + cost;
}

/* Looks at as many patches as the time allows, one at least. */
static bool run_tower(struct plan *pl, const struct batch *in, bool *done, struct err *e)
{
    uint32_t most = in->run_max && fake.patch_cost ? (uint32_t)(in->run_max * UINT64_C(1000) / fake.patch_cost) : in->n_token;
    uint32_t left = in->n_token - pl->n_seen, n = most < left ? most : left;
    n = n ? n : 1;
    fake.tower_runs++;
    fake.towers += pl->n_seen == 0;
    fake.now = (fake.device_free > fake.now ? fake.device_free : fake.now) + n * fake.patch_cost;
    fake.device_free = fake.now;
    pl->n_seen += n;
    if (fake.tower_fail_in && --fake.tower_fail_in == 0) {
        pl->n_seen = 0;
        return err_set(e, ERR_INTERNAL, "the fake tower fails on demand");
    }
    *done = pl->n_seen == in->n_token;
    for (uint32_t block = 0; *done && block < in->n_token / 4; block++)
        for (uint32_t level = 0; level < FAKE_LEVELS; level++)
            for (uint32_t k = 0; k < FAKE_WIDTH; k++)
                pl->feature[level][block * FAKE_WIDTH + k] =
                    feature_value(in->input[0] + (size_t)block * 4 * FAKE_PATCH_WIDTH, in->pos + block * 4,
                                  in->pos + in->n_token + block * 4, level, k);
    pl->n_seen = *done ? 0 : pl->n_seen;
    return true;
}

static void b_stop(struct plan *pl)
{
    assert_true(pl->is_tower ? pl->n_seen > 0 : pl->spent > 0);
    pl->n_seen = 0;
    pl->spent = 0;
    fake.tower_stops += pl->is_tower;
}

static bool b_keep(struct plan *pl, const char *name, uint32_t from, uint32_t n, struct features *into, size_t at, struct err *e)
{
    uint32_t level = strcmp(name, "features") == 0 ? 0 : 1;
    assert_true(level == 0 || strcmp(name, "features.1") == 0);
    return host_features_write(into, at, pl->feature[level] + from * FAKE_WIDTH, n * FAKE_WIDTH * sizeof(float), e);
}

/* A run of the text that is read in pieces: whether its time is not over yet.  The last piece costs nothing more here. */
static bool stops_early(struct plan *pl, const struct batch *in, bool *done)
{
    uint64_t slice = in->run_max * UINT64_C(1000), cost = fake_cost(in->n_token, cost_attended(in->past[0], in->n_token));
    assert_int_equal(in->n_seq, 1);
    assert_int_equal(in->n_pick, 0);
    uint64_t left = cost - pl->spent, n = slice < left ? slice : left;
    fake.now = (fake.device_free > fake.now ? fake.device_free : fake.now) + n;
    fake.device_free = fake.now;
    fake.asides += pl->spent == 0;
    pl->spent += n;
    *done = pl->spent == cost;
    if (*done)
        pl->spent = 0;
    return !*done;
}

static bool b_run(struct plan *pl, const struct batch *in, bool *done, struct err *e)
{
    if (pl->is_tower)
        return run_tower(pl, in, done, e);
    if (in->run_max && stops_early(pl, in, done))
        return true;
    bool fails = fake.fail_in && --fake.fail_in == 0;
    assert_true(in->n_token > 0 && in->n_seq > 0 && in->n_seq <= pl->seq_max && in->n_pick <= pl->pick_max);
    for (uint32_t s = 0; s < in->n_seq; s++) {
        if (pl->b->memory)
            write_memory(pl, in, s, fails);
        if (pl->b->tokens)
            write_slots(pl, in, s, fails);
    }
    if (fails)
        return err_set(e, ERR_INTERNAL, "the fake backend fails on demand");
    for (uint32_t i = 0, s = 0; i < in->n_pick; i++) {
        while (in->start[s + 1] <= in->pick[i])
            s++;
        uint32_t n = in->past[s] + in->pick[i] - in->start[s] + 1;
        make_logits(read_all(pl, in, s, n), read_again(pl, in, s, n), pl->logits + (size_t)i * FAKE_VOCAB);
    }
    if (fake.broken_in && --fake.broken_in == 0)
        for (uint32_t i = 0; i < FAKE_VOCAB; i++)
            pl->logits[i] = NAN;
    pl->n_pick = in->n_pick;
    if (!in->run_max)
        spend(in);
    return true;
}

static bool run_now(struct plan *pl, const struct batch *in, bool *done, struct err *e)
{
    bool ok = b_run(pl, in, done, e);
    fake.now = fake.device_free > fake.now ? fake.device_free : fake.now;
    return ok;
}

static const float *b_result(struct plan *pl, const char *name)
{
    assert_string_equal(name, "logits");
    return pl->logits;
}

static bool draw_now(struct plan *pl, const struct draw how[], struct drawn out[], struct err *e)
{
    (void)e;
    for (uint32_t i = 0; i < pl->n_pick; i++)
        assert_true(sample(pl->sampler, pl->logits + (size_t)i * FAKE_VOCAB, &how[i], &out[i]));
    return true;
}

/* The tokens exist on the device at once, and on the host only after wait(). */
static bool draw_later(struct plan *pl, const struct draw how[], struct drawn out[], struct err *e)
{
    assert_true(pl->n_flight < 2);
    struct flight *f = &pl->flight[pl->n_flight++];
    f->out = out;
    f->n = pl->n_pick;
    f->done_at = fake.device_free;
    bool ok = draw_now(pl, how, f->drawn, e);
    for (uint32_t i = 0; i < f->n; i++) {
        pl->last[i] = f->drawn[i].token;
        out[i].token = INT32_MIN;
    }
    return ok;
}

static bool b_wait(struct plan *pl, struct err *e)
{
    bool fails = fake.fail_wait_in && --fake.fail_wait_in == 0;
    assert_true(pl->n_flight > 0);
    struct flight *f = &pl->flight[0];
    memcpy(f->out, f->drawn, f->n * sizeof f->drawn[0]);
    fake.now = f->done_at > fake.now ? f->done_at : fake.now;
    pl->flight[0] = pl->flight[1];
    pl->n_flight--;
    return !fails || err_set(e, ERR_INTERNAL, "the fake backend fails on demand, late");
}

#define COMMON .open = b_open, .close = b_close, .size = b_size, \
    .weight_bytes = b_weight_bytes, .adopt = b_adopt, .reserve = b_reserve, .copy = b_copy, .slot_copy = b_slot_copy, \
               .compile = b_compile, .plan_free = b_plan_free, .stop = b_stop, .keep = b_keep, \
               .features_new = host_features_new, .features_free = host_features_free, .features_write = host_features_write, \
               .features_read = host_features_read
const struct backend_type fake_host = {.name = "host", .about = "fake", COMMON, .run = run_now, .result = b_result};
const struct backend_type fake_device = {.name = "device", .about = "fake", COMMON, .run = b_run, .draw = draw_later,
                                         .wait = b_wait};
const struct backend_type fake_draws = {.name = "draws", .about = "fake", COMMON, .run = run_now, .draw = draw_now};

/* ---- around it --------------------------------------------------------------------------------------------------- */

void fake_reset(void)
{
    fake = (struct fake){.now = 1000, .step_cost = 5000000, .row_cost = 1000000, .reach_cost = 500000};
}

static uint64_t fake_now(void *ctx)
{
    (void)ctx;
    return fake.now;
}

struct clock fake_clock(void)
{
    return (struct clock){.ns = fake_now};
}

struct model *fake_model(uint32_t context)
{
    return fake_model_with(context, FAKE_TOKEN);
}

struct model *fake_model_with(uint32_t context, enum fake_states states)
{
    struct model *m = mem_new(sizeof *m);
    float         one[FAKE_VOCAB] = {1};
    m->info = (struct model_info){.arch = "fake", .n_vocab = FAKE_VOCAB, .context = context};
    m->bundle = bundle_new(0, 1);
    m->text = bundle_prog(m->bundle, "text");
    if (states == FAKE_BOTH)
        bundle_state(m->bundle, 0, STATE_TOKEN, 2);
    if (states != FAKE_TOKEN)
        bundle_state(m->bundle, 0, STATE_SEQUENCE, 1);
    wt  w = bundle_const(m->bundle, one, FAKE_VOCAB);
    val x = EMIT(m->text, embed, .in = {prog_tokens(m->text)}, .w = {w}, .embed = {.scale = 1});
    x = EMIT(m->text, pick, .in = {x});
    prog_out(m->text, "logits", EMIT(m->text, linear, .in = {x}, .w = {w}));
    struct err e;
    if (!prog_end(m->text, &e))
        fail_msg("%s", e.text);
    return m;
}

struct model *fake_seeing_model(uint32_t context, const struct fake_eyes *o)
{
    struct model *m = fake_model(context);
    struct prog  *p = bundle_prog(m->bundle, "vision");
    struct err    e;
    m->info.width = FAKE_WIDTH;
    m->vision = (struct vision){
        .prog = p, .patch = 1, .temporal = 1, .channels = FAKE_PATCH_WIDTH, .patch_width = FAKE_PATCH_WIDTH, .merge = 2,
        .n_level = FAKE_LEVELS, .side = o->side, .ordered = o->ordered, .windows = o->ordered, .axes = o->axes, .sees = o->sees,
        .image_token = FAKE_PAD, .window = o->ordered ? 2 : 0,
    };
    val x = prog_input(p, "patches", FAKE_PATCH_WIDTH);
    prog_out(p, "features", EMIT(p, pool, .in = {x}, .pool.n = 4));
    prog_out(p, "features.1", EMIT(p, pool, .in = {x}, .pool.n = 4));
    if (!prog_end(p, &e))
        fail_msg("%s", e.text);
    eyes = &m->vision;
    return m;
}

void fake_model_free(struct model *m)
{
    eyes = NULL;
    bundle_free(m->bundle);
    free(m);
}

struct engine *fake_engine(const struct model *m, const struct engine_opts *o)
{
    struct engine *g;
    struct err     e;
    if (!engine_open(&g, m, o, &e))
        fail_msg("%s", e.text);
    fake.kv = &g->kv;
    return g;
}

uint32_t fake_random(uint64_t *state, uint32_t n)
{
    *state += 0x9E3779B97F4A7C15u;
    return (uint32_t)((mix(*state, 1) >> 32) * n >> 32);
}

static void check_memory(const struct memory *m, const struct seq *s, uint32_t n)
{
    struct memory want = {0};
    while (want.n < n)
        remember(&want, s->token[want.n]);
    assert_memory_equal(m, &want, sizeof want);
}

void fake_check_memory(const struct engine *g, const struct seq *s)
{
    const struct memory *memory = g->backend->memory;
    if (s->n_run)
        check_memory(&memory[s->slot], s, s->n_run);
    for (uint32_t k = 0, x; k < s->n_key; k++)
        if ((x = kv_find(&g->snapshots, &s->key[k])) != KV_NONE)
            check_memory(&memory[g->plan.seq_max + x], s, (k + 1) * g->plan.block_tokens);
}
