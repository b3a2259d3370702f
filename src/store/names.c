/* names.c -- see names.h.
 *
 * Sorting finds doubled names for free, and cannot be made slow by chosen names, as a hash table can. */
#include "store/names.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

void names_drop(struct names *x)
{
    free(x->at);
    *x = (struct names){0};
}

bool names_check(struct str name, struct err *e)
{
    if (name.n == 0)
        return err_set(e, ERR_CORRUPT, "an empty name");
    if (!utf8_valid(name))
        return err_set(e, ERR_CORRUPT, "a name that is not UTF-8");
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7F)
            return err_set(e, ERR_CORRUPT, "a name with control characters");
    return true;
}

void names_push(struct names *x, struct str name, size_t i)
{
    if (x->n == x->room) {
        x->room = x->room ? x->room * 2 : 64;
        x->at = mem_grow(x->at, x->room, sizeof *x->at);
    }
    x->at[x->n++] = (struct name){name, i};
}

static int order(const void *a, const void *b)
{
    struct str x = ((const struct name *)a)->name, y = ((const struct name *)b)->name;
    size_t     n = x.n < y.n ? x.n : y.n;
    int        c = n ? memcmp(x.p, y.p, n) : 0;
    return c ? c : (x.n > y.n) - (x.n < y.n);
}

bool names_sort(struct names *x, struct err *e)
{
    if (x->n)
        qsort(x->at, x->n, sizeof *x->at, order);
    for (size_t i = 1; i < x->n; i++)
        if (str_eq(x->at[i - 1].name, x->at[i].name))
            return err_set(e, ERR_CORRUPT, "%.*s is there twice", NAME_ARGS(x->at[i].name));
    return true;
}

static const struct name *hit(const struct names *x, struct str name)
{
    struct name key = {name, 0};
    return x->n ? bsearch(&key, x->at, x->n, sizeof *x->at, order) : NULL;
}

size_t names_find(const struct names *x, struct str name)
{
    const struct name *found = hit(x, name);
    return found ? found->i : NAMES_NONE;
}

bool names_has(const struct names *x, struct str name)
{
    return hit(x, name) != NULL;
}
