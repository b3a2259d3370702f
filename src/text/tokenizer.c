/* tokenizer.c -- a tokenizer put together from its parts, and text to ids.
 *
 * The pieces of a prompt are one text with a note of which stretches are trusted.  Added tokens are found in it; what
 * lies between them is normalized; added tokens that want to be found in normalized text are; what still lies between is
 * cut into words, and the coder makes ids of each word. */
#include "text/parts.h"

#include "text/tokenizer_json.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

enum {
    TEXT_BYTES_MAX = 64 << 20,      /* of one prompt */
    GROWTH_BASE = 1 << 20,          /* a text may grow by this and... */
    GROWTH_MAX = 48,                /* ...to so many times its length (NFKC: 11, byte spelling: 2) */
};

void ids_drop(struct ids *x)
{
    free(x->id);
    *x = (struct ids){0};
}

void ids_push(struct ids *x, int32_t id)
{
    if (x->n == x->room) {
        x->room = x->room * 2 + 64;
        x->id = mem_grow(x->id, x->room, sizeof *x->id);
    }
    x->id[x->n++] = id;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static struct str keep(struct tokenizer *t, struct str s)
{
    return s.p ? (struct str){arena_copy(&t->arena, s.p, s.n), s.n} : s;
}

static bool check_steps(const struct vocab_step *step, size_t n, struct err *e)
{
    if (n > VOCAB_STEPS_MAX)
        return err_set(e, ERR_UNSUPPORTED, "%zu steps (at most %d)", n, VOCAB_STEPS_MAX);
    for (size_t i = 0; i < n; i++) {
        /* The one content that is no text. */
        bool table = strcmp(step[i].type, "Precompiled") == 0;
        if (!utf8_valid(step[i].pattern) || (!table && !utf8_valid(step[i].content)))
            return err_set(e, ERR_CORRUPT, "%s has a text that is no UTF-8", step[i].type);
    }
    return true;
}

static bool check(const struct vocab *v, size_t *n, struct err *e)
{
    /* Ids may have holes; but a number that has nothing to do with how many there are is a mistake or a trap. */
    size_t id_max = v->n_token * 4 + v->n_added + 65536;
    *n = v->n_token;
    if (v->n_token > INT32_MAX / 8)
        return err_set(e, ERR_UNSUPPORTED, "a vocabulary of %zu tokens", v->n_token);
    for (size_t i = 0; i < v->n_token; i++)
        if (v->token[i].n > VOCAB_TOKEN_BYTES_MAX)
            return err_set(e, ERR_UNSUPPORTED, "token %zu is of %zu bytes", i, v->token[i].n);
    for (size_t i = 0; i < v->n_added; i++) {
        const struct vocab_added *a = &v->added[i];
        if (a->id < 0 || (size_t)a->id >= id_max || a->text.n > VOCAB_TOKEN_BYTES_MAX || !utf8_valid(a->text))
            return err_set(e, ERR_CORRUPT, "added token %zu: id %d, %zu bytes", i, (int)a->id, a->text.n);
        if ((size_t)a->id >= *n)
            *n = (size_t)a->id + 1;
    }
    const int32_t own[] = {v->unk, v->bos, v->eos};
    for (unsigned i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i] < -1 || (own[i] >= 0 && (size_t)own[i] >= *n))
            return err_set(e, ERR_CORRUPT, "token %d does not exist (there are %zu)", (int)own[i], *n);
    for (size_t i = 0; i < v->n_before + v->n_after; i++) {
        int32_t id = i < v->n_before ? v->before[i] : v->after[i - v->n_before];
        if (id < 0 || (size_t)id >= *n)
            return err_set(e, ERR_CORRUPT, "token %d does not exist (there are %zu)", (int)id, *n);
    }
    return (check_steps(v->normalizer, v->n_normalizer, e) || err_in(e, "normalizer")) &&
           (check_steps(v->pretokenizer, v->n_pretokenizer, e) || err_in(e, "pre-tokenizer")) &&
           (check_steps(v->decoder, v->n_decoder, e) || err_in(e, "decoder"));
}

static void copy_tokens(struct tokenizer *t, const struct vocab *v)
{
    t->token = mem_array(t->n + 1, sizeof *t->token);
    t->shown = mem_array(t->n + 1, sizeof *t->shown);
    t->plain = mem_array(t->n + 1, sizeof *t->plain);
    t->special = mem_array(t->n + 1, sizeof *t->special);
    for (size_t i = 0; i < v->n_token; i++)
        t->token[i] = t->plain[i] = keep(t, v->token[i]);
    t->added = mem_array(v->n_added + 1, sizeof *t->added);
    t->n_added = v->n_added;
    for (size_t i = 0; i < v->n_added; i++) {
        struct vocab_added *a = &t->added[i];
        *a = v->added[i];
        a->text = keep(t, a->text);
        t->token[a->id] = a->text;
        if (a->special) {
            t->special[a->id] = true;
            t->plain[a->id] = (struct str){NULL, 0};
        }
    }
    for (size_t i = 0; i < t->n; i++)
        t->shown[i] = t->token[i];
    lexicon_init(&t->names, t->token, t->n);
    if (v->score) {
        t->score = mem_array(v->n_token + 1, sizeof *t->score);
        memcpy(t->score, v->score, v->n_token * sizeof *t->score);
    }
}

