/* backends.c -- the backends of this build. */
#include "backend/backend.h"

#include <string.h>

#define PLUGIN(name, needs)
#define BACKEND(name) extern const struct backend_type backend_##name;
#include "backend/backends.def"
#undef BACKEND

static const struct backend_type *const all[] = {
#define BACKEND(name) &backend_##name,
#include "backend/backends.def"
#undef BACKEND
};

const struct backend_type *backend_at(size_t i)
{
    return i < sizeof all / sizeof all[0] ? all[i] : NULL;
}

const struct backend_type *backend_find(const char *name)
{
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}
