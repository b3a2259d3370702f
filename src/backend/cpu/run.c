/* run.c -- the steps of a plan, run over a batch.
 *
 * A piece is some rows, or some columns of a matrix, or one key head of a few tokens.  How a step is cut depends on the
 * number of rows and never changes what is computed. */
#include "backend/cpu/cpu.h"

#include "backend/batch.h"
#include "backend/cpu/cut.h"
#include "backend/host.h"
#include "base/clock.h"

#include <math.h>
#include <string.h>

float *plan_row(const struct plan *pl, const struct operand *o, uint32_t r)
{
    return pl->room[o->rows] + (size_t)o->offset * pl->rows[o->rows] + (size_t)r * o->stride + o->col;
}

static struct act_group *acts_at(const struct plan *pl, const struct operand *o, uint32_t r)
{
    return (struct act_group *)(void *)(plan_row(pl, o, r) - o->col);
}

static float *scratch_of(const struct plan *pl, unsigned worker)
{
    return pl->scratch + pl->scratch_floats * worker;
}

static const float *weight_vector(const struct packed *w)
{
    return w ? (const float *)(const void *)w->part[0].p : NULL;
}

const float *plan_value(const struct plan *pl, const struct operand *o)
{
    return plan_row(pl, o, 0);
}

uint32_t plan_rows(const struct plan *pl, const struct operand *o)
{
    return pl->rows[o->rows] / o->per;
}

/* The rows of piece i. */
struct rows {
    uint32_t from, to;
};

static struct rows rows_of_piece(const struct plan *pl, const struct step *s, uint32_t i)
{
    uint32_t n = plan_rows(pl, &s->out), to = (i + 1) * s->chunk;
    return (struct rows){i * s->chunk, to < n ? to : n};
}

uint32_t pieces_of_rows(const struct plan *pl, const struct step *s)
{
    return parts(plan_rows(pl, &s->out), s->chunk);
}

/* Where a kernel may write row r of the output as floats; row_done() then brings it into its form. */
static float *row_begin(const struct plan *pl, const struct step *s, uint32_t r, unsigned worker)
{
    return s->out.act ? scratch_of(pl, worker) : plan_row(pl, &s->out, r);
}

static void row_done(const struct plan *pl, const struct step *s, uint32_t r, const float *x)
{
    if (s->out.act)
        pl->backend->kernels->quantise(x, s->out.width, acts_at(pl, &s->out, r));
}

void run_embed(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++) {
        int32_t token = pl->in->token[r.from];
        float  *out = plan_row(pl, &s->out, r.from);
        CHECK(token >= 0 && (uint32_t)token < s->w->out);       /* there is no draw() here, so every id is known */
        pack_row(s->w, (uint32_t)token, out);
        pl->backend->kernels->scale(out, s->out.width, s->instr->embed.scale);
    }
}

void run_norm(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    const float    *w = weight_vector(s->w), *bias = weight_vector(s->bias);
    uint32_t        group = s->instr->norm.group ? s->instr->norm.group : s->out.width;
    struct norm_job j = {.w = w, .bias = bias, .n = group, .eps = s->instr->norm.eps, .one = (float)s->instr->norm.one,
                         .centred = s->instr->norm.centred};
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++) {
        const float *x = plan_row(pl, &s->in[0], r.from);
        float       *out = row_begin(pl, s, r.from, worker);
        for (uint32_t g = 0; g < s->out.width; g += group) {
            uint32_t at = s->w->out > group ? g : 0;
            j.w = w + at;
            j.bias = bias ? bias + at : NULL;
            pl->backend->kernels->norm(&j, x + g, out + g);
        }
        row_done(pl, s, r.from, out);
    }
}

void run_glu(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++) {
        float *out = row_begin(pl, s, r.from, worker);
        const float *x = plan_row(pl, &s->in[0], r.from);
        pl->backend->kernels->glu(x, x + s->out.width, out, s->out.width, s->instr->glu.act, 0);
        row_done(pl, s, r.from, out);
    }
}

void run_act(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++) {
        float *out = row_begin(pl, s, r.from, worker);
        pl->backend->kernels->act(plan_row(pl, &s->in[0], r.from), out, s->out.width, s->instr->act.act, s->instr->act.limit);
        row_done(pl, s, r.from, out);
    }
}

