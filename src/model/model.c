/* model.c -- see model.h.
 *
 * A model is taken only if every weight it names is there in its shape, and every tensor that is there is named: what
 * is left over would be a part of the model that nobody computes. */
#include "model/models.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_ROOM = 256 };

static const struct {
    const char *arch;
    bool (*write)(struct model *m, struct err *e);
} models[] = {
#define MODEL(file, arch) {arch, model_##file},
#include "model/models.def"
#undef MODEL
};

static bool shape_fits(const struct weight *w, unsigned i, const struct tensor *t)
{
    if (w->flat) {
        uint64_t n = 1;
        for (unsigned k = 0; k < t->n_dim; k++)
            n *= t->shape[k];
        return n == w->part_out[i] && format_info(t->format)->block_values == 1;
    }
    if (w->in == 1)
        return t->n_dim == 1 && t->shape[0] == w->part_out[i] && format_info(t->format)->block_values == 1;
    return t->n_dim == 2 && t->shape[0] == w->part_out[i] && t->shape[1] == w->in &&
           t->shape[1] % format_info(t->format)->block_values == 0;
}

static void shape_text(const struct tensor *t, char *out, size_t room)
{
    int n = snprintf(out, room, "%s [", tensor_kind(t).text);
    for (unsigned i = 0; i < t->n_dim && n > 0 && (size_t)n < room; i++)
        n += snprintf(out + n, room - (size_t)n, "%s%u", i ? ", " : "", t->shape[i]);
    if (n > 0 && (size_t)n < room)
        snprintf(out + n, room - (size_t)n, "]");
}

/* Leaves expert w->expert's share of a tensor of all of them. */
static bool take_share(const struct weight *w, struct tensor *t)
{
    if (t->n_dim < 2 || t->shape[0] != w->n_expert)
        return false;
    uint64_t rows = 1;
    t->n_dim--;
    memmove(t->shape, t->shape + 1, t->n_dim * sizeof t->shape[0]);
    for (unsigned i = 0; i + 1 < t->n_dim; i++)
        rows *= t->shape[i];
    *t = tensor_from_row(t, rows * w->expert, t->shape[t->n_dim - 1]);
    t->bytes /= w->n_expert;
    t->source_id = hash64(&w->expert, sizeof w->expert, t->source_id);
    return true;
}

