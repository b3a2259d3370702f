/* list.c -- hearth list: what is on this disk, by hearth's doing or usable by it. */
#include "app/commands.h"
#include "app/packs.h"
#include "app/show.h"
#include "base/file.h"
#include "hub/cache.h"

#include <stdio.h>
#include <time.h>

static const char *day(int64_t s, char out[static 32])
{
    time_t    at = (time_t)s;
    struct tm tm;
    strftime(out, 32, "%Y-%m-%d %H:%M", localtime_r(&at, &tm));
    return out;
}

static void print_text(const struct hub_models *models, const struct packs *packs)
{
    char size[24], when[32];
    if (models->n == 0 && packs->n == 0)
        puts("nothing: models come with hearth pull, and from its first start on a model's weights are kept here, repacked");
    for (size_t i = 0; i < models->n; i++) {
        const struct hub_model *m = &models->at[i];
        printf("%-36s pulled  %8s  on   %s  %s%s%.8s%s\n", m->repo, show_bytes(m->bytes, size), day(m->pulled_s, when),
               *m->revisions ? m->revisions : "", *m->revisions ? " = " : "", m->commit,
               m->whole ? "" : " (not whole: hearth pull goes on with it)");
    }
    for (size_t i = 0; i < packs->n; i++) {
        const struct pack *p = &packs->at[i];
        printf("%-36s packed  %8s  used %s  %s%s\n", *p->of ? p->name : "(damaged)", show_bytes(p->bytes, size),
               day(p->used_s, when), *p->of ? p->of : p->path, *p->of && file_kind(p->of) == FILE_NONE ? " (is gone)" : "");
    }
}

static void put_model(struct json_out *w, const struct hub_model *m)
{
    json_open(w, NULL, '{');
    json_put_text(w, "kind", "pulled");
    json_put_text(w, "name", m->repo);
    json_put_text(w, "commit", *m->commit ? m->commit : NULL);
    json_put_text(w, "revisions", m->revisions);
    json_put_text(w, "path", m->path);
    json_put_int(w, "bytes", (int64_t)m->bytes);
    json_put_int(w, "pulled", m->pulled_s);
    json_put_bool(w, "whole", m->whole);
    json_close(w);
}

static void put_pack(struct json_out *w, const struct pack *p)
{
    json_open(w, NULL, '{');
    json_put_text(w, "kind", "packed");
    json_put_text(w, "name", *p->of ? p->name : NULL);
    json_put_text(w, "model", *p->of ? p->of : NULL);
    json_put_text(w, "path", p->path);
    json_put_int(w, "bytes", (int64_t)p->bytes);
    json_put_int(w, "used", p->used_s);
    json_close(w);
}

static void print_json(const struct hub_models *models, const struct packs *packs)
{
    struct json_out *w = json_out_new();
    json_open(w, NULL, '[');
    for (size_t i = 0; i < models->n; i++)
        put_model(w, &models->at[i]);
    for (size_t i = 0; i < packs->n; i++)
        put_pack(w, &packs->at[i]);
    json_close(w);
    show_json(w);
}

bool command_list(const struct options *o, struct err *e)
{
    struct hub_place  place;
    struct hub_models models;
    struct packs      packs;
    if (!hub_place_open(&place, e))
        return false;
    hub_models_read(&models, &place);
    packs_read(&packs);
    if (o->json.v)
        print_json(&models, &packs);
    else
        print_text(&models, &packs);
    packs_drop(&packs);
    hub_models_drop(&models);
    hub_place_drop(&place);
    return true;
}