void run_add(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++)
        pl->backend->kernels->add(plan_row(pl, &s->in[0], r.from), plan_row(pl, &s->in[1], r.from),
                                  plan_row(pl, &s->out, r.from), s->out.width);
}

void run_mul(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++)
        pl->backend->kernels->mul(plan_row(pl, &s->in[0], r.from), plan_row(pl, &s->in[1], r.from), plan_row(pl, &s->out, r.from),
                                  s->out.width, s->out.width / s->in[1].width);
}

void run_order(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    const float *from = weight_vector(s->w);
    uint32_t     width = s->in[0].width;
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++) {
        const float *a = plan_row(pl, &s->in[0], r.from), *b = plan_row(pl, &s->in[1], r.from);
        float       *out = plan_row(pl, &s->out, r.from);
        for (uint32_t k = 0; k < s->out.width; k++) {
            uint32_t at = (uint32_t)from[k];
            out[k] = at < width ? a[at] : b[at - width];
        }
    }
}

/* There is one rank: compile refuses others. */
void run_sum(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++)
        memcpy(plan_row(pl, &s->out, r.from), plan_row(pl, &s->in[0], r.from), s->out.width * sizeof(float));
}

void run_pick(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++)
        memcpy(plan_row(pl, &s->out, r.from), plan_row(pl, &s->in[0], pl->in->pick[r.from]), s->out.width * sizeof(float));
}

/* Angles are single-precision products, as where the models were trained; their cosines are exact. */
void run_turns(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    const struct turns *t = &pl->turns[s->turns];
    const float        *freqs[2] = {weight_vector(s->w), weight_vector(s->bias)}, *axis = weight_vector(s->more[0]);
    uint32_t            pos[AXES_MAX];
    uint32_t            half = t->dim / 2, step = t->interleaved ? 2 : 1, apart = t->interleaved ? 1 : half;
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++) {
        float       *cosine = t->table + (size_t)r.from * 2 * t->dim, *sine = cosine + t->dim;
        const float *freq = freqs[t->from && batch_reach(pl->in, pl->token_seq[r.from]) > t->from];
        for (uint32_t a = 0; a < (axis ? pl->axes : 1); a++)
            pos[a] = batch_pos(pl->in, a, pl->token_seq[r.from], r.from);
        for (uint32_t k = 0; k < half; k++) {
            double angle = (double)((float)pos[axis ? (uint32_t)axis[k] : 0] * freq[k]);
            float  c = (float)cos(angle) * t->factor, sn = (float)sin(angle) * t->factor;
            cosine[k * step] = cosine[k * step + apart] = c;
            sine[k * step] = -sn;
            sine[k * step + apart] = sn;
        }
    }
}

void run_rope(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    const struct turns *t = &pl->turns[s->turns];
    uint32_t            dim = s->instr->rope.head_dim;
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++)
        for (uint32_t h = 0; h < s->out.width; h += dim) {
            const float *x = plan_row(pl, &s->in[0], r.from) + h;
            float       *out = plan_row(pl, &s->out, r.from) + h;
            pl->backend->kernels->rope(x, t->table + (size_t)r.from * 2 * t->dim, out, t->dim, t->interleaved);
            memcpy(out + t->dim, x + t->dim, (dim - t->dim) * sizeof *out);
        }
}

/* A linear's input as int8, into the plan's room for it. */
void run_acts(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++)
        pl->backend->kernels->quantise(plan_row(pl, &s->in[0], r.from), s->in[0].width,
                                       (struct act_group *)(void *)(pl->acts + r.from * pl->act_stride));
}

void run_halves(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++)
        pl->backend->kernels->halve(plan_row(pl, &s->in[0], r.from), s->in[0].width,
                                    (uint16_t *)(void *)(pl->acts + r.from * pl->act_stride));
}

uint32_t pieces_of_linear(const struct plan *pl, const struct step *s)
{
    uint32_t n = plan_rows(pl, &s->out), blocks = parts(n, ROW_BLOCK);
    return blocks ? blocks * cuts_of(s->w, parts(n, blocks)) : 0;
}