bool model_weight(const struct model *m, wt id, struct tensor part[4], size_t *n, struct err *e)
{
    const struct weight *w = bundle_weight_at(m->bundle, id);
    size_t               got = 0, wanted = 0;
    char                 name[NAME_ROOM], missing[NAME_ROOM] = "", shape[80];
    for (unsigned i = 0; i < 4 && w->part[i]; i++, wanted++) {
        weight_name(w, i, name, sizeof name);
        if (!checkpoint_find(m->checkpoint, name, &part[got])) {
            if (!missing[0])
                memcpy(missing, name, sizeof name);
            continue;
        }
        bool whole = !w->n_expert || strchr(w->part[i], '*');
        shape_text(&part[got], shape, sizeof shape);
        if (!(whole || take_share(w, &part[got])) || !shape_fits(w, i, &part[got])) {
            if (w->in == 1)
                return err_set(e, ERR_CORRUPT, "tensor '%s' is %s, but the configuration wants [%u]", name, shape,
                               w->part_out[i]);
            return err_set(e, ERR_CORRUPT, "tensor '%s' is %s, but the configuration wants [%u, %u]", name, shape,
                           w->part_out[i], w->in);
        }
        got++;
    }
    if (got < wanted && !(got == 0 && w->optional))
        return err_set(e, ERR_CORRUPT, "tensor '%s' is missing", missing);
    *n = got;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Tensors that may be there without being a weight: what is computed anew, read elsewhere, tied, or only guesses ahead. */
static bool is_spare(const struct model *m, const char *name)
{
    static const char *const layers[] = {"model.layers.", "backbone.layers.", "blk."};
    static const char *const read[] = {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight", "lm_head.weight"};
    bool ahead = json_int_or(json_get(checkpoint_config(m->checkpoint), "num_nextn_predict_layers"), 0) > 0;
    for (size_t i = 0; ahead && i < sizeof layers / sizeof *layers; i++) {
        size_t n = strlen(layers[i]);
        if (strncmp(name, layers[i], n) == 0 && strtoul(name + n, NULL, 10) >= m->info.n_layer)
            return true;
    }
    for (size_t i = 0; i < sizeof read / sizeof *read; i++)
        if (strcmp(name, read[i]) == 0)
            return true;
    return strncmp(name, "mtp.", 4) == 0 || str_ends(str_of(name), STR("rotary_emb.inv_freq")) ||
           str_ends(str_of(name), STR(".mixer.A"));
}

static bool nothing_left(const struct model *m, char **used, size_t n_used, struct err *e)
{
    qsort(used, n_used, sizeof *used, by_name);
    for (size_t i = 0; i < checkpoint_len(m->checkpoint); i++) {
        struct tensor t;
        const char   *name = checkpoint_at(m->checkpoint, i, &t);
        if (!is_spare(m, name) && !bsearch(&name, used, n_used, sizeof *used, by_name))
            return err_set(e, ERR_UNSUPPORTED, "tensor '%s' has no place in a %s with this configuration", name,
                           m->info.arch);
    }
    return true;
}

static bool weights_check(struct model *m, struct err *e)
{
    size_t n_weight = bundle_n_weights(m->bundle), n_used = 0;
    char **used = mem_array(n_weight * 4, sizeof *used);
    bool   ok = true;
    for (size_t i = 1; i <= n_weight && ok; i++) {
        const struct weight *w = bundle_weight_at(m->bundle, (wt){(uint16_t)i});
        struct tensor        part[4];
        size_t               n;
        ok = model_weight(m, (wt){(uint16_t)i}, part, &n, e);
        for (unsigned k = 0; ok && k < n; k++) {
            char name[NAME_ROOM];
            weight_name(w, k, name, sizeof name);
            used[n_used++] = mem_copy(name, strlen(name));
            m->info.n_param += (uint64_t)w->part_out[k] * w->in;
        }
    }
    ok = ok && nothing_left(m, used, n_used, e);
    for (size_t i = 0; i < n_used; i++)
        free(used[i]);
    free(used);
    return ok;
}

static bool arch_read(struct model *m, size_t *at, struct err *e)
{
    json arch = json_at(json_get(checkpoint_config(m->checkpoint), "architectures"), 0);
    if (!json_str(arch).p || json_str(arch).n == 0)
        return err_set(e, ERR_CORRUPT, "configuration: architectures names no model");
    snprintf(m->info.arch, sizeof m->info.arch, "%.*s", (int)json_str(arch).n, json_str(arch).p);
    for (*at = 0; *at < sizeof models / sizeof models[0]; ++*at)
        if (json_is(arch, models[*at].arch))
            return true;
    struct buf known;
    buf_init(&known, 0);
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        buf_printf(&known, "%s%s", i ? ", " : "", models[i].arch);
    err_set(e, ERR_UNSUPPORTED, "%s is not supported; %s are", m->info.arch, known.p);
    buf_drop(&known);
    return false;
}

bool model_open(struct model **out, const struct checkpoint *c, struct err *e)
{
    struct model *m = mem_new(sizeof *m);
    size_t        at = 0;
    m->checkpoint = c;
    m->bundle = bundle_new(0, 1);
    if (!arch_read(m, &at, e) || !models[at].write(m, e) || !weights_check(m, e)) {
        model_close(m);
        return err_in(e, "%s", checkpoint_path(c));
    }
    *out = m;
    return true;
}

void model_close(struct model *m)
{
    if (!m)
        return;
    bundle_free(m->bundle);
    free(m);
}
