/* decode.c -- ids back to text, one at a time.
 *
 * A decoder is a chain of steps.  Tokens run down the chain in pieces, the last piece of a token marked; each step
 * passes on what it is sure of and holds back what later tokens may change: half a character, bytes that may turn out
 * to be none, a space that may be the last one.  What comes out is the same however far apart the ids came, so decoding
 * at once is the same walk. */
#include "text/parts.h"

#include "text/unicode.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

enum { HELD_BYTES_MAX = 4 << 20 };      /* what one step may wait with; Replace steps can be made to grow a token */

struct stage {
    struct buf held;        /* the pieces of a token that is not whole yet */
    struct buf bytes;       /* ByteFallback: bytes that may turn out to be text */
    bool       begun;       /* a token (Strip: a character that stays) went by */
    bool       open;        /* Strip: within a token */
    uint32_t   cut, kept;   /* Strip: stripped at the front of this token; waiting at its end */
};

struct detok {
    const struct tokenizer *t;
    struct stage           *stage;      /* [n_decode] */
    struct pattern_run     *run;        /* made when a pattern asks for it */
    struct buf             *out;
    struct buf              tail;       /* the start of a character */
    bool                    skip_special, raw, failed;
};

static void feed(struct detok *d, size_t k, struct str piece, bool last);

/* The end of the chain: whole characters go out. */
static void put(struct detok *d, struct str s)
{
    if (d->raw) {
        buf_str(d->out, s);
        return;
    }
    if (s.n == 0)
        return;
    if (d->tail.n == 0) {
        unsigned open = utf8_tail(s);
        utf8_clean((struct str){s.p, s.n - open}, d->out);
        buf_append(&d->tail, s.p + s.n - open, open);
        return;
    }
    buf_str(&d->tail, s);
    struct str all = buf_view(&d->tail);
    unsigned   open = utf8_tail(all);
    utf8_clean((struct str){all.p, all.n - open}, d->out);
    buf_cut(&d->tail, all.n - open);
}

static bool byte_of(struct str token, uint8_t *out)
{
    if (token.n != 6 || !str_starts(token, STR("<0x")) || token.p[5] != '>')
        return false;
    unsigned v = 0;
    for (int i = 3; i < 5; i++) {
        char c = token.p[i];
        if (c >= '0' && c <= '9')
            v = v * 16 + (unsigned)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            v = v * 16 + (unsigned)((c | 32) - 'a') + 10;
        else
            return false;
    }
    *out = (uint8_t)v;
    return true;
}

/* A token all of whose characters spell bytes is those bytes; any other is itself. */
static void byte_level(struct detok *d, size_t k, struct str token)
{
    char       small[256];
    struct str rest = token;
    size_t     n = 0;
    while (rest.n) {
        uint32_t cp;
        unsigned len = utf8_decode(rest, &cp);
        int      byte = len ? uni_spelled_byte(cp) : -1;
        if (byte < 0) {
            feed(d, k + 1, token, false);
            return;
        }
        rest.p += len;
        rest.n -= len;
        n++;
    }
    for (rest = token; n;) {
        size_t take = n < sizeof small ? n : sizeof small;
        for (size_t i = 0; i < take; i++) {
            uint32_t cp;
            unsigned len = utf8_decode(rest, &cp);
            small[i] = (char)uni_spelled_byte(cp);
            rest.p += len;
            rest.n -= len;
        }
        feed(d, k + 1, (struct str){small, take}, false);
        n -= take;
    }
}

/* A run of bytes is one token if it is text, else each byte is a token that says so. */
static void flush_bytes(struct detok *d, size_t k)
{
    struct stage *s = &d->stage[k];
    struct str    bytes = buf_view(&s->bytes);
    if (bytes.n == 0)
        return;
    if (utf8_valid(bytes) || d->raw)
        feed(d, k + 1, bytes, true);
    else
        for (size_t i = 0; i < bytes.n; i++)
            feed(d, k + 1, STR("\xEF\xBF\xBD"), true);
    buf_clear(&s->bytes);
}

