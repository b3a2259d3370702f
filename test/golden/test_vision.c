/* Models that see, against the reference implementation: stored pictures through the tower, its features among text, logits and
 * greedy answers.  Beside it what must change no bit: pictures together or alone, towers stopped and gone on with while text
 * runs, prompts in two runs.
 *
 *   test_golden_vision [BACKEND]        all of this build, or that one */
#include "base/file.h"
#include "base/mem.h"
#include "loaded.h"
#include "store/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 128, BLOCK_TOKENS = 16, BLOCKS = CONTEXT / BLOCK_TOKENS, PICTURES = 8, ROWS = 256, SPANS = 8, AXES = 3 };

static const float DELTA_MAX = 1e-4f;

struct picture {
    uint32_t     rows, columns;     /* in patches */
    const float *patches;           /* in reading order of blocks, without what stands before them */
};

struct eye {
    struct loaded    l;
    struct plan     *vision;
    struct features *features;
    uint32_t         n_feature;     /* rows of one level */
    struct picture   picture[PICTURES];
    uint32_t         n_picture;
    float           *patched;       /* pixels that were no patches, as patches */
};

struct goldens {
    struct file_map     map;
    struct safetensors *tensors;
};

/* ---- pictures ----------------------------------------------------------------------------------------------------- */

static bool find(const struct safetensors *g, unsigned prompt, const char *what, struct tensor *out)
{
    char name[64];
    int  n = snprintf(name, sizeof name, "in_%u_%s", prompt, what);
    return safetensors_find(g, (struct str){name, (size_t)n}, out);
}

/* Whole images as patches, in the order of the model's blocks. */
static void patch_images(struct eye *x, const struct tensor *pixels)
{
    const struct vision *v = &x->l.model->vision;
    uint32_t     side = v->side, image = side * v->patch, n = pixels->shape[0];
    const float *from = pixels->data;
    float       *to = x->patched = mem_array((size_t)n * side * side * v->patch_width, sizeof *to);
    for (uint32_t k = 0; k < n; k++, from += (size_t)v->channels * image * image) {
        x->picture[x->n_picture++] = (struct picture){side, side, to};
        for (uint32_t block = 0, across = side / v->merge; block < across * across; block++)
            for (uint32_t i = 0; i < v->merge * v->merge; i++) {
                uint32_t top = (block / across * v->merge + i / v->merge) * v->patch, left = (block % across * v->merge + i % v->merge) * v->patch;
                for (uint32_t c = 0; c < v->channels; c++)
                    for (uint32_t y = 0; y < v->patch; y++, to += v->patch)
                        memcpy(to, from + ((size_t)c * image + top + y) * image + left, v->patch * sizeof *to);
            }
    }
}

/* Times, rows and columns of each item.  The goldens have them as I64, which checkpoints have no use for: read by hand. */
struct grid {
    size_t  n;
    int64_t thw[PICTURES][3];
};

static bool find_grid(const struct file_map *map, unsigned prompt, const char *what, struct grid *out)
{
    struct json_doc *doc;
    struct err       e;
    uint64_t         head, from = 0, to = 0;
    char             name[64];
    snprintf(name, sizeof name, "in_%u_%s", prompt, what);
    memcpy(&head, map->p, sizeof head);
    CHECK(json_parse(&doc, (struct str){(const char *)map->p + 8, (size_t)head}, &e));
    json at = json_get(json_get(json_root(doc), name), "data_offsets");
    bool ok = json_u64(json_at(at, 0), &from) && json_u64(json_at(at, 1), &to) && to - from <= sizeof out->thw;
    if (ok) {
        out->n = (to - from) / sizeof out->thw[0];
        memcpy(out->thw, map->p + 8 + head + from, to - from);
    }
    json_free(doc);
    return ok;
}

static void grid_pictures(struct eye *x, const struct tensor *pixels, const struct grid *grid)
{
    const float *from = pixels->data;
    for (size_t k = 0; k < grid->n; k++) {
        const int64_t *thw = grid->thw[k];
        for (int64_t t = 0; t < thw[0]; t++, from += (size_t)(thw[1] * thw[2]) * pixels->shape[1])
            x->picture[x->n_picture++] = (struct picture){(uint32_t)thw[1], (uint32_t)thw[2], from};
    }
}

