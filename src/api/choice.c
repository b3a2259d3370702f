/* choice.c -- see choice.h. */
#include "api/choice.h"

#include "api/stop.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

static const double LEAST_LOGPROB = -9999;

void choice_init(struct choice *c, struct str opening)
{
    c->detok = detok_new(c->tokenizer, true);
    buf_init(&c->held, 0);
    buf_init(&c->text, 0);
    buf_str(&c->text, opening);
    for (size_t i = 0; i < opening.n; i++)
        c->chars += ((unsigned char)opening.p[i] & 0xC0) != 0x80;
}

void choice_drop(struct choice *c)
{
    detok_free(c->detok);
    buf_drop(&c->held);
    buf_drop(&c->text);
    ids_drop(&c->ids);
    free(c->told);
    verify_drop(&c->verify);
}

static bool ends(const struct choice *c, int32_t id)
{
    for (size_t i = 0; i < c->n_end_id; i++)
        if (c->end_id[i] == id)
            return true;
    return false;
}

/* Lets the first n bytes of what is held go, and with them the tokens whose text is out. */
static void let_go(struct choice *c, size_t n)
{
    buf_append(&c->text, c->held.p, n);
    buf_cut(&c->held, n);
    c->freed += n;
    while (c->n_ready < c->n_told && c->told[c->n_ready].end <= c->freed)
        c->n_ready++;
}

/* Counts what was decoded behind `was` bytes of held. */
static void count_text(struct choice *c, size_t was)
{
    c->bytes += c->held.n - was;
    for (size_t i = was; i < c->held.n; i++)
        c->chars += ((unsigned char)c->held.p[i] & 0xC0) != 0x80;
}

static void tell(struct choice *c, const struct drawn *d, size_t start, size_t start_chars)
{
    if (c->n_told == c->told_room) {
        c->told_room = c->told_room ? c->told_room * 2 : 16;
        c->told = mem_grow(c->told, c->told_room, sizeof *c->told);
    }
    c->told[c->n_told++] = (struct told){.drawn = *d, .start = start, .end = c->bytes, .start_chars = start_chars};
}

/* The text ends at byte `at` of the answer: tokens that begin at or behind it are not told of. */
static void cut(struct choice *c, size_t at)
{
    while (c->n_told > c->n_ready && c->told[c->n_told - 1].start >= at)
        c->n_told--;
    c->n_ready = c->n_told;
    buf_clear(&c->held);
    c->closed = true;
}

/* Moves on what can be no part of a stop string.  False: one was found. */
static bool scan(struct choice *c)
{
    const struct str *found;
    let_go(c, stop_scan(c->wish->stop, c->wish->n_stop, buf_view(&c->held), &found));
    if (!found)
        return true;
    cut(c, c->freed);
    c->finish = "stop";
    return false;
}

bool choice_take(struct choice *c, const struct drawn *d)
{
    c->n_drawn++;
    if (c->wish->return_ids)
        ids_push(&c->ids, d->token);
    if (ends(c, d->token))
        return true;
    size_t was = c->held.n, start = c->bytes, start_chars = c->chars;
    detok_push(c->detok, d->token, &c->held);
    count_text(c, was);
    if (c->wish->logprobs)
        tell(c, d, start, start_chars);
    return scan(c);
}

void choice_close(struct choice *c, const char *finish)
{
    if (c->closed)
        return;
    size_t was = c->held.n;
    detok_end(c->detok, &c->held);
    count_text(c, was);
    if (!scan(c))
        return;
    let_go(c, c->held.n);
    c->n_ready = c->n_told;
    c->closed = true;
    c->finish = finish;
}

bool choice_has_news(const struct choice *c)
{
    return c->text.n > 0 || c->n_ready > 0;
}

void choice_sent(struct choice *c)
{
    buf_clear(&c->text);
    c->ids.n = 0;
    c->n_told -= c->n_ready;
    if (c->n_told)
        memmove(c->told, c->told + c->n_ready, c->n_told * sizeof *c->told);
    c->n_ready = 0;
}