static void metaspace(struct detok *d, size_t k, struct str token)
{
    const struct decode_step *step = &d->t->decode[k];
    struct str                space = step->content, rest = token;
    bool                      first = !d->stage[k].begun && step->flag;
    for (size_t at; (at = str_find(rest, space)) != STR_NONE; rest.p += at + space.n, rest.n -= at + space.n) {
        feed(d, k + 1, (struct str){rest.p, at}, false);
        if (!first)
            feed(d, k + 1, STR(" "), false);
    }
    feed(d, k + 1, rest, true);
    d->stage[k].begun = true;
}

static void replace(struct detok *d, size_t k, struct str token)
{
    const struct decode_step *step = &d->t->decode[k];
    struct parts              parts = {0};
    if (!d->run)
        d->run = pattern_run_new();
    struct buf clean;       /* behind ByteLevel a token may be any bytes, and a search wants characters */
    buf_init(&clean, HELD_BYTES_MAX);
    if (!utf8_valid(token)) {
        utf8_clean(token, &clean);
        token = buf_view(&clean);
    }
    if (!pattern_cut(step->pattern, d->run, token, &parts, NULL))
        d->failed = true;
    for (size_t i = 0; i < parts.n; i++) {
        struct part p = parts.p[i];
        feed(d, k + 1, p.match ? step->content : (struct str){token.p + p.from, p.to - p.from}, false);
    }
    feed(d, k + 1, STR(""), true);
    parts_drop(&parts);
    buf_drop(&clean);
}

