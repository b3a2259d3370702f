/* ref.c -- the reference backend: runs a program one instruction after the other.
 *
 * Weights stay where they are (the mapped file, the bundle's constants) and are decoded a row at a time. */
#include "backend/ref/ref.h"

#include "backend/batch.h"
#include "backend/host.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct adopted {
    struct tensor part[4];
    size_t        n;
    bool          here;
};

struct states {
    float *p;
    size_t bytes;
    bool   slots;                   /* a record a sequence, not a token */
};

struct backend {
    enum kv_format  kv_format;
    struct adopted *weight;
    size_t          n_weight;
    struct states  *state;
    size_t          n_state;
    uint32_t        n_block, n_slot, block_tokens;
};

struct plan {
    struct backend    *backend;
    const struct prog *prog;
    struct plan_opts   opts;
    struct storage     storage;
    float             *room[2];         /* values of tokens, values of picks: by enum rows_of */
    float             *scratch[WEIGHTS_MAX + 1];    /* a row of each weight, the scores */
    float             *memory;          /* all of the above */
    size_t             bytes;
    uint32_t           rows[2];         /* of the last run */
};

static bool ref_open(struct backend **out, const struct backend_opts *o, struct err *e)
{
    (void)e;
    *out = mem_new(sizeof **out);
    (*out)->kv_format = o->kv_format;
    return true;
}

static void ref_close(struct backend *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->n_state; i++)
        mem_try_free(b->state[i].p, b->state[i].bytes);
    free(b->state);
    free(b->weight);
    free(b);
}

static bool ref_adopt(struct backend *b, const struct bundle *m, wt w, const struct tensor part[], size_t n,
                      struct err *e)
{
    (void)e;
    CHECK(n <= 4 && w.id > 0 && w.id <= bundle_n_weights(m));
    if (!b->weight) {
        b->n_weight = bundle_n_weights(m);
        b->weight = mem_array(b->n_weight, sizeof *b->weight);
    }
    struct adopted *a = &b->weight[w.id - 1];
    for (size_t i = 0; i < n; i++)
        a->part[i] = part[i];
    a->n = n;
    a->here = true;
    return true;
}

/* The longest row of weight k of any instruction, a vector counting as one. */
static uint64_t longest(const struct prog *p, unsigned k)
{
    uint64_t most = 1;
    for (size_t i = 0; i < prog_len(p); i++) {
        if (!prog_at(p, i)->w[k].id)
            continue;
        const struct weight *w = bundle_weight_at(prog_bundle(p), prog_at(p, i)->w[k]);
        uint64_t             n = w->in == 1 ? w->out : w->in;
        most = n > most ? n : most;
    }
    return most;
}

enum { PARTS = 2 + WEIGHTS_MAX };

/* How many floats each part of a plan's memory takes: values of tokens, of picks, and the scratch rows. */
static uint64_t plan_floats(const struct prog *p, const struct plan_opts *o, const struct storage *s, uint64_t part[PARTS])
{
    uint64_t all = o->context_max > o->token_max ? o->context_max : o->token_max;
    part[0] = (uint64_t)s->token_floats * o->token_max;
    part[1] = (uint64_t)s->pick_floats * o->pick_max;
    for (unsigned k = 0; k < WEIGHTS_MAX; k++)
        all += part[2 + k] = longest(p, k);
    return part[0] / 2 + part[1] / 2 > UINT64_MAX / 8 ? UINT64_MAX / 8 : part[0] + part[1] + all;
}

static void add_cost(struct cost *out, const struct state *s, const struct plan_opts *o)
{
    if (s->kind == STATE_SEQUENCE)
        out->slot_bytes += s->width * sizeof(float);
    else
        out->block_bytes += (uint64_t)s->width * o->block_tokens * sizeof(float);
}

static bool ref_size(struct backend *b, const struct prog *p, const struct plan_opts *o, struct cost *out,
                     struct err *e)
{
    (void)b;
    (void)e;
    struct storage s;
    uint64_t       part[PARTS];
    storage_plan(p, o->keep_all, &s);
    *out = (struct cost){.scratch_bytes = plan_floats(p, o, &s, part) * sizeof(float)};
    storage_drop(&s);
    for (size_t i = 0; i < prog_len(p); i++)
        if (prog_at(p, i)->s.id)
            add_cost(out, bundle_state_at(prog_bundle(p), prog_at(p, i)->s), o);
    return true;
}