/* A piece of a linear: a cut of its matrix, times n_row rows. */
struct linear_piece {
    struct cut cut;
    uint32_t   row, n_row;
};

static struct linear_piece linear_piece_at(const struct plan *pl, const struct step *s, uint32_t i)
{
    uint32_t n = plan_rows(pl, &s->out), rows = parts(n, parts(n, ROW_BLOCK)), cuts = cuts_of(s->w, rows), row = i / cuts * rows;
    return (struct linear_piece){cut_at(s->w, rows, i % cuts), row, n - row < rows ? n - row : rows};
}

static const uint8_t *panel_of_piece(const struct plan *pl, const struct step *s, uint32_t i)
{
    struct cut at = linear_piece_at(pl, s, i).cut;
    return at.part->p + at.panel * at.part->panel_bytes;
}

/* The weights that a worker reads after piece i: of the piece behind it or, at the end of his range, where that of the next
 * linear begins. */
static const uint8_t *weights_after(const struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    unsigned           team = team_size(pl->backend->team);
    const struct step *next = s->next;
    uint32_t           n = pieces_of_linear(pl, s);
    if (i + 1 != team_first(team, n, worker + 1))
        return i + 1 < n ? panel_of_piece(pl, s, i + 1) : NULL;
    n = next ? pieces_of_linear(pl, next) : 0;
    uint32_t first = team_first(team, n, worker);
    return first < n ? panel_of_piece(pl, next, first) : NULL;
}

void run_linear(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    struct linear_piece  at = linear_piece_at(pl, s, i);
    const struct panels *p = at.cut.part;
    uint32_t             panel = at.cut.panel, column = p->at + panel * PANEL_ROWS;
    struct linear_job    j = {
        .panel = p->p + panel * p->panel_bytes,
        .next = weights_after(pl, s, i, worker),
        .panel_bytes = p->panel_bytes,
        .scales = p->scales,
        .n_panel = at.cut.n_panel,
        .n_out = p->rows - panel * PANEL_ROWS,
        .in = s->w->in,
        .n_row = at.n_row,
        .act = plan_row(pl, &s->in[0], at.row),
        .act_stride = s->in[0].stride * sizeof(float),
        .out = plan_row(pl, &s->out, at.row) + column,
        .out_stride = s->out.stride,
        .bias = s->bias ? weight_vector(s->bias) + column : NULL,
    };
    if (s->from_acts) {
        j.act = pl->acts + at.row * pl->act_stride;
        j.act_stride = pl->act_stride;
    }
    s->linear[p->format](&j);
}

static uint8_t *block_of(const struct plan *pl, const struct step *s, uint32_t seq, uint32_t b)
{
    return s->state->p + pl->in->block[(size_t)seq * pl->in->block_max + b] * s->state->block_bytes;
}

void run_append(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++) {
        uint32_t     position = pl->position[r.from];
        uint8_t     *head = block_of(pl, s, pl->token_seq[r.from], position / s->kv.n_slot);
        const float *k = plan_row(pl, &s->in[1], r.from), *v = plan_row(pl, &s->in[2], r.from);
        for (uint32_t h = 0; h < s->in[1].width; h += s->kv.dim, head += kv_head_bytes(&s->kv))
            pl->backend->kernels->append(&s->kv, head, position % s->kv.n_slot, k + h, v + h);
    }
}

uint32_t pieces_of_attend(const struct plan *pl, const struct step *s)
{
    return pl->n_span * (s->in[1].width / s->kv.dim);
}

