/* asked.c -- see asked.h. */
#include "api/asked.h"

#include "api/answer.h"
#include "api/chat_body.h"
#include "base/hash.h"

#include <stdlib.h>

/* True the first time that the name comes.  When the table is full nothing is new any more. */
static bool is_new(struct api *a, struct str name)
{
    uint64_t hash = hash64(name.p, name.n, 0);
    pthread_mutex_lock(&a->lock);
    bool is_known = a->n_name_seen == NAMES_SEEN_MAX;
    for (size_t i = 0; i < a->n_name_seen; i++)
        is_known |= a->name_seen[i] == hash;
    if (!is_known)
        a->name_seen[a->n_name_seen++] = hash;
    pthread_mutex_unlock(&a->lock);
    return !is_known;
}

static void log_ignored(const struct call *c)
{
    struct str rest = buf_view(&c->ignored);
    while (rest.n) {
        size_t     end = str_find(rest, STR(", "));
        struct str name = {rest.p, end == STR_NONE ? rest.n : end};
        if (is_new(c->api, name))
            log_warn(c->api->o.log, "%s: field %.*s is not known here and ignored (said once)", c->route->path.p,
                     SHOWN(name));
        rest = end == STR_NONE ? (struct str){NULL, 0} : (struct str){rest.p + end + 2, rest.n - end - 2};
    }
}

static struct wish_limits limits(const struct api_opts *o)
{
    uint32_t seqs = engine_plan(o->engine)->seq_max;
    return (struct wish_limits){
        .n_vocab = o->info->n_vocab,
        .n_max = seqs < CHOICES_MAX ? seqs : CHOICES_MAX,
        .timeout_s = o->timeout_s,
        .draw = {.temperature = o->defaults.temperature, .top_p = o->defaults.top_p, .min_p = o->defaults.min_p,
                 .repeat = o->defaults.repeat, .top_k = o->defaults.top_k},
    };
}

bool asked_read(struct asked *q, enum fields_where where, struct json_doc **doc, struct err *e)
{
    struct call       *c = q->call;
    struct wish_limits l = limits(&c->api->o);
    *doc = NULL;
    arena_init(&q->arena, 0);
    if (!api_is_open(c->api, e) || !json_parse(doc, c->in->body, e) ||
        !fields_check(json_root(*doc), where, &c->ignored, e))
        return false;
    if (where == FIELDS_CHAT && c->api->o.template)
        chat_body_unread(json_root(*doc), c->api->o.template, &c->ignored);
    log_ignored(c);
    const char *verify = c->in->header ? c->in->header(c->in, "X-Cache-Verify") : NULL;
    q->verify = verify && strcmp(verify, "0") != 0;
    struct fields f = {json_root(*doc), where};
    return api_is_model(c->api, json_str(fields_at(&f, "model")), e) && wish_read(&q->wish, &f, &l, &q->arena, e);
}

void asked_drop(struct asked *q)
{
    for (size_t i = 0; i < q->n_prompt; i++)
        ids_drop(&q->prompt[i]);
    free(q->prompt);
    views_drop(&q->views);
    arena_drop(&q->arena);
}

bool asked_go(struct asked *q, bool ok, const struct err *e)
{
    if (ok) {
        answer_begin(q);
        return false;
    }
    asked_drop(q);
    return call_fail(q->call, e);
}
