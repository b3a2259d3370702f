/* proof.c -- see proof.h.
 *
 * A case is a program of one instruction.  Programs begin with token ids, so its inputs are rows of random tables: the
 * ids choose them; or they are inputs of the run.  Sequences lie in blocks scattered over the pool; every second row is picked,
 * some rows have features, windows have five rows at most. */
#include "proof/proof.h"

#include "base/mem.h"
#include "program/op.h"
#include "proof/rig.h"

#include <math.h>
#include <stdlib.h>

enum { VOCAB = 97, BLOCK_TOKENS = 16, SHIFT = 3, WINDOW = 5, SPAN = 4, LEVELS = 3 };

/* The inputs of the instruction, from tables of their own or side by side in one, away from its edge. */
static void inputs(struct prog *p, const struct op_case *c, val in[3])
{
    static const char *const name[] = {"in.0", "in.1", "in.2"};
    uint32_t width = SHIFT + c->in[0] + c->in[1] + c->in[2] + 1, at = SHIFT;
    struct weight table = {.part = {name[0]}, .part_out = {VOCAB}, .in = width};
    val all = {0};
    if (c->views)
        all =
            EMIT(p, embed, .in = {prog_tokens(p)}, .w = {bundle_weight(prog_bundle(p), -1, &table)}, .embed.scale = 1);
    for (unsigned k = 0; k < 3 && c->in[k]; at += c->in[k++]) {
        if (c->below) {
            in[k] = prog_input(p, name[k], c->in[k]);
            continue;
        }
        table.part[0] = name[k];
        table.in = c->in[k];
        in[k] = c->views ? prog_cols(p, all, at, c->in[k])
                         : EMIT(p, embed, .in = {prog_tokens(p)}, .w = {bundle_weight(prog_bundle(p), -1, &table)},
                                .embed.scale = 1);
    }
}

static wt weight(struct bundle *b, const struct op_case *c, unsigned k, enum split split)
{
    static const char *const name[WEIGHTS_MAX][4] = {{"w0.0.*", "w0.1.*", "w0.2.*", "w0.3.*"},
                                                     {"w1.0.*", "w1.1.*", "w1.2.*", "w1.3.*"},
                                                     {"w2.*"}, {"w3.*"}, {"w4.*"}};
    struct weight w = c->w[k];
    float         numbers[256];
    if (!w.part_out[0])
        return (wt){0};
    if (!w.in) {
        CHECK(w.part_out[0] <= 256);
        for (uint32_t i = 0; i < w.part_out[0]; i++)
            numbers[i] = k == 2 ? (float)(i * 7 % 3) : c->list ? (float)(i * 7919 % (c->in[0] + c->in[1])) : powf(10000, -(float)(i + k) / (float)w.part_out[0]);
        return bundle_const(b, numbers, w.part_out[0]);
    }
    for (unsigned i = 0; i < 4; i++)
        w.part[i] = w.part_out[i] ? name[k][i] : NULL;
    w.split = split;
    return w.n_expert ? bundle_experts(b, -1, &w) : bundle_weight(b, -1, &w);
}

static struct prog *case_prog(enum op op, const struct op_case *c, struct err *e)
{
    struct bundle *b = bundle_new(0, 1);
    struct prog   *p = bundle_prog(b, "case");
    struct instr   i = c->instr;
    if (op == OP_input) {
        prog_out(p, "out", prog_input(p, "in.0", i.input.width));
        return prog_end(p, e) ? p : NULL;
    }
    if (op == OP_embed)
        i.in[0] = prog_tokens(p);
    else
        inputs(p, c, i.in);
    if (op == OP_sum)           /* only a cut matrix leaves something to add up */
        i.in[0] = EMIT(p, linear, .in = {i.in[0]}, .w = {weight(b, c, 0, SPLIT_IN)});
    else
        for (unsigned k = 0; k < WEIGHTS_MAX; k++)
            i.w[k] = weight(b, c, k, SPLIT_NONE);
    if (op_type(op)->state)
        i.s = c->state ? bundle_state(b, -1, STATE_SEQUENCE, c->state)
                       : bundle_state(b, -1, STATE_TOKEN, c->in[1] + c->in[2]);
    prog_out(p, "out", prog_emit(p, op, &i));
    if (prog_end(p, e))
        return p;
    bundle_free(b);
    return NULL;
}

