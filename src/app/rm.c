/* rm.c -- hearth rm: removes what hearth list shows, and only that: never a model that lies somewhere else. */
#include "app/commands.h"
#include "app/packs.h"
#include "app/show.h"
#include "base/str.h"

#include <stdio.h>
#include <unistd.h>

/* By the model's name, its path, or the file itself. */
static bool is_meant(const struct pack *p, const char *name)
{
    return (*p->of && (str_is(str_of(p->name), name) || str_is(str_of(p->of), name))) || str_is(str_of(p->path), name);
}

bool command_rm(const struct options *o, struct err *e)
{
    struct packs all;
    uint64_t     bytes = 0;
    size_t       n = 0;
    bool         ok = true;
    if (!o->arg[0] == !o->all.v)
        return err_set(e, ERR_INVALID, "hearth rm takes a NAME that hearth list shows, or --all");
    packs_read(&all);
    for (size_t i = 0; ok && i < all.n; i++) {
        const struct pack *p = &all.at[i];
        char               size[24];
        if (!o->all.v && !is_meant(p, o->arg[0]))
            continue;
        ok = unlink(p->path) == 0 || err_os(e, "removing %s", p->path);
        if (!ok)
            break;
        printf("removed %s (%s)\n", p->path, show_bytes(p->bytes, size));
        bytes += p->bytes;
        n++;
    }
    packs_drop(&all);
    char size[24];
    if (n > 0 || (ok && o->all.v))
        printf("freed %s\n", show_bytes(bytes, size));
    else if (ok)
        ok = err_set(e, ERR_NOT_FOUND, "nothing is kept under the name \"%s\"; hearth list shows what is", o->arg[0]);
    return ok;
}