static void pictures_of(struct eye *x, const struct goldens *g, unsigned prompt)
{
    struct tensor pixels;
    struct grid   grid;
    x->n_picture = 0;
    free(x->patched);
    x->patched = NULL;
    if (find(g->tensors, prompt, "pixel_values", &pixels)) {
        if (find_grid(&g->map, prompt, "image_grid_thw", &grid))
            grid_pictures(x, &pixels, &grid);
        else
            patch_images(x, &pixels);
    } else if (find(g->tensors, prompt, "pixel_values_videos", &pixels) && find_grid(&g->map, prompt, "video_grid_thw", &grid)) {
        grid_pictures(x, &pixels, &grid);
    }
}

/* ---- the tower ---------------------------------------------------------------------------------------------------- */

/* What one run of the tower wants. */
struct look {
    float    *patches, place[ROWS * 4], share[ROWS * 4];
    uint32_t  start[PICTURES + 1], past[PICTURES], pos[2 * ROWS], window[ROWS + 1], order[ROWS];
    const float *input[3];
    struct batch in;
};

static void look_fill(struct look *k, const struct eye *x, uint32_t first, uint32_t n)
{
    const struct vision *v = &x->l.model->vision;
    uint32_t             block = v->merge * v->merge * v->patch_width, at = 0, n_order = 0, n_window = 0, all = 0;
    for (uint32_t i = first; i < first + n; i++)
        all += vision_rows(v, x->picture[i].rows, x->picture[i].columns);
    k->patches = mem_array((size_t)all * v->patch_width, sizeof *k->patches);
    k->window[0] = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct picture *p = &x->picture[first + i];
        uint32_t rows = vision_rows(v, p->rows, p->columns), m = vision_features(v, p->rows, p->columns);
        struct vision_fill fill = {.pos = k->pos + at, .pos_stride = all, .place = k->place + (size_t)at * v->n_place,
                                   .share = k->share + (size_t)at * v->n_place, .order = k->order + n_order,
                                   .window = k->window + n_window + 1};
        uint32_t more = vision_fill(v, p->rows, p->columns, &fill);
        for (uint32_t w = 1; w <= more; w++)
            k->window[n_window + w] += at;
        for (uint32_t b = 0; b < m; b++)
            memcpy(k->patches + (size_t)(at + v->lead) * v->patch_width + (size_t)b * block,
                   p->patches + (size_t)k->order[n_order + b] * block, block * sizeof(float));
        k->start[i] = at;
        k->past[i] = 0;
        at += rows;
        n_order += m;
        n_window += more;
    }
    k->start[n] = at;
    k->input[0] = k->patches;
    k->input[1] = k->place;
    k->input[2] = k->share;
    k->in = (struct batch){.n_token = at, .n_seq = n, .start = k->start, .past = k->past, .pos = k->pos, .input = k->input,
                           .window = k->window, .n_window = n_window};
}

/* Keeps the features of a run, in reading order, from row `at` of each level on; returns the row behind them. */
static bool look_keep(struct look *k, struct eye *x, uint32_t first, uint32_t n, uint32_t *at, struct err *e)
{
    const struct vision *v = &x->l.model->vision;
    uint32_t width = x->l.model->info.width, from = 0, n_order = 0;
    bool     ok = true;
    for (uint32_t i = first; i < first + n && ok; i++) {
        uint32_t m = vision_features(v, x->picture[i].rows, x->picture[i].columns);
        for (uint32_t level = 0; level < v->n_level && ok; level++) {
            char name[32] = "features";
            if (level)
                snprintf(name, sizeof name, "features.%u", level);
            for (uint32_t b = 0; b < m && ok; b++) {
                size_t to = (size_t)level * ROWS + *at + k->order[n_order + b];
                ok = x->l.type->keep(x->vision, name, from + v->lead + b, 1, x->features, to * width * sizeof(float), e);
            }
        }
        from += v->lead + m;
        n_order += m;
        *at += m;
    }
    return ok;
}

static bool text_between(struct eye *x)
{
    static const int32_t token[3] = {5, 6, 7};
    return loaded_run(&x->l, token, 3, 0, true) != NULL;
}