static void copy_frame(struct tokenizer *t, const struct vocab *v)
{
    t->bos = v->bos;
    t->eos = v->eos;
    t->before = mem_array(v->n_before + 1, sizeof *t->before);
    t->after = mem_array(v->n_after + 1, sizeof *t->after);
    for (size_t i = 0; i < v->n_before; i++)
        t->before[t->n_before++] = v->before[i];
    for (size_t i = 0; i < v->n_after; i++)
        t->after[t->n_after++] = v->after[i];
    if (v->n_before == 0 && v->n_after == 0) {
        if (v->add_bos && v->bos >= 0)
            t->before[t->n_before++] = v->bos;
        if (v->add_eos && v->eos >= 0)
            t->after[t->n_after++] = v->eos;
    }
}

/* Tokens that are looked for after normalizing are looked for as what normalizing makes of them. */
static bool put_added(struct tokenizer *t, struct err *e)
{
    struct pattern_run *run = pattern_run_new();
    struct buf          text, spare;
    buf_init(&text, VOCAB_TOKEN_BYTES_MAX * GROWTH_MAX);
    buf_init(&spare, VOCAB_TOKEN_BYTES_MAX * GROWTH_MAX);
    added_init(&t->raw, t->added);
    added_init(&t->normal, t->added);
    bool ok = true;
    for (size_t i = 0; ok && i < t->n_added; i++) {
        const struct vocab_added *a = &t->added[i];
        if (!a->normalized) {
            added_put(&t->raw, a->text, (int32_t)i);
            continue;
        }
        buf_clear(&text);
        buf_str(&text, a->text);
        ok = normalizer_run(t->normalizer, run, &text, &spare, e);
        if (ok) {
            t->shown[a->id] = keep(t, buf_view(&text));
            added_put(&t->normal, t->shown[a->id], (int32_t)i);
        }
    }
    pattern_run_free(run);
    buf_drop(&text);
    buf_drop(&spare);
    return ok;
}

static bool build(struct tokenizer *t, const struct vocab *v, struct err *e)
{
    copy_tokens(t, v);
    copy_frame(t, v);
    struct vocab mine = *v;
    mine.score = t->score;
    mine.word_prefix = keep(t, v->word_prefix);
    return coder_init(&t->coder, &mine, &t->names, t->plain, e) &&
           normalizer_new(&t->normalizer, v->normalizer, v->n_normalizer, e) &&
           splitter_new(&t->splitter, v->pretokenizer, v->n_pretokenizer, e) && decode_init(t, v, e) &&
           put_added(t, e);
}

bool tokenizer_new(struct tokenizer **out, const struct vocab *v, struct err *e)
{
    size_t n;
    if (!check(v, &n, e))
        return false;
    struct tokenizer *t = mem_new(sizeof *t);
    t->n = n;
    arena_init(&t->arena, 0);
    if (!build(t, v, e)) {
        tokenizer_free(t);
        return false;
    }
    *out = t;
    return true;
}

bool tokenizer_from_json(struct tokenizer **out, struct str text, struct err *e)
{
    struct json_doc *doc;
    if (!json_parse(&doc, text, e))
        return err_in(e, "tokenizer.json");
    struct arena arena;
    struct vocab v;
    arena_init(&arena, 0);
    bool ok = (vocab_from_json(&v, json_root(doc), &arena, e) && tokenizer_new(out, &v, e)) ||
              err_in(e, "tokenizer.json");
    arena_drop(&arena);
    json_free(doc);
    return ok;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    decode_drop(t);
    added_drop(&t->raw);
    added_drop(&t->normal);
    normalizer_free(t->normalizer);
    splitter_free(t->splitter);
    coder_drop(&t->coder);
    lexicon_drop(&t->names);
    free(t->token);
    free(t->shown);
    free(t->plain);
    free(t->special);
    free(t->score);
    free(t->added);
    free(t->before);
    free(t->after);
    arena_drop(&t->arena);
    free(t);
}

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

struct encoding {
    const struct tokenizer *t;
    struct pattern_run     *run;
    struct coder_run        coder;
    struct words            words;
    struct buf              text;               /* the pieces, joined */
    struct buf              normal, spare;      /* one part of it, normalized */
    struct trust           *trust;              /* stretches of text, in order */
    size_t                  n_trust;
    struct ids             *out;
    struct err             *e;
};

static bool encode_words(struct encoding *x, struct str part, bool begins)
{
    words_set(&x->words, part, begins);
    if (!splitter_run(x->t->splitter, x->run, &x->words, x->e))
        return false;
    for (size_t i = 0; i < x->words.span.n; i++) {
        struct span s = x->words.span.p[i];
        coder_encode(&x->t->coder, &x->coder, (struct str){x->words.text.p + s.from, s.to - s.from}, x->out);
    }
    return true;
}

