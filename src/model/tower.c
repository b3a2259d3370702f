/* tower.c -- see vision.h. */
#include "model/vision.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_ROOM = 256 };

struct writer tower_writer(struct model *m, double eps)
{
    return (struct writer){.m = m, .p = bundle_prog(m->bundle, "vision"), .b = m->bundle, .layer = -1, .eps = (float)eps};
}

static wt vector(const struct writer *w, const char *module, const char *end, uint32_t n)
{
    char name[NAME_ROOM];
    snprintf(name, sizeof name, "%s%s", module, end);
    return bundle_weight(w->b, w->layer, &(struct weight){.part = {name}, .part_out = {n}, .in = 1});
}

val tower_norm(const struct writer *w, val x, const char *module, bool centred)
{
    uint32_t n = x.id ? prog_value(w->p, x)->width : 1;
    return EMIT(w->p, norm, .in = {x}, .w = {vector(w, module, ".weight", n), centred ? vector(w, module, ".bias", n) : (wt){0}},
                .norm = {.eps = w->eps, .one = w->one, .centred = centred});
}

/* Modules side by side. */
static val linears(const struct writer *w, val x, const char *const module[], unsigned n, uint32_t out, bool biased)
{
    char        room[3][2][NAME_ROOM];
    struct part part[4] = {0};
    for (unsigned i = 0; i < n; i++) {
        snprintf(room[i][0], NAME_ROOM, "%s.weight", module[i]);
        snprintf(room[i][1], NAME_ROOM, "%s.bias", module[i]);
        part[i] = (struct part){room[i][0], room[i][1], out};
    }
    return write_linear(w, x, SPLIT_NONE, part, biased);
}

val tower_linear(const struct writer *w, val x, const char *module, uint32_t out, bool biased)
{
    return linears(w, x, &module, 1, out, biased);
}

/* The columns of patches in the order of a kernel whose channels come last. */
static val channels_last(const struct writer *w, val x)
{
    const struct vision *v = &w->m->vision;
    uint32_t             area = v->patch_width / v->channels, n = 0;
    float               *list = mem_array(v->patch_width, sizeof *list);
    for (uint32_t at = 0; at < area; at++)
        for (uint32_t c = 0; c < v->channels; c++)
            list[n++] = (float)(c * area + at);
    return write_order(w, x, x, list, n);
}

val tower_patches(const struct writer *w, const char *module, uint32_t width, bool biased)
{
    const struct vision *v = &w->m->vision;
    char                 name[2][NAME_ROOM];
    struct tensor        t;
    snprintf(name[0], NAME_ROOM, "%s.weight", module);
    snprintf(name[1], NAME_ROOM, "%s.bias", module);
    val x = prog_input(w->p, "patches", v->patch_width);
    if (model_find(w->m, name[0], &t, NULL) && t.n_dim > 2 && t.shape[t.n_dim - 1] == v->channels && t.shape[1] != v->channels)
        x = channels_last(w, x);
    const struct weight kernel = {.part = {name[0]}, .part_out = {width}, .in = v->patch_width, .flat = true};
    const struct weight bias = {.part = {name[1]}, .part_out = {width}, .in = 1};
    return EMIT(w->p, linear, .in = {x}, .w = {bundle_weight(w->b, -1, &kernel), biased ? bundle_weight(w->b, -1, &bias) : (wt){0}});
}

val tower_places(const struct writer *w, val x, const char *table, uint32_t n, const char *behind)
{
    uint32_t            width = x.id ? prog_value(w->p, x)->width : 1, n_place = w->m->vision.n_place;
    const struct weight rows = {.part = {table, behind}, .part_out = {n, behind ? 1 : 0}, .in = width, .flat = true};
    val place = prog_input(w->p, "place", n_place), share = prog_input(w->p, "share", n_place);
    return EMIT(w->p, add, .in = {x, EMIT(w->p, gather, .in = {place, share}, .w = {bundle_weight(w->b, -1, &rows)})});
}

static val attention(const struct writer *w, const struct tower *t, val x)
{
    bool     one = !t->qkv[1], full = !t->is_full || t->is_full(t->ctx, (uint32_t)w->layer);
    uint32_t n = t->width, dim = t->width / t->n_head;
    val      qkv = linears(w, x, t->qkv, one ? 1 : 3, one ? 3 * n : n, true), q = prog_cols(w->p, qkv, 0, n), k = prog_cols(w->p, qkv, n, n);
    if (t->freqs.id) {
        val qk = EMIT(w->p, rope, .in = {prog_cols(w->p, qkv, 0, 2 * n)}, .w = {t->freqs, {0}, t->axes},
                      .rope = {.head_dim = dim, .factor = 1});
        q = prog_cols(w->p, qk, 0, n);
        k = prog_cols(w->p, qk, n, n);
    }
    val a = EMIT(w->p, attend_all, .in = {q, k, prog_cols(w->p, qkv, 2 * n, n)},
                 .attend_all = {.head_dim = dim, .windows = !full, .scale = (float)(1 / sqrt((double)dim))});
    return tower_linear(w, a, t->proj, n, true);
}

static val feed_forward(const struct writer *w, const struct tower *t, val x)
{
    val up = linears(w, x, t->up, t->up[1] ? 2 : 1, t->ff, true);
    val h = t->up[1] ? EMIT(w->p, glu, .in = {up}, .glu = {.act = t->act}) : EMIT(w->p, act, .in = {up}, .act = {.act = t->act});
    return tower_linear(w, h, t->down, t->width, true);
}

val tower_layer(const struct writer *w, const struct tower *t, val x)
{
    prog_layer(w->p, w->layer);
    x = EMIT(w->p, add, .in = {x, attention(w, t, tower_norm(w, x, t->norm[0], t->centred))});
    return EMIT(w->p, add, .in = {x, feed_forward(w, t, tower_norm(w, x, t->norm[1], t->centred))});
}

void tower_rope(struct model *m, struct tower *t)
{
    uint32_t pairs = t->width / t->n_head / 2, half = pairs / 2;
    float   *freq = mem_array(pairs, sizeof *freq), *axis = mem_array(pairs, sizeof *axis);
    for (uint32_t i = 0; i < pairs; i++) {
        axis[i] = i < half ? 0 : 1;
        freq[i] = 1.0f / (float)pow(10000, (double)((float)(2 * (i % half)) / (float)pairs));
    }
    t->freqs = bundle_const(m->bundle, freq, pairs);
    t->axes = bundle_const(m->bundle, axis, pairs);
    free(freq);
    free(axis);
}

bool tower_act(json config, const char *fallback, uint8_t *out, struct err *e)
{
    static const struct { const char *name; uint8_t act; } known[] = {
        {"silu", ACT_SILU}, {"gelu", ACT_GELU}, {"gelu_pytorch_tanh", ACT_GELU_TANH}, {"gelu_new", ACT_GELU_TANH},
        {"quick_gelu", ACT_GELU_QUICK},
    };
    struct str name = json_str(json_get(config, "hidden_act"));
    if (!name.p)
        name = str_of(fallback);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (str_is(name, known[i].name)) {
            *out = known[i].act;
            return true;
        }
    return err_set(e, ERR_UNSUPPORTED, "configuration: vision_config.hidden_act '%.*s' is not supported", (int)name.n, name.p);
}
