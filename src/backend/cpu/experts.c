/* experts.c -- see experts.h.
 *
 * A row's output is the sum over its experts in the order in which it chose them, and every product is that of a linear of
 * one row: who else is in the batch changes neither. */
#include "backend/cpu/experts.h"

#include "backend/cpu/cut.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    SLOT_CHUNK = 8,             /* slots of a piece that goes slot by slot */
    LINE = 64,
};

static const float *row_of(const struct plan *pl, const struct operand *o, uint32_t r)
{
    return plan_value(pl, o) + (size_t)r * o->stride;
}

static float *out_row(const struct plan *pl, const struct step *s, uint32_t r)
{
    return pl->room[s->out.rows] + (row_of(pl, &s->out, r) - pl->room[s->out.rows]);
}

static const float *vector_of(const struct packed *w)
{
    return w ? (const float *)(const void *)w->part[0].p : NULL;
}

/* ---- memory ------------------------------------------------------------------------------------------------------- */

struct extent {
    uint64_t n, k, in, out;         /* the most of all expert ops: experts, chosen, floats of a slot before and behind */
};

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static struct extent extent_of(const struct prog *p)
{
    struct extent x = {0};
    for (size_t i = 0; i < prog_len(p); i++) {
        const struct instr *in = prog_at(p, i);
        if (in->op != OP_experts)
            continue;
        const struct weight *up = bundle_weight_at(prog_bundle(p), in->w[0]), *down = bundle_weight_at(prog_bundle(p), in->w[1]);
        x.n = most(x.n, in->experts.n);
        x.k = most(x.k, in->experts.k);
        x.in = most(x.in, most(up->in, down->in));
        x.out = most(x.out, most(up->out, down->out));
    }
    return x;
}

static uint64_t lines(uint64_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

enum { CHOSEN, WEIGHT, SLOT, ROW, FIRST, ACTIVE, BEFORE, BEHIND, N_PART };

/* Where each part of the room begins, and behind the last its end. */
static void places_of(const struct extent *x, uint64_t rows, uint64_t at[N_PART + 1])
{
    const uint64_t slots = rows * x->k, bytes[N_PART] = {
        [CHOSEN] = slots * sizeof(uint32_t), [WEIGHT] = slots * sizeof(float), [SLOT] = slots * sizeof(uint32_t),
        [ROW] = slots * sizeof(uint32_t), [FIRST] = (x->n + 1) * sizeof(uint32_t), [ACTIVE] = x->n * sizeof(uint32_t),
        [BEFORE] = slots * lines(x->in * sizeof(float)), [BEHIND] = slots * lines(x->out * sizeof(float)),
    };
    at[0] = 0;
    for (unsigned i = 0; i < N_PART; i++)
        at[i + 1] = at[i] + lines(bytes[i]);
}

uint64_t experts_bytes(const struct prog *p, uint32_t rows)
{
    uint64_t      at[N_PART + 1];
    struct extent x = extent_of(p);
    places_of(&x, rows, at);
    return x.n ? at[N_PART] : 0;
}

void experts_place(struct plan *pl, uint32_t rows, uint8_t *base)
{
    uint64_t      at[N_PART + 1];
    struct extent x = extent_of(pl->prog);
    places_of(&x, rows, at);
    pl->experts = (struct experts_room){
        .chosen = (void *)(base + at[CHOSEN]), .weight = (void *)(base + at[WEIGHT]), .slot = (void *)(base + at[SLOT]),
        .row = (void *)(base + at[ROW]), .first = (void *)(base + at[FIRST]), .active = (void *)(base + at[ACTIVE]),
        .before = base + at[BEFORE], .behind = (void *)(base + at[BEHIND]),
        .before_stride = (size_t)lines(x.in * sizeof(float)), .behind_stride = (size_t)lines(x.out * sizeof(float)) / sizeof(float),
    };
}

/* ---- choosing ----------------------------------------------------------------------------------------------------- */

/* The place of the largest of n numbers that is not yet taken (-INFINITY), the first among equals; it is taken then. */
static uint32_t take_largest(float *x, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    x[best] = -INFINITY;
    return best;
}

/* Takes out all groups but those whose two best are most together. */
static void keep_groups(float *choice, uint32_t n, uint32_t groups, uint32_t kept)
{
    float    score[EXPERTS_MAX];
    bool     keep[EXPERTS_MAX] = {false};
    uint32_t each = n / groups;
    for (uint32_t g = 0; g < groups; g++) {
        float first = -INFINITY, second = -INFINITY;
        for (uint32_t i = g * each; i < (g + 1) * each; i++)
            if (choice[i] > first) {
                second = first;
                first = choice[i];
            } else
                second = choice[i] > second ? choice[i] : second;
        score[g] = each > 1 ? first + second : first;
    }
    for (uint32_t i = 0; i < kept; i++)
        keep[take_largest(score, groups)] = true;
    for (uint32_t i = 0; i < n; i++)
        if (!keep[i / each])
            choice[i] = -INFINITY;
}

/* weight[i]: what expert i would have. */
static void weigh(const struct instr *in, const float *logit, float *weight)
{
    uint32_t n = in->experts.n;
    double   largest = (double)logit[0], sum = 0;
    for (uint32_t i = 0; in->experts.router == ROUTER_SIGMOID && i < n; i++)
        weight[i] = (float)(1 / (1 + exp(-(double)logit[i])));
    if (in->experts.router == ROUTER_SIGMOID)
        return;
    for (uint32_t i = 1; i < n; i++)
        largest = (double)logit[i] > largest ? (double)logit[i] : largest;
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)logit[i] - largest);
    for (uint32_t i = 0; i < n; i++)
        weight[i] = (float)(exp((double)logit[i] - largest) / sum);
}

