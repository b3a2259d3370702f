/* unigram.c -- the likeliest way to cut a word: scores add up, the best sum to each place is kept (Viterbi). */
#include "text/coder.h"

#include "base/mem.h"

#include <stdlib.h>

/* What an unknown character costs beyond the worst token, as SentencePiece has it. */
#define UNK_PENALTY 10.0

struct unigram_node {
    double   score;         /* of the best way to here */
    uint32_t from;          /* where its last token begins; UINT32_MAX: there is no way yet */
    int32_t  id;
};

void unigram_init(struct coder *m, const struct vocab *v, const struct str *token)
{
    double least = 0;
    trie_init(&m->trie);
    for (size_t i = 0; i < v->n_token; i++) {
        if (i == 0 || v->score[i] < least)
            least = v->score[i];
        if (token[i].n)
            trie_add(&m->trie, token[i], (int32_t)i);
    }
    m->unk_score = least - UNK_PENALTY;
}

static void offer(struct unigram_node *to, double score, size_t from, int32_t id)
{
    if (to->from == UINT32_MAX || score > to->score)
        *to = (struct unigram_node){score, (uint32_t)from, id};
}

static void find_ways(const struct coder *m, struct unigram_node *node, struct str word)
{
    node[0] = (struct unigram_node){0};
    for (size_t i = 1; i <= word.n; i++)
        node[i].from = UINT32_MAX;
    for (size_t at = 0, n; at < word.n; at += n) {
        n = coder_char((struct str){word.p + at, word.n - at});
        bool     known = false;
        uint32_t place = 0;
        for (size_t end = at; end < word.n; end++) {
            place = trie_step(&m->trie, place, (uint8_t)word.p[end]);
            if (!place)
                break;
            int32_t id = m->trie.id[place];
            if (id < 0)
                continue;
            offer(&node[end + 1], node[at].score + m->score[id], at, id);
            known = known || end + 1 - at == n;
        }
        if (!known)
            offer(&node[at + n], node[at].score + m->unk_score, at, m->unk);
    }
}

/* Unknown characters side by side count as one. */
static void push_unknown(const struct coder *m, struct str s, struct ids *out)
{
    int32_t id = lexicon_find(&m->names, s);
    if (id < 0 && m->byte_fallback && coder_encode_bytes(m, s, out))
        return;
    ids_push(out, id >= 0 ? id : m->unk);
}

void unigram_encode(const struct coder *m, struct coder_run *r, struct str word, struct ids *out)
{
    if (word.n + 1 > r->room_node) {
        r->room_node = (word.n + 1) * 2;
        r->node = mem_grow(r->node, r->room_node, sizeof *r->node);
    }
    struct unigram_node *node = r->node;
    find_ways(m, node, word);
    /* The way is known from its end; turn it round: each node on it learns where the next token ends. */
    size_t next = word.n;
    for (size_t at = word.n; at > 0;) {
        size_t from = node[at].from;
        node[at].from = (uint32_t)next;
        next = at;
        at = from;
    }
    for (size_t from = 0, to = next; from < word.n;) {
        int32_t id = node[to].id;
        size_t  after = node[to].from;
        while (id == m->unk && to < word.n && node[after].id == m->unk) {
            to = after;
            after = node[to].from;
        }
        if (id == m->unk)
            push_unknown(m, (struct str){word.p + from, to - from}, out);
        else
            ids_push(out, id);
        from = to;
        to = after;
    }
}
