/* api_body.c -- the body of a chat or completion request, up to what the template and the engine are given. */
#include "api/chat_body.h"
#include "api/wish.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_wish(const struct wish *w, const struct wish_limits *l)
{
    CHECK(w->n >= 1 && w->n <= l->n_max && w->n_stop <= STOP_MAX);
    CHECK(isfinite(w->draw.temperature) && w->draw.temperature >= 0 && w->draw.top_p > 0 && w->draw.top_p <= 1);
    CHECK(w->draw.n_logprob <= DRAW_TOP_MAX + 1 && w->draw.top_k >= 0 && w->draw.repeat > 0);
    for (size_t i = 0; i < w->n_stop; i++)
        CHECK(w->stop[i].n > 0 && w->stop[i].n <= STOP_BYTES_MAX);
    for (uint32_t i = 0; i < w->draw.n_bias; i++)
        CHECK(w->draw.bias[i].token >= 0 && (uint32_t)w->draw.bias[i].token < l->n_vocab);
    for (size_t i = 0; i < w->n_stop_id; i++)
        CHECK(w->stop_id[i] >= 0 && (uint32_t)w->stop_id[i] < l->n_vocab);
}

/* What the template gets is JSON again, and holds as many messages as came. */
static void check_values(json request, bool sees, bool lists)
{
    struct media_parts    parts = {.n_max = 4, .no_videos = lists};
    struct chat_words     words = {{"<s>", 3}, {NULL, 0}, sees ? &parts : NULL, lists};
    struct template_input in = {.now_s = 0};
    struct json_doc      *values = NULL;
    struct buf            text;
    struct err            e;
    buf_init(&text, 0);
    if (chat_body_values(request, &words, &text, &in, &e)) {
        CHECK(json_parse(&values, buf_view(&text), &e));
        CHECK(json_len(json_get(json_root(values), "messages")) == json_len(fields_get(request, "messages")));
        CHECK(in.n_user_keys <= sizeof in.user_keys / sizeof in.user_keys[0]);
        json_free(values);
    } else {
        CHECK(e.text[0] && err_status(e.kind) < 500);
    }
    CHECK(parts.n <= parts.n_max);
    for (size_t i = 0; i < parts.n; i++)
        CHECK(parts.part[i].url.n > 0 && parts.part[i].place[0]);
    media_parts_drop(&parts);
    buf_drop(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct wish_limits limits = {.n_vocab = 1000, .n_max = 8, .timeout_s = 60,
                                              .draw = {.temperature = 1, .top_p = 1, .repeat = 1}};
    struct json_doc *d;
    struct err       e;
    if (!json_parse(&d, (struct str){(const char *)data, n}, &e))
        return 0;
    for (unsigned where = FIELDS_CHAT; where <= FIELDS_TEXT; where++) {
        struct buf   ignored;
        struct arena arena;
        struct wish  wish;
        buf_init(&ignored, 1024);
        arena_init(&arena, 0);
        if (fields_check(json_root(d), (enum fields_where)where, &ignored, &e)) {
            CHECK(!ignored.p || (!strchr(ignored.p, '\r') && !strchr(ignored.p, '\n')));
            struct fields f = {json_root(d), (enum fields_where)where};
            if (wish_read(&wish, &f, &limits, &arena, &e))
                check_wish(&wish, &limits);
            if (where == FIELDS_CHAT)
                for (unsigned how = 0; how < 4; how++)
                    check_values(json_root(d), how & 1, how & 2);
        }
        arena_drop(&arena);
        buf_drop(&ignored);
    }
    json_free(d);
    return 0;
}