/* Pictures first .. of the prompt at once, as many as n.  With run_max the run stops and other things run in between. */
static bool look(struct eye *x, uint32_t first, uint32_t n, uint32_t run_max, uint32_t *at, unsigned *stops)
{
    struct look *k = mem_new(sizeof *k);
    struct err   e = {0};
    bool         done = false, ok = true;
    look_fill(k, x, first, n);
    k->in.run_max = run_max;
    for (unsigned i = 0; ok && !done; i++) {
        ok = x->l.type->run(x->vision, &k->in, &done, &e) && (done || text_between(x));
        *stops += !done;
    }
    ok = ok && look_keep(k, x, first, n, at, &e);
    if (!ok)
        printf("%s\n", e.text);
    free(k->patches);
    free(k);
    return ok;
}

static float *features_read(struct eye *x)
{
    size_t     n = (size_t)x->l.model->vision.n_level * ROWS * x->l.model->info.width;
    float     *rows = mem_array(n, sizeof *rows);
    struct err e;
    CHECK(x->l.type->features_read(x->features, 0, rows, n * sizeof *rows, &e));
    return rows;
}

/* All pictures; alone, and in slices, they give the same bits where bits are promised. */
static bool look_all(struct eye *x, bool same, unsigned *stops)
{
    size_t bytes = (size_t)x->l.model->vision.n_level * ROWS * x->l.model->info.width * sizeof(float);
    x->n_feature = 0;
    if (!x->n_picture)
        return true;
    if (!look(x, 0, x->n_picture, 0, &x->n_feature, stops))
        return false;
    float   *together = features_read(x);
    uint32_t at = 0;
    bool     ok = true;
    for (uint32_t i = 0; i < x->n_picture && ok; i++)
        ok = look(x, i, 1, 1, &at, stops);
    float *alone = features_read(x);
    if (ok && same && memcmp(together, alone, bytes) != 0) {
        printf("pictures alone give other bits than together\n");
        ok = false;
    }
    free(together);
    free(alone);
    return ok;
}

/* ---- text --------------------------------------------------------------------------------------------------------- */

struct text {
    uint32_t n, next;               /* tokens; the position behind them */
    const int32_t *token;
    uint32_t pos[AXES][CONTEXT], see[CONTEXT];
    struct span span[SPANS];
    uint32_t n_span;
};

/* Where everything stands: pads take features in their order. */
static bool text_fill(struct text *t, const struct eye *x, double seconds)
{
    const struct vision *v = &x->l.model->vision;
    uint32_t picture = 0, from = 0, at = 0;
    t->n_span = 0;
    for (uint32_t i = 0, n; i < t->n; i += n) {
        int32_t pad = t->token[i];
        n = 1;
        if (pad != v->image_token && pad != v->video_token) {
            for (unsigned a = 0; a < AXES; a++)
                t->pos[a][i] = at;
            t->see[i] = i + 1;
            at++;
            continue;
        }
        while (i + n < t->n && t->token[i + n] == pad)
            n++;
        for (uint32_t k = i; k < i + n; k++)
            t->see[k] = v->sees ? i + n : k + 1;
        t->span[t->n_span++] = (struct span){.row = i, .n = n, .from = from, .step = ROWS, .features = x->features};
        from += n;
        for (uint32_t k = i; k < i + n;) {
            const struct picture *p = &x->picture[picture];
            uint32_t m = vision_features(v, p->rows, p->columns), pairs = pad == v->video_token && !v->pairs ? n / m : 1;
            if (picture >= x->n_picture)
                return false;
            at = vision_positions(v, at, pairs, p->rows, p->columns, pad == v->video_token ? seconds : 0, &t->pos[0][k], CONTEXT);
            picture += pairs;
            k += pairs * m;
        }
    }
    t->next = at;
    return picture == x->n_picture && from == x->n_feature;
}

/* Tokens from .. to - 1 of it, the logits of all of them. */
static const float *text_run(struct eye *x, const struct text *t, uint32_t from, uint32_t to)
{
    uint32_t n = to - from, start[2] = {0, n}, block[BLOCKS], pick[CONTEXT], axes = prog_axes(x->l.model->text), slot = 0;
    uint32_t pos[AXES * CONTEXT];
    struct span  span[SPANS];
    struct err   e = {0};
    struct batch in = {.n_token = n, .n_seq = 1, .n_pick = n, .token = t->token + from, .start = start, .past = &from,
                       .block = block, .block_max = BLOCKS, .pick = pick, .slot = &slot, .pos = axes > 1 ? pos : NULL,
                       .see = t->see + from, .span = span};
    for (uint32_t i = 0; i < BLOCKS; i++)
        block[i] = BLOCKS - 1 - i;
    for (uint32_t i = 0; i < n; i++) {
        pick[i] = i;
        for (uint32_t a = 0; a < axes; a++)
            pos[a * n + i] = t->pos[a][from + i];
    }
    for (uint32_t i = 0; i < t->n_span; i++) {
        struct span s = t->span[i];
        uint32_t    first = s.row > from ? s.row : from, end = s.row + s.n < to ? s.row + s.n : to;
        if (first >= end)
            continue;
        span[in.n_span++] = (struct span){first - from, end - first, s.from + (first - s.row), s.step, s.features};
    }
    bool ok = x->l.type->run(x->l.plan, &in, NULL, &e);
    if (!ok)
        printf("%s\n", e.text);
    return ok ? x->l.type->result(x->l.plan, "logits") : NULL;
}

