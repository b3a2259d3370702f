/* map.h -- a table with open addressing: a number to a pair of numbers. */
#ifndef TEXT_MAP_H
#define TEXT_MAP_H

#include "base/str.h"

#ifdef __cplusplus
extern "C" {
#endif

struct map_slot {
    uint64_t key;       /* UINT64_MAX: free, hence never a key */
    uint32_t a, b;
};

struct map {
    struct map_slot *slot;
    size_t           mask, n;
};

void                   map_init(struct map *m, size_t n_expected);
void                   map_drop(struct map *m);
void                   map_put(struct map *m, uint64_t key, uint32_t a, uint32_t b);    /* replaces */
const struct map_slot *map_find(const struct map *m, uint64_t key);                     /* NULL: none */

#ifdef __cplusplus
}
#endif
#endif
