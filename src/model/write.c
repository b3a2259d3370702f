/* write.c -- see write.h. */
#include "model/write.h"

#include <stdio.h>

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

bool write_has(const struct writer *w, const char *name)
{
    char                text[NAME_ROOM];
    struct tensor       t;
    const struct weight x = {.part = {name}, .layer = w->layer};
    weight_name(&x, 0, text, sizeof text);
    return checkpoint_find(w->m->checkpoint, text, &t);
}

/* ---- experts ------------------------------------------------------------------------------------------------------ */

/* A name below e->at, in one of a few rooms that live until the weight has its copy. */
struct names {
    char at[4][NAME_ROOM];
};

static const char *below(const struct moe *e, const char *name, char room[NAME_ROOM])
{
    snprintf(room, NAME_ROOM, "%s%s", e->at, name);
    return room;
}

struct form {
    const char *gate, *up, *down;   /* gate NULL: there is none, or it lies in front of up */
};

/* The form of this layer's experts; where none is there the first, whose names the error will have. */
static const struct form *form_of(const struct writer *w, const struct moe *e)
{
    static const struct form gated[] = {
        {".experts.*.gate_proj.weight", ".experts.*.up_proj.weight", ".experts.*.down_proj.weight"},
        {".switch_mlp.gate_proj.weight", ".switch_mlp.up_proj.weight", ".switch_mlp.down_proj.weight"},
        {NULL, ".experts.gate_up_proj", ".experts.down_proj"},
    }, plain[] = {
        {NULL, ".experts.*.up_proj.weight", ".experts.*.down_proj.weight"},
        {NULL, ".switch_mlp.fc1.weight", ".switch_mlp.fc2.weight"},
        {NULL, ".experts.up_proj", ".experts.down_proj"},
    };
    const struct form *forms = e->act == ACT_RELU2 ? plain : gated;
    char               room[NAME_ROOM];
    for (unsigned i = 0; i < 3; i++)
        if (write_has(w, below(e, forms[i].up, room)))
            return &forms[i];
    return forms;
}

static wt matrices(const struct writer *w, const struct moe *e, const char *gate, const char *name, struct weight m)
{
    struct names n;
    uint32_t     out = m.part_out[0];
    m.n_expert = e->n;
    m.part[0] = below(e, gate ? gate : name, n.at[0]);
    if (gate) {
        m.part[1] = below(e, name, n.at[1]);
        m.part_out[0] = m.part_out[1] = out / 2;
    }
    return bundle_experts(w->b, w->layer, &m);
}

static wt biases(const struct writer *w, const struct moe *e, const char *name, uint32_t out)
{
    struct names n;
    const struct weight v = {.part = {below(e, name, n.at[0])}, .part_out = {out}, .in = 1, .n_expert = e->n};
    return e->biased ? bundle_experts(w->b, w->layer, &v) : (wt){0};
}

static wt choice_bias(const struct writer *w, const struct moe *e)
{
    struct names n;
    const struct weight v = {.part = {below(e, ".gate.e_score_correction_bias", n.at[0])}, .part_out = {e->n}, .in = 1};
    return e->choice_bias ? bundle_weight(w->b, w->layer, &v) : (wt){0};
}

val write_moe(const struct writer *w, val x, const struct moe *e)
{
    struct names       n;
    uint32_t           width = x.id ? prog_value(w->p, x)->width : 1, ff = bundle_share(w->b, e->ff);
    uint32_t           up = e->act == ACT_RELU2 ? ff : 2 * ff;
    const struct form *form = form_of(w, e);
    const struct part  router[4] = {{below(e, e->biased ? ".router.weight" : ".gate.weight", n.at[0]),
                                     below(e, ".router.bias", n.at[1]), e->n}};
    val logits = write_linear(w, x, SPLIT_NONE, router, e->biased);
    val y = EMIT(w->p, experts, .in = {x, logits},
                .w = {matrices(w, e, form->gate, form->up, (struct weight){.part_out = {up}, .in = width, .split = SPLIT_OUT}),
                      matrices(w, e, NULL, form->down, (struct weight){.part_out = {width}, .in = ff, .split = SPLIT_IN}),
                      biases(w, e, ".experts.gate_up_proj_bias", up), biases(w, e, ".experts.down_proj_bias", width),
                      choice_bias(w, e)},
                .experts = {.n = e->n, .k = e->k, .groups = e->groups, .groups_kept = e->groups_kept, .router = e->router,
                            .normalise = e->normalise, .act = e->act, .pairs = e->pairs, .scaling = e->scaling,
                            .limit = e->limit});
    return EMIT(w->p, sum, .in = {y});
}
