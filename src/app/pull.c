/* pull.c -- hearth pull: a model from a hub, ready to be served.  Prints where it lies. */
#include "app/commands.h"
#include "app/models.h"

#include <stdio.h>
#include <stdlib.h>

bool command_pull(const struct options *o, struct err *e)
{
    struct hub_place p;
    struct hub_name  name;
    char            *path = NULL;
    if (!hub_name_parse(&name, o->arg[0], e) || !hub_place_open(&p, e))
        return false;
    bool ok = models_pull(&path, &p, &name, e);
    if (ok)
        puts(path);
    free(path);
    hub_place_drop(&p);
    return ok;
}