static void choose(const struct step *s, const float *logit, uint32_t *chosen, float *weight)
{
    const struct instr *in = s->instr;
    const float        *bias = vector_of(s->more[2]);
    uint32_t            n = in->experts.n;
    float               all[EXPERTS_MAX], choice[EXPERTS_MAX];
    double              sum = 0;
    weigh(in, logit, all);
    for (uint32_t i = 0; i < n; i++)
        choice[i] = in->experts.router == ROUTER_SOFTMAX ? logit[i] : bias ? all[i] + bias[i] : all[i];
    if (in->experts.groups > 1)
        keep_groups(choice, n, in->experts.groups, in->experts.groups_kept);
    for (uint32_t i = 0; i < in->experts.k; i++) {
        chosen[i] = take_largest(choice, n);
        weight[i] = all[chosen[i]];
        sum += (double)weight[i];
    }
    double by = (double)in->experts.scaling / (in->experts.normalise ? sum + 1e-20 : 1);
    for (uint32_t i = 0; i < in->experts.k; i++)
        weight[i] = (float)((double)weight[i] * by);
}

/* Which experts each row goes to. */
void run_experts(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    uint32_t k = s->instr->experts.k, n = plan_rows(pl, &s->out), to = (i + 1) * s->chunk;
    for (uint32_t r = i * s->chunk; r < n && r < to; r++)
        choose(s, row_of(pl, &s->in[1], r), pl->experts.chosen + (size_t)r * k, pl->experts.weight + (size_t)r * k);
}

static uint32_t one_piece(const struct plan *pl, const struct step *s)
{
    return plan_rows(pl, &s->out) > 0;
}