/* Takes the spaces out that WordPiece's cutting put before marks, in the order the reference has. */
static void tidy(struct buf *b)
{
    static const char *const change[][2] = {
        {" .", "."},     {" ?", "?"},   {" !", "!"},            {" ,", ","},   {" ' ", "'"},   {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        struct str what = str_of(change[i][0]), rest = buf_view(b);
        size_t     at = str_find(rest, what);
        if (at == STR_NONE)
            continue;
        struct buf made;
        buf_init(&made, b->bytes_max);
        for (; at != STR_NONE; at = str_find(rest, what)) {
            buf_append(&made, rest.p, at);
            buf_str(&made, str_of(change[i][1]));
            rest.p += at + what.n;
            rest.n -= at + what.n;
        }
        buf_str(&made, rest);
        buf_drop(b);
        *b = made;
    }
}

static void wordpiece(struct detok *d, size_t k, struct str token)
{
    const struct decode_step *step = &d->t->decode[k];
    struct buf                b;
    buf_init(&b, HELD_BYTES_MAX);
    if (d->stage[k].begun && str_starts(token, step->content)) {
        token.p += step->content.n;
        token.n -= step->content.n;
    } else if (d->stage[k].begun) {
        buf_char(&b, ' ');
    }
    buf_str(&b, token);
    if (step->flag)
        tidy(&b);
    feed(d, k + 1, buf_view(&b), true);
    buf_drop(&b);
    d->stage[k].begun = true;
}

static void strip_kept(struct detok *d, size_t k)
{
    for (struct stage *s = &d->stage[k]; s->kept; s->kept--)
        feed(d, k + 1, d->t->decode[k].content, false);
}

/* Up to `start` of the character go at the front of a token, up to `stop` at its end. */
static void strip(struct detok *d, size_t k, struct str piece, bool last)
{
    const struct decode_step *step = &d->t->decode[k];
    struct stage             *s = &d->stage[k];
    if (!s->open) {
        s->open = true;
        s->cut = s->kept = 0;
        s->begun = d->raw;
    }
    while (piece.n) {
        if (!str_starts(piece, step->content)) {
            size_t at = str_find(piece, step->content);
            size_t n = at == STR_NONE ? piece.n : at;
            strip_kept(d, k);
            s->begun = true;
            feed(d, k + 1, (struct str){piece.p, n}, false);
            piece.p += n;
            piece.n -= n;
            continue;
        }
        piece.p += step->content.n;
        piece.n -= step->content.n;
        if (!s->begun && s->cut < (uint32_t)step->start) {
            s->cut++;
            continue;
        }
        s->begun = true;
        if (s->kept == (uint32_t)step->stop || d->raw)
            feed(d, k + 1, step->content, false);
        else
            s->kept++;
    }
    if (last) {
        s->open = false;
        feed(d, k + 1, STR(""), true);
    }
}

/* A step that wants its tokens whole gets one. */
static void feed_token(struct detok *d, size_t k, struct str token)
{
    uint8_t byte;
    switch (d->t->decode[k].op) {
    case DECODE_SPACES:
        if (d->stage[k].begun)
            feed(d, k + 1, STR(" "), false);
        feed(d, k + 1, token, true);
        d->stage[k].begun = true;
        break;
    case DECODE_BYTE_LEVEL:
        byte_level(d, k, token);
        break;
    case DECODE_METASPACE:
        metaspace(d, k, token);
        break;
    case DECODE_BYTE_FALLBACK:
        if (byte_of(token, &byte)) {
            buf_char(&d->stage[k].bytes, (char)byte);
        } else {
            flush_bytes(d, k);
            feed(d, k + 1, token, true);
        }
        break;
    case DECODE_REPLACE:
        replace(d, k, token);
        break;
    case DECODE_WORDPIECE:
        wordpiece(d, k, token);
        break;
    case DECODE_FUSE:
    case DECODE_STRIP:
        break;
    }
}

static void feed(struct detok *d, size_t k, struct str piece, bool last)
{
    if (d->failed)
        return;
    if (k == d->t->n_decode) {
        put(d, piece);
        return;
    }
    struct buf *held = &d->stage[k].held;
    switch (d->t->decode[k].op) {
    case DECODE_FUSE:
        feed(d, k + 1, piece, false);
        break;
    case DECODE_STRIP:
        strip(d, k, piece, last);
        break;
    default:
        if (last && held->n == 0) {
            feed_token(d, k, piece);
            break;
        }
        d->failed = !buf_str(held, piece) || d->failed;
        if (last) {
            feed_token(d, k, buf_view(held));
            buf_clear(held);
        }
    }
}

/* No more tokens come: what waits is certain now, step after step. */
static void finish(struct detok *d)
{
    for (size_t k = 0; k < d->t->n_decode; k++) {
        struct stage *s = &d->stage[k];
        switch (d->t->decode[k].op) {
        case DECODE_FUSE:
        case DECODE_BYTE_LEVEL:
            feed(d, k + 1, STR(""), true);
            break;
        case DECODE_BYTE_FALLBACK:
            flush_bytes(d, k);
            break;
        default:
            break;
        }
        s->begun = s->open = false;
    }
    utf8_clean(buf_view(&d->tail), d->out);
    buf_clear(&d->tail);
}

static void detok_init(struct detok *d, const struct tokenizer *t, bool skip_special)
{
    *d = (struct detok){.t = t, .skip_special = skip_special, .stage = mem_array(t->n_decode + 1, sizeof *d->stage)};
    for (size_t k = 0; k < t->n_decode; k++) {
        buf_init(&d->stage[k].held, HELD_BYTES_MAX);
        buf_init(&d->stage[k].bytes, HELD_BYTES_MAX);
    }
    buf_init(&d->tail, 0);
}

static void detok_drop(struct detok *d)
{
    for (size_t k = 0; k < d->t->n_decode; k++) {
        buf_drop(&d->stage[k].held);
        buf_drop(&d->stage[k].bytes);
    }
    free(d->stage);
    buf_drop(&d->tail);
    if (d->run)
        pattern_run_free(d->run);
}

static bool push(struct detok *d, int32_t id)
{
    const struct tokenizer *t = d->t;
    if (id < 0 || (size_t)id >= t->n || !t->shown[id].p || (d->skip_special && t->special[id]))
        return true;
    feed(d, 0, t->shown[id], true);
    return !d->failed && !d->out->full;
}

struct detok *detok_new(const struct tokenizer *t, bool skip_special)
{
    struct detok *d = mem_new(sizeof *d);
    detok_init(d, t, skip_special);
    return d;
}

void detok_free(struct detok *d)
{
    if (!d)
        return;
    detok_drop(d);
    free(d);
}

bool detok_push(struct detok *d, int32_t id, struct buf *out)
{
    d->out = out;
    return push(d, id);
}

bool detok_end(struct detok *d, struct buf *out)
{
    d->out = out;
    finish(d);
    return !d->failed && !out->full;
}

bool tokenizer_decode(const struct tokenizer *t, const int32_t *id, size_t n, bool skip_special, struct buf *out)
{
    struct detok d;
    detok_init(&d, t, skip_special);
    d.out = out;
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++)
        ok = push(&d, id[i]);
    ok = ok && detok_end(&d, out);
    detok_drop(&d);
    return ok;
}

