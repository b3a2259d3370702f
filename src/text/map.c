/* map.c -- see map.h. */
#include "text/map.h"

#include "base/mem.h"

#include <stdlib.h>

/* A power of two with at least half of it free. */
static size_t slots_for(size_t n)
{
    size_t room = 16;
    while (room < n * 2)
        room *= 2;
    return room;
}

static size_t place_of(uint64_t key)
{
    key *= 0x9E3779B97F4A7C15u;
    return (size_t)(key ^ key >> 32);
}

void map_init(struct map *m, size_t n_expected)
{
    size_t room = slots_for(n_expected + 1);
    *m = (struct map){mem_array(room, sizeof *m->slot), room - 1, 0};
    memset(m->slot, 0xFF, room * sizeof *m->slot);
}

void map_drop(struct map *m)
{
    free(m->slot);
    *m = (struct map){0};
}

static struct map_slot *seek(const struct map *m, uint64_t key)
{
    size_t at = place_of(key) & m->mask;
    while (m->slot[at].key != key && m->slot[at].key != UINT64_MAX)
        at = (at + 1) & m->mask;
    return &m->slot[at];
}

void map_put(struct map *m, uint64_t key, uint32_t a, uint32_t b)
{
    if ((m->n + 1) * 2 > m->mask) {
        struct map bigger;
        map_init(&bigger, m->n * 2 + 16);
        for (size_t i = 0; i <= m->mask; i++)
            if (m->slot[i].key != UINT64_MAX)
                *seek(&bigger, m->slot[i].key) = m->slot[i];
        bigger.n = m->n;
        map_drop(m);
        *m = bigger;
    }
    struct map_slot *s = seek(m, key);
    m->n += s->key == UINT64_MAX;
    *s = (struct map_slot){key, a, b};
}

const struct map_slot *map_find(const struct map *m, uint64_t key)
{
    const struct map_slot *s = seek(m, key);
    return s->key == key ? s : NULL;
}
