/* map.h -- two small tables with open addressing: numbers to a pair of numbers, and texts to token ids. */
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

/* Ids by spelling.  The spellings are borrowed; token[] must outlive it. */
struct names {
    const struct str *token;
    uint32_t         *slot;     /* id + 1; 0: free */
    size_t            mask;
};

/* A spelling that occurs twice belongs to its highest id.  Holes ({NULL, 0}) are left out. */
void    names_init(struct names *x, const struct str *token, size_t n);
void    names_drop(struct names *x);
int32_t names_find(const struct names *x, struct str s);    /* -1: none */

#ifdef __cplusplus
}
#endif
#endif
