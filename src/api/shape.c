/* shape.c -- see shape.h. */
#include "api/shape.h"

const struct shape shape_chat = {"chatcmpl-", "chat.completion", "chat.completion.chunk", true};
const struct shape shape_text = {"cmpl-", "text_completion", "text_completion", false};

static double per_second(uint64_t n, uint64_t ns)
{
    return ns ? (double)n * 1e9 / (double)ns : 0;
}

static void open_body(struct json_out *w, const struct shape_head *h, const char *object)
{
    json_open(w, NULL, '{');
    json_put_text(w, "id", h->id);
    json_put_text(w, "object", object);
    json_put_int(w, "created", (int64_t)h->created_s);
    json_put_text(w, "model", h->model);
}

static void put_usage(struct json_out *w, const struct shape_usage *u)
{
    json_open(w, "usage", '{');
    json_put_int(w, "prompt_tokens", (int64_t)u->prompt);
    json_put_int(w, "completion_tokens", (int64_t)u->drawn);
    json_put_int(w, "total_tokens", (int64_t)(u->prompt + u->drawn));
    json_open(w, "prompt_tokens_details", '{');
    json_put_int(w, "cached_tokens", (int64_t)u->cached);
    json_close(w);
    json_open(w, "completion_tokens_details", '{');
    json_put_int(w, "reasoning_tokens", 0);
    json_close(w);
    json_close(w);
}

/* As llama.cpp has them: prompt_n counts what was computed, the first token belongs to the prompt's time. */
static void put_timings(struct json_out *w, const struct shape_usage *u)
{
    uint64_t computed = u->prompt - u->cached, later = u->drawn > 1 ? u->drawn - 1 : 0;
    json_open(w, "timings", '{');
    json_put_int(w, "cache_n", (int64_t)u->cached);
    json_put_int(w, "prompt_n", (int64_t)computed);
    json_put_num(w, "prompt_ms", (double)u->prompt_ns / 1e6);
    json_put_num(w, "prompt_per_second", per_second(computed, u->prompt_ns));
    json_put_int(w, "predicted_n", (int64_t)u->drawn);
    json_put_num(w, "predicted_ms", (double)u->drawn_ns / 1e6);
    json_put_num(w, "predicted_per_second", per_second(later, u->drawn_ns));
    json_close(w);
}

/* What was reused, and where and why not more. */
static void put_cache(struct json_out *w, const struct shape_usage *u)
{
    static const char *const parted[] = {[PARTED_NOT] = "complete", [PARTED_OFF] = "off", [PARTED_UNKNOWN] = "unknown",
                                         [PARTED_TOKEN] = "other text", [PARTED_PICTURE] = "other picture", [PARTED_END] = "known text ends"};
    json_open(w, "cache", '{');
    json_put_int(w, "cached_tokens", (int64_t)u->cached);
    json_put_int(w, "diverged_at", (int64_t)u->reuse.parted_at);
    json_put_text(w, "reason", parted[u->reuse.parted]);
    if (u->shows) {
        json_open(w, "pictures", '{');
        json_put_int(w, "skipped", u->reuse.n_skipped);
        json_put_int(w, "found", u->reuse.n_hit);
        json_put_int(w, "encoded", u->reuse.n_encoded);
        json_close(w);
    }
    if (u->verified) {
        json_open(w, "verify", '{');
        json_put_bool(w, "same", u->verify.same);
        json_put_int(w, "tokens", u->verify.n);
        if (!u->verify.same)
            json_put_int(w, "differs_at", u->verify.differs_at);
        json_put_num(w, "logprobs_apart", u->verify.apart_max);
        json_close(w);
    }
    json_close(w);
}

static void put_delta(struct json_out *w, const struct choice *c, enum shape_part part)
{
    json_open(w, "delta", '{');
    if (part == SHAPE_FIRST)
        json_put_text(w, "role", "assistant");
    if (part != SHAPE_LAST)
        json_put_str(w, "content", buf_view(&c->text));
    json_close(w);
}

static void put_prompt_ids(struct json_out *w, const struct shape_head *h, const struct choice *c)
{
    const struct ids *p = &h->prompt[c->prompt];
    choice_put_ids(w, "prompt_token_ids", p->id, p->n);
}

void shape_chunk(struct json_out *w, const struct shape_head *h, const struct choice *c, enum shape_part part,
                 const struct shape_usage *end)
{
    bool chat = h->shape->is_chat, ids = c->wish->return_ids;
    open_body(w, h, h->shape->chunk);
    if (ids && part == SHAPE_FIRST && chat)
        put_prompt_ids(w, h, c);
    json_open(w, "choices", '[');
    json_open(w, NULL, '{');
    json_put_int(w, "index", c->index);
    if (chat)
        put_delta(w, c, part);
    else
        json_put_str(w, "text", part == SHAPE_LAST ? STR("") : buf_view(&c->text));
    if (part == SHAPE_NEWS)
        choice_put_logprobs(w, c, chat);
    else
        json_put_null(w, "logprobs");
    json_put_text(w, "finish_reason", part == SHAPE_LAST ? c->finish : NULL);
    if (ids && part == SHAPE_FIRST && !chat)
        put_prompt_ids(w, h, c);
    if (ids && (part != SHAPE_FIRST))
        choice_put_ids(w, "token_ids", c->ids.id, c->ids.n);
    json_close(w);
    json_close(w);
    if (c->wish->include_usage)
        json_put_null(w, "usage");
    if (end) {
        put_timings(w, end);
        put_cache(w, end);
    }
    json_close(w);
}

void shape_usage_chunk(struct json_out *w, const struct shape_head *h, const struct shape_usage *end)
{
    open_body(w, h, h->shape->chunk);
    json_open(w, "choices", '[');
    json_close(w);
    put_usage(w, end);
    put_timings(w, end);
    put_cache(w, end);
    json_close(w);
}

static void put_whole(struct json_out *w, const struct shape_head *h, const struct choice *c)
{
    bool chat = h->shape->is_chat;
    json_open(w, NULL, '{');
    json_put_int(w, "index", c->index);
    if (chat) {
        json_open(w, "message", '{');
        json_put_text(w, "role", "assistant");
        json_put_str(w, "content", buf_view(&c->text));
        json_close(w);
    } else {
        json_put_str(w, "text", buf_view(&c->text));
    }
    choice_put_logprobs(w, c, chat);
    json_put_text(w, "finish_reason", c->finish);
    if (c->wish->return_ids && !chat)
        put_prompt_ids(w, h, c);
    if (c->wish->return_ids)
        choice_put_ids(w, "token_ids", c->ids.id, c->ids.n);
    json_close(w);
}

void shape_whole(struct json_out *w, const struct shape_head *h, const struct choice *c, size_t n,
                 const struct shape_usage *end)
{
    open_body(w, h, h->shape->whole);
    if (c->wish->return_ids && h->shape->is_chat)
        put_prompt_ids(w, h, c);
    json_open(w, "choices", '[');
    for (size_t i = 0; i < n; i++)
        put_whole(w, h, &c[i]);
    json_close(w);
    put_usage(w, end);
    put_timings(w, end);
    put_cache(w, end);
    json_close(w);
}
