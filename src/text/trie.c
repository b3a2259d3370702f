/* trie.c -- see trie.h. */
#include "text/trie.h"

#include "base/mem.h"

#include <stdlib.h>

static uint32_t node_new(struct trie *t)
{
    if (t->n == t->room) {
        t->room = t->room * 2 + 64;
        t->id = mem_grow(t->id, t->room, sizeof *t->id);
    }
    t->id[t->n] = -1;
    return (uint32_t)t->n++;
}

void trie_init(struct trie *t)
{
    *t = (struct trie){0};
    map_init(&t->edge, 0);
    node_new(t);
}

void trie_drop(struct trie *t)
{
    map_drop(&t->edge);
    free(t->id);
    t->id = NULL;
}

void trie_add(struct trie *t, struct str text, int32_t id)
{
    uint32_t at = 0;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t  byte = (uint8_t)text.p[i];
        uint32_t next = trie_step(t, at, byte);
        if (!next) {
            next = node_new(t);
            if (at == 0)
                t->first[byte] = next;
            else
                map_put(&t->edge, (uint64_t)at << 8 | byte, next, 0);
        }
        at = next;
    }
    if (at)
        t->id[at] = id;
}