void run_attend(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    uint32_t            n_head = s->in[1].width / s->kv.dim, head = i % n_head;
    const struct walk  *span = &pl->span[i / n_head];
    uint32_t            share = s->in[0].width / s->in[1].width, width = share * s->kv.dim, window = s->instr->attend.window;
    float              *scratch = scratch_of(pl, worker), *rows = scratch + attend_scratch(s->kv.n_slot, s->kv.dim);
    struct attend_token token[SPAN_TOKENS];
    for (uint32_t t = 0; t < span->n; t++) {
        uint32_t row = pl->order[span->from + t];
        token[t] = (struct attend_token){
            .q = plan_row(pl, &s->in[0], row) + (size_t)head * width,
            .out = s->out.act ? rows + (size_t)t * width : plan_row(pl, &s->out, row) + (size_t)head * width,
            .block = pl->in->block + (size_t)pl->token_seq[row] * pl->in->block_max,
            .from = window && pl->position[row] >= window ? pl->position[row] - window + 1 : 0,
            .to = batch_see(pl->in, pl->token_seq[row], row),
        };
    }
    struct attend_job j = {.kv = s->kv, .state = s->state->p, .block_bytes = s->state->block_bytes,
                           .head_at = head * kv_head_bytes(&s->kv), .token = token, .n_token = span->n, .share = share,
                           .scale = s->instr->attend.scale, .softcap = s->instr->attend.softcap,
                           .sink = s->w ? weight_vector(s->w) + (size_t)head * share : NULL, .scratch = scratch};
    pl->backend->kernels->attend(&j);
    for (uint32_t t = 0; s->out.act && t < span->n; t++)
        pl->backend->kernels->quantise(token[t].out, width,
                                       acts_at(pl, &s->out, pl->order[span->from + t]) + head * width / GROUP);
}

/* ---- what towers add ---------------------------------------------------------------------------------------------- */

void run_input(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    struct rows r = rows_of_piece(pl, s, i);
    uint32_t    width = s->out.width;
    memcpy(plan_row(pl, &s->out, r.from), pl->in->input[s->instr->input.at] + (size_t)r.from * width,
           (size_t)(r.to - r.from) * width * sizeof(float));
}

void run_gather(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    float *x = scratch_of(pl, worker);
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++) {
        const float *at = plan_row(pl, &s->in[0], r.from), *by = plan_row(pl, &s->in[1], r.from);
        float       *out = plan_row(pl, &s->out, r.from);
        memset(out, 0, s->out.width * sizeof *out);
        for (uint32_t k = 0; k < s->in[0].width; k++) {
            CHECK(at[k] >= 0 && at[k] < (float)s->w->out);
            if (by[k] == 0)
                continue;
            pack_row(s->w, (uint32_t)at[k], x);
            pl->backend->kernels->add_scaled(x, by[k], out, s->out.width);
        }
    }
}

void run_fold(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    uint32_t n = s->instr->fold.n, width = s->in[0].width;
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++)
        for (uint32_t k = 0; k < n; k++)
            memcpy(plan_row(pl, &s->out, r.from) + (size_t)k * width, plan_row(pl, &s->in[0], r.from * n + k), width * sizeof(float));
}

void run_pool(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    uint32_t n = s->instr->pool.n;
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++) {
        float *out = plan_row(pl, &s->out, r.from);
        memset(out, 0, s->out.width * sizeof *out);
        for (uint32_t k = 0; k < n; k++)
            pl->backend->kernels->add_scaled(plan_row(pl, &s->in[0], r.from * n + k), 1, out, s->out.width);
        pl->backend->kernels->scale(out, s->out.width, 1 / (float)n);
    }
}

/* The features of row r; NULL: it has none. */
static const float *features_of(const struct batch *in, uint32_t r, uint32_t level, uint32_t width)
{
    for (uint32_t k = 0; k < in->n_span; k++) {
        const struct span *x = &in->span[k];
        if (r >= x->row && r < x->row + x->n)
            return host_features_row(x->features, x->from + level * x->step + (r - x->row), width);
    }
    return NULL;
}

void run_place(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    size_t bytes = s->out.width * sizeof(float);
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++) {
        const float *x = plan_row(pl, &s->in[0], r.from), *f = features_of(pl->in, r.from, s->instr->place.level, s->out.width);
        float       *out = plan_row(pl, &s->out, r.from);
        if (f && s->instr->place.add)
            pl->backend->kernels->add(x, f, out, s->out.width);
        else
            memcpy(out, f ? f : x, bytes);
    }
}

/* Keys and values into the blocks of their picture. */
void run_append_all(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    size_t each = kv_head_bytes(&s->kv);
    for (struct rows r = rows_of_piece(pl, s, i); r.from < r.to; r.from++) {
        uint32_t     seq = pl->token_seq[r.from], at = r.from - pl->in->start[seq], n_head = s->in[1].width / s->kv.dim;
        uint8_t     *head = pl->all + (size_t)(pl->seq_block[seq] + at / ALL_SLOTS) * n_head * each;
        const float *k = plan_row(pl, &s->in[1], r.from), *v = plan_row(pl, &s->in[2], r.from);
        for (uint32_t h = 0; h < s->in[1].width; h += s->kv.dim, head += each)
            pl->backend->kernels->append(&s->kv, head, at % ALL_SLOTS, k + h, v + h);
    }
}