/* ---- against goldens ---------------------------------------------------------------------------------------------- */

struct found {
    float    delta;
    unsigned prompts, rows, ids, near, wrong, pictures, stops;
};

static void compare(const float *got, const struct tensor *t, struct found *f)
{
    for (size_t i = 0; i < t->bytes / sizeof(float); i++) {
        float want;
        memcpy(&want, (const char *)t->data + i * sizeof want, sizeof want);
        float d = fabsf(got[i] - want);
        f->delta = d <= f->delta ? f->delta : isnan(d) ? INFINITY : d;
    }
}

/* The answer on the golden ids' path, as in test_logits.c. */
static bool follow(struct eye *x, json prompt, struct text *t, int32_t *all, const float *logits, struct found *f)
{
    uint32_t n_id, n_vocab = x->l.model->info.n_vocab;
    int32_t *ids = read_ids(json_get(prompt, "greedy"), &n_id);
    bool     ok = t->n + n_id <= CONTEXT && n_id > 0;
    for (uint32_t i = 0; i < n_id && ok; i++) {
        bool near = json_num_or(json_at(json_get(prompt, "margins"), i), 0) <= 4 * (double)DELTA_MAX;
        f->ids++;
        f->near += near;
        f->wrong += largest(logits, n_vocab) != ids[i] && !near;
        all[t->n] = ids[i];
        for (unsigned a = 0; a < AXES; a++)
            t->pos[a][t->n] = t->next;
        t->see[t->n] = t->n + 1;
        t->next++;
        t->n++;
        logits = text_run(x, t, t->n - 1, t->n);
        ok = logits != NULL;
    }
    free(ids);
    return ok;
}

/* The prompt in two runs, cut where models that see ahead allow it. */
static bool same_in_two(struct eye *x, const struct text *t, const float *whole)
{
    uint32_t n_vocab = x->l.model->info.n_vocab, cut = t->n / 2;
    while (cut < t->n && t->see[cut - 1] > cut)
        cut++;
    size_t       row = n_vocab * sizeof(float);
    float       *kept = mem_array(t->n, row);
    memcpy(kept, whole, t->n * row);
    const float *a = text_run(x, t, 0, cut);
    bool         ok = a && memcmp(a, kept, cut * row) == 0;
    const float *b = ok && cut < t->n ? text_run(x, t, cut, t->n) : NULL;
    ok = ok && (cut == t->n || (b && memcmp(b, kept + (size_t)cut * n_vocab, (t->n - cut) * row) == 0));
    if (!ok)
        printf("a prompt in two runs gives other bits\n");
    free(kept);
    return ok;
}

static bool prompt_check(struct eye *x, const struct goldens *g, json prompt, unsigned at, bool same, struct found *f)
{
    char          name[32];
    struct tensor want, seconds;
    uint32_t      n;
    int           len = snprintf(name, sizeof name, "logits_%u", at);
    int32_t      *ids = read_ids(json_get(prompt, "prompt_ids"), &n), all[CONTEXT];
    struct text  *t = mem_new(sizeof *t);
    float         every = 0;
    bool          ok = n <= CONTEXT && safetensors_find(g->tensors, (struct str){name, (size_t)len}, &want) && want.shape[0] == n;
    memcpy(all, ids, n * sizeof *all);
    free(ids);
    pictures_of(x, g, at);
    if (find(g->tensors, at, "second_per_grid_ts", &seconds))
        memcpy(&every, seconds.data, sizeof every);
    t->n = n;
    t->token = all;
    ok = ok && look_all(x, same, &f->stops) && text_fill(t, x, (double)every);
    const float *logits = ok ? text_run(x, t, 0, n) : NULL;
    if (logits) {
        compare(logits, &want, f);
        f->rows += n;
        f->prompts++;
        f->pictures += x->n_picture;
        ok = !same || same_in_two(x, t, logits);
        logits = text_run(x, t, 0, n);
        ok = ok && logits && follow(x, prompt, t, all, logits + (size_t)(n - 1) * x->l.model->info.n_vocab, f);
    }
    free(t);
    return ok && logits;
}

