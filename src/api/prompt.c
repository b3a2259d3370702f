/* prompt.c -- see prompt.h. */
#include "api/prompt.h"

#include "api/chat_body.h"
#include "api/expand.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

static bool encode(const struct tokenizer *t, const struct rendered *r, struct ids *out, struct err *e)
{
    struct piece *piece = mem_array(r->n_run + 1, sizeof *piece);
    size_t        from = 0;
    for (size_t i = 0; i < r->n_run; from = r->run[i++].end)
        piece[i] = (struct piece){{r->text.p + from, r->run[i].end - from}, r->run[i].trusted};
    bool ok = tokenizer_encode(t, piece, r->n_run, false, out, e);
    free(piece);
    return ok && (out->n > 0 || err_param(e, "messages", "the chat template makes an empty prompt of these messages"));
}

/* A render over a limit is told as the messages' doing: with fewer of them the same template passes. */
static bool render_failed(struct err *e)
{
    if (e->kind != ERR_TOO_LARGE)
        return err_in(e, "chat template");
    snprintf(e->param, sizeof e->param, "messages");
    return err_in(e, "the messages make too much work for the chat template");
}

static bool read_wish(json request, struct view_wish *out, struct err *e)
{
    json     fps = fields_get(request, "video_fps"), frames = fields_get(request, "video_max_frames");
    uint64_t n = 0;
    *out = (struct view_wish){0};
    if (fps && (!json_f64(fps, &out->fps) || !(out->fps >= 0.01 && out->fps <= 240)))
        return err_param(e, "video_fps", "video_fps must be between 0.01 and 240");
    if (frames && (!json_u64(frames, &n) || n == 0 || n > UINT32_MAX))
        return err_param(e, "video_max_frames", "video_max_frames must be a whole number from 1 on");
    out->frames_max = (uint32_t)n;
    return true;
}

/* Brings what the messages name and puts it in its places. */
static bool show(const struct prompter *p, json request, const struct media_parts *parts, const struct rendered *r, struct prompt_sight *s,
                 struct ids *out, struct err *e)
{
    struct view_wish wish;
    if (!read_wish(request, &wish, e) || !views_open(&s->views, s->eyes, s->engine, parts, &wish, s->totals, s->stop, e))
        return false;
    if (expand_encode(p->tokenizer, r, &s->views, out, e))
        return true;
    views_drop(&s->views);
    return false;
}

bool prompt_wants_lists(const struct prompter *p)
{
    const struct str        request = STR("{\"messages\":[{\"role\":\"user\",\"content\":\"hearthstone\"}]}");
    struct template_input   in = {.now_s = 0};
    struct rendered         rendered = {0};
    struct json_doc        *asked = NULL, *values = NULL;
    struct chat_words       words = {.bos = p->bos, .eos = p->eos};
    struct buf              text;
    buf_init(&text, 0);
    bool ok = json_parse(&asked, request, NULL) && chat_body_values(json_root(asked), &words, &text, &in, NULL) &&
              json_parse(&values, buf_view(&text), NULL);
    in.values = json_root(values);
    ok = ok && template_render(p->template, &in, &rendered, NULL) && str_find(buf_view(&rendered.text), STR("hearthstone")) != STR_NONE;
    rendered_drop(&rendered);
    json_free(asked);
    json_free(values);
    buf_drop(&text);
    return !ok;
}

bool prompt_chat(const struct prompter *p, json request, struct prompt_sight *sight, struct ids *out, struct err *e)
{
    struct media_parts          parts = {.n_max = sight ? sight->eyes->items_max : 0, .no_videos = sight && !processor_has_video(sight->eyes->processor)};
    struct chat_words     words = {p->bos, p->eos, sight ? &parts : NULL, p->lists};
    struct template_input in = {.now_s = (int64_t)clock_unix_s()};
    struct rendered       rendered = {0};
    struct json_doc      *values = NULL;
    struct buf            text;
    buf_init(&text, 0);
    bool ok = chat_body_values(request, &words, &text, &in, e) && json_parse(&values, buf_view(&text), e);
    if (ok) {
        in.values = json_root(values);
        ok = template_render(p->template, &in, &rendered, e) || render_failed(e);
    }
    if (ok)
        ok = parts.n ? show(p, request, &parts, &rendered, sight, out, e) : encode(p->tokenizer, &rendered, out, e);
    media_parts_drop(&parts);
    rendered_drop(&rendered);
    json_free(values);
    buf_drop(&text);
    return ok;
}