/* How a case is run: all its sequences from their beginning to their end, at most `chunk` tokens of each in a run. */
struct feed {
    const struct op_case *c;
    uint32_t n_seq, n_token, most, vocab, width, per, axes, n_input, input_width[INPUTS_MAX];
    bool     spans;
    uint32_t block_max, n_block;
};

static struct feed feed_of(const struct prog *p, enum op op, const struct op_case *c)
{
    struct feed f = {.c = c, .vocab = op == OP_embed ? c->w[0].part_out[0] : VOCAB,
                     .width = prog_value(p, prog_result(p, "out"))->width, .per = prog_per(p), .axes = prog_axes(p),
                     .n_input = prog_n_inputs(p), .spans = op == OP_place};
    for (uint32_t k = 0; k < f.n_input; k++)
        prog_input_at(p, k, &f.input_width[k]);
    for (; f.n_seq < OP_CASE_SEQS && c->seq[f.n_seq]; f.n_seq++) {
        f.n_token += c->seq[f.n_seq];
        f.most = c->seq[f.n_seq] > f.most ? c->seq[f.n_seq] : f.most;
    }
    f.block_max = (f.most + BLOCK_TOKENS - 1) / BLOCK_TOKENS;
    f.n_block = f.block_max * f.n_seq;
    return f;
}

/* What a run brings along beside tokens: random by row, whatever the run. */
struct extras {
    float       *input[INPUTS_MAX];
    uint32_t    *pos, *see, *window;
    struct span *span;
    struct features *features;
};

static void extras_fill(const struct feed *f, struct extras *x, struct batch *in, const uint32_t done[])
{
    in->n_window = in->n_span = 0;
    for (uint32_t s = 0; s < f->n_seq; s++)
        for (uint32_t r = in->start[s]; r < in->start[s + 1]; r++) {
            uint32_t at = done[s] + r - in->start[s], end = f->c->ahead ? (at / f->c->ahead + 1) * f->c->ahead : at + 1;
            uint32_t last = done[s] + in->start[s + 1] - in->start[s];
            uint64_t seed = 5000 * (s + 1) + at;
            x->see[r] = end < last ? end : last;
            for (uint32_t a = 0; a < f->axes; a++)
                x->pos[a * in->n_token + r] = (at * (a + 1) + 3 * a) % 101;
            for (uint32_t k = 0; k < f->n_input; k++)
                for (uint32_t i = 0; i < f->input_width[k]; i++)
                    x->input[k][(size_t)r * f->input_width[k] + i] =
                        f->c->below && k == 0 ? (float)(rig_random(&seed) % f->c->below) : rig_normal(&seed);
            if ((r - in->start[s]) % WINDOW == 0)
                x->window[in->n_window++] = r;
            if (f->spans && at % 7 == 3 && r + 2 <= in->start[s + 1] && in->n_span < SPAN)
                x->span[in->n_span++] = (struct span){.row = r, .n = 2, .from = at % 5, .step = 8, .features = x->features};
        }
    x->window[in->n_window] = in->n_token;
}

static bool extras_make(const struct feed *f, const struct rig *r, struct extras *x, struct batch *in, struct err *e)
{
    *x = (struct extras){.pos = mem_array((size_t)f->axes * f->n_token, sizeof *x->pos), .see = mem_array(f->n_token, sizeof *x->see),
                         .window = mem_array(f->n_token + 1, sizeof *x->window), .span = mem_array(SPAN, sizeof *x->span)};
    for (uint32_t k = 0; k < f->n_input; k++)
        x->input[k] = mem_array((size_t)f->n_token * f->input_width[k], sizeof *x->input[k]);
    in->input = (const float *const *)x->input;
    in->pos = f->axes > 1 ? x->pos : NULL;
    in->see = f->c->ahead ? x->see : NULL;
    in->window = x->window;
    in->span = x->span;
    if (!f->spans)
        return true;
    size_t   n = (size_t)8 * LEVELS * f->width;
    float   *rows = mem_array(n, sizeof *rows);
    uint64_t seed = 99;
    for (size_t i = 0; i < n; i++)
        rows[i] = rig_normal(&seed);
    bool ok = r->type->features_new(r->backend, n * sizeof *rows, &x->features, e) &&
              r->type->features_write(x->features, 0, rows, n * sizeof *rows, e);
    free(rows);
    return ok;
}

