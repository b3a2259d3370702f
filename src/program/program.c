/* program.c -- writing a program down: values, instructions, the checks.
 *
 * Every value gets its shape at the moment it is written, from its op's rule; so a mistake is found at the line of the
 * model file that made it, and prog_end() only looks at what needs the whole: that everything written is read, and how
 * long each value lives. */
#include "program/program.h"

#include "base/mem.h"
#include "program/bundle.h"
#include "program/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDS_MAX = UINT16_MAX - 1, WIDTH_MAX = 1 << 24, RESULTS_MAX = 8, NO_OP = -1 };

struct prog {
    struct bundle *bundle;
    char          *name;
    struct instr  *code;
    struct value  *value;           /* from 1; 0 is the value that is none */
    size_t         n_code, n_value;
    val            tokens;
    char          *input[INPUTS_MAX];
    uint32_t       input_width[INPUTS_MAX], n_input;
    val            result[RESULTS_MAX];
    size_t         n_result;
    int            layer, emitting; /* for messages */
    bool           ended;
    struct err     err;
};

#define OP(name, what, ...) extern const struct op_type op_##name;
#include "program/ops.def"
#undef OP

static const struct op_type *const types[] = {
#define OP(name, what, ...) &op_##name,
#include "program/ops.def"
#undef OP
};

static const char *const names[] = {
#define OP(name, what, ...) #name,
#include "program/ops.def"
#undef OP
};

_Static_assert(OP_COUNT <= 32, "weight.uses has a bit for each op");

const struct op_type *op_type(enum op op)
{
    CHECK(op < OP_COUNT);
    return types[op];
}

const char *op_name(enum op op)
{
    CHECK(op < OP_COUNT);
    return names[op];
}

struct prog *prog_new(struct bundle *b, const char *name)
{
    struct prog *p = mem_new(sizeof *p);
    p->bundle = b;
    p->name = mem_copy(name, strlen(name));
    p->layer = -1;
    p->emitting = NO_OP;
    return p;
}

void prog_free(struct prog *p)
{
    for (size_t i = 1; i <= p->n_value; i++)
        free((char *)(uintptr_t)p->value[i].name);
    for (uint32_t i = 0; i < p->n_input; i++)
        free(p->input[i]);
    free(p->code);
    free(p->value);
    free(p->name);
    free(p);
}

const char *prog_name(const struct prog *p)
{
    return p->name;
}

struct bundle *prog_bundle(const struct prog *p)
{
    return p->bundle;
}

void prog_layer(struct prog *p, int layer)
{
    p->layer = layer;
}

bool prog_fail(struct prog *p, const char *fmt, ...)
{
    if (p->err.kind != ERR_NONE)
        return false;
    char    text[400], where[96] = "";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    int n = p->layer >= 0 ? snprintf(where, sizeof where, "layer %d, ", p->layer) : 0;
    if (p->emitting != NO_OP)
        snprintf(where + n, sizeof where - (size_t)n, "instruction %zu (%s): ", p->n_code,
                 op_name((enum op)p->emitting));
    return err_set(&p->err, ERR_CORRUPT, "program %s: %s%s", p->name, where, text);
}

/* Whether a mistake was made before, so that there is nothing to do but come to the end. */
static bool failed(const struct prog *p)
{
    CHECK(!p->ended);
    return p->err.kind != ERR_NONE || bundle_err(p->bundle)->kind != ERR_NONE;
}

static val value_add(struct prog *p, struct value v)
{
    if (v.width == 0 || v.width > WIDTH_MAX || p->n_value >= IDS_MAX) {
        prog_fail(p, "a value of width %u (at most %d), or more than %d values", v.width, WIDTH_MAX, IDS_MAX);
        return (val){0};
    }
    size_t n = p->n_value + 1;
    if (n == 1 || (n & (n - 1)) == 0)
        p->value = mem_grow(p->value, n * 2, sizeof *p->value);
    p->value[n] = v;
    p->n_value = n;
    return (val){(uint16_t)n};
}

val prog_tokens(struct prog *p)
{
    if (!failed(p) && !p->tokens.id)
        p->tokens = value_add(p, (struct value){.rows = ROWS_TOKEN, .per = 1, .width = 1, .integer = true});
    return failed(p) ? (val){0} : p->tokens;
}

val prog_input(struct prog *p, const char *name, uint32_t width)
{
    if (failed(p))
        return (val){0};
    if (p->n_input == INPUTS_MAX) {
        prog_fail(p, "more than %d inputs", INPUTS_MAX);
        return (val){0};
    }
    p->input[p->n_input] = mem_copy(name, strlen(name));
    p->input_width[p->n_input++] = width;
    return EMIT(p, input, .input = {.at = p->n_input - 1, .width = width});
}

