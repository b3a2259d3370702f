/* bundle.c -- what the programs of one model share: weights, constants, states. */
#include "program/bundle.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/mem.h"
#include "program/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDS_MAX = UINT16_MAX, PROGS_MAX = 8, NAME_MAX_ = 256 };

struct bundle {
    struct arena    names;          /* weights, states, their names and numbers; freed as one */
    struct weight **weight;
    uint64_t       *hash;           /* of each weight's names, to find equals without comparing all */
    struct state  **state;
    size_t          n_weight, n_state;
    struct prog    *prog[PROGS_MAX];
    size_t          n_prog;
    uint32_t        rank, world;
    struct err      err;
};

struct bundle *bundle_new(int rank, int world)
{
    CHECK(world > 0 && rank >= 0 && rank < world);
    struct bundle *b = mem_new(sizeof *b);
    arena_init(&b->names, 0);
    b->rank = (uint32_t)rank;
    b->world = (uint32_t)world;
    return b;
}

void bundle_free(struct bundle *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->n_prog; i++)
        prog_free(b->prog[i]);
    arena_drop(&b->names);
    free(b->weight);
    free(b->hash);
    free(b->state);
    free(b);
}

struct prog *bundle_prog(struct bundle *b, const char *name)
{
    for (size_t i = 0; i < b->n_prog; i++)
        if (strcmp(prog_name(b->prog[i]), name) == 0)
            return b->prog[i];
    CHECK(b->n_prog < PROGS_MAX);
    return b->prog[b->n_prog++] = prog_new(b, name);
}

const struct err *bundle_err(const struct bundle *b)
{
    return &b->err;
}

static bool failed(const struct bundle *b)
{
    return b->err.kind != ERR_NONE;
}

int bundle_rank(const struct bundle *b)
{
    return (int)b->rank;
}

int bundle_world(const struct bundle *b)
{
    return (int)b->world;
}

uint32_t bundle_share(struct bundle *b, uint32_t n)
{
    if (!failed(b) && n % b->world)
        err_set(&b->err, ERR_UNSUPPORTED, "%u cannot be shared evenly by %u ranks", n, b->world);
    return failed(b) ? 0 : n / b->world;
}

/* Lets *list, which holds n pointers, hold one more: room doubles at powers of two. */
static void *grow(void *list, size_t n, size_t each)
{
    return n & (n - 1) ? list : mem_grow(list, n ? n * 2 : 1, each);
}

static wt weight_add(struct bundle *b, const struct weight *w, uint64_t hash)
{
    if (b->n_weight >= IDS_MAX) {
        err_set(&b->err, ERR_UNSUPPORTED, "more than %d weights", IDS_MAX);
        return (wt){0};
    }
    b->weight = grow(b->weight, b->n_weight, sizeof *b->weight);
    b->hash = grow(b->hash, b->n_weight, sizeof *b->hash);
    struct weight *own = arena_new(&b->names, sizeof *own);
    *own = *w;
    b->hash[b->n_weight] = hash;
    b->weight[b->n_weight++] = own;
    return (wt){(uint16_t)b->n_weight};
}

/* Checks the parts of w and adds up their rows. */
static bool weight_shape(struct weight *w)
{
    uint64_t out = 0;
    for (unsigned i = 0; i < 4; i++) {
        bool here = w->part[i] != NULL;
        if (here != (w->part_out[i] > 0) || (here && i > 0 && !w->part[i - 1]))
            return false;
        out += w->part_out[i];
    }
    w->out = (uint32_t)out;
    return out > 0 && out <= UINT32_MAX && w->in > 0;
}

static bool weight_equal(const struct weight *a, const struct weight *b)
{
    char x[NAME_MAX_], y[NAME_MAX_];
    if (a->expert != b->expert || a->n_expert != b->n_expert)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        if (!a->part[i] != !b->part[i])
            return false;
        if (!a->part[i])
            continue;
        weight_name(a, i, x, sizeof x);
        weight_name(b, i, y, sizeof y);
        if (strcmp(x, y) != 0)
            return false;
    }
    return true;
}