static void extras_drop(const struct rig *r, struct extras *x)
{
    for (uint32_t k = 0; k < INPUTS_MAX; k++)
        free(x->input[k]);
    if (x->features)
        r->type->features_free(x->features);
    free(x->pos);
    free(x->see);
    free(x->window);
    free(x->span);
}

/* Appends the next rows of every sequence to the batch.  Returns whether there were any. */
static bool feed_next(const struct feed *f, uint32_t done[], struct batch *in, int32_t *token, uint32_t *start)
{
    in->n_token = 0;
    for (uint32_t s = 0; s < f->n_seq; s++) {
        uint32_t left = f->c->seq[s] - done[s], n = f->c->chunk && left > f->c->chunk ? f->c->chunk : left;
        start[s] = in->n_token;
        for (uint32_t i = 0; i < n; i++) {
            uint64_t seed = 1000 * (s + 1) + done[s] + i;
            token[in->n_token++] = (int32_t)(rig_random(&seed) % f->vocab);
        }
    }
    start[f->n_seq] = in->n_token;
    return in->n_token > 0;
}

/* The result's rows of all runs, one after the other; how many in *n. */
static float *feed_run(const struct feed *f, const struct rig *r, bool picked, size_t *n, struct err *e)
{
    float    *out = mem_array((size_t)f->n_token * f->width, sizeof *out);
    int32_t  *token = mem_array(f->n_token, sizeof *token);
    uint32_t *pick = mem_array(f->n_token, sizeof *pick), *block = mem_array(f->n_block, sizeof *block);
    static const uint32_t slot[OP_CASE_SEQS] = {3, 0, 7, 1, 6, 2, 5, 4};
    uint32_t  start[OP_CASE_SEQS + 1], done[OP_CASE_SEQS] = {0};
    struct batch in = {.n_seq = f->n_seq, .token = token, .start = start, .past = done, .block = block, .reach = f->c->seq,
                       .slot = slot,
                       .block_max = f->block_max, .pick = pick};
    struct extras x;
    bool          ok = extras_make(f, r, &x, &in, e);
    rig_shuffle(block, f->n_block, 7);
    *n = 0;
    while (ok && feed_next(f, done, &in, token, start)) {
        for (in.n_pick = 0; in.n_pick < (in.n_token + 1) / 2; in.n_pick++)
            pick[in.n_pick] = 2 * in.n_pick;
        extras_fill(f, &x, &in, done);
        ok = r->type->run(r->plan, &in, NULL, e);
        const float *rows = ok ? r->type->result(r->plan, "out") : NULL;
        uint32_t     n_row = picked ? in.n_pick : in.n_token / f->per;
        for (size_t i = 0; rows && i < (size_t)n_row * f->width; i++)
            out[*n * f->width + i] = rows[i];
        *n += n_row;
        for (uint32_t s = 0; s < f->n_seq; s++)
            done[s] += start[s + 1] - start[s];
        ok = ok && (rows || err_set(e, ERR_INTERNAL, "there is no result"));
    }
    extras_drop(r, &x);
    free(token);
    free(pick);
    free(block);
    if (ok)
        return out;
    free(out);
    return NULL;
}

static float *case_rows(const struct prog *p, const struct feed *f, const struct rig_opts *o, size_t *n)
{
    struct rig r;
    *n = 0;
    if (!rig_open(&r, p, o))
        return NULL;
    float *out = feed_run(f, &r, prog_value(p, prog_result(p, "out"))->rows == ROWS_PICK, n, o->why);
    rig_close(&r);
    return out;
}

/* The largest difference of a row, by its length or that of the average row if it is longer: a row of few numbers may
 * be short by chance.  Infinite when there is something to hide. */
static double worst_row(const float *is, const float *should, size_t n_row, size_t width)
{
    double worst = 0, average = 0;
    for (size_t i = 0; i < n_row * width; i++)
        average += (double)should[i] * (double)should[i] / (double)n_row;
    for (size_t r = 0; r < n_row; r++) {
        double apart = 0, length = 0;
        for (size_t i = r * width; i < (r + 1) * width; i++) {
            double d = (double)is[i] - (double)should[i];
            apart += d * d;
            length += (double)should[i] * (double)should[i];
        }
        double error = apart == 0 ? 0 : sqrt(apart / fmax(length, average));
        worst = error <= worst ? worst : isnan(error) ? INFINITY : error;
    }
    return worst;
}

