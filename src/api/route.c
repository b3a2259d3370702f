/* route.c -- see route.h. */
#include "api/route.h"

#include "api/inside.h"

#include <stdio.h>

enum { OPEN, KEY };
enum { NEAR_MAX = 3, PATH_COMPARED_MAX = 96 };

static const struct route routes[] = {
#define ROUTE(method, path, handler, who, about) {STR_INIT(#method), STR_INIT(path), handler, who, about},
#define STR_INIT(literal) {literal, sizeof(literal) - 1}
#include "api/routes.def"
#undef ROUTE
#undef STR_INIT
};
enum { N_ROUTE = sizeof routes / sizeof routes[0] };

size_t route_len(void)
{
    return N_ROUTE;
}

const struct route *route_at(size_t i)
{
    return &routes[i];
}

size_t route_index(const struct route *r)
{
    return r ? (size_t)(r - routes) : N_ROUTE;
}

/* A model's name may hold slashes: {id} at the end of a pattern takes all that is left. */
static bool matches(struct str pattern, struct str path, struct str *id)
{
    size_t hole = str_find(pattern, STR("{id}"));
    if (hole == STR_NONE)
        return str_eq(pattern, path);
    struct str before = {pattern.p, hole}, after = {pattern.p + hole + 4, pattern.n - hole - 4};
    if (path.n <= before.n + after.n || !str_starts(path, before) || !str_ends(path, after))
        return false;
    *id = (struct str){path.p + before.n, path.n - before.n - after.n};
    return after.n == 0 || !memchr(id->p, '/', id->n);
}

/* Edits from one text to the other (Levenshtein), over at most PATH_COMPARED_MAX bytes of each. */
static unsigned distance(struct str a, struct str b)
{
    unsigned row[PATH_COMPARED_MAX + 1];
    size_t   an = a.n < PATH_COMPARED_MAX ? a.n : PATH_COMPARED_MAX;
    size_t   bn = b.n < PATH_COMPARED_MAX ? b.n : PATH_COMPARED_MAX;
    for (size_t j = 0; j <= bn; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= an; i++) {
        unsigned corner = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= bn; j++) {
            unsigned changed = corner + (a.p[i - 1] != b.p[j - 1]);
            unsigned least = row[j] < row[j - 1] ? row[j] : row[j - 1];
            corner = row[j];
            row[j] = changed < least + 1 ? changed : least + 1;
        }
    }
    return row[bn];
}

static bool not_found(struct str method, struct str path, struct err *e)
{
    struct { unsigned far; size_t i; } near[NEAR_MAX];
    size_t n = 0;
    for (size_t i = 0; i < N_ROUTE; i++) {
        unsigned far = distance(path, routes[i].path);
        size_t   at = n < NEAR_MAX ? n++ : NEAR_MAX;
        for (; at > 0 && far < near[at - 1].far; at--)
            if (at < NEAR_MAX)
                near[at] = near[at - 1];
        if (at < NEAR_MAX) {
            near[at].far = far;
            near[at].i = i;
        }
    }
    struct buf list;
    buf_init(&list, 0);
    for (size_t i = 0; i < n; i++)
        buf_printf(&list, "%s%s %s", i ? ", " : "", routes[near[i].i].method.p, routes[near[i].i].path.p);
    err_set(e, ERR_NOT_FOUND, "no route %.*s %.*s; near: %s; GET / lists all", SHOWN(method), SHOWN(path),
            list.p);
    snprintf(e->code, sizeof e->code, "unknown_route");
    buf_drop(&list);
    return false;
}

bool route_find(struct str method, struct str path, const struct route **out, struct str *id, char allow[64],
                struct err *e)
{
    size_t n = 0;
    if (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    if (str_is(method, "HEAD"))
        method = STR("GET");
    *id = (struct str){NULL, 0};
    allow[0] = '\0';
    for (size_t i = 0; i < N_ROUTE; i++) {
        if (!matches(routes[i].path, path, id))
            continue;
        if (str_eq(method, routes[i].method)) {
            *out = &routes[i];
            return true;
        }
        n += (size_t)snprintf(allow + n, 64 - n, "%s%s", n ? ", " : "", routes[i].method.p);
    }
    if (n == 0)
        return not_found(method, path, e);
    return err_set(e, ERR_METHOD, "%.*s takes %s, not %.*s", SHOWN(path), allow, SHOWN(method));
}