static bool ref_reserve(struct backend *b, const struct bundle *m, const struct plan_opts *o, uint32_t n, struct err *e)
{
    CHECK(!b->state && o->block_tokens > 0);
    size_t         n_state = bundle_n_states(m);
    struct states *state = mem_array(n_state, sizeof *state);
    for (size_t i = 0; i < n_state; i++) {
        const struct state *s = bundle_state_at(m, (st){(uint16_t)(i + 1)});
        size_t each = sizeof(float) * s->width, bytes;
        size_t records = s->kind == STATE_SEQUENCE ? (size_t)o->seq_max + o->slot_extra : (size_t)n * o->block_tokens;
        state[i].slots = s->kind == STATE_SEQUENCE;
        if (!__builtin_mul_overflow(each, records, &bytes) &&
            (state[i].p = mem_try(bytes)) != NULL) {
            state[i].bytes = bytes;
            continue;
        }
        while (i-- > 0)
            mem_try_free(state[i].p, state[i].bytes);
        free(state);
        return err_set(e, ERR_MEMORY, "no memory for %u blocks of %u tokens", n, o->block_tokens);
    }
    b->state = state;
    b->n_state = n_state;
    b->n_block = n;
    b->n_slot = o->seq_max + o->slot_extra;
    b->block_tokens = o->block_tokens;
    return true;
}

/* n: blocks, or slots, that there are. */
static void copy_states(struct backend *b, bool slots, uint32_t n, uint32_t from, uint32_t to)
{
    CHECK(from < n && to < n && from != to);
    for (size_t i = 0; i < b->n_state; i++) {
        size_t   each = b->state[i].bytes / n;
        uint8_t *p = (uint8_t *)b->state[i].p;
        if (b->state[i].slots == slots)
            memcpy(p + to * each, p + from * each, each);
    }
}

static void ref_copy(struct backend *b, uint32_t from, uint32_t to)
{
    copy_states(b, false, b->n_block, from, to);
}

static void ref_slot_copy(struct backend *b, uint32_t from, uint32_t to)
{
    copy_states(b, true, b->n_slot, from, to);
}

static void ref_plan_free(struct plan *pl)
{
    if (!pl)
        return;
    mem_try_free(pl->memory, pl->bytes);
    storage_drop(&pl->storage);
    free(pl);
}

static bool ref_compile(struct backend *b, const struct prog *p, const struct plan_opts *o, struct plan **out,
                        struct err *e)
{
    const struct bundle *m = prog_bundle(p);
    if (bundle_world(m) != 1)
        return err_set(e, ERR_UNSUPPORTED, "ref runs one rank, not %d", bundle_world(m));
    CHECK(b->n_state == bundle_n_states(m) && b->n_weight == bundle_n_weights(m));
    for (size_t i = 0; i < b->n_weight; i++)
        CHECK(b->weight[i].here);
    struct plan *pl = mem_new(sizeof *pl);
    uint64_t     part[PARTS];
    pl->backend = b;
    pl->prog = p;
    pl->opts = *o;
    storage_plan(p, o->keep_all, &pl->storage);
    uint64_t bytes = plan_floats(p, o, &pl->storage, part) * sizeof(float);
    pl->memory = bytes <= SIZE_MAX / 2 ? mem_try((size_t)bytes) : NULL;
    if (!pl->memory) {
        ref_plan_free(pl);
        return err_set(e, ERR_MEMORY, "no memory for the values of %u tokens (%llu bytes)", o->token_max,
                       (unsigned long long)bytes);
    }
    pl->bytes = (size_t)bytes;
    pl->room[ROWS_TOKEN] = pl->memory;
    pl->room[ROWS_PICK] = pl->room[ROWS_TOKEN] + part[0];
    pl->scratch[0] = pl->room[ROWS_PICK] + part[1];
    for (unsigned k = 0; k < WEIGHTS_MAX; k++)
        pl->scratch[k + 1] = pl->scratch[k] + part[2 + k];
    *out = pl;
    return true;
}

static bool ref_run(struct plan *pl, const struct batch *in, bool *done, struct err *e)
{
    static void (*const kernels[])(const struct ref_call *) = {
#define OP(name, what, ...) ref_##name,
#include "program/ops.def"
#undef OP
    };
    (void)e;
    batch_check(in, &pl->opts, pl->prog, pl->backend->n_block);
    CHECK(done || !in->run_max);
    pl->rows[ROWS_TOKEN] = in->n_token;
    pl->rows[ROWS_PICK] = in->n_pick;
    for (size_t i = 0; i < prog_len(pl->prog); i++) {
        struct ref_call c = {.plan = pl, .instr = prog_at(pl->prog, i), .batch = in};
        kernels[c.instr->op](&c);
    }
    if (done)
        *done = true;
    return true;
}

static struct ref_rows rows_of_value(const struct plan *pl, val v)
{
    const struct value *x = prog_value(pl->prog, v);
    const struct value *base = x->base.id ? prog_value(pl->prog, x->base) : x;
    float              *p = pl->room[x->rows] + (size_t)pl->storage.offset[v.id] * pl->rows[x->rows];
    return (struct ref_rows){.p = p + x->col, .rows = pl->rows[x->rows] / x->per, .width = x->width, .stride = base->width};
}

static const float *ref_result(struct plan *pl, const char *name)
{
    val v = prog_result(pl->prog, name);
    return v.id ? rows_of_value(pl, v).p : NULL;
}

