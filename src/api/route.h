/* route.h -- which handler a method and a path belong to (routes.def). */
#ifndef API_ROUTE_H
#define API_ROUTE_H

#include "base/err.h"
#include "base/str.h"

struct call;

struct route {
    struct str  method, path;
    bool      (*serve)(struct call *c);     /* true: answered; false: c is kept, its new owner answers and frees it */
    bool        needs_key;
    const char *about;
};

/* The route of a request, and what stood for {id}.  A slash at the end does not matter; HEAD is served by GET.
 *
 * ERR_NOT_FOUND names the routes that look like the path; ERR_METHOD lists the methods that the path has, also in
 * `allow` as the Allow header wants them. */
MUST_USE bool route_find(struct str method, struct str path, const struct route **out, struct str *id, char allow[64],
                         struct err *e);

size_t              route_len(void);
const struct route *route_at(size_t i);
size_t              route_index(const struct route *r);

#endif
