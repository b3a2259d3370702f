/* added.c -- see added.h.
 *
 * At every place the longest token counts.  White space that a token takes along (lstrip, rstrip) belongs to it, unless
 * the token before took it; the search goes on right behind the token's own text. */
#include "text/added.h"

#include "text/unicode.h"

#include "base/utf8.h"

void added_init(struct added *a, const struct vocab_added *token)
{
    *a = (struct added){.token = token};
    trie_init(&a->trie);
}

void added_drop(struct added *a)
{
    if (a->trie.id)
        trie_drop(&a->trie);
}

void added_put(struct added *a, struct str text, int32_t at)
{
    if (text.n == 0)
        return;
    trie_add(&a->trie, text, at);
    a->any_special = a->any_special || a->token[at].special;
}

static uint32_t char_at(struct str s, size_t at, size_t *bytes)
{
    uint32_t cp = 0;
    *bytes = utf8_decode((struct str){s.p + at, s.n - at}, &cp);
    CHECK(*bytes > 0);
    return cp;
}

static uint32_t char_before(struct str s, size_t at, size_t *from)
{
    *from = at - 1;
    while (*from > 0 && ((uint8_t)s.p[*from] & 0xC0) == 0x80)
        (*from)--;
    size_t n;
    return char_at(s, *from, &n);
}

static bool inside_word(struct str s, size_t from, size_t to)
{
    size_t n;
    return (from > 0 && uni_word(char_before(s, from, &n))) || (to < s.n && uni_word(char_at(s, to, &n)));
}

static bool trusted(const struct added_walk *w, size_t from, size_t to)
{
    size_t low = 0, high = w->n_trust;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (w->trust[mid].to <= from)
            low = mid + 1;
        else
            high = mid;
    }
    return low < w->n_trust && w->trust[low].from <= from && to <= w->trust[low].to;
}

/* The longest token at w->at that may stand there; -1: none. */
static int32_t longest(const struct added_walk *w, size_t *end)
{
    int32_t  best = -1;
    uint32_t node = 0;
    for (size_t i = w->at; i < w->text.n; i++) {
        node = trie_step(&w->added->trie, node, (uint8_t)w->text.p[i]);
        if (!node)
            break;
        int32_t token = w->added->trie.id[node];
        if (token < 0 || (w->added->token[token].special && !trusted(w, w->at, i + 1)))
            continue;
        best = token;
        *end = i + 1;
    }
    return best;
}

static bool look(struct added_walk *w)
{
    for (; w->at < w->text.n; w->at++) {
        size_t  to, from = w->at, n;
        int32_t token = w->added->trie.first[(uint8_t)w->text.p[w->at]] ? longest(w, &to) : -1;
        if (token < 0)
            continue;
        const struct vocab_added *t = &w->added->token[token];
        if (t->single_word && inside_word(w->text, from, to)) {
            w->at = to - 1;
            continue;
        }
        w->at = to;
        while (t->lstrip && from > w->done && uni_space(char_before(w->text, from, &n)))
            from = n;
        while (t->rstrip && to < w->text.n && uni_space(char_at(w->text, to, &n)))
            to += n;
        w->next_from = from;
        w->next_to = to;
        w->next_id = t->id;
        return true;
    }
    return false;
}

bool added_next(struct added_walk *w)
{
    if (!w->found)
        w->found = look(w);
    w->id = -1;
    w->from = w->done;
    if (w->found && w->done >= w->next_from) {
        w->from = w->next_from;
        w->to = w->done = w->next_to;
        w->id = w->next_id;
        w->found = false;
        return true;
    }
    w->to = w->done = w->found ? w->next_from : w->text.n;
    return w->from < w->to;
}
