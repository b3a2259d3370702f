/* trie.h -- texts by their bytes, for finding the ones that begin at a place. */
#ifndef TEXT_TRIE_H
#define TEXT_TRIE_H

#include "text/map.h"

#ifdef __cplusplus
extern "C" {
#endif

struct trie {
    struct map edge;            /* node << 8 | byte -> node */
    int32_t   *id;              /* [n] what ends at a node; -1: nothing */
    size_t     n, room;
    uint32_t   first[256];      /* the root's edges; 0: none */
};

void trie_init(struct trie *t);
void trie_drop(struct trie *t);
void trie_add(struct trie *t, struct str text, int32_t id);     /* replaces */

/* One byte further down; 0: there is nothing (the root is nobody's child). */
static inline uint32_t trie_step(const struct trie *t, uint32_t node, uint8_t byte)
{
    if (node == 0)
        return t->first[byte];
    const struct map_slot *s = map_find(&t->edge, (uint64_t)node << 8 | byte);
    return s ? s->a : 0;
}

#ifdef __cplusplus
}
#endif
#endif
