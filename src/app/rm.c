/* rm.c -- hearth rm: removes what hearth list shows, and only that: never a model that lies somewhere else. */
#include "app/commands.h"
#include "app/packs.h"
#include "app/show.h"
#include "base/file.h"
#include "base/str.h"
#include "hub/cache.h"

#include <stdio.h>
#include <unistd.h>

struct removed {
    size_t   n;
    uint64_t bytes;
    char     repo[sizeof((struct hub_name *)0)->repo];     /* of the pulled model; "": none was */
};

static void say(struct removed *r, const char *what, uint64_t bytes)
{
    char size[24];
    printf("removed %s (%s)\n", what, show_bytes(bytes, size));
    r->bytes += bytes;
    r->n++;
}

/* By the model's name, its path, or the file itself; or the model is gone that was just removed. */
static bool is_meant(const struct pack *p, const char *name, const char *repo)
{
    if (*repo && str_is(str_of(p->name), repo) && file_kind(p->of) == FILE_NONE)
        return true;
    return (*p->of && (str_is(str_of(p->name), name) || str_is(str_of(p->of), name))) || str_is(str_of(p->path), name);
}

/* name NULL: all. */
static bool remove_packs(struct removed *r, const char *name, struct err *e)
{
    struct packs all;
    bool         ok = true;
    packs_read(&all);
    for (size_t i = 0; ok && i < all.n; i++) {
        const struct pack *p = &all.at[i];
        if (name && !is_meant(p, name, r->repo))
            continue;
        ok = unlink(p->path) == 0 || err_os(e, "removing %s", p->path);
        if (ok)
            say(r, p->path, p->bytes);
    }
    packs_drop(&all);
    return ok;
}

/* A pulled model, or one commit or file of it; that there is none is fine. */
static bool remove_pulled(struct removed *r, const char *text, struct err *e)
{
    struct hub_place place;
    struct hub_name  name;
    struct err       why;
    uint64_t         bytes;
    if (!hub_name_parse(&name, text, NULL))
        return true;
    if (!hub_place_open(&place, e))
        return false;
    bool ok = hub_remove(&place, &name, strchr(text, '@') != NULL, &bytes, &why);
    if (ok) {
        say(r, text, bytes);
        memcpy(r->repo, name.repo, sizeof r->repo);
    }
    hub_place_drop(&place);
    return ok || why.kind == ERR_NOT_FOUND || err_set(e, why.kind, "%s", why.text);
}

bool command_rm(const struct options *o, struct err *e)
{
    struct removed r = {0};
    char           size[24];
    if (!o->arg[0] == !o->all.v)
        return err_set(e, ERR_INVALID, "hearth rm takes a NAME that hearth list shows, or --all");
    bool ok = (o->all.v || remove_pulled(&r, o->arg[0], e)) && remove_packs(&r, o->arg[0], e);
    if (r.n > 0 || (ok && o->all.v))
        printf("freed %s\n", show_bytes(r.bytes, size));
    else if (ok)
        ok = err_set(e, ERR_NOT_FOUND, "nothing is kept under the name \"%s\"; hearth list shows what is", o->arg[0]);
    return ok;
}
