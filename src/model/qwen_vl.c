/* qwen_vl.c -- Qwen2.5-VL and Qwen3-VL (Bai et al. 2025): a tower over patches of any number, turned by row and column, merged
 * two by two; text whose positions have axes of time, row and column.
 *
 * Qwen2.5-VL's tower looks through windows in most layers.  Qwen3-VL's has learned positions besides, spread over the picture,
 * and hands on what it saw halfway: features of levels that the first layers of text have added (Meng et al. 2024). */
#include "model/config.h"
#include "model/decoder.h"
#include "model/models.h"
#include "model/qwen3_moe.h"
#include "model/vision.h"

#include <math.h>
#include <stdio.h>

enum { DEPTH_MAX = 256, SIDE_MAX = 1024, LEVELS_MAX = 7, WIDTH_MAX = 1 << 16 };

#define BLOCK "vision.blocks.#."

/* What both towers have in common. */
static bool read_tower(struct model *m, json config, struct tower *t, uint32_t *out_width, struct err *e)
{
    struct vision *v = &m->vision;
    uint32_t       chans = 3;
    if (!config_count(config, "in_chans", 16, 3, &chans, e) || !config_count(config, "in_channels", 16, chans, &v->channels, e) ||
        !config_count(config, "depth", DEPTH_MAX, 0, &t->n_layer, e) || !config_count(config, "hidden_size", WIDTH_MAX, 0, &t->width, e) ||
        !config_count(config, "num_heads", WIDTH_MAX, 0, &t->n_head, e) ||
        !config_count(config, "intermediate_size", WIDTH_MAX, 0, &t->ff, e) ||
        !config_count(config, "patch_size", SIDE_MAX, 0, &v->patch, e) ||
        !config_count(config, "temporal_patch_size", 16, 2, &v->temporal, e) ||
        !config_count(config, "spatial_merge_size", 16, 2, &v->merge, e) ||
        !config_count(config, "out_hidden_size", WIDTH_MAX, m->info.width, out_width, e) || !tower_act(config, "silu", &t->act, e))
        return false;
    if (t->width % t->n_head || t->width / t->n_head % 4 || *out_width != m->info.width)
        return err_set(e, ERR_CORRUPT, "configuration: vision_config has %u heads in %u columns and gives %u for text of %u", t->n_head,
                       t->width, *out_width, m->info.width);
    v->patch_width = v->channels * v->temporal * v->patch * v->patch;
    v->axes = true;
    v->n_level = 1;
    tower_rope(m, t);
    return true;
}

static val merged(const struct writer *w, val x, const char *first, const char *second)
{
    uint32_t n = x.id ? prog_value(w->p, x)->width : 1;
    val      h = tower_linear(w, x, first, n, true);
    return tower_linear(w, EMIT(w->p, act, .in = {h}, .act = {.act = ACT_GELU}), second, w->m->info.width, true);
}

static val folded(const struct writer *w, val x)
{
    return EMIT(w->p, fold, .in = {x}, .fold = {.n = w->m->vision.merge * w->m->vision.merge});
}

static bool end(struct model *m, const struct writer *w, struct err *e)
{
    m->vision.prog = w->p;
    return prog_end(w->p, e);
}

/* ---- Qwen3-VL ----------------------------------------------------------------------------------------------------- */

/* The level that is taken after a layer; 0: none. */
static uint32_t level_after(json indexes, uint32_t layer)
{
    uint32_t level = 1;
    for (struct json_iter it = json_iter(indexes); json_next(&it); level++)
        if (json_int_or(it.value, -1) == layer)
            return level;
    return 0;
}

static bool read_levels(struct vision *v, json indexes, uint32_t n_layer, struct err *e)
{
    size_t n = json_type(indexes) == JSON_ARRAY ? json_len(indexes) : 0;
    for (struct json_iter it = json_iter(n ? indexes : NULL); json_next(&it);) {
        int64_t layer = json_int_or(it.value, -1);
        if (n > LEVELS_MAX || layer < 0 || layer >= n_layer)
            return err_set(e, ERR_CORRUPT, "configuration: deepstack_visual_indexes makes no sense for %u layers", n_layer);
    }
    v->n_level = (uint32_t)n + 1;
    return true;
}

/* The norm of a level stands behind the merging, the last one's before. */
static void level_write(const struct writer *w, val x, uint32_t level)
{
    char module[3][64], name[32];
    static const char *const parts[3] = {"norm", "linear_fc1", "linear_fc2"};
    for (unsigned i = 0; i < 3; i++)
        snprintf(module[i], sizeof module[i], "vision.deepstack_merger_list.%u.%s", level - 1, parts[i]);
    snprintf(name, sizeof name, "features.%u", level);
    prog_out(w->p, name, merged(w, tower_norm(w, folded(w, x), module[0], true), module[1], module[2]));
}