/* Slots in the order of experts, of one expert in that of the rows. */
static void run_sort(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)i;
    (void)worker;
    struct experts_room *x = &pl->experts;
    uint32_t             n = s->instr->experts.n, k = s->instr->experts.k;
    size_t               n_slot = (size_t)plan_rows(pl, &s->out) * k;
    memset(x->first, 0, (n + 1) * sizeof *x->first);
    for (size_t a = 0; a < n_slot; a++)
        x->first[x->chosen[a] + 1]++;
    x->n_active = 0;
    for (uint32_t e = 0; e < n; e++) {
        if (x->first[e + 1])
            x->active[x->n_active++] = e;
        x->first[e + 1] += x->first[e];
    }
    for (size_t a = 0; a < n_slot; a++) {
        uint32_t slot = x->first[x->chosen[a]]++;
        x->slot[a] = slot;
        x->row[slot] = (uint32_t)(a / k);
    }
    for (uint32_t e = n; e > 0; e--)
        x->first[e] = x->first[e - 1];
    x->first[0] = 0;
}

/* ---- what is done slot by slot ------------------------------------------------------------------------------------ */

static uint32_t pieces_of_slots(const struct plan *pl, const struct step *s)
{
    return parts(plan_rows(pl, &s->out) * s->instr->experts.k, SLOT_CHUNK);
}

struct slots {
    uint32_t from, to;
};

static struct slots slots_of_piece(const struct plan *pl, const struct step *s, uint32_t i)
{
    uint32_t n = plan_rows(pl, &s->out) * s->instr->experts.k, to = (i + 1) * SLOT_CHUNK;
    return (struct slots){i * SLOT_CHUNK, to < n ? to : n};
}

static void *before(const struct plan *pl, uint32_t slot)
{
    return pl->experts.before + slot * pl->experts.before_stride;
}

static float *behind(const struct plan *pl, uint32_t slot)
{
    return pl->experts.behind + slot * pl->experts.behind_stride;
}

static void run_collect(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    uint32_t width = s->in[0].width;
    for (struct slots a = slots_of_piece(pl, s, i); a.from < a.to; a.from++) {
        const float *x = row_of(pl, &s->in[0], pl->experts.row[a.from]);
        if (s->from_acts)
            pl->backend->kernels->quantise(x, width, before(pl, a.from));
        else
            memcpy(before(pl, a.from), x, width * sizeof *x);
    }
}

/* From behind the first matrices to before the second: activated. */
static void run_between(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    const struct kernels *kernels = pl->backend->kernels;
    uint32_t              n = s->bias->in;
    uint8_t               act = s->instr->experts.act;
    float                *pair = pl->scratch + pl->scratch_floats * worker, limit = s->instr->experts.limit;
    for (struct slots a = slots_of_piece(pl, s, i); a.from < a.to; a.from++) {
        float *x = behind(pl, a.from), *y = x + n, *out = s->from_acts ? x : before(pl, a.from);
        for (uint32_t k = 0; s->instr->experts.pairs && k < n; k++) {
            pair[k] = x[2 * k];
            pair[n + k] = x[2 * k + 1];
        }
        if (s->instr->experts.pairs)
            memcpy(x, pair, 2 * n * sizeof *x);
        if (s->w->out == n)
            kernels->act(x, out, n, act, limit);
        else
            kernels->glu(x, y, out, n, act, limit);
        if (s->from_acts)
            kernels->quantise(out, n, before(pl, a.from));
    }
}

static void run_gathered(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    uint32_t k = s->instr->experts.k, n = plan_rows(pl, &s->out), to = (i + 1) * s->chunk;
    for (uint32_t r = i * s->chunk; r < n && r < to; r++) {
        float *out = out_row(pl, s, r);
        memset(out, 0, s->out.width * sizeof *out);
        for (size_t a = (size_t)r * k; a < (size_t)(r + 1) * k; a++)
            pl->backend->kernels->add_scaled(behind(pl, pl->experts.slot[a]), pl->experts.weight[a], out, s->out.width);
    }
}

/* ---- products ----------------------------------------------------------------------------------------------------- */

/* Rows an expert has on average, at most those of a block: so all experts' matrices are cut the same way. */
static uint32_t rows_each(const struct plan *pl, const struct step *s)
{
    uint32_t n = parts(plan_rows(pl, &s->out) * s->instr->experts.k, pl->experts.n_active);
    return n < ROW_BLOCK ? n : ROW_BLOCK;
}