static bool ref_keep(struct plan *pl, const char *name, uint32_t from, uint32_t n, struct features *into, size_t at, struct err *e)
{
    val v = prog_result(pl->prog, name);
    CHECK(v.id);
    struct ref_rows x = rows_of_value(pl, v);
    return host_keep(x.p, x.rows, x.width, from, n, into, at, e);
}

static bool ref_tap(struct plan *pl, val v, float *out, struct err *e)
{
    if (!pl->opts.keep_all)
        return err_set(e, ERR_UNSUPPORTED, "values share their storage in this plan");
    if (prog_value(pl->prog, v)->integer)
        return err_set(e, ERR_UNSUPPORTED, "token ids are not kept");
    struct ref_rows x = rows_of_value(pl, v);
    for (uint32_t r = 0; r < x.rows; r++)
        memcpy(out + (size_t)r * x.width, ref_row(x, r), x.width * sizeof *out);
    return true;
}

static const char *ref_kernel(const struct plan *pl, size_t i)
{
    (void)pl;
    (void)i;
    return "ref";
}

const struct prog *ref_prog(const struct ref_call *c)
{
    return c->plan->prog;
}

struct ref_rows ref_in(const struct ref_call *c, unsigned k)
{
    return rows_of_value(c->plan, c->instr->in[k]);
}

struct ref_rows ref_out(const struct ref_call *c)
{
    return rows_of_value(c->plan, c->instr->out);
}

struct ref_seq ref_seq(const struct ref_call *c, uint32_t s)
{
    const struct batch *b = c->batch;
    return (struct ref_seq){b->start[s], b->start[s + 1], b->past[s], b->block ? b->block + (size_t)s * b->block_max : NULL};
}

float *ref_record(const struct ref_call *c, const struct ref_seq *s, uint32_t pos)
{
    const struct backend *b = c->plan->backend;
    size_t width = bundle_state_at(prog_bundle(c->plan->prog), c->instr->s)->width;
    size_t at = (size_t)s->block[pos / b->block_tokens] * b->block_tokens + pos % b->block_tokens;
    return b->state[c->instr->s.id - 1].p + at * width;
}

enum kv_format ref_kv_format(const struct ref_call *c)
{
    return c->plan->backend->kv_format;
}

float *ref_memory(const struct ref_call *c, uint32_t s)
{
    const struct backend *b = c->plan->backend;
    size_t                width = bundle_state_at(prog_bundle(c->plan->prog), c->instr->s)->width;
    float                *p = b->state[c->instr->s.id - 1].p + c->batch->slot[s] * width;
    if (c->batch->past[s] == 0)
        memset(p, 0, width * sizeof *p);
    return p;
}

float *ref_scores(const struct ref_call *c)
{
    return c->plan->scratch[WEIGHTS_MAX];
}

static const struct weight *weight_of(const struct ref_call *c, unsigned k, const struct adopted **a)
{
    *a = &c->plan->backend->weight[c->instr->w[k].id - 1];
    return bundle_weight_at(prog_bundle(c->plan->prog), c->instr->w[k]);
}

bool ref_has(const struct ref_call *c, unsigned k)
{
    const struct adopted *a;
    return c->instr->w[k].id && (weight_of(c, k, &a)->data || a->n > 0);
}

uint32_t ref_weight_out(const struct ref_call *c, unsigned k)
{
    const struct adopted *a;
    return weight_of(c, k, &a)->out;
}

float *ref_weight_row(const struct ref_call *c, unsigned k, uint32_t row)
{
    const struct adopted *a;
    const struct weight  *w = weight_of(c, k, &a);
    size_t                i = 0;
    for (; row >= w->part_out[i]; i++)
        row -= w->part_out[i];
    ref_decode_row(&a->part[i], row, w->in, c->plan->scratch[k]);
    return c->plan->scratch[k];
}

float *ref_vector(const struct ref_call *c, unsigned k)
{
    const struct adopted *a;
    const struct weight  *w = weight_of(c, k, &a);
    float                *out = c->plan->scratch[k];
    if (w->data)
        memcpy(out, w->data, w->out * sizeof *out);
    for (size_t i = 0, at = 0; i < a->n; at += w->part_out[i++])
        ref_decode(a->part[i].format, a->part[i].data, w->part_out[i], out + at);
    return out;
}

const struct backend_type backend_ref = {
    .name = "ref",
    .about = "the reference: one thread, single precision, slow; what every other backend is tested against",
    .open = ref_open,
    .close = ref_close,
    .size = ref_size,
    .adopt = ref_adopt,
    .reserve = ref_reserve,
    .copy = ref_copy,
    .slot_copy = ref_slot_copy,
    .compile = ref_compile,
    .plan_free = ref_plan_free,
    .run = ref_run,
    .result = ref_result,
    .features_new = host_features_new,
    .features_free = host_features_free,
    .features_write = host_features_write,
    .features_read = host_features_read,
    .keep = ref_keep,
    .tap = ref_tap,
    .kernel = ref_kernel,
};
