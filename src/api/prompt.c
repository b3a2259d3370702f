/* prompt.c -- see prompt.h. */
#include "api/prompt.h"

#include "api/chat_body.h"
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

bool prompt_chat(const struct prompter *p, json request, struct ids *out, struct err *e)
{
    struct chat_words     words = {p->bos, p->eos};
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
    ok = ok && encode(p->tokenizer, &rendered, out, e);
    rendered_drop(&rendered);
    json_free(values);
    buf_drop(&text);
    return ok;
}
