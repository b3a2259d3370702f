/* media_parts.c -- see media_parts.h. */
#include "api/media_parts.h"

#include "api/fields.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum part_kind { KIND_IMAGE, KIND_VIDEO, KIND_OTHER };

/* The types of content that clients send, and the members where the address may stand. */
static const struct {
    const char    *type;
    enum part_kind kind;
} types[] = {
    {"image_url", KIND_IMAGE},  {"input_image", KIND_IMAGE}, {"image", KIND_IMAGE},      {"video_url", KIND_VIDEO},
    {"input_video", KIND_VIDEO}, {"video", KIND_VIDEO},      {"input_audio", KIND_OTHER}, {"audio_url", KIND_OTHER},
    {"audio", KIND_OTHER},      {"file", KIND_OTHER},        {"input_file", KIND_OTHER},
};

enum { N_TYPE = sizeof types / sizeof types[0] };

static size_t type_of(json part)
{
    size_t i = 0;
    json   type = json_get(part, "type");
    while (i < N_TYPE && !json_is(type, types[i].type))
        i++;
    return i;
}

void media_parts_drop(struct media_parts *p)
{
    free(p->part);
    *p = (struct media_parts){0};
}

bool media_parts_is_media(json part)
{
    return type_of(part) < N_TYPE;
}

bool media_parts_any(json request)
{
    for (struct json_iter m = json_iter(fields_get(request, "messages")); json_next(&m);) {
        json content = json_get(m.value, "content");
        if (json_type(content) != JSON_ARRAY)
            continue;
        for (struct json_iter c = json_iter(content); json_next(&c);)
            if (media_parts_is_media(c.value))
                return true;
    }
    return false;
}

/* The address: {"image_url": {"url": …}}, {"image_url": …}, {"image": …} and the like. */
static struct str address(json part, size_t type)
{
    static const char *const image[] = {"image_url", "image", "url"}, *const video[] = {"video_url", "video", "url"};
    const char *const *names = types[type].kind == KIND_VIDEO ? video : image;
    json               v = json_get(part, types[type].type);
    for (size_t i = 0; !v && i < 3; i++)
        v = json_get(part, names[i]);
    return json_str(json_type(v) == JSON_OBJECT ? json_get(v, "url") : v);
}

static bool refuse(const char *place, const char *type, const char *why, struct err *e)
{
    err_set(e, ERR_UNSUPPORTED, "%s: content of type \"%s\" is not supported yet; this model reads %s", place, type, why);
    snprintf(e->param, sizeof e->param, "%s", place);
    return false;
}

bool media_parts_add(struct media_parts *p, json part, const char *place, struct err *e)
{
    size_t         type = type_of(part);
    enum part_kind kind = types[type].kind;
    if (!p)
        return refuse(place, types[type].type, "text", e);
    if (kind == KIND_OTHER || (kind == KIND_VIDEO && p->no_videos))
        return refuse(place, types[type].type, p->no_videos ? "text and pictures" : "text, pictures and videos", e);
    struct str url = address(part, type);
    if (url.n == 0)
        return err_param(e, place, "%s: the address of the %s is missing; it is \"url\" in \"%s\", and a string", place,
                         kind == KIND_VIDEO ? "video" : "picture", types[type].type);
    if (p->n == p->n_max)
        return err_param(e, place, "%s: a request may show %zu pictures and videos at most", place, p->n_max);
    if (p->n == p->room) {
        p->room = p->room ? 2 * p->room : 8;
        p->part = mem_grow(p->part, p->room, sizeof *p->part);
    }
    struct media_part *out = &p->part[p->n++];
    *out = (struct media_part){.is_video = kind == KIND_VIDEO, .url = url};
    snprintf(out->place, sizeof out->place, "%s", place);
    return true;
}