static uint32_t pieces_of_products(const struct plan *pl, const struct step *s)
{
    return pl->experts.n_active ? pl->experts.n_active * cuts_of(s->product, rows_each(pl, s)) : 0;
}

/* One cut of one expert's matrix, for all the rows it has. */
static void run_products(struct plan *pl, const struct step *s, uint32_t i, unsigned worker)
{
    (void)worker;
    const struct experts_room *x = &pl->experts;
    uint32_t rows = rows_each(pl, s), cuts = cuts_of(s->product, rows), e = x->active[i / cuts];
    struct cut           at = cut_at(s->product, rows, i % cuts);      /* all are cut as the first one is */
    const struct packed *w = s->product + e;
    const struct panels *p = &w->part[at.part - s->product->part];
    uint32_t             panel = at.panel, column = p->at + panel * PANEL_ROWS;
    const float *bias = s->product_bias ? vector_of(s->product_bias + e) + column : NULL;
    for (uint32_t from = x->first[e], to = x->first[e + 1]; from < to; from += ROW_BLOCK) {
        struct linear_job j = {
            .panel = p->p + panel * p->panel_bytes,
            .panel_bytes = p->panel_bytes,
            .n_panel = at.n_panel,
            .n_out = p->rows - panel * PANEL_ROWS,
            .scales = p->scales,
            .in = w->in,
            .n_row = to - from < ROW_BLOCK ? to - from : ROW_BLOCK,
            .act = before(pl, from),
            .act_stride = x->before_stride,
            .out = behind(pl, from) + column,
            .out_stride = x->behind_stride,
            .bias = bias,
        };
        s->linear[p->format](&j);
    }
}

/* ---- compiling ---------------------------------------------------------------------------------------------------- */

static bool is_fast(const struct plan *pl, const struct packed *w)
{
    for (uint32_t k = 0; k < w->n_part; k++)
        if (!pl->backend->kernels->fast[w->part[k].format])
            return false;
    return pl->backend->precision == PRECISION_FAST;
}

/* All experts' matrices can be cut as the first one's is, and take the same inputs. */
static bool alike(const struct plan *pl, const struct packed *w, uint32_t n)
{
    for (uint32_t e = 1; e < n; e++) {
        if (w[e].n_part != w->n_part || is_fast(pl, &w[e]) != is_fast(pl, w))
            return false;
        for (uint32_t k = 0; k < w->n_part; k++)
            if (w[e].part[k].n_panel != w->part[k].n_panel)
                return false;
    }
    return true;
}

static void add_products(struct plan *pl, struct step *s, const struct packed *w, const struct packed *bias, bool fast)
{
    s->product = w;
    s->product_bias = bias;
    s->linear = fast ? pl->backend->kernels->fast : pl->backend->kernels->exact;
    plan_step(pl, pieces_of_products, run_products, s);
}

bool experts_add(struct plan *pl, struct step *s, char name[40], struct err *e)
{
    uint32_t n = s->instr->experts.n;
    if (!alike(pl, s->w, n) || !alike(pl, s->bias, n))
        return err_set(e, ERR_UNSUPPORTED, "experts whose weights have different formats");
    bool up = is_fast(pl, s->w), down = is_fast(pl, s->bias);
    plan_step(pl, pieces_of_rows, run_experts, s);
    plan_step(pl, one_piece, run_sort, s);
    s->from_acts = up;
    plan_step(pl, pieces_of_slots, run_collect, s);
    add_products(pl, s, s->w, s->more[0], up);
    s->from_acts = down;
    plan_step(pl, pieces_of_slots, run_between, s);
    add_products(pl, s, s->bias, s->more[1], down);
    plan_step(pl, pieces_of_rows, run_gathered, s);
    snprintf(name, 40, "%s %s %s", pl->backend->kernels->isa, format_info(s->w->part[0].format)->name, up ? "x int8" : "x f32");
    return true;
}
