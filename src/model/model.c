/* model.c -- see model.h.
 *
 * A model is taken only if every weight it names is there in its shape, and every tensor that is there is named: what
 * is left over would be a part of the model that nobody computes. */
#include "model/models.h"

#include "base/hash.h"
#include "base/mem.h"

#include <math.h>
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

/* ---- names -------------------------------------------------------------------------------------------------------- */

/* Under which roofs the parts of checkpoints lie that programs call by one name. */
static const struct {
    const char *part, *roof;
} roofs[] = {
    {"model.", "language_model.model."},
    {"model.", "model.language_model."},
    {"lm_head.", "language_model.lm_head."},
    {"vision.", "model.visual."},
    {"vision.", "visual."},
    {"vision.", "vision_tower.vision_model."},
    {"vision.", "model.vision_tower.vision_model."},
    {"vision.", "vision_tower."},
    {"vision.", "model.vision_tower."},
    {"projector.", "multi_modal_projector."},
    {"projector.", "model.multi_modal_projector."},
    {"image_newline", "model.image_newline"},
    {"image_newline", "language_model.model.image_newline"},
};

/* name with `from`, which it must begin with, replaced. */
static bool renamed(const char *name, const char *from, const char *to, char out[NAME_ROOM])
{
    size_t n = strlen(from);
    return strncmp(name, from, n) == 0 && snprintf(out, NAME_ROOM, "%s%s", to, name + n) < NAME_ROOM;
}

bool model_find(const struct model *m, const char *name, struct tensor *out, char *real)
{
    char text[NAME_ROOM];
    snprintf(text, sizeof text, "%s", name);
    bool found = checkpoint_find(m->checkpoint, name, out);
    for (size_t i = 0; i < sizeof roofs / sizeof roofs[0] && !found; i++)
        found = renamed(name, roofs[i].part, roofs[i].roof, text) && checkpoint_find(m->checkpoint, text, out);
    if (real)
        memcpy(real, found ? text : name, strlen(found ? text : name) + 1);
    return found;
}

/* The part that a tensor of the checkpoint is of, and its number there, if a layer's: "vision.encoder.layers.", 3. */
static bool is_layer_from(const char *name, const char *part, const char *layers, uint32_t n)
{
    char text[NAME_ROOM];
    for (size_t i = 0; i < sizeof roofs / sizeof roofs[0]; i++)
        if (strcmp(roofs[i].part, part) == 0 && renamed(name, roofs[i].roof, part, text) &&
            strncmp(text, layers, strlen(layers)) == 0)
            return strtoul(text + strlen(layers), NULL, 10) >= n;
    return false;
}

static bool is_named(const char *name, const char *want)
{
    char text[NAME_ROOM];
    for (size_t i = 0; i < sizeof roofs / sizeof roofs[0]; i++)
        if (renamed(name, roofs[i].roof, roofs[i].part, text) && strcmp(text, want) == 0)
            return true;
    return strcmp(name, want) == 0;
}

bool model_sees(const struct model *m, const char *name)
{
    struct tensor t;
    return json_type(json_get(checkpoint_config(m->checkpoint), "vision_config")) == JSON_OBJECT && model_find(m, name, &t, NULL);
}

bool model_is_turned(const struct model *m, const char *name, uint32_t in)
{
    struct tensor t;
    return model_find(m, name, &t, NULL) && t.n_dim == 3 && t.shape[1] == in;
}

/* ---- tensors in another form --------------------------------------------------------------------------------------- */

struct made {
    struct made  *next;
    uint64_t      source_id;
    struct tensor tensor;
};

static void exchange(const struct tensor *t, char *to)
{
    size_t rows = t->shape[0], columns = t->shape[1], each = format_info(t->format)->block_bytes;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            memcpy(to + (c * rows + r) * each, (const char *)t->data + (r * columns + c) * each, each);
}

