/* chat.c -- POST /v1/chat/completions. */
#include "api/asked.h"
#include "api/chat_body.h"
#include "base/mem.h"

#include <stdlib.h>

static struct str spelling(const struct tokenizer *t, int32_t id)
{
    return id < 0 ? (struct str){NULL, 0} : tokenizer_token(t, id);
}

/* The rendered text as ids: only the template's own words may be special tokens. */
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

static bool render(const struct api_opts *o, json request, struct ids *out, struct err *e)
{
    struct chat_words     words = {spelling(o->tokenizer, tokenizer_bos(o->tokenizer)),
                                   spelling(o->tokenizer, tokenizer_eos(o->tokenizer))};
    struct template_input in = {.now_s = (int64_t)clock_unix_s()};
    struct rendered       rendered = {0};
    struct json_doc      *values = NULL;
    struct buf            text;
    buf_init(&text, 0);
    bool ok = chat_body_values(request, &words, &text, &in, e) && json_parse(&values, buf_view(&text), e);
    if (ok) {
        in.values = json_root(values);
        ok = template_render(o->template, &in, &rendered, e) || err_in(e, "chat template");
    }
    ok = ok && encode(o->tokenizer, &rendered, out, e);
    rendered_drop(&rendered);
    json_free(values);
    buf_drop(&text);
    return ok;
}

bool chat_post(struct call *c)
{
    const struct api_opts *o = &c->api->o;
    struct asked     q = {.call = c, .shape = &shape_chat};
    struct json_doc *doc;
    struct err       e;
    bool ok = asked_read(&q, FIELDS_CHAT, &doc, &e);
    if (ok && !o->template)
        ok = err_set(&e, ERR_UNSUPPORTED, "%s came without a chat template; use /v1/completions", o->model);
    if (ok) {
        q.prompt = mem_new(sizeof *q.prompt);
        q.n_prompt = 1;
        ok = render(o, json_root(doc), q.prompt, &e);
    }
    json_free(doc);
    return asked_go(&q, ok, &e);
}