static wt weight_take(struct bundle *b, int layer, const struct weight *in)
{
    if (failed(b))
        return (wt){0};
    struct weight w = *in;
    w.layer = layer;
    w.data = NULL;
    w.use = OP_COUNT;
    w.uses = 0;
    char     name[NAME_MAX_] = "(unnamed)";
    uint64_t hash = w.expert;
    for (unsigned i = 0; i < 4 && w.part[i]; i++) {
        weight_name(&w, i, name, sizeof name);
        hash = hash64(name, strlen(name), hash + 1);
    }
    if (!weight_shape(&w)) {
        err_set(&b->err, ERR_CORRUPT, "weight %s has a shape that makes no sense", name);
        return (wt){0};
    }
    for (size_t i = 0; i < b->n_weight; i++) {
        const struct weight *old = b->weight[i];
        if (b->hash[i] != hash || old->data || !weight_equal(old, &w))
            continue;
        if (old->in != w.in || old->split != w.split || memcmp(old->part_out, w.part_out, sizeof w.part_out) != 0) {
            err_set(&b->err, ERR_CORRUPT, "weight %s is wanted in two shapes", name);
            return (wt){0};
        }
        return (wt){(uint16_t)(i + 1)};
    }
    for (unsigned i = 0; i < 4; i++)
        if (w.part[i])
            w.part[i] = arena_copy(&b->names, w.part[i], strlen(w.part[i]));
    return weight_add(b, &w, hash);
}

wt bundle_weight(struct bundle *b, int layer, const struct weight *w)
{
    struct weight one = *w;
    one.n_expert = one.expert = 0;
    return weight_take(b, layer, &one);
}

wt bundle_experts(struct bundle *b, int layer, const struct weight *w)
{
    wt            first = {0};
    struct weight one = *w;
    CHECK(w->n_expert > 0);
    for (one.expert = 0; one.expert < w->n_expert; one.expert++) {
        wt id = weight_take(b, layer, &one);
        first = one.expert == 0 ? id : first;
        if (!failed(b) && id.id != first.id + one.expert)
            err_set(&b->err, ERR_CORRUPT, "layer %d: weights of %u experts do not follow each other", layer, w->n_expert);
    }
    return failed(b) ? (wt){0} : first;
}

wt bundle_const(struct bundle *b, const float *x, uint32_t n)
{
    if (failed(b))
        return (wt){0};
    CHECK(n > 0);
    float *copy = arena_new(&b->names, n * sizeof *copy);
    memcpy(copy, x, n * sizeof *copy);
    return weight_add(
        b, &(struct weight){.out = n, .in = 1, .part_out = {n}, .layer = -1, .data = copy, .use = OP_COUNT}, 0);
}

st bundle_state(struct bundle *b, int layer, enum state_kind kind, uint32_t width)
{
    if (failed(b))
        return (st){0};
    if (width == 0 || b->n_state >= IDS_MAX) {
        err_set(&b->err, ERR_CORRUPT, "layer %d: a state of width %u, or too many of them", layer, width);
        return (st){0};
    }
    b->state = grow(b->state, b->n_state, sizeof *b->state);
    struct state *s = arena_new(&b->names, sizeof *s);
    *s = (struct state){.kind = kind, .width = width, .layer = layer};
    b->state[b->n_state++] = s;
    return (st){(uint16_t)b->n_state};
}

size_t bundle_n_weights(const struct bundle *b)
{
    return b->n_weight;
}

const struct weight *bundle_weight_at(const struct bundle *b, wt w)
{
    CHECK(w.id > 0 && w.id <= b->n_weight);
    return b->weight[w.id - 1];
}

void bundle_use(struct bundle *b, wt w, enum op op)
{
    CHECK(w.id > 0 && w.id <= b->n_weight);
    uint32_t n = b->weight[w.id - 1]->n_expert;
    for (uint32_t i = 0; i < (n ? n : 1); i++) {
        struct weight *x = b->weight[w.id - 1 + i];
        if (x->uses == 0)
            x->use = op;
        x->uses |= 1u << op;
    }
}

bool bundle_heads(struct bundle *b, st s, uint32_t head_dim)
{
    CHECK(s.id > 0 && s.id <= b->n_state);
    struct state *x = b->state[s.id - 1];
    x->head_dim = x->head_dim ? x->head_dim : head_dim;
    return x->head_dim == head_dim;
}

size_t bundle_n_states(const struct bundle *b)
{
    return b->n_state;
}

bool bundle_has_state(const struct bundle *b, enum state_kind kind)
{
    for (size_t i = 0; i < b->n_state; i++)
        if (b->state[i]->kind == kind)
            return true;
    return false;
}

const struct state *bundle_state_at(const struct bundle *b, st s)
{
    CHECK(s.id > 0 && s.id <= b->n_state);
    return b->state[s.id - 1];
}

void weight_name(const struct weight *w, unsigned part, char *out, size_t room)
{
    CHECK(part < 4 && room > 0);
    const char *name = w->part[part] ? w->part[part] : "(constant)";
    size_t      n = 0;
    for (; *name && n + 1 < room; name++)
        if (*name == '#' || *name == '*') {
            int more = snprintf(out + n, room - n, "%lld", *name == '#' ? (long long)w->layer : (long long)w->expert);
            n = n + (size_t)more < room ? n + (size_t)more : room - 1;
        } else
            out[n++] = *name;
    out[n] = 0;
}
