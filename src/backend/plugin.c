/* plugin.c -- see plugin.h.  What was loaded stays: MLX, for one, cannot be unloaded. */
#include "backend/plugin.h"

#include "base/child.h"
#include "base/file.h"
#include "base/mem.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *needs;
} plugins[] = {
#define BACKEND(name)
#define PLUGIN(name, needs) {#name, needs},
#include "backend/backends.def"
#undef BACKEND
#undef PLUGIN
};

/* Loads the file; `needs` is for the message when that fails. */
static const struct backend_type *load(const char *path, const char *name, const char *needs, struct err *e)
{
    const struct backend_type *(*entry)(const char *abi);
    if (file_kind(path) != FILE_PLAIN) {
        err_param(e, "backend", "the %s backend was not built: there is no %s.  It needs %s", name, path, needs);
        if (e)
            e->kind = ERR_NOT_FOUND;
        return NULL;
    }
    void *file = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = file ? dlsym(file, "hearth_backend") : NULL;
    if (!symbol) {
        err_param(e, "backend", "the %s backend cannot be loaded; it needs %s (%s)", name, needs, dlerror());
        return NULL;
    }
    memcpy(&entry, &symbol, sizeof entry);      /* C has no cast between the two */
    const struct backend_type *t = entry(HEARTH_ABI);
    if (!t)
        err_param(e, "backend", "%s is of another build than this program: build both again", path);
    return t;
}

const char *backend_plugin_at(size_t i)
{
    return i < sizeof plugins / sizeof plugins[0] ? plugins[i].name : NULL;
}

bool backend_load(const struct backend_type **out, const char *name, const char *folder, struct err *e)
{
    const char *needs = NULL;
    *out = backend_find(name);
    for (size_t i = 0; i < sizeof plugins / sizeof plugins[0]; i++)
        if (strcmp(plugins[i].name, name) == 0)
            needs = plugins[i].needs;
    if (*out)
        return true;
    if (!needs)
        return err_param(e, "backend", "there is no backend \"%s\"", name);
    char      *where = folder ? mem_copy(folder, strlen(folder)) : program_folder();
    struct buf path;
    buf_init(&path, 0);
    buf_printf(&path, "%s/hearth-%s.so", where, name);
    *out = load(path.p, name, needs, e);
    buf_drop(&path);
    free(where);
    return *out != NULL;
}
