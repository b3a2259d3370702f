/* bench_answer.c -- see bench_answer.h. */
#include "app/bench_answer.h"

#include "base/json.h"

#include <stdio.h>

static void one_line(struct str text, char *out, size_t n)
{
    size_t put = 0;
    for (size_t i = 0; i < text.n && put + 1 < n; i++)
        out[put++] = (unsigned char)text.p[i] < ' ' ? ' ' : text.p[i];
    out[put] = '\0';
}

/* OpenAI's shape, or FastAPI's, or a bare text. */
static struct str message_of(json body)
{
    json error = json_get(body, "error"), detail = json_get(body, "detail");
    if (json_type(json_get(error, "message")) == JSON_STRING)
        return json_str(json_get(error, "message"));
    if (json_type(error) == JSON_STRING)
        return json_str(error);
    return json_type(detail) == JSON_STRING ? json_str(detail) : json_str(json_get(body, "message"));
}

void bench_answer_message(struct str body, char *out, size_t n)
{
    struct json_doc *d = NULL;
    struct str       text = {NULL, 0};
    if (json_parse(&d, body, NULL))
        text = message_of(json_root(d));
    one_line(text.n ? text : body, out, n);
    json_free(d);
}

static void read_usage(struct bench_answer *a, json usage)
{
    json cached = json_get(json_get(usage, "prompt_tokens_details"), "cached_tokens");
    if (json_type(usage) != JSON_OBJECT)
        return;
    a->has_usage = json_u64(json_get(usage, "prompt_tokens"), &a->prompt_tokens) &&
                   json_u64(json_get(usage, "completion_tokens"), &a->answer_tokens);
    a->has_cached = json_u64(cached, &a->cached_tokens);
}

static bool has_text(json v)
{
    return json_str(v).n > 0;
}

/* Text of /v1/completions, or of chat; what reasoning models think is drawn as well. */
static bool is_piece(json choice)
{
    json delta = json_get(choice, "delta");
    return has_text(json_get(choice, "text")) || has_text(json_get(delta, "content")) ||
           has_text(json_get(delta, "reasoning_content")) || has_text(json_get(delta, "reasoning"));
}

static void count_piece(struct bench_answer *a, uint64_t now_ns, struct samples *gaps)
{
    if (a->pieces == 0)
        a->first_ns = now_ns;
    else if (gaps)
        samples_add(gaps, (double)(now_ns - a->last_ns) / 1e6);
    a->last_ns = now_ns;
    a->pieces++;
}

void bench_answer_event(struct bench_answer *a, struct str data, uint64_t now_ns, struct samples *gaps)
{
    struct json_doc *d;
    if (str_is(data, "[DONE]")) {
        a->ended = true;
        return;
    }
    if (!json_parse(&d, data, NULL)) {
        if (!a->error[0])
            snprintf(a->error, sizeof a->error, "an event is no JSON");
        return;
    }
    json event = json_root(d), choice = json_at(json_get(event, "choices"), 0), error = json_get(event, "error");
    if (json_type(error) > JSON_NULL)
        bench_answer_message(data, a->error, sizeof a->error);
    if (is_piece(choice))
        count_piece(a, now_ns, gaps);
    if (json_type(json_get(choice, "finish_reason")) == JSON_STRING)
        a->ended = true;
    read_usage(a, json_get(event, "usage"));
    json_free(d);
}

uint64_t bench_answer_tokens(const struct bench_answer *a)
{
    return a->has_usage ? a->answer_tokens : a->pieces;
}
