/* arena.c -- a list of blocks, each at least as large as the one before. */
#include "base/arena.h"

#include "base/mem.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_MIN = 4096, ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t              size;
    alignas(ALIGN) char data[];
};

void arena_init(struct arena *a, size_t bytes_max)
{
    *a = (struct arena){.bytes_max = bytes_max};
}

static void free_from(struct arena_block *b)
{
    while (b) {
        struct arena_block *next = b->next;
        free(b);
        b = next;
    }
}

void arena_drop(struct arena *a)
{
    free_from(a->block);
    arena_init(a, a->bytes_max);
}

void arena_reset(struct arena *a)
{
    if (!a->block)
        return;
    free_from(a->block->next);
    a->block->next = NULL;
    a->used = 0;
    a->bytes = a->block->size;
}

static bool add_block(struct arena *a, size_t want)
{
    size_t size = a->block ? a->block->size * 2 : BLOCK_MIN;
    if (size < want)
        size = want;
    if (a->bytes_max && a->bytes + size > a->bytes_max)
        size = want;
    if (a->bytes_max && (want > a->bytes_max || a->bytes > a->bytes_max - size))
        return false;
    struct arena_block *b = mem_new(sizeof *b + size);
    b->next = a->block;
    b->size = size;
    a->block = b;
    a->bytes += size;
    a->used = 0;
    return true;
}

void *arena_new(struct arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if ((!a->block || a->block->size - a->used < bytes) && !add_block(a, bytes))
        return NULL;
    void *p = a->block->data + a->used;
    a->used += bytes;
    return memset(p, 0, bytes);
}

char *arena_copy(struct arena *a, const char *p, size_t n)
{
    char *s = arena_new(a, n + 1);
    if (s && n)
        memcpy(s, p, n);
    return s;
}