val prog_cols(struct prog *p, val v, uint32_t from, uint32_t width)
{
    if (failed(p))
        return (val){0};
    struct value x = *prog_value(p, v);
    if (width == 0 || from > x.width || width > x.width - from) {
        prog_fail(p, "columns %u to %u of a value of width %u", from, from + width, x.width);
        return (val){0};
    }
    x.base = x.base.id ? x.base : v;
    x.col += from;
    x.width = width;
    x.name = NULL;
    return value_add(p, x);
}

static bool inputs_fit(struct prog *p, const struct op_type *t, const struct instr *i)
{
    for (unsigned k = 0; k < 3; k++) {
        if (k >= t->n_in) {
            if (i->in[k].id)
                return prog_fail(p, "it reads %u values, not %u", t->n_in, k + 1);
            continue;
        }
        if (i->in[k].id == 0 || i->in[k].id > p->n_value)
            return prog_fail(p, "input %u is no value", k);
        const struct value *v = prog_value(p, i->in[k]);
        if (v->integer != t->integer)
            return prog_fail(p, "input %u is %s", k, v->integer ? "token ids" : "not token ids");
        if (v->partial != t->partial)
            return prog_fail(p, v->partial ? "input %u is spread over the ranks and wants a sum first"
                                           : "input %u is whole already", k);
        const struct value *first = prog_value(p, i->in[0]);
        if (v->rows != first->rows || v->per != first->per)
            return prog_fail(p, "input %u has other rows than input 0", k);
    }
    return true;
}

static bool weights_fit(struct prog *p, const struct op_type *t, const struct instr *i)
{
    for (unsigned k = 0; k < WEIGHTS_MAX; k++) {
        bool here = i->w[k].id != 0;
        if (here ? k >= t->n_w_max : k < t->n_w)
            return prog_fail(p, "weight %u is %s", k, here ? "one too many" : "missing");
        if (here && k < t->n_w && bundle_weight_at(p->bundle, i->w[k])->optional)
            return prog_fail(p, "weight %u may not be optional", k);
    }
    if ((i->s.id != 0) != t->state)
        return prog_fail(p, "its state is %s", t->state ? "missing" : "one too many");
    for (size_t at = 0; t->state && at < p->n_code; at++)
        if (p->code[at].s.id == i->s.id)
            return prog_fail(p, "state %u is written twice", i->s.id);
    return true;
}

val prog_emit(struct prog *p, enum op op, const struct instr *in)
{
    if (failed(p))
        return (val){0};
    const struct op_type *t = op_type(op);
    struct instr          i = *in;
    i.op = (uint16_t)op;
    i.layer = (uint16_t)(p->layer + 1);
    i.out = (val){0};
    p->emitting = (int)op;
    if (p->n_code >= IDS_MAX)
        prog_fail(p, "more than %d instructions", IDS_MAX);
    else if (inputs_fit(p, t, &i) && weights_fit(p, t, &i)) {
        struct value out = {.rows = ROWS_TOKEN, .per = 1, .first = (uint16_t)p->n_code};
        if (t->n_in) {
            out.rows = prog_value(p, i.in[0])->rows;
            out.per = prog_value(p, i.in[0])->per;
        }
        if (t->shape(p, &i, &out))
            i.out = value_add(p, out);
    }
    p->emitting = NO_OP;
    if (!i.out.id)
        return i.out;
    for (unsigned k = 0; k < WEIGHTS_MAX; k++)
        if (i.w[k].id)
            bundle_use(p->bundle, i.w[k], op);
    if ((p->n_code & (p->n_code - 1)) == 0)
        p->code = mem_grow(p->code, p->n_code ? p->n_code * 2 : 1, sizeof *p->code);
    p->code[p->n_code++] = i;
    return i.out;
}

void prog_out(struct prog *p, const char *name, val v)
{
    if (failed(p))
        return;
    CHECK(v.id > 0 && v.id <= p->n_value);
    struct value *x = &p->value[v.id];
    if (x->base.id || x->integer || x->partial || x->name)
        prog_fail(p, "result %s is %s", name,
                  x->base.id   ? "a view"
                  : x->integer ? "token ids"
                  : x->partial ? "spread over the ranks"
                               : "named twice");
    else if (prog_result(p, name).id || p->n_result == RESULTS_MAX)
        prog_fail(p, "result %s is there already, or one too many", name);
    else {
        x->name = mem_copy(name, strlen(name));
        p->result[p->n_result++] = v;
    }
}

