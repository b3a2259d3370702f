/* siglip.c -- see siglip.h. */
#include "model/siglip.h"

#include "model/config.h"

#define LAYER "vision.encoder.layers.#."

bool siglip_read(struct siglip *s, struct model *m, json config, double eps, const char *act, struct err *e)
{
    struct vision *v = &m->vision;
    uint32_t       image;
    *s = (struct siglip){.t = {.norm = {LAYER "layer_norm1", LAYER "layer_norm2"},
                               .qkv = {LAYER "self_attn.q_proj", LAYER "self_attn.k_proj", LAYER "self_attn.v_proj"},
                               .proj = LAYER "self_attn.out_proj", .up = {LAYER "mlp.fc1"}, .down = LAYER "mlp.fc2", .centred = true},
                         .eps = eps};
    if (!config_count(config, "hidden_size", 1 << 16, 0, &s->t.width, e) ||
        !config_count(config, "intermediate_size", 1 << 16, 0, &s->t.ff, e) ||
        !config_count(config, "num_hidden_layers", 256, 0, &s->t.n_layer, e) ||
        !config_count(config, "num_attention_heads", 1 << 12, 0, &s->t.n_head, e) ||
        !config_count(config, "patch_size", 1024, 0, &v->patch, e) || !config_count(config, "image_size", 1 << 14, 0, &image, e) ||
        !config_count(config, "num_channels", 16, 3, &v->channels, e) || !config_number(config, "layer_norm_eps", 0, 1, &s->eps, e) ||
        !tower_act(config, act, &s->t.act, e))
        return false;
    if (s->t.width % s->t.n_head || image < v->patch)
        return err_set(e, ERR_CORRUPT, "configuration: %u columns for %u heads, or images of %u pixels for patches of %u", s->t.width,
                       s->t.n_head, image, v->patch);
    v->temporal = 1;
    v->patch_width = v->channels * v->patch * v->patch;
    v->side = v->grid = image / v->patch;
    v->n_level = 1;
    return true;
}

val siglip_layers(struct writer *w, const struct siglip *s, val x, uint32_t n)
{
    for (uint32_t l = 0; l < n; l++) {
        w->layer = (int)l;
        x = tower_layer(w, &s->t, x);
    }
    w->layer = -1;
    prog_layer(w->p, -1);
    return x;
}
