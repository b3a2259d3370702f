/* chat.c -- POST /v1/chat/completions. */
#include "api/asked.h"
#include "api/prompt.h"
#include "api/see.h"
#include "base/mem.h"

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
        if (o->eyes && media_parts_any(json_root(doc))) {
            see_begin(&q, doc);
            return false;
        }
        q.prompt = mem_new(sizeof *q.prompt);
        q.n_prompt = 1;
        struct prompter p = api_prompter(c->api);
        ok = prompt_chat(&p, json_root(doc), NULL, q.prompt, &e);
    }
    json_free(doc);
    return asked_go(&q, ok, &e);
}
