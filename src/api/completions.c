/* completions.c -- POST /v1/completions: text or token ids, one or many. */
#include "api/asked.h"
#include "base/mem.h"

enum { ANSWERS_MAX = 128 };

/* One prompt is a string or an array of ids; several are an array of those. */
static bool is_many(json prompt)
{
    enum json_type first = json_type(json_at(prompt, 0));
    return json_type(prompt) == JSON_ARRAY && (first == JSON_STRING || first == JSON_ARRAY);
}

static bool read_ids(json list, const struct api_opts *o, struct ids *out, struct err *e)
{
    for (struct json_iter it = json_iter(list); json_next(&it);) {
        uint64_t id;
        if (!json_u64(it.value, &id) || id >= o->info->n_vocab)
            return err_param(e, "prompt", "prompt must be a string, token ids of this model (0 to %u), or an array of "
                             "either", o->info->n_vocab - 1);
        ids_push(out, (int32_t)id);
    }
    return true;
}

/* A prompt is the caller's own whole text: special tokens written in it are meant. */
static bool read_prompt(json v, const struct api_opts *o, struct ids *out, struct err *e)
{
    struct piece piece = {json_str(v), true};
    if (json_type(v) == JSON_STRING) {
        if (!tokenizer_encode(o->tokenizer, &piece, 1, true, out, e))
            return false;
    } else if (json_type(v) == JSON_ARRAY) {
        if (!read_ids(v, o, out, e))
            return false;
    } else {
        return err_param(e, "prompt", "prompt must hold strings or arrays of token ids, not %s", json_type_name(v));
    }
    if (out->n == 0 && tokenizer_bos(o->tokenizer) >= 0)
        ids_push(out, tokenizer_bos(o->tokenizer));
    return out->n > 0 || err_param(e, "prompt", "the prompt is empty");
}

static struct str echo_of(struct asked *q, json v, const struct ids *ids)
{
    struct buf text;
    struct str s = json_str(v);
    buf_init(&text, 0);
    if (!s.p) {
        tokenizer_decode(q->call->api->o.tokenizer, ids->id, ids->n, false, &text);
        s = buf_view(&text);
    }
    s.p = arena_copy(&q->arena, s.p, s.n);
    buf_drop(&text);
    return s;
}

static bool read_prompts(struct asked *q, json prompt, struct err *e)
{
    bool   many = is_many(prompt);
    size_t n = many ? json_len(prompt) : 1;
    if (!prompt)
        return err_param(e, "prompt", "prompt is missing");
    if (n > ANSWERS_MAX / q->wish.n)
        return err_param(e, "prompt", "%zu prompts with n %u are too many: a request may ask for %d answers", n,
                         q->wish.n, ANSWERS_MAX);
    if (q->wish.echo)
        q->echo = arena_new(&q->arena, n * sizeof *q->echo);
    q->prompt = mem_array(n, sizeof *q->prompt);
    for (; q->n_prompt < n; q->n_prompt++) {
        size_t i = q->n_prompt;
        json   one = many ? json_at(prompt, i) : prompt;
        if (!read_prompt(one, &q->call->api->o, &q->prompt[i], e)) {
            ids_drop(&q->prompt[i]);
            return false;
        }
        if (q->echo)
            q->echo[i] = echo_of(q, one, &q->prompt[i]);
    }
    return true;
}

bool completions_post(struct call *c)
{
    struct asked     q = {.call = c, .shape = &shape_text};
    struct json_doc *doc;
    struct err       e;
    bool ok = asked_read(&q, FIELDS_TEXT, &doc, &e);
    q.wish.echo = json_bool(fields_get(json_root(doc), "echo"), false);
    if (ok && q.wish.echo && q.wish.logprobs)
        ok = err_param(&e, "echo", "echo with logprobs (log probabilities of the prompt) is not supported yet");
    ok = ok && read_prompts(&q, fields_get(json_root(doc), "prompt"), &e);
    json_free(doc);
    return asked_go(&q, ok, &e);
}
