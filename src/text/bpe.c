/* bpe.c -- byte-pair encoding: neighbours are joined, the best pair first, until no pair is left that may be.
 *
 * Which pairs may be joined, and what is best, comes from a list of merges (VOCAB_BPE) or from the scores of the joined
 * tokens (VOCAB_SPM); the rest is the same.  Candidates wait in a heap, so that a word of n characters costs
 * n log n; the symbols are a list, so that joining costs nothing.  Short words, which is what text is made of, are
 * scanned instead. */
#include "text/coder.h"

#include "base/mem.h"

#include <stdlib.h>

struct bpe_symbol {
    int32_t  id;                /* -1: not in the vocabulary (SPM) */
    uint32_t from, bytes;       /* in the word; 0 bytes: joined to the one before */
    uint32_t prev, next;        /* UINT32_MAX: none */
};

/* A pair that may be joined.  It is out of date when its symbols are no longer `bytes` long together. */
struct bpe_join {
    uint32_t rank, left, bytes;
    int32_t  id;
};

enum { SCANNED_MAX = 24 };

/* all: the special tokens too, which may be named in merges but are never made. */
static bool merge_add(struct coder *m, const struct lexicon *all, const struct str pair[2], uint32_t rank,
                      struct err *e)
{
    char text[VOCAB_TOKEN_BYTES_MAX];
    bool fits = pair[0].n <= sizeof text && pair[1].n <= sizeof text - pair[0].n;
    if (fits) {
        memcpy(text, pair[0].p, pair[0].n);
        memcpy(text + pair[0].n, pair[1].p, pair[1].n);
    }
    int32_t left = lexicon_find(all, pair[0]), right = lexicon_find(all, pair[1]);
    int32_t whole = fits ? lexicon_find(all, (struct str){text, pair[0].n + pair[1].n}) : -1;
    if (left < 0 || right < 0 || whole < 0)
        return err_set(e, ERR_CORRUPT, "merge %u (%.*s %.*s) is of tokens that are not in the vocabulary", rank,
                       (int)(pair[0].n < 99 ? pair[0].n : 99), pair[0].p, (int)(pair[1].n < 99 ? pair[1].n : 99),
                       pair[1].p);
    const struct str *token = m->names.token;
    if (token[left].p && token[right].p && token[whole].p)
        map_put(&m->merge, (uint64_t)left << 32 | (uint32_t)right, rank, (uint32_t)whole);
    return true;
}

bool bpe_init(struct coder *m, const struct vocab *v, const struct lexicon *all, struct err *e)
{
    map_init(&m->merge, v->n_merge);
    for (size_t i = 0; i < v->n_merge; i++)
        if (!merge_add(m, all, v->merge[i], (uint32_t)i, e))
            return false;
    return true;
}

struct scored {
    double   score;
    uint32_t id;
};

static int better_first(const void *a, const void *b)
{
    double x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;
    return (x < y) - (x > y);
}

void spm_init(struct coder *m, const struct vocab *v)
{
    struct scored *order = mem_array(v->n_token + 1, sizeof *order);
    for (size_t i = 0; i < v->n_token; i++)
        order[i] = (struct scored){v->score[i], (uint32_t)i};
    qsort(order, v->n_token, sizeof *order, better_first);
    m->rank = mem_array(v->n_token + 1, sizeof *m->rank);
    uint32_t rank = 0;
    for (size_t i = 0; i < v->n_token; i++) {
        rank += i > 0 && order[i].score < order[i - 1].score;
        m->rank[order[i].id] = rank;
    }
    free(order);
}

