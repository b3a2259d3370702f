/* compile.c -- from instructions to steps: which kernel, which form every value has, how much memory.
 *
 * A value that only int8 matrices read is written as int8 by the norm, glu, act or attend that makes it.  Otherwise such a
 * matrix gets a step before it that converts its input. */
#include "backend/cpu/cpu.h"

#include "backend/cpu/experts.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROW_WORK = 8192, LINE = 64, STEPS_MAX = 8 };     /* numbers in a piece of a step that goes row by row; steps of an instruction */

struct operand plan_operand(const struct plan *pl, val v)
{
    const struct value *x = prog_value(pl->prog, v), *base = x->base.id ? prog_value(pl->prog, x->base) : x;
    return (struct operand){.rows = x->rows, .per = x->per, .offset = pl->storage.offset[v.id], .col = x->col, .width = x->width,
                            .stride = base->width};
}

static const struct packed *weight_of(const struct plan *pl, wt w)
{
    const struct packed *m = w.id ? &pl->backend->weight[w.id - 1] : NULL;
    return m && m->n_part ? m : NULL;
}

/* Whether linear instruction i multiplies int8 by codes. */
static bool is_fast(const struct plan *pl, const struct instr *i)
{
    const struct packed *m = weight_of(pl, i->w[0]);
    if (i->op != OP_linear || pl->backend->precision != PRECISION_FAST)
        return false;
    for (uint32_t k = 0; k < m->n_part; k++)
        if (!pl->backend->kernels->fast[m->part[k].format])
            return false;
    return true;
}

/* Whether it multiplies bf16 by bf16. */
static bool is_halved(const struct plan *pl, const struct packed *m)
{
    const struct kernels *k = pl->backend->kernels;
    bool                  all = pl->backend->precision == PRECISION_FAST && kernels_pairs(k);
    for (uint32_t i = 0; i < m->n_part; i++)
        all = all && k->halves[m->part[i].format];
    return all;
}

/* Which values may be written as int8: [n_values + 1]. */
static bool *find_acts(const struct plan *pl)
{
    size_t n_value = prog_n_values(pl->prog);
    bool  *act = mem_array(n_value + 1, sizeof *act);
    for (size_t i = 0; i < prog_len(pl->prog); i++) {
        const struct instr *in = prog_at(pl->prog, i);
        const struct value *out = prog_value(pl->prog, in->out);
        bool head_groups = true;
        if (in->op == OP_attend)
            head_groups = out->width / prog_value(pl->prog, in->in[1])->width * in->attend.head_dim % GROUP == 0;
        act[in->out.id] = !pl->opts.keep_all && !out->name && out->width % GROUP == 0 && head_groups
                          && (in->op == OP_norm || in->op == OP_glu || in->op == OP_act || in->op == OP_attend);
    }
    for (size_t i = 0; i < prog_len(pl->prog); i++) {
        const struct instr *in = prog_at(pl->prog, i);
        for (unsigned k = 0; k < 3 && in->in[k].id; k++) {
            val base = prog_value(pl->prog, in->in[k])->base;
            if (base.id)
                act[base.id] = false;
            else if (!is_fast(pl, in))
                act[in->in[k].id] = false;
        }
    }
    return act;
}

/* The table of turns for a rope, found among the n or put behind them; TURNS_MAX: one too many. */
static uint32_t turns_for(struct turns *all, uint32_t *n, const struct instr *in)
{
    uint32_t k = 0, dim = in->rope.n_rot ? in->rope.n_rot : in->rope.head_dim;
    for (; k < *n; k++) {
        const struct turns *t = &all[k];
        if (t->w.id == in->w[0].id && t->w_long.id == in->w[1].id && t->axes.id == in->w[2].id && t->dim == dim && t->from == in->rope.from
            && !t->interleaved == !in->rope.interleaved && t->factor == in->rope.factor)
            return k;
    }
    if (k < TURNS_MAX)
        all[(*n)++] = (struct turns){.w = in->w[0], .w_long = in->w[1], .axes = in->w[2], .dim = dim, .from = in->rope.from,
                                     .interleaved = in->rope.interleaved, .factor = in->rope.factor};
    return k;
}

static uint32_t chunk_for(uint32_t width)
{
    return width >= ROW_WORK ? 1 : ROW_WORK / width;
}

struct step *plan_step(struct plan *pl, pieces_fn pieces, piece_fn piece, const struct step *like)
{
    struct step *s = &pl->step[pl->n_step++];
    *s = *like;
    s->pieces = pieces;
    s->piece = piece;
    return s;
}