size_t tokenizer_bytes(const struct tokenizer *t, int32_t id, char *out, size_t room)
{
    struct detok d;
    struct buf   b;
    detok_init(&d, t, false);
    buf_init(&b, 0);
    d.out = &b;
    d.raw = true;
    for (size_t k = 0; k < t->n_decode; k++)
        d.stage[k].begun = t->decode[k].op != DECODE_SPACES;
    bool ok = push(&d, id);
    finish(&d);
    size_t n = ok && b.n <= room ? b.n : 0;
    if (n)
        memcpy(out, b.p, n);
    detok_drop(&d);
    buf_drop(&b);
    return n;
}

static bool step_init(struct tokenizer *t, struct decode_step *s, const struct vocab_step *from, struct err *e)
{
    static const struct {
        const char    *type;
        enum decode_op op;
    } table[] = {
        {"ByteLevel", DECODE_BYTE_LEVEL}, {"Metaspace", DECODE_METASPACE}, {"ByteFallback", DECODE_BYTE_FALLBACK},
        {"Fuse", DECODE_FUSE},            {"Replace", DECODE_REPLACE},     {"Strip", DECODE_STRIP},
        {"WordPiece", DECODE_WORDPIECE},
    };
    size_t i = 0;
    while (i < sizeof table / sizeof *table && strcmp(from->type, table[i].type) != 0)
        i++;
    if (i == sizeof table / sizeof *table)
        return err_set(e, ERR_UNSUPPORTED, "decoder %s", from->type);
    s->op = table[i].op;
    s->content = (struct str){arena_copy(&t->arena, from->content.p, from->content.n), from->content.n};
    s->start = from->start;
    s->stop = from->stop;
    if (s->op == DECODE_METASPACE) {
        s->flag = !from->prepend_scheme || strcmp(from->prepend_scheme, "never") != 0;
        if (s->content.n == 0)
            s->content = STR("\xE2\x96\x81");
    }
    if (s->op == DECODE_WORDPIECE)
        s->flag = from->cleanup;
    if (s->op == DECODE_STRIP && (from->content.n == 0 || from->start < 0 || from->stop < 0))
        return err_set(e, ERR_CORRUPT, "a Strip decoder of nothing, or by less than nothing");
    return s->op != DECODE_REPLACE || pattern_new(&s->pattern, from->pattern, from->regex, e);
}

bool decode_init(struct tokenizer *t, const struct vocab *v, struct err *e)
{
    t->decode = mem_array(v->n_decoder + 1, sizeof *t->decode);
    if (v->n_decoder == 0)
        t->decode[t->n_decode++].op = DECODE_SPACES;
    for (size_t i = 0; i < v->n_decoder; i++)
        if (!step_init(t, &t->decode[t->n_decode++], &v->decoder[i], e))
            return false;
    return true;
}

void decode_drop(struct tokenizer *t)
{
    for (size_t i = 0; i < t->n_decode; i++)
        pattern_free(t->decode[i].pattern);
    free(t->decode);
}
