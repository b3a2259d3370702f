/* awake.c -- see awake.h.  Apple's frameworks are opened by their paths, so that the program links without them. */
#include "base/awake.h"

#include "base/mem.h"

#include <stdlib.h>

#ifdef __APPLE__

#include <dlfcn.h>
#include <string.h>

#define FRAMEWORKS "/System/Library/Frameworks/"

enum { UTF8 = 0x08000100, LEVEL_ON = 255 };     /* kCFStringEncodingUTF8, kIOPMAssertionLevelOn */

struct calls {
    const void *(*string)(const void *allocator, const char *text, uint32_t encoding);
    void        (*release)(const void *object);
    int         (*create)(const void *type, uint32_t level, const void *name, uint32_t *id);
    int         (*end)(uint32_t id);
};

struct awake {
    struct calls calls;
    uint32_t     id;
};

static bool find(void *library, const char *name, void *to, struct err *e)
{
    void *symbol = library ? dlsym(library, name) : NULL;
    if (!symbol)
        return err_set(e, ERR_UNSUPPORTED, "%s is not there: %s", name, dlerror());
    memcpy(to, &symbol, sizeof symbol);         /* C has no cast from an object's address to a function's */
    return true;
}

static bool calls_find(struct calls *c, struct err *e)
{
    void *text = dlopen(FRAMEWORKS "CoreFoundation.framework/CoreFoundation", RTLD_LAZY);
    void *power = dlopen(FRAMEWORKS "IOKit.framework/IOKit", RTLD_LAZY);
    return find(text, "CFStringCreateWithCString", &c->string, e) && find(text, "CFRelease", &c->release, e) &&
           find(power, "IOPMAssertionCreateWithName", &c->create, e) && find(power, "IOPMAssertionRelease", &c->end, e);
}

bool awake_start(struct awake **out, const char *why, struct err *e)
{
    struct calls c;
    uint32_t     id = 0;
    if (!calls_find(&c, e))
        return false;
    const void *type = c.string(NULL, "PreventUserIdleSystemSleep", UTF8), *name = c.string(NULL, why, UTF8);
    int         failed = type && name ? c.create(type, LEVEL_ON, name, &id) : -1;
    if (type)
        c.release(type);
    if (name)
        c.release(name);
    if (failed)
        return err_set(e, ERR_UNSUPPORTED, "the system refuses (%d)", failed);
    *out = mem_new(sizeof **out);
    **out = (struct awake){c, id};
    return true;
}

void awake_stop(struct awake *a)
{
    if (a)
        a->calls.end(a->id);
    free(a);
}

#else

bool awake_start(struct awake **out, const char *why, struct err *e)
{
    (void)why;
    (void)e;
    *out = NULL;
    return true;
}

void awake_stop(struct awake *a)
{
    CHECK(!a);
}

#endif