uint32_t pieces_of_attend_all(const struct plan *pl, const struct step *s)
{
    return pl->n_look[s->instr->attend_all.windows] * (s->in[1].width / s->kv.dim);
}

void run_attend_all(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    uint32_t            n_head = s->in[1].width / s->kv.dim, head = i % n_head, share = s->in[0].width / s->in[1].width;
    const struct look  *l = &pl->look[s->instr->attend_all.windows][i / n_head];
    size_t              at = (size_t)head * share * s->kv.dim;
    struct attend_token token[WALK_ROWS];
    for (uint32_t t = 0; t < l->n; t++)
        token[t] = (struct attend_token){.q = plan_row(pl, &s->in[0], l->row + t) + at, .out = plan_row(pl, &s->out, l->row + t) + at,
                                         .block = pl->block + l->block, .from = l->from, .to = l->to};
    struct attend_job j = {.kv = s->kv, .state = pl->all, .block_bytes = n_head * kv_head_bytes(&s->kv),
                           .head_at = head * kv_head_bytes(&s->kv), .token = token, .n_token = l->n, .share = share,
                           .scale = s->instr->attend_all.scale, .scratch = scratch_of(pl, worker)};
    pl->backend->kernels->attend(&j);
}

/* Rows from .. to - 1 of picture s see each other.  Where there are many, fewer make a piece: it would last too long. */
static void add_looks(struct plan *pl, unsigned which, uint32_t s, uint32_t from, uint32_t to)
{
    uint32_t first = pl->in->start[s], each = (to - from) / 32 > WALK_ROWS ? LOOK_ROWS : WALK_ROWS;
    for (uint32_t r = from; r < to; r += each)
        pl->look[which][pl->n_look[which]++] = (struct look){.row = r, .n = to - r < each ? to - r : each, .block = pl->seq_block[s],
                                                             .from = from - first, .to = to - first};
}

/* ---- the walk through the steps ----------------------------------------------------------------------------------- */

/* How many pieces to open together: without a limit all that are left; otherwise so many that they take a sixteenth of it or
 * so, as far as the ones before tell. */
static uint32_t portion(const struct plan *pl, uint64_t now)
{
    uint32_t left = pl->n_piece - pl->first, n = team_size(pl->backend->team), had = pl->n_open;
    uint64_t spent = now - pl->open_ns, limit = (uint64_t)pl->in->run_max * 1000;
    if (!pl->stop_ns)
        return left;
    if (had > n && pl->first > 0)
        n = spent > limit / 8 ? had / 2 : had;
    if (had && pl->first > 0 && spent < limit / 16)
        n = had * 2;
    return n < left ? n : left;
}

/* Nothing is under way: opens what comes next.  The team counts these portions as steps. */
static uint32_t work_pieces(void *ctx, uint32_t step)
{
    struct plan *pl = ctx;
    uint64_t     now = pl->stop_ns ? clock_ns(clock_real()) : 0;
    bool         some = step > 0;                       /* every run() does something */
    pl->first += pl->n_open;
    while (pl->at < pl->n_step && pl->first >= pl->n_piece) {
        pl->at++;
        pl->first = pl->n_piece = pl->n_open = 0;
        if (pl->at < pl->n_step)
            pl->n_piece = pl->step[pl->at].pieces(pl, &pl->step[pl->at]);
    }
    pl->going = pl->at < pl->n_step;
    if (!pl->going || (pl->stop_ns && some && now >= pl->stop_ns)) {
        pl->n_open = 0;
        return TEAM_END;
    }
    pl->n_open = portion(pl, now);
    pl->open_ns = now;
    return pl->n_open;
}

static void work_piece(void *ctx, uint32_t step, uint32_t i, unsigned worker)
{
    (void)step;
    struct plan       *pl = ctx;
    const struct step *s = &pl->step[pl->at];
    s->piece(pl, s, pl->first + i, worker);
}