/* The tensor with its two axes exchanged, in memory that is had once; filled every time, as whoever takes weights in may have
 * the pages dropped that he has read. */
static bool turn(const struct model *m, struct tensor *t, struct err *e)
{
    const struct format_info *f = format_info(t->format);
    struct made             **at = &((struct model *)(uintptr_t)m)->made;
    for (struct made *old = *at; old; old = old->next)
        if (old->source_id == t->source_id) {
            exchange(t, (char *)(uintptr_t)old->tensor.data);
            *t = old->tensor;
            return true;
        }
    if (t->n_dim != 2 || f->block_values != 1)
        return err_set(e, ERR_UNSUPPORTED, "a matrix of %s that lies on its side", f->name);
    size_t       bytes = (size_t)t->shape[0] * t->shape[1] * f->block_bytes;
    struct made *x = mem_new(sizeof *x);
    char        *to = mem_try(bytes);
    if (!to) {
        free(x);
        return err_set(e, ERR_MEMORY, "no memory for %zu bytes of a matrix", bytes);
    }
    exchange(t, to);
    *x = (struct made){.next = *at, .source_id = t->source_id, .tensor = *t};
    x->tensor.data = to;
    x->tensor.shape[0] = t->shape[1];
    x->tensor.shape[1] = t->shape[0];
    x->tensor.source_id = hash64("turned", 6, t->source_id);
    *at = x;
    *t = x->tensor;
    return true;
}

static void made_free(struct made *x)
{
    while (x) {
        struct made *next = x->next;
        mem_try_free((void *)(uintptr_t)x->tensor.data, x->tensor.bytes);
        free(x);
        x = next;
    }
}

/* A tensor of any axes behind the first as a matrix; a vector as one row. */
static void flatten(const struct weight *w, unsigned i, struct tensor *t)
{
    uint64_t n = 1, first = t->n_dim > 1 ? t->shape[0] : 1;
    for (unsigned k = t->n_dim > 1 ? 1 : 0; k < t->n_dim; k++)
        n *= t->shape[k];
    if (!w->flat || w->in == 1 || n != w->in || first != w->part_out[i])
        return;
    t->n_dim = 2;
    t->shape[0] = (uint32_t)first;
    t->shape[1] = (uint32_t)n;
}

/* ---- weights ------------------------------------------------------------------------------------------------------ */