static bool format_fits(const struct op_case *c, enum format f)
{
    uint32_t in = c->w[0].in, block = format_info(f)->block_values;
    if (c->w[0].n_expert && c->w[1].in % block)
        return false;
    if (in <= 1)                                    /* no matrix: its vectors in the plain formats, once without any */
        return in ? block == 1 : f == FORMAT_F32;
    return in % block == 0;
}

/* Infinite where it could not be run: *e says why. */
static double case_error(const struct proof *x, enum op op, const struct op_case *c, enum format format, struct err *e)
{
    struct prog *p = case_prog(op, c, e);
    if (!p)
        return INFINITY;
    struct feed     f = feed_of(p, op, c);
    struct rig_opts o = {.type = backend_find("ref"), .precision = PRECISION_EXACT, .n_thread = 1, .format = format,
                         .seed = 42, .kv_format = x->ref_kv, .n_block = f.n_block, .why = e};
    o.plan = (struct plan_opts){.token_max = f.n_token, .seq_max = OP_CASE_SEQS, .pick_max = f.n_token,
                                .block_tokens = BLOCK_TOKENS, .context_max = f.most};
    size_t n_ref, n;
    double worst = 0;
    float *should = case_rows(p, &f, &o, &n_ref);
    o.type = x->type;
    o.precision = x->precision;
    o.kv_format = x->kv;
    for (unsigned threads = 1; threads <= 3 && worst < INFINITY; threads += 2) {
        o.n_thread = threads;
        float *is = case_rows(p, &f, &o, &n);
        double error = should && is && n == n_ref ? worst_row(is, should, n, f.width) : INFINITY;
        worst = error > worst ? error : worst;
        free(is);
    }
    free(should);
    bundle_free(prog_bundle(p));
    return worst;
}

static double bound_of(enum op op, enum format format, enum precision precision)
{
    static const double ops[OP_COUNT][2] = {
#define BOUND(op, exact, fast) [OP_##op] = {fast, exact},
#include "program/bounds.def"
    };
    static const double linear[FORMAT_COUNT][2] = {
#define BOUND_LINEAR(format, exact, fast) [FORMAT_##format] = {fast, exact},
#include "program/bounds.def"
    };
    if (op == OP_experts)
        return 2 * linear[format][precision];
    return op == OP_linear || op == OP_sum ? linear[format][precision] : ops[op][precision];
}

/* All cases of an op whose matrix can have the format. */
static struct proof_row row_of(const struct proof *x, enum op op, enum format format)
{
    struct proof_row r = {.op = op_name(op), .format = format_info(format)->name,
                          .bound = fmax(x->least, bound_of(op, format, x->precision))};
    for (const struct op_case *c = op_type(op)->cases; c->name; c++) {
        struct err e = {0};
        if (!format_fits(c, format))
            continue;
        double error = case_error(x, op, c, format, &e);
        bool   wrong = error > r.bound;
        if (wrong && r.wrong == 0) {
            r.first_wrong = c->name;
            r.why = e;
        }
        r.n++;
        r.wrong += wrong;
        r.worst = error > r.worst ? error : r.worst;
    }
    return r;
}

static void add_op(const struct proof *x, enum op op, struct proof_sum *sum)
{
    for (int f = 0; f < FORMAT_COUNT; f++) {
        struct proof_row r = row_of(x, op, (enum format)f);
        if (r.n == 0)
            continue;
        sum->n += r.n;
        sum->wrong += r.wrong;
        x->row(x->ctx, &r);
    }
}

struct proof_sum proof_run_op(const struct proof *x, enum op op)
{
    struct proof_sum sum = {0};
    add_op(x, op, &sum);
    return sum;
}

struct proof_sum proof_run(const struct proof *x)
{
    struct proof_sum sum = {0};
    for (int op = 0; op < OP_COUNT; op++)
        add_op(x, (enum op)op, &sum);
    return sum;
}