/* What lies between tokens found in the raw text. */
static bool encode_between(struct encoding *x, size_t from, size_t to, bool trusted)
{
    buf_clear(&x->normal);
    buf_append(&x->normal, x->text.p + from, to - from);
    if (!normalizer_run(x->t->normalizer, x->run, &x->normal, &x->spare, x->e))
        return false;
    struct trust      all = {0, x->normal.n};
    struct added_walk w = {.added = &x->t->normal, .text = buf_view(&x->normal), .trust = &all, .n_trust = trusted};
    while (added_next(&w)) {
        if (w.id >= 0)
            ids_push(x->out, w.id);
        else if (!encode_words(x, (struct str){x->normal.p + w.from, w.to - w.from}, from == 0 && w.from == 0))
            return false;
    }
    return true;
}

/* Normalizing does not tell which byte came from where.  Only where special tokens are looked for behind it does that
 * matter, and only there a change of trust cuts the text. */
static bool encode_by_trust(struct encoding *x, size_t from, size_t to)
{
    if (!x->t->normal.any_special)
        return encode_between(x, from, to, false);
    for (size_t i = 0; i < x->n_trust && from < to; i++) {
        struct trust r = x->trust[i];
        if (r.to <= from)
            continue;
        size_t stop = r.from < to ? r.from : to;
        if (from < stop && !encode_between(x, from, stop, false))
            return false;
        from = from > stop ? from : stop;
        stop = r.to < to ? r.to : to;
        if (from < stop && !encode_between(x, from, stop, true))
            return false;
        from = from > stop ? from : stop;
    }
    return from >= to || encode_between(x, from, to, false);
}

static bool encode_text(struct encoding *x)
{
    struct added_walk w = {.added = &x->t->raw, .text = buf_view(&x->text), .trust = x->trust, .n_trust = x->n_trust};
    while (added_next(&w)) {
        if (w.id >= 0)
            ids_push(x->out, w.id);
        else if (!encode_by_trust(x, w.from, w.to))
            return false;
    }
    return true;
}

static bool join_pieces(struct encoding *x, const struct piece *piece, size_t n)
{
    buf_init(&x->text, TEXT_BYTES_MAX);
    x->trust = mem_array(n + 1, sizeof *x->trust);
    for (size_t i = 0; i < n; i++) {
        size_t from = x->text.n;
        if (!buf_str(&x->text, piece[i].text))
            return err_set(x->e, ERR_TOO_LARGE, "a text of over %d bytes", TEXT_BYTES_MAX);
        if (!piece[i].trusted || piece[i].text.n == 0)
            continue;
        struct trust *last = x->n_trust ? &x->trust[x->n_trust - 1] : NULL;
        if (last && last->to == from)
            last->to = x->text.n;
        else
            x->trust[x->n_trust++] = (struct trust){from, x->text.n};
    }
    return utf8_valid(buf_view(&x->text)) || err_set(x->e, ERR_INVALID, "the text is not valid UTF-8");
}

bool tokenizer_encode(const struct tokenizer *t, const struct piece *piece, size_t n, bool add_special,
                      struct ids *out, struct err *e)
{
    size_t          had = out->n;
    struct encoding x = {.t = t, .out = out, .e = e};
    bool            ok = join_pieces(&x, piece, n);
    if (ok) {
        size_t bytes_max = x.text.n * GROWTH_MAX + GROWTH_BASE;
        bytes_max = bytes_max < UINT32_MAX / 2 ? bytes_max : UINT32_MAX / 2;
        x.run = pattern_run_new();
        words_init(&x.words, bytes_max);
        buf_init(&x.normal, bytes_max);
        buf_init(&x.spare, bytes_max);
        for (size_t i = 0; add_special && i < t->n_before; i++)
            ids_push(out, t->before[i]);
        ok = encode_text(&x);
        for (size_t i = 0; ok && add_special && i < t->n_after; i++)
            ids_push(out, t->after[i]);
        pattern_run_free(x.run);
        words_drop(&x.words);
        buf_drop(&x.normal);
        buf_drop(&x.spare);
        coder_run_drop(&x.coder);
    }
    if (!ok)
        out->n = had;
    buf_drop(&x.text);
    free(x.trust);
    return ok;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

size_t tokenizer_len(const struct tokenizer *t)
{
    return t->n;
}

int32_t tokenizer_id(const struct tokenizer *t, struct str token)
{
    return lexicon_find(&t->names, token);
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && (size_t)id < t->n && t->special[id];
}

int32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->bos;
}

int32_t tokenizer_eos(const struct tokenizer *t)
{
    return t->eos;
}

struct str tokenizer_token(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && (size_t)id < t->n ? t->token[id] : (struct str){NULL, 0};
}
