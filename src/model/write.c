/* write.c -- see write.h. */
#include "model/write.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAME_ROOM = 256 };

val write_norm(const struct writer *w, val x, const char *name, uint32_t group)
{
    uint32_t            width = x.id ? prog_value(w->p, x)->width : 0;
    const struct weight v = {.part = {name}, .part_out = {group ? group : width ? width : 1}, .in = 1};
    return EMIT(w->p, norm, .in = {x}, .w = {bundle_weight(w->b, w->layer, &v)},
                .norm = {.eps = w->eps, .group = group, .one = w->one});
}

val write_linear(const struct writer *w, val x, enum split split, const struct part part[], bool biased)
{
    uint32_t      in = x.id ? prog_value(w->p, x)->width : 1;
    struct weight m = {.in = in, .split = split}, bias = {.in = 1, .split = split == SPLIT_IN ? SPLIT_NONE : split};
    for (unsigned i = 0; i < 4 && part[i].out; i++) {
        m.part[i] = part[i].weight;
        bias.part[i] = part[i].bias;
        m.part_out[i] = bias.part_out[i] = part[i].out;
    }
    bool here = biased && (split != SPLIT_IN || bundle_rank(w->b) == 0);
    return EMIT(w->p, linear, .in = {x},
                .w = {bundle_weight(w->b, w->layer, &m), here ? bundle_weight(w->b, w->layer, &bias) : (wt){0}});
}

val write_down(const struct writer *w, val x, struct part one, bool biased)
{
    const struct part part[4] = {one};
    return EMIT(w->p, sum, .in = {write_linear(w, x, SPLIT_IN, part, biased)});
}

val write_order(const struct writer *w, val a, val b, float *list, uint32_t n)
{
    val out = EMIT(w->p, order, .in = {a, b}, .w = {bundle_const(w->b, list, n)});
    free(list);
    return out;
}

bool write_has(const struct writer *w, const char *name)
{
    char                text[NAME_ROOM];
    struct tensor       t;
    const struct weight x = {.part = {name}, .layer = w->layer};
    weight_name(&x, 0, text, sizeof text);
    return model_find(w->m, text, &t, NULL);
}

/* ---- experts ------------------------------------------------------------------------------------------------------ */

/* A name below e->at, in a room that must live until the weight has its copy. */
static const char *below(const struct moe *e, const char *name, const char *end, char room[NAME_ROOM])
{
    snprintf(room, NAME_ROOM, "%s%s%s", e->at, name, end);
    return room;
}

/* What a checkpoint calls the experts' matrices, each but for its end. */
struct form {
    const char *gate, *up, *down;   /* gate NULL: there is none, or up is both */
    const char *weight, *bias;      /* ends of the names */
};

/* The form of this layer's experts; where none is there the first, whose names the error will have. */
static const struct form *form_of(const struct writer *w, const struct moe *e)
{
    static const struct form gated[] = {
        {".experts.*.gate_proj", ".experts.*.up_proj", ".experts.*.down_proj", ".weight", ".bias"},
        {".switch_mlp.gate_proj", ".switch_mlp.up_proj", ".switch_mlp.down_proj", ".weight", ".bias"},
        {".experts.gate_proj", ".experts.up_proj", ".experts.down_proj", ".weight", ".bias"},
        {NULL, ".experts.gate_up_proj", ".experts.down_proj", "", "_bias"},
        {0},
    }, plain[] = {
        {NULL, ".experts.*.up_proj", ".experts.*.down_proj", ".weight", ".bias"},
        {NULL, ".switch_mlp.fc1", ".switch_mlp.fc2", ".weight", ".bias"},
        {NULL, ".experts.up_proj", ".experts.down_proj", "", "_bias"},
        {0},
    };
    const struct form *forms = e->act == ACT_RELU2 ? plain : gated;
    char               room[NAME_ROOM];
    for (const struct form *f = forms; f->up; f++)
        if (write_has(w, below(e, f->up, f->weight, room)))
            return f;
    return forms;
}

/* All experts' weights of one or two modules, side by side. */
static wt experts(const struct writer *w, const struct moe *e, const char *module[2], const char *end, struct weight m)
{
    char room[2][NAME_ROOM];
    m.n_expert = e->n;
    m.turned = e->turned && m.in > 1;
    for (unsigned i = 0, n = 0; i < 2; i++)
        if (module[i]) {
            m.part[n] = below(e, module[i], end, room[i]);
            m.part_out[n++] = module[0] && module[1] ? m.out / 2 : m.out;
        }
    return bundle_experts(w->b, w->layer, &m);
}

static wt choice_bias(const struct writer *w, const struct moe *e)
{
    char                room[NAME_ROOM];
    const struct weight v = {.part = {below(e, ".gate", ".e_score_correction_bias", room)}, .part_out = {e->n}, .in = 1};
    return e->choice_bias ? bundle_weight(w->b, w->layer, &v) : (wt){0};
}

val write_moe(const struct writer *w, val x, const struct moe *e)
{
    char               room[2][NAME_ROOM];
    uint32_t           width = x.id ? prog_value(w->p, x)->width : 1, ff = bundle_share(w->b, e->ff);
    uint32_t           up = e->act == ACT_RELU2 ? ff : 2 * ff;
    const struct form *f = form_of(w, e);
    const char        *first[2] = {f->gate, f->up}, *second[2] = {NULL, f->down};
    const struct part  router[4] = {{below(e, e->biased ? ".router" : ".gate", ".weight", room[0]),
                                     below(e, ".router", ".bias", room[1]), e->n}};
    struct instr       i = {.in = {x, write_linear(w, x, SPLIT_NONE, router, e->biased)},
                            .experts = {.n = e->n, .k = e->k, .groups = e->groups, .groups_kept = e->groups_kept,
                                        .router = e->router, .normalise = e->normalise, .act = e->act,
                                        .pairs = e->pairs && !f->gate, .scaling = e->scaling, .limit = e->limit}};
    i.w[0] = experts(w, e, first, f->weight, (struct weight){.out = up, .in = width, .split = SPLIT_OUT});
    i.w[1] = experts(w, e, second, f->weight, (struct weight){.out = width, .in = ff, .split = SPLIT_IN});
    if (e->biased) {
        i.w[2] = experts(w, e, first, f->bias, (struct weight){.out = up, .in = 1});
        i.w[3] = experts(w, e, second, f->bias, (struct weight){.out = width, .in = 1});
    }
    i.w[4] = choice_bias(w, e);
    return EMIT(w->p, sum, .in = {prog_emit(w->p, OP_experts, &i)});
}