static void add_linear(struct plan *pl, struct step *s, char name[40])
{
    const struct kernels *k = pl->backend->kernels;
    bool                  fast = is_fast(pl, s->instr), halved = is_halved(pl, s->w);
    s->linear = fast ? k->fast : halved ? k->halves : k->exact;
    s->from_acts = fast && !s->in[0].act;
    if (s->from_acts)
        plan_step(pl, pieces_of_rows, run_acts, s);
    if (halved) {
        s->from_acts = true;
        plan_step(pl, pieces_of_rows, run_halves, s);
    }
    plan_step(pl, pieces_of_linear, run_linear, s);
    snprintf(name, 40, "%s %s %s%s", k->isa, s->w->n_part > 1 ? "mixed" : format_info(s->w->part[0].format)->name,
             fast ? "x int8" : halved ? "x bf16" : "x f32", s->from_acts ? " (converted)" : "");
}

static enum kv_kind kv_kind(const struct backend *b, uint32_t dim, uint32_t n_slot)
{
    if (b->precision != PRECISION_FAST)
        return KV_F32;
    return kernels_pairs(b->kernels) && dim % 2 == 0 && n_slot % 2 == 0 ? KV_PAIRS : KV_F16;
}

static void add_attend_all(struct plan *pl, struct step *s)
{
    uint32_t dim = s->instr->attend_all.head_dim;
    s->kv = (struct kv_layout){.n_slot = ALL_SLOTS, .dim = dim, .kind = kv_kind(pl->backend, dim, ALL_SLOTS)};
    plan_step(pl, pieces_of_rows, run_append_all, s);
    plan_step(pl, pieces_of_attend_all, run_attend_all, s);
}

static void add_attend(struct plan *pl, struct step *s)
{
    uint32_t dim = s->instr->attend.head_dim, n_slot = pl->opts.block_tokens;
    s->kv = (struct kv_layout){.n_slot = n_slot, .dim = dim, .kind = kv_kind(pl->backend, dim, n_slot)};
    s->state = &pl->backend->state[s->instr->s.id - 1];
    plan_step(pl, pieces_of_rows, run_append, s);
    plan_step(pl, pieces_of_attend, run_attend, s);
}

static bool add_instr(struct plan *pl, size_t i, const bool *act, struct err *e)
{
    static const piece_fn run[] = {
#define OP(name, what, ...) run_##name,
#include "program/ops.def"
#undef OP
    };
    const struct instr *in = prog_at(pl->prog, i);
    struct step         s = {.instr = in, .out = plan_operand(pl, in->out)};
    s.out.act = act[in->out.id];
    uint32_t width = s.out.width;
    for (unsigned k = 0; k < 3 && in->in[k].id; k++) {
        s.in[k] = plan_operand(pl, in->in[k]);
        s.in[k].act = act[in->in[k].id];
        width = s.in[k].width > width ? s.in[k].width : width;
    }
    s.w = weight_of(pl, in->w[0]);
    s.bias = weight_of(pl, in->w[1]);
    for (unsigned k = 2; k < WEIGHTS_MAX; k++)
        s.more[k - 2] = weight_of(pl, in->w[k]);
    s.chunk = in->op == OP_linear ? chunk_for(s.in[0].width) : chunk_for(width);
    snprintf(pl->name[i], sizeof pl->name[i], "%s%s", pl->backend->kernels->isa, s.out.act ? " to int8" : "");
    if (in->op == OP_linear)
        add_linear(pl, &s, pl->name[i]);
    else if (in->op == OP_attend)
        add_attend(pl, &s);
    else if (in->op == OP_attend_all)
        add_attend_all(pl, &s);
    else if (in->op == OP_experts)
        return experts_add(pl, &s, pl->name[i], e);
    else if (in->op == OP_conv || in->op == OP_scan || in->op == OP_delta) {
        pieces_fn pieces = in->op == OP_conv ? pieces_of_conv : in->op == OP_scan ? pieces_of_scan : pieces_of_delta;
        s.state = &pl->backend->state[in->s.id - 1];
        plan_step(pl, pieces, run[in->op], &s);
    }
    else {
        if (in->op == OP_rope) {
            uint32_t had = pl->n_turns;
            s.turns = turns_for(pl->turns, &pl->n_turns, in);
            if (s.turns == TURNS_MAX)
                return err_set(e, ERR_UNSUPPORTED, "instruction %zu (rope): more than %d sets of frequencies", i, TURNS_MAX);
            if (pl->n_turns > had)
                plan_step(pl, pieces_of_rows, run_turns, &s);
        }
        plan_step(pl, pieces_of_rows, run[in->op], &s);
    }
    return true;
}