static double shown(float logprob)
{
    double p = (double)logprob;
    return p > LEAST_LOGPROB ? p : LEAST_LOGPROB;
}

static struct str token_text(const struct choice *c, int32_t id, char room[VOCAB_TOKEN_BYTES_MAX])
{
    return (struct str){room, tokenizer_bytes(c->tokenizer, id, room, VOCAB_TOKEN_BYTES_MAX)};
}

static void put_token(struct json_out *w, const struct choice *c, int32_t id, float logprob)
{
    char       room[VOCAB_TOKEN_BYTES_MAX];
    struct str bytes = token_text(c, id, room);
    json_put_str(w, "token", bytes);
    json_put_num(w, "logprob", shown(logprob));
    json_open(w, "bytes", '[');
    for (size_t i = 0; i < bytes.n; i++)
        json_put_int(w, NULL, (unsigned char)bytes.p[i]);
    json_close(w);
}

static void put_chat(struct json_out *w, const struct choice *c)
{
    json_open(w, "content", '[');
    for (size_t i = 0; i < c->n_ready; i++) {
        const struct drawn *d = &c->told[i].drawn;
        json_open(w, NULL, '{');
        put_token(w, c, d->token, d->logprob);
        json_open(w, "top_logprobs", '[');
        for (size_t k = 0; k < d->n_top; k++) {
            json_open(w, NULL, '{');
            put_token(w, c, d->top[k].token, d->top[k].logprob);
            json_close(w);
        }
        json_close(w);
        json_close(w);
    }
    json_close(w);
}

/* The chosen token is always among them.  Two tokens may have the same text; the likelier one has the name. */
static void put_text_top(struct json_out *w, const struct choice *c, const struct drawn *d)
{
    struct buf seen[DRAW_TOP_MAX + 1];
    size_t     n = 0;
    json_open(w, NULL, '{');
    for (size_t k = 0; k <= d->n_top; k++) {
        char    room[VOCAB_TOKEN_BYTES_MAX];
        int32_t id = k < d->n_top ? d->top[k].token : d->token;
        bool    is_new = true;
        buf_init(&seen[n], 0);
        utf8_clean(token_text(c, id, room), &seen[n]);
        for (size_t i = 0; i < n; i++)
            is_new &= !str_eq(buf_view(&seen[i]), buf_view(&seen[n]));
        if (is_new)
            json_put_num(w, seen[n].p ? seen[n].p : "", shown(k < d->n_top ? d->top[k].logprob : d->logprob));
        n++;
    }
    json_close(w);
    while (n > 0)
        buf_drop(&seen[--n]);
}

static void put_text(struct json_out *w, const struct choice *c)
{
    char room[VOCAB_TOKEN_BYTES_MAX];
    json_open(w, "tokens", '[');
    for (size_t i = 0; i < c->n_ready; i++)
        json_put_str(w, NULL, token_text(c, c->told[i].drawn.token, room));
    json_close(w);
    json_open(w, "token_logprobs", '[');
    for (size_t i = 0; i < c->n_ready; i++)
        json_put_num(w, NULL, shown(c->told[i].drawn.logprob));
    json_close(w);
    json_open(w, "top_logprobs", '[');
    for (size_t i = 0; i < c->n_ready; i++)
        put_text_top(w, c, &c->told[i].drawn);
    json_close(w);
    json_open(w, "text_offset", '[');
    for (size_t i = 0; i < c->n_ready; i++)
        json_put_int(w, NULL, (int64_t)c->told[i].start_chars);
    json_close(w);
}

void choice_put_logprobs(struct json_out *w, const struct choice *c, bool chat)
{
    if (!c->wish->logprobs) {
        json_put_null(w, "logprobs");
        return;
    }
    json_open(w, "logprobs", '{');
    if (chat)
        put_chat(w, c);
    else
        put_text(w, c);
    json_close(w);
}

void choice_put_ids(struct json_out *w, const char *key, const int32_t *id, size_t n)
{
    json_open(w, key, '[');
    for (size_t i = 0; i < n; i++)
        json_put_int(w, NULL, id[i]);
    json_close(w);
}