/* Whether two neighbours may be joined, and to what. */
static bool may_join(const struct coder *m, struct str word, const struct bpe_symbol *a, const struct bpe_symbol *b,
                     struct bpe_join *out)
{
    if (m->kind == VOCAB_SPM) {
        if (a->bytes + b->bytes > m->token_bytes_max)
            return false;
        int32_t id = lexicon_find(&m->names, (struct str){word.p + a->from, a->bytes + b->bytes});
        if (id < 0)
            return false;
        out->id = id;
        out->rank = m->rank[id];
    } else {
        const struct map_slot *s = map_find(&m->merge, (uint64_t)a->id << 32 | (uint32_t)b->id);
        if (!s)
            return false;
        out->id = (int32_t)s->b;
        out->rank = s->a;
    }
    out->bytes = a->bytes + b->bytes;
    return true;
}

static bool before(struct bpe_join a, struct bpe_join b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.left < b.left;
}

static void heap_push(struct coder_run *r, struct bpe_join x)
{
    if (r->n_join == r->room_join) {
        r->room_join = r->room_join * 2 + 64;
        r->join = mem_grow(r->join, r->room_join, sizeof *r->join);
    }
    size_t at = r->n_join++;
    while (at > 0 && before(x, r->join[(at - 1) / 2])) {
        r->join[at] = r->join[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    r->join[at] = x;
}

static struct bpe_join heap_pop(struct coder_run *r)
{
    struct bpe_join top = r->join[0], last = r->join[--r->n_join];
    size_t          at = 0;
    for (size_t child; (child = at * 2 + 1) < r->n_join; at = child) {
        child += child + 1 < r->n_join && before(r->join[child + 1], r->join[child]);
        if (!before(r->join[child], last))
            break;
        r->join[at] = r->join[child];
    }
    r->join[at] = last;
    return top;
}

static void consider(const struct coder *m, struct coder_run *r, struct str word, uint32_t left, uint32_t right)
{
    struct bpe_join x;
    if (left != UINT32_MAX && right != UINT32_MAX && may_join(m, word, &r->symbol[left], &r->symbol[right], &x)) {
        x.left = left;
        heap_push(r, x);
    }
}

static void join_all(const struct coder *m, struct coder_run *r, struct str word)
{
    r->n_join = 0;
    for (uint32_t i = 0; i < r->n_symbol; i++) {
        r->symbol[i].prev = i ? i - 1 : UINT32_MAX;
        r->symbol[i].next = i + 1 < r->n_symbol ? i + 1 : UINT32_MAX;
    }
    for (uint32_t i = 0; i + 1 < r->n_symbol; i++)
        consider(m, r, word, i, i + 1);
    while (r->n_join) {
        struct bpe_join    x = heap_pop(r);
        struct bpe_symbol *a = &r->symbol[x.left];
        if (a->bytes == 0 || a->next == UINT32_MAX || a->bytes + r->symbol[a->next].bytes != x.bytes)
            continue;
        struct bpe_symbol *b = &r->symbol[a->next];
        a->id = x.id;
        a->bytes = x.bytes;
        b->bytes = 0;
        a->next = b->next;
        if (a->next != UINT32_MAX)
            r->symbol[a->next].prev = x.left;
        consider(m, r, word, a->prev, x.left);
        consider(m, r, word, x.left, a->next);
    }
    size_t n = 0;
    for (size_t i = 0; i < r->n_symbol; i++)
        if (r->symbol[i].bytes)
            r->symbol[n++] = r->symbol[i];
    r->n_symbol = n;
}

/* The same for a few symbols: the best of all pairs is looked for each time, the left one of equals. */
static void join_few(const struct coder *m, struct coder_run *r, struct str word)
{
    struct bpe_join    join[SCANNED_MAX];
    struct bpe_symbol *s = r->symbol;
    size_t             n = r->n_symbol;
    for (size_t i = 0; i + 1 < n; i++)
        if (!may_join(m, word, &s[i], &s[i + 1], &join[i]))
            join[i].rank = UINT32_MAX;
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (join[i].rank < join[best].rank)
                best = i;
        if (join[best].rank == UINT32_MAX)
            break;
        s[best].id = join[best].id;
        s[best].bytes = join[best].bytes;
        n--;
        memmove(s + best + 1, s + best + 2, (n - best - 1) * sizeof *s);
        memmove(join + best, join + best + 1, (n - best - 1) * sizeof *join);
        if (best + 1 < n && !may_join(m, word, &s[best], &s[best + 1], &join[best]))
            join[best].rank = UINT32_MAX;
        if (best > 0 && !may_join(m, word, &s[best - 1], &s[best], &join[best - 1]))
            join[best - 1].rank = UINT32_MAX;
    }
    r->n_symbol = n;
}

static void symbol_push(struct coder_run *r, int32_t id, size_t from, size_t bytes)
{
    if (r->n_symbol == r->room_symbol) {
        r->room_symbol = r->room_symbol * 2 + 64;
        r->symbol = mem_grow(r->symbol, r->room_symbol, sizeof *r->symbol);
    }
    r->symbol[r->n_symbol++] = (struct bpe_symbol){.id = id, .from = (uint32_t)from, .bytes = (uint32_t)bytes};
}

static bool push_bytes(const struct coder *m, struct coder_run *r, struct str word, size_t at, size_t n)
{
    for (size_t i = at; i < at + n; i++)
        if (m->byte_id[(uint8_t)word.p[i]] < 0)
            return false;
    for (size_t i = at; i < at + n; i++)
        symbol_push(r, m->byte_id[(uint8_t)word.p[i]], i, 1);
    return true;
}

/* The word's characters as symbols.  Unknown ones become bytes, or else the unknown token, which waits for the next
 * known character: that bytes overtake it is how the reference has it. */
static void bpe_begin(const struct coder *m, struct coder_run *r, struct str word)
{
    size_t unk_from = 0, unk_bytes = 0;
    for (size_t at = 0, n; at < word.n; at += n) {
        struct str rest = {word.p + at, word.n - at};
        n = coder_char(rest);
        int32_t id = lexicon_find(&m->names, (struct str){rest.p, n});
        bool    flush = unk_bytes && (id >= 0 || !m->fuse_unk);
        if (id < 0 && m->byte_fallback && push_bytes(m, r, word, at, n))
            continue;
        if (flush) {
            symbol_push(r, m->unk, unk_from, unk_bytes);
            unk_bytes = 0;
        }
        if (id >= 0) {
            symbol_push(r, id, at, n);
        } else if (m->unk >= 0) {
            unk_from = unk_bytes ? unk_from : at;
            unk_bytes += n;
        }
    }
    if (unk_bytes)
        symbol_push(r, m->unk, unk_from, unk_bytes);
}

static void spm_begin(const struct coder *m, struct coder_run *r, struct str word)
{
    for (size_t at = 0, n; at < word.n; at += n) {
        struct str rest = {word.p + at, word.n - at};
        n = coder_char(rest);
        symbol_push(r, lexicon_find(&m->names, (struct str){rest.p, n}), at, n);
    }
}

void bpe_encode(const struct coder *m, struct coder_run *r, struct str word, struct ids *out)
{
    if (m->ignore_merges) {
        int32_t id = lexicon_find(&m->names, word);
        if (id >= 0) {
            ids_push(out, id);
            return;
        }
    }
    r->n_symbol = 0;
    if (m->kind == VOCAB_SPM)
        spm_begin(m, r, word);
    else
        bpe_begin(m, r, word);
    if (r->n_symbol <= SCANNED_MAX)
        join_few(m, r, word);
    else
        join_all(m, r, word);
    for (size_t i = 0; i < r->n_symbol; i++) {
        const struct bpe_symbol *s = &r->symbol[i];
        if (s->id >= 0)
            ids_push(out, s->id);
        else if (!coder_encode_bytes(m, (struct str){word.p + s->from, s->bytes}, out) && m->unk >= 0)
            ids_push(out, m->unk);
    }
}