static bool write_qwen3(struct model *m, json config, struct err *e)
{
    struct tower t = {.norm = {BLOCK "norm1", BLOCK "norm2"}, .qkv = {BLOCK "attn.qkv"}, .proj = BLOCK "attn.proj",
                      .up = {BLOCK "mlp.linear_fc1"}, .down = BLOCK "mlp.linear_fc2", .centred = true};
    json          indexes = json_get(config, "deepstack_visual_indexes");
    uint32_t      width, points;
    struct vision *v = &m->vision;
    if (!read_tower(m, config, &t, &width, e) || !config_count(config, "num_position_embeddings", 1 << 20, 0, &points, e) ||
        !read_levels(v, indexes, t.n_layer, e))
        return false;
    v->grid = (uint32_t)lround(sqrt((double)points));
    v->n_place = 4;
    v->pairs = true;
    if (v->grid * v->grid != points)
        return err_set(e, ERR_CORRUPT, "configuration: %u positions are no square", points);
    struct writer w = tower_writer(m, 1e-6);
    val x = tower_places(&w, tower_patches(&w, "vision.patch_embed.proj", t.width, true), "vision.pos_embed.weight", points, NULL);
    for (uint32_t l = 0; l < t.n_layer; l++) {
        w.layer = (int)l;
        x = tower_layer(&w, &t, x);
        if (level_after(indexes, l))
            level_write(&w, x, level_after(indexes, l));
    }
    w.layer = -1;
    prog_layer(w.p, -1);
    prog_out(w.p, "features", merged(&w, folded(&w, tower_norm(&w, x, "vision.merger.norm", true)), "vision.merger.linear_fc1",
                                     "vision.merger.linear_fc2"));
    return end(m, &w, e);
}

/* ---- Qwen2.5-VL --------------------------------------------------------------------------------------------------- */

static bool is_full(const void *ctx, uint32_t layer)
{
    for (struct json_iter it = json_iter(*(const json *)ctx); json_next(&it);)
        if (json_int_or(it.value, -1) == layer)
            return true;
    return false;
}

static bool write_qwen2_5(struct model *m, json config, struct err *e)
{
    json         full = json_get(config, "fullatt_block_indexes");
    struct tower t = {.norm = {BLOCK "norm1", BLOCK "norm2"}, .qkv = {BLOCK "attn.qkv"}, .proj = BLOCK "attn.proj",
                      .up = {BLOCK "mlp.gate_proj", BLOCK "mlp.up_proj"}, .down = BLOCK "mlp.down_proj", .is_full = is_full,
                      .ctx = &full};
    struct vision *v = &m->vision;
    uint32_t       width, window;
    if (!read_tower(m, config, &t, &width, e) || !config_count(config, "window_size", 1 << 16, 112, &window, e) ||
        !config_number(config, "tokens_per_second", 0, 1e3, &v->time_rate, e))
        return false;
    v->window = window / v->patch / v->merge;
    v->ordered = v->windows = true;
    if (v->window == 0)
        return err_set(e, ERR_CORRUPT, "configuration: a window of %u pixels for patches of %u", window, v->patch);
    struct writer w = tower_writer(m, 1e-6);
    val           x = tower_patches(&w, "vision.patch_embed.proj", t.width, false);
    for (uint32_t l = 0; l < t.n_layer; l++) {
        w.layer = (int)l;
        x = tower_layer(&w, &t, x);
    }
    w.layer = -1;
    prog_layer(w.p, -1);
    prog_out(w.p, "features", merged(&w, folded(&w, tower_norm(&w, x, "vision.merger.ln_q", false)), "vision.merger.mlp.0",
                                     "vision.merger.mlp.2"));
    return end(m, &w, e);
}

/* ---- both --------------------------------------------------------------------------------------------------------- */

static bool see(struct model *m, struct decoder *d, bool (*write)(struct model *, json, struct err *), struct err *e)
{
    json config = json_get(checkpoint_config(m->checkpoint), "vision_config");
    if (!model_sees(m, "vision.patch_embed.proj.weight"))
        return true;
    if (!write(m, config, e))
        return err_in(e, "vision_config");
    d->n_level = m->vision.n_level;
    return true;
}

bool model_qwen3_vl(struct model *m, struct err *e)
{
    static const char *const honours[] = {"num_experts", NULL};
    struct decoder      d = {.qk_norm = true, .rope_ask.axes = true, .honours = honours};
    struct qwen3_sparse s;
    struct moe          moe;
    bool                sparse = str_is(str_of(m->info.arch), "Qwen3VLMoeForConditionalGeneration");
    if (!decoder_read(&d, m, e) || !decoder_window_switch(&d, m, e) || !config_flag(m->config, "attention_bias", &d.qkv_bias, e) ||
        (sparse && !qwen3_moe_read(&d, m, &s, &moe, e)))
        return false;
    d.o_bias = d.qkv_bias;
    moe.turned = sparse && model_is_turned(m, "model.layers.0.mlp.experts.gate_up_proj", m->info.width);
    return see(m, &d, write_qwen3, e) && decoder_write(&d, m, e);
}

bool model_qwen2_5_vl(struct model *m, struct err *e)
{
    struct decoder d = {.qkv_bias = true, .rope_ask.axes = true};
    return decoder_read(&d, m, e) && decoder_window_switch(&d, m, e) && see(m, &d, write_qwen2_5, e) && decoder_write(&d, m, e);
}
