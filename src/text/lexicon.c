/* lexicon.c -- see lexicon.h. */
#include "text/lexicon.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>

static size_t lexicon_seek(const struct lexicon *x, struct str s)
{
    size_t at = (size_t)hash64(s.p, s.n, 0) & x->mask;
    while (x->slot[at] && !str_eq(x->token[x->slot[at] - 1], s))
        at = (at + 1) & x->mask;
    return at;
}

void lexicon_init(struct lexicon *x, const struct str *token, size_t n)
{
    size_t room = 16;
    while (room < n * 2)
        room *= 2;
    *x = (struct lexicon){token, mem_array(room, sizeof *x->slot), room - 1};
    for (size_t id = 0; id < n; id++)
        if (token[id].p)
            x->slot[lexicon_seek(x, token[id])] = (uint32_t)id + 1;
}

void lexicon_drop(struct lexicon *x)
{
    free(x->slot);
    *x = (struct lexicon){0};
}

int32_t lexicon_find(const struct lexicon *x, struct str s)
{
    return (int32_t)x->slot[lexicon_seek(x, s)] - 1;
}