/* Which of two sequences comes first in the order of their blocks. */
static int blocks_compare(const struct batch *in, uint32_t block_tokens, uint32_t a, uint32_t b)
{
    const uint32_t *x = in->block + (size_t)a * in->block_max, *y = in->block + (size_t)b * in->block_max;
    uint32_t        least = in->past[a] < in->past[b] ? in->past[a] : in->past[b], n = least / block_tokens;
    for (uint32_t i = 0; i < n; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

/* Whether two sequences begin with the same block, which both have filled. */
static bool begin_alike(const struct batch *in, uint32_t block_tokens, uint32_t a, uint32_t b)
{
    return in->past[a] >= block_tokens && in->past[b] >= block_tokens
           && in->block[(size_t)a * in->block_max] == in->block[(size_t)b * in->block_max];
}

/* Sequences with common blocks side by side. */
static void order_seqs(struct plan *pl)
{
    const struct batch *in = pl->in;
    for (uint32_t s = 0, at; s < in->n_seq; s++) {
        for (at = s; at > 0 && blocks_compare(in, pl->opts.block_tokens, s, pl->seq_order[at - 1]) < 0; at--)
            pl->seq_order[at] = pl->seq_order[at - 1];
        pl->seq_order[at] = s;
    }
}

static void find_spans(struct plan *pl)
{
    const struct batch *in = pl->in;
    struct walk        *span = NULL;
    uint32_t            n = 0;
    pl->n_span = 0;
    for (uint32_t k = 0; k < in->n_seq; k++) {
        uint32_t s = pl->seq_order[k];
        if (k > 0 && !begin_alike(in, pl->opts.block_tokens, pl->seq_order[k - 1], s))
            span = NULL;
        for (uint32_t r = in->start[s]; r < in->start[s + 1]; r++) {
            if (!span || span->n == SPAN_TOKENS) {
                span = &pl->span[pl->n_span++];
                *span = (struct walk){.from = n};
            }
            pl->order[n++] = r;
            span->n++;
        }
    }
}

/* Where pictures lie in blocks, and which rows look at what. */
static void find_looks(struct plan *pl)
{
    const struct batch *in = pl->in;
    uint32_t            block = 0;
    pl->n_look[0] = pl->n_look[1] = 0;
    for (uint32_t s = 0; s < in->n_seq; s++) {
        pl->seq_block[s] = block;
        add_looks(pl, 0, s, in->start[s], in->start[s + 1]);
        block += parts(in->start[s + 1] - in->start[s], ALL_SLOTS);
    }
    for (uint32_t w = 0; w < in->n_window; w++)
        add_looks(pl, 1, pl->token_seq[in->window[w]], in->window[w], in->window[w + 1]);
    for (uint32_t i = 0; i < block; i++)
        pl->block[i] = i;
}

static void begin(struct plan *pl)
{
    const struct batch *in = pl->in;
    pl->rows[ROWS_TOKEN] = in->n_token;
    pl->rows[ROWS_PICK] = in->n_pick;
    for (uint32_t s = 0; s < in->n_seq; s++)
        for (uint32_t r = in->start[s]; r < in->start[s + 1]; r++) {
            pl->position[r] = in->past[s] + (r - in->start[s]);
            pl->token_seq[r] = s;
        }
    if (prog_has_state(pl->prog, STATE_TOKEN)) {
        order_seqs(pl);
        find_spans(pl);
    }
    if (pl->all)
        find_looks(pl);
    pl->at = pl->first = pl->n_open = 0;
    pl->n_piece = pl->n_step ? pl->step[0].pieces(pl, &pl->step[0]) : 0;
}

bool plan_run(struct plan *pl, const struct batch *in)
{
    pl->in = in;
    if (!pl->going) {
        batch_check(in, &pl->opts, pl->prog, pl->backend->n_block);
        begin(pl);
    }
    CHECK(pl->rows[ROWS_TOKEN] == in->n_token);
    pl->stop_ns = in->run_max ? clock_ns(clock_real()) + (uint64_t)in->run_max * 1000 : 0;
    team_run(pl->backend->team, &(struct work){UINT32_MAX, work_pieces, work_piece, pl});
    pl->in = NULL;
    return !pl->going;
}