static bool eye_open(struct eye *x, const char *name, const struct backend_type *t)
{
    char                path[512];
    struct err          e = {0};
    struct backend_opts opts = {.precision = PRECISION_EXACT};
    struct plan_opts    plan = {.token_max = CONTEXT, .seq_max = 1, .pick_max = CONTEXT, .block_tokens = BLOCK_TOKENS,
                                .context_max = CONTEXT};
    struct plan_opts    look = {.token_max = ROWS, .seq_max = PICTURES, .block_tokens = BLOCK_TOKENS, .context_max = ROWS};
    snprintf(path, sizeof path, "%s/tiny/%s", FIXTURES, name);
    *x = (struct eye){0};
    if (!loaded_open(&x->l, path, t, &opts, &plan, BLOCKS))
        return false;
    const struct model *m = x->l.model;
    bool ok = m->vision.prog && prog_levels(m->text) == m->vision.n_level && t->compile(x->l.backend, m->vision.prog, &look, &x->vision, &e) &&
              t->features_new(x->l.backend, (size_t)m->vision.n_level * ROWS * m->info.width * sizeof(float), &x->features, &e);
    if (!ok)
        printf("%s on %s: %s\n", path, t->name, e.text);
    return ok;
}

static void eye_close(struct eye *x)
{
    if (x->features)
        x->l.type->features_free(x->features);
    if (x->vision)
        x->l.type->plan_free(x->vision);
    free(x->patched);
    loaded_close(&x->l);
}

static bool model_check(const struct backend_type *t, const char *name)
{
    char                path[512];
    struct eye          x;
    struct goldens      golden;
    struct err          e = {0};
    struct found        f = {0};
    bool                same = strcmp(t->name, "mlx") != 0;
    if (!eye_open(&x, name, t)) {
        eye_close(&x);
        return false;
    }
    snprintf(path, sizeof path, "%s/tiny/%s/golden/goldens.json", FIXTURES, name);
    struct json_doc *doc = read_json(path);
    snprintf(path, sizeof path, "%s/tiny/%s/golden/goldens.safetensors", FIXTURES, name);
    if (!file_map(&golden.map, path, &e) || !safetensors_parse(&golden.tensors, golden.map.p, golden.map.n, path, &e)) {
        printf("%s\n", e.text);
        exit(1);
    }
    bool     ok = true;
    unsigned i = 0;
    for (struct json_iter it = json_iter(json_get(json_root(doc), "prompts")); json_next(&it) && ok; i++)
        ok = prompt_check(&x, &golden, it.value, (unsigned)json_int_or(json_get(it.value, "i"), i), same, &f);
    bool sliced = strcmp(t->name, "cpu") != 0 || f.stops > f.pictures;
    ok = ok && f.prompts > 0 && f.pictures > 0 && f.wrong == 0 && f.delta <= DELTA_MAX && sliced;
    printf("%-4s %-16s %u prompts, %u pictures, %u stops, %3u rows: max |delta| %.2e; %u greedy ids, %u wrong, %u too near to tell: %s\n",
           t->name, name, f.prompts, f.pictures, f.stops, f.rows, (double)f.delta, f.ids, f.wrong, f.near, ok ? "ok" : "FAILED");
    safetensors_free(golden.tensors);
    file_unmap(&golden.map);
    json_free(doc);
    eye_close(&x);
    return ok;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"qwen3_vl", "qwen2_5_vl", "llava", "gemma3_vl", "qwen3_vl-4bit", "qwen2_5_vl-4bit",
                                        "llava-4bit", "gemma3_vl-4bit"};
    const struct backend_type *t;
    unsigned                   failed = 0;
    for (size_t b = 0; (t = backend_nth(b, argc > 1 ? argv[1] : NULL)) != NULL; b++)
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            failed += !model_check(t, names[i]);
    return failed > 0;
}