static bool shape_fits(const struct weight *w, unsigned i, const struct tensor *t)
{
    if (w->flat && w->in == 1) {
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
        if (!model_find(m, name, &part[got], NULL)) {
            if (!missing[0])
                memcpy(missing, name, sizeof name);
            continue;
        }
        bool whole = !w->n_expert || strchr(w->part[i], '*');
        shape_text(&part[got], shape, sizeof shape);
        whole = whole || take_share(w, &part[got]);
        if (whole && w->turned && !turn(m, &part[got], e))
            return err_in(e, "tensor '%s'", name);
        flatten(w, i, &part[got]);
        if (!whole || !shape_fits(w, i, &part[got])) {
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
    static const char *const read[] = {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"};
    bool ahead = json_int_or(json_get(m->config, "num_nextn_predict_layers"), 0) > 0;
    for (size_t i = 0; ahead && i < sizeof layers / sizeof *layers; i++) {
        size_t n = strlen(layers[i]);
        if (strncmp(name, layers[i], n) == 0 && strtoul(name + n, NULL, 10) >= m->info.n_layer)
            return true;
    }
    for (size_t i = 0; i < sizeof read / sizeof *read; i++)
        if (strcmp(name, read[i]) == 0)
            return true;
    if (m->tower_layers && (is_layer_from(name, "vision.", "vision.encoder.layers.", m->tower_layers) ||
                            is_named(name, "vision.post_layernorm.weight") || is_named(name, "vision.post_layernorm.bias")))
        return true;
    return strncmp(name, "mtp.", 4) == 0 || str_ends(str_of(name), STR("rotary_emb.inv_freq")) ||
           str_ends(str_of(name), STR("embeddings.position_ids")) || str_ends(str_of(name), STR(".mixer.A")) ||
           is_named(name, "lm_head.weight") || (m->vision.newline && is_named(name, "image_newline"));
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
            struct tensor t;
            char          real[NAME_ROOM];
            if (model_find(m, name, &t, real))
                memcpy(name, real, sizeof real);
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

/* A token that a key names; absent: -1. */
static bool token_read(const struct model *m, const char *const key[2], int32_t *out, struct err *e)
{
    json    config = checkpoint_config(m->checkpoint), v = json_get(config, key[0]);
    int64_t id;
    if (json_type(v) == JSON_ABSENT && key[1])
        v = json_get(config, key[1]);
    id = json_int_or(v, -1);
    if (json_type(v) != JSON_ABSENT && json_type(v) != JSON_NULL && (id < 0 || id >= m->info.n_vocab))
        return err_set(e, ERR_CORRUPT, "configuration: %s is no token of %u", key[0], m->info.n_vocab);
    *out = (int32_t)id;
    return true;
}

static bool vision_tokens(struct model *m, struct err *e)
{
    static const char *const image[2] = {"image_token_id", "image_token_index"}, *const video[2] = {"video_token_id", NULL},
                      *const start[2] = {"vision_start_token_id", "boi_token_index"},
                      *const end[2] = {"vision_end_token_id", "eoi_token_index"};
    struct vision *v = &m->vision;
    if (!v->prog)
        return true;
    if (!token_read(m, image, &v->image_token, e) || !token_read(m, video, &v->video_token, e) ||
        !token_read(m, start, &v->start_token, e) || !token_read(m, end, &v->end_token, e))
        return false;
    return v->image_token >= 0 || err_set(e, ERR_CORRUPT, "configuration: no token stands for images");
}

bool model_newline(const struct model *m, float *out, struct err *e)
{
    struct tensor t;
    if (!model_find(m, "image_newline", &t, NULL) || t.n_dim != 1 || t.shape[0] != m->info.width)
        return err_set(e, ERR_CORRUPT, "tensor 'image_newline' is missing, or has not %u numbers", m->info.width);
    for (uint32_t i = 0; i < m->info.width; i++) {
        uint32_t bits = 0;
        if (t.format == FORMAT_F32)
            memcpy(&out[i], (const char *)t.data + i * sizeof *out, sizeof *out);
        else if (t.format == FORMAT_BF16) {
            memcpy((char *)&bits + 2, (const char *)t.data + i * 2u, 2);
            memcpy(&out[i], &bits, sizeof bits);
        } else if (t.format == FORMAT_F16) {
            memcpy(&bits, (const char *)t.data + i * 2u, 2);
            int   exponent = (int)(bits >> 10 & 31);
            float part = (float)(exponent ? 1024 + (bits & 1023) : bits & 1023);
            out[i] = ldexpf(bits >> 15 ? -part : part, (exponent ? exponent : 1) - 25);
        } else
            return err_set(e, ERR_UNSUPPORTED, "tensor 'image_newline' is %s", format_info(t.format)->name);
    }
    return true;
}

bool model_open(struct model **out, const struct checkpoint *c, struct err *e)
{
    struct model *m = mem_new(sizeof *m);
    size_t        at = 0;
    json          text = json_get(checkpoint_config(c), "text_config");
    m->checkpoint = c;
    m->config = json_type(text) == JSON_OBJECT ? text : checkpoint_config(c);
    m->vision = (struct vision){.image_token = -1, .video_token = -1, .start_token = -1, .end_token = -1};
    m->bundle = bundle_new(0, 1);
    if (!arch_read(m, &at, e) || !models[at].write(m, e) || !weights_check(m, e) || !vision_tokens(m, e)) {
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
    made_free(m->made);
    free(m);
}