static void link_linears(struct plan *pl)
{
    const struct step *next = NULL;
    for (struct step *s = pl->step + pl->n_step; s-- > pl->step;)
        if (s->piece == run_linear) {
            s->next = next;
            next = s;
        }
}

/* ---- memory ------------------------------------------------------------------------------------------------------- */

enum part {
    PART_TOKEN, PART_PICK, PART_ACTS, PART_SCRATCH, PART_POSITION, PART_SEQ, PART_ORDER, PART_SEQ_ORDER, PART_SPAN, PART_TURNS,
    PART_EXPERTS,
    PART_ALL, PART_LOOK, PART_WINDOW_LOOK, PART_SEQ_BLOCK, PART_BLOCK, PARTS
};

struct sizes {
    uint64_t at[PARTS + 1];         /* where each part begins; the last: the whole */
    uint64_t act_stride, scratch_floats, turn_floats, all_width;
};

static void longest(uint64_t *most, uint64_t n)
{
    *most = n > *most ? n : *most;
}

/* From the program alone, as it must be known before a weight is read: any linear may turn out to read int8. */
static struct sizes sizes_of(const struct backend *b, const struct prog *p, const struct plan_opts *o,
                             const struct storage *values)
{
    struct sizes z = {.scratch_floats = 1};
    struct turns turns[TURNS_MAX];
    uint32_t     n_turns = 0;
    uint64_t     tokens = o->token_max, rows = o->token_max > o->pick_max ? o->token_max : o->pick_max;
    for (size_t i = 0; i < prog_len(p); i++) {
        const struct instr *in = prog_at(p, i);
        uint64_t            width = prog_value(p, in->out)->width;
        if (in->op == OP_norm || in->op == OP_glu || in->op == OP_act)
            longest(&z.scratch_floats, width);
        else if (in->op == OP_linear) {
            longest(&z.act_stride, prog_value(p, in->in[0])->width / GROUP * sizeof(struct act_group));
            longest(&z.act_stride, round16(prog_value(p, in->in[0])->width) * sizeof(uint16_t));
        }
        else if (in->op == OP_attend)
            longest(&z.scratch_floats, attend_scratch(o->block_tokens, in->attend.head_dim) + SPAN_TOKENS * in->attend.head_dim * width
                                           / prog_value(p, in->in[1])->width);
        else if (in->op == OP_attend_all) {
            longest(&z.scratch_floats, attend_scratch(ALL_SLOTS, in->attend_all.head_dim));
            longest(&z.all_width, prog_value(p, in->in[1])->width);
        } else if (in->op == OP_gather)
            longest(&z.scratch_floats, width);
        else if (in->op == OP_scan || in->op == OP_delta)
            longest(&z.scratch_floats, 2 * tokens);
        else if (in->op == OP_experts)
            longest(&z.scratch_floats, bundle_weight_at(prog_bundle(p), in->w[0])->out);
        else if (in->op == OP_rope) {
            turns_for(turns, &n_turns, in);
            longest(&z.turn_floats, 2 * tokens * in->rope.head_dim);
        }
    }
    z.act_stride = (z.act_stride + LINE - 1) / LINE * LINE;
    z.scratch_floats = (z.scratch_floats + 15) / 16 * 16;
    uint64_t       blocks = z.all_width ? tokens / ALL_SLOTS + o->seq_max + 1 : 0, looks = z.all_width ? tokens / LOOK_ROWS + o->seq_max + 1 : 0;
    const uint64_t bytes[PARTS] = {
        [PART_TOKEN] = values->token_floats * tokens * sizeof(float),
        [PART_PICK] = (uint64_t)values->pick_floats * o->pick_max * sizeof(float),
        [PART_ACTS] = z.act_stride * rows,
        [PART_SCRATCH] = z.scratch_floats * team_size(b->team) * sizeof(float),
        [PART_POSITION] = tokens * sizeof(uint32_t),
        [PART_SEQ] = tokens * sizeof(uint32_t),
        [PART_ORDER] = tokens * sizeof(uint32_t),
        [PART_SEQ_ORDER] = o->seq_max * sizeof(uint32_t),
        [PART_SPAN] = (tokens / SPAN_TOKENS + o->seq_max + 1) * sizeof(struct walk),
        [PART_TURNS] = z.turn_floats * sizeof(float) * n_turns,
        [PART_EXPERTS] = experts_bytes(p, (uint32_t)rows),
        [PART_ALL] = blocks * ALL_SLOTS * 2 * z.all_width * (b->precision == PRECISION_FAST ? 2 : sizeof(float)),
        [PART_LOOK] = looks * sizeof(struct look),
        [PART_WINDOW_LOOK] = (z.all_width ? tokens + 1 : 0) * sizeof(struct look),
        [PART_SEQ_BLOCK] = (z.all_width ? o->seq_max : 0) * sizeof(uint32_t),
        [PART_BLOCK] = blocks * sizeof(uint32_t),
    };
    for (unsigned i = 0; i < PARTS; i++) {
        uint64_t next = z.at[i] + (bytes[i] + LINE - 1) / LINE * LINE;
        z.at[i + 1] = next < z.at[i] || next > UINT64_MAX / 4 ? UINT64_MAX / 4 : next;
    }
    return z;
}

