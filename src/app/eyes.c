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

static bool open_processor(struct app_eyes *x, const struct loaded *l, struct err *e)
{
    bool             ok = true;
    struct json_doc *image = file_of(l, "preprocessor_config.json", &ok, e);
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

bool app_eyes_open(struct app_eyes *out, const struct loaded *l, const struct options *o, const struct eyes **seeing, struct err *e)
{
    *out = (struct app_eyes){.processor = NULL};
    *seeing = NULL;
    if (!l->model->vision.prog)
        return true;
    struct fetch_opts fo = {.allowed = list(&o->media_hosts, out->host), .any_host = o->private_hosts.v};
    if (!open_processor(out, l, e) || !fetch_open(&out->fetch, &fo, e))
        return false;
    out->eyes = (struct eyes){
        .vision = &l->model->vision, .processor = out->processor, .model = checkpoint_key(l->checkpoint), .fetch = out->fetch,
        .root = list(&o->media_root, out->root),
        .bytes_max = o->given.media_bytes ? (size_t)o->media_bytes.v : (size_t)64 << 20,
        .pixels_max = o->given.media_pixels ? o->media_pixels.v : 64000000,
        .items_max = o->given.media_items ? (unsigned)o->media_items.v : 64,
        .frames_max = o->given.video_frames ? (unsigned)o->video_frames.v : 256,
        .held_max = (size_t)1 << 30,
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
