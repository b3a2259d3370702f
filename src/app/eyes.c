/* eyes.c -- see eyes.h. */
#include "app/eyes.h"

#include <stdlib.h>

/* A file of the checkpoint's folder, parsed; NULL: there is none, which the processor judges. */
static struct json_doc *file_of(const struct loaded *l, const char *name, bool *ok, struct err *e)
{
    size_t           n;
    struct json_doc *doc = NULL;
    char            *text = checkpoint_text(l->checkpoint, name, &n);
    if (text && *ok)
        *ok = json_parse(&doc, (struct str){text, n}, e) || err_in(e, "%s", name);
    free(text);
    return doc;
}

/* Pixels of the largest picture: what the file says, under the names that processor.h knows, the later ones stronger. */
static int64_t own_pixels(json image)
{
    json size = json_get(image, "size");
    return json_int_or(json_get(image, "max_pixels"), json_int_or(json_get(size, "longest_edge"), json_int_or(json_get(size, "max_pixels"), INT64_MAX)));
}

/* The settings with a lower "max_pixels", where the file allows more. */
static struct json_doc *bounded(struct json_doc *image, uint64_t pixels_max, bool *ok, struct err *e)
{
    if (!image || own_pixels(json_root(image)) <= (int64_t)pixels_max)
        return image;
    struct json_out *w = json_out_new();
    struct json_doc *doc = NULL;
    struct buf       text;
    buf_init(&text, 0);
    json_open(w, NULL, '{');
    for (struct json_iter it = json_iter(json_root(image)); json_next(&it);)
        if (!str_is(it.key, "max_pixels"))
            json_put(w, it.key.p, it.value);
    json_put_int(w, "max_pixels", (int64_t)pixels_max);
    json_close(w);
    json_out_write(w, &text);
    *ok = *ok && json_parse(&doc, buf_view(&text), e);
    json_out_free(w);
    buf_drop(&text);
    json_free(image);
    return doc;
}

static bool open_processor(struct app_eyes *x, const struct loaded *l, uint64_t pixels_max, struct err *e)
{
    bool             ok = true;
    struct json_doc *image = file_of(l, "preprocessor_config.json", &ok, e);
    if (!l->model->vision.side)
        image = bounded(image, pixels_max, &ok, e);
    struct json_doc *video = file_of(l, "video_preprocessor_config.json", &ok, e), *both = file_of(l, "processor_config.json", &ok, e);
    struct processor_files files = {checkpoint_config(l->checkpoint), json_root(image), json_root(video), json_root(both)};
    ok = ok && (processor_new(&x->processor, &files, e) || err_in(e, "%s", checkpoint_path(l->checkpoint)));
    json_free(image);
    json_free(video);
    json_free(both);
    return ok;
}

static const char *const *list(const struct option_TEXTS *from, const char **to)
{
    for (unsigned i = 0; i < from->n; i++)
        to[i] = from->v[i];
    to[from->n] = NULL;
    return to;
}

bool app_eyes_open(struct app_eyes *out, const struct loaded *l, const struct options *o, uint32_t patches_max, const struct eyes **seeing,
                   struct err *e)
{
    *out = (struct app_eyes){.processor = NULL};
    *seeing = NULL;
    if (!l->model->vision.prog)
        return true;
    uint64_t          patch = l->model->vision.patch, pixels_max = patches_max * patch * patch;
    struct fetch_opts fo = {.allowed = list(&o->media_hosts, out->host), .any_host = o->private_hosts.v};
    if (!open_processor(out, l, pixels_max, e) || !fetch_open(&out->fetch, &fo, e))
        return false;
    out->eyes = (struct eyes){
        .vision = &l->model->vision, .processor = out->processor, .model = checkpoint_key(l->checkpoint), .fetch = out->fetch,
        .root = list(&o->media_root, out->root),
        .bytes_max = o->given.media_bytes ? (size_t)o->media_bytes.v : (size_t)64 << 20,
        .pixels_max = o->given.media_pixels ? o->media_pixels.v : 64000000,
        .items_max = o->given.media_items ? (unsigned)o->media_items.v : 64,
        .frames_max = o->given.video_frames ? (unsigned)o->video_frames.v : 256,
        .held_max = (size_t)256 << 20, .held_all_max = (size_t)1 << 30, .frame_pixels_max = pixels_max,
    };
    *seeing = &out->eyes;
    return true;
}

void app_eyes_close(struct app_eyes *x)
{
    processor_free(x->processor);
    fetch_close(x->fetch);
    *x = (struct app_eyes){.processor = NULL};
}