/* A value lives from the instruction that writes it to the last that reads it or a view of it; a result to the end. */
static bool lifetimes(struct prog *p)
{
    uint16_t unread = UINT16_MAX;
    for (size_t v = 1; v <= p->n_value; v++)
        p->value[v].last = unread;
    for (size_t i = 0; i < p->n_code; i++)
        for (unsigned k = 0; k < 3 && p->code[i].in[k].id; k++) {
            struct value *x = &p->value[p->code[i].in[k].id];
            x->last = (uint16_t)i;
            if (x->base.id)
                p->value[x->base.id].last = (uint16_t)i;
        }
    for (size_t k = 0; k < p->n_result; k++)
        p->value[p->result[k].id].last = (uint16_t)p->n_code;

    uint64_t floats = 0;
    for (size_t v = 1; v <= p->n_value; v++) {
        struct value *x = &p->value[v];
        if (x->base.id) {
            x->last = x->last == unread ? x->first : x->last;
            continue;
        }
        if (x->last == unread) {
            p->layer = p->n_code ? (int)p->code[x->first].layer - 1 : -1;
            return prog_fail(p, "v%zu, made by instruction %u, is never read", v, x->first);
        }
        floats += x->width + 15u;
    }
    return floats <= UINT32_MAX || prog_fail(p, "its values are too wide to be stored");
}

bool prog_end(struct prog *p, struct err *e)
{
    if (!failed(p) && p->n_result == 0)
        prog_fail(p, "it has no result");
    if (!failed(p))
        lifetimes(p);
    const struct err *why = bundle_err(p->bundle)->kind != ERR_NONE ? bundle_err(p->bundle) : &p->err;
    if (why->kind != ERR_NONE) {
        if (e)
            *e = *why;
        return false;
    }
    p->ended = true;
    return true;
}

uint32_t prog_long_from(const struct prog *p)
{
    uint32_t from = 0;
    for (size_t i = 0; i < p->n_code && !from; i++)
        from = p->code[i].op == OP_rope ? p->code[i].rope.from : 0;
    return from;
}

uint32_t prog_n_inputs(const struct prog *p)
{
    return p->n_input;
}

const char *prog_input_at(const struct prog *p, uint32_t i, uint32_t *width)
{
    CHECK(i < p->n_input);
    *width = p->input_width[i];
    return p->input[i];
}

uint32_t prog_axes(const struct prog *p)
{
    uint32_t axes = 1;
    for (size_t i = 0; i < p->n_code; i++) {
        if (p->code[i].op != OP_rope || !p->code[i].w[2].id)
            continue;
        const struct weight *w = bundle_weight_at(p->bundle, p->code[i].w[2]);
        for (uint32_t k = 0; k < w->out; k++)
            axes = (uint32_t)w->data[k] >= axes ? (uint32_t)w->data[k] + 1 : axes;
    }
    return axes;
}

/* Shares are products of what folds and pools divide by, so each divides the next; of several chains the least common
 * multiple counts. */
uint32_t prog_per(const struct prog *p)
{
    uint32_t per = 1;
    for (size_t v = 1; v <= p->n_value; v++) {
        uint32_t a = per, b = p->value[v].per;
        while (b) {
            uint32_t rest = a % b;
            a = b;
            b = rest;
        }
        per = per / a * p->value[v].per;
    }
    return per;
}

uint32_t prog_levels(const struct prog *p)
{
    uint32_t n = 0;
    for (size_t i = 0; i < p->n_code; i++)
        if (p->code[i].op == OP_place && p->code[i].place.level >= n)
            n = p->code[i].place.level + 1u;
    return n;
}

bool prog_has_state(const struct prog *p, enum state_kind kind)
{
    for (size_t i = 0; i < p->n_code; i++)
        if (p->code[i].s.id && bundle_state_at(p->bundle, p->code[i].s)->kind == kind)
            return true;
    return false;
}

size_t prog_len(const struct prog *p)
{
    return p->n_code;
}

const struct instr *prog_at(const struct prog *p, size_t i)
{
    CHECK(i < p->n_code);
    return &p->code[i];
}

size_t prog_n_values(const struct prog *p)
{
    return p->n_value;
}

const struct value *prog_value(const struct prog *p, val v)
{
    CHECK(v.id > 0 && v.id <= p->n_value);
    return &p->value[v.id];
}

val prog_result(const struct prog *p, const char *name)
{
    for (size_t i = 0; i < p->n_result; i++)
        if (strcmp(prog_value(p, p->result[i])->name, name) == 0)
            return p->result[i];
    return (val){0};
}