uint64_t plan_scratch_bytes(struct backend *b, const struct prog *p, const struct plan_opts *o)
{
    struct storage values;
    storage_plan(p, o->keep_all, &values);
    struct sizes z = sizes_of(b, p, o, &values);
    storage_drop(&values);
    return z.at[PARTS];
}

static bool have_memory(struct plan *pl, struct err *e)
{
    struct sizes z = sizes_of(pl->backend, pl->prog, &pl->opts, &pl->storage);
    uint64_t     bytes = z.at[PARTS];
    pl->memory = bytes <= SIZE_MAX / 4 ? mem_try((size_t)bytes) : NULL;
    if (!pl->memory)
        return err_set(e, ERR_MEMORY, "no memory for the values of %u tokens (%llu bytes)", pl->opts.token_max,
                       (unsigned long long)bytes);
    pl->bytes = (size_t)bytes;
    pl->room[ROWS_TOKEN] = (float *)(void *)(pl->memory + z.at[PART_TOKEN]);
    pl->room[ROWS_PICK] = (float *)(void *)(pl->memory + z.at[PART_PICK]);
    pl->acts = pl->memory + z.at[PART_ACTS];
    pl->act_stride = (size_t)z.act_stride;
    pl->scratch = (float *)(void *)(pl->memory + z.at[PART_SCRATCH]);
    pl->scratch_floats = (size_t)z.scratch_floats;
    pl->position = (uint32_t *)(void *)(pl->memory + z.at[PART_POSITION]);
    pl->token_seq = (uint32_t *)(void *)(pl->memory + z.at[PART_SEQ]);
    pl->order = (uint32_t *)(void *)(pl->memory + z.at[PART_ORDER]);
    pl->seq_order = (uint32_t *)(void *)(pl->memory + z.at[PART_SEQ_ORDER]);
    pl->span = (struct walk *)(void *)(pl->memory + z.at[PART_SPAN]);
    if (z.all_width) {
        pl->all = pl->memory + z.at[PART_ALL];
        pl->look[0] = (struct look *)(void *)(pl->memory + z.at[PART_LOOK]);
        pl->look[1] = (struct look *)(void *)(pl->memory + z.at[PART_WINDOW_LOOK]);
        pl->seq_block = (uint32_t *)(void *)(pl->memory + z.at[PART_SEQ_BLOCK]);
        pl->block = (uint32_t *)(void *)(pl->memory + z.at[PART_BLOCK]);
    }
    experts_place(pl, pl->opts.token_max > pl->opts.pick_max ? pl->opts.token_max : pl->opts.pick_max,
                  pl->memory + z.at[PART_EXPERTS]);
    for (unsigned k = 0; k < TURNS_MAX; k++)
        pl->turns[k].table = (float *)(void *)(pl->memory + z.at[PART_TURNS]) + z.turn_floats * k;
    return true;
}

void plan_drop(struct plan *pl)
{
    if (!pl)
        return;
    mem_try_free(pl->memory, pl->bytes);
    storage_drop(&pl->storage);
    free(pl->step);
    free(pl->name);
    free(pl);
}

bool plan_compile(struct backend *b, const struct prog *p, const struct plan_opts *o, struct plan **out, struct err *e)
{
    struct plan *pl = mem_new(sizeof *pl);
    pl->backend = b;
    pl->prog = p;
    pl->opts = *o;
    pl->axes = prog_axes(p);
    pl->step = mem_array(prog_len(p) * STEPS_MAX, sizeof *pl->step);
    pl->name = mem_array(prog_len(p), sizeof *pl->name);
    storage_plan(p, o->keep_all, &pl->storage);
    bool *act = find_acts(pl), ok = true;
    for (size_t i = 0; ok && i < prog_len(p); i++)
        ok = add_instr(pl, i, act, e);
    free(act);
    link_linears(pl);
    if (!ok || !have_memory(pl, e)) {
        plan_drop(pl);
        return false;
    }
    *out = pl;
    return true;
}
