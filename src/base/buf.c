/* buf.c -- see buf.h. */
#include "base/buf.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t bytes_max)
{
    *b = (struct buf){.bytes_max = bytes_max};
}

void buf_drop(struct buf *b)
{
    free(b->p);
    buf_init(b, b->bytes_max);
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->full = false;
    if (b->p)
        b->p[0] = '\0';
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (b->full || (b->bytes_max && (n > b->bytes_max || b->n > b->bytes_max - n))) {
        b->full = true;
        return NULL;
    }
    CHECK(n < SIZE_MAX / 4 && b->n < SIZE_MAX / 4);
    if (b->n + n + 1 > b->room) {
        size_t room = b->room ? b->room * 2 : 64;
        while (room < b->n + n + 1)
            room *= 2;
        b->p = mem_grow(b->p, room, 1);
        b->room = room;
    }
    return b->p + b->n;
}

bool buf_append(struct buf *b, const void *p, size_t n)
{
    char *at = buf_reserve(b, n);
    if (!at)
        return false;
    if (n)
        memcpy(at, p, n);
    b->n += n;
    b->p[b->n] = '\0';
    return true;
}

bool buf_str(struct buf *b, struct str s)
{
    return buf_append(b, s.p, s.n);
}

bool buf_char(struct buf *b, char c)
{
    return buf_append(b, &c, 1);
}

bool buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    char *at = buf_reserve(b, (size_t)n);
    if (at) {
        vsnprintf(at, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
    return at != NULL;
}

void buf_cut(struct buf *b, size_t from)
{
    CHECK(from <= b->n);
    b->n -= from;
    if (b->p)
        memmove(b->p, b->p + from, b->n + 1);
}

struct str buf_view(const struct buf *b)
{
    return (struct str){b->p ? b->p : "", b->n};
}

char *buf_take(struct buf *b)
{
    char *p = b->p ? b->p : mem_new(1);
    *b = (struct buf){.bytes_max = b->bytes_max};
    return p;
}
