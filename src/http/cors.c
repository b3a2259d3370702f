/* cors.c -- see cors.h. */
#include "http/cors.h"

static bool is_local(struct str origin)
{
    static const char *const schemes[] = {"http://", "https://"};
    static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        struct str scheme = str_of(schemes[i]);
        if (!str_starts(origin, scheme))
            continue;
        for (size_t k = 0; k < sizeof hosts / sizeof hosts[0]; k++) {
            struct str rest = {origin.p + scheme.n, origin.n - scheme.n}, host = str_of(hosts[k]);
            uint64_t   port;
            if (!str_starts(rest, host))
                continue;
            rest = (struct str){rest.p + host.n, rest.n - host.n};
            if (rest.n == 0)
                return true;
            if (rest.p[0] == ':' && str_u64((struct str){rest.p + 1, rest.n - 1}, &port) && port < 65536)
                return true;
        }
    }
    return false;
}

bool cors_allows(const char *setting, const char *origin)
{
    return setting ? strcmp(setting, "*") == 0 || strcmp(setting, origin) == 0 : is_local(str_of(origin));
}

void cors_mark(struct exchange *x, const char *setting)
{
    const char *origin = x->request.header(&x->request, "Origin");
    if (!origin || !cors_allows(setting, origin))
        return;
    bool all = setting && strcmp(setting, "*") == 0;
    exchange_extra(x, "Access-Control-Allow-Origin", all ? "*" : origin);
    exchange_extra(x, "Access-Control-Expose-Headers", "*");
    if (!all)
        exchange_extra(x, "Vary", "Origin");
}

bool cors_asks(const struct exchange *x)
{
    const struct http_request *r = &x->request;
    return str_is(r->method, "OPTIONS") && r->header(r, "Origin") && r->header(r, "Access-Control-Request-Method");
}

/* Pages of other origins get the same answer without the leave that cors_mark() gives. */
void cors_answer(struct exchange *x, const char *setting)
{
    const struct http_request *r = &x->request;
    const char                *wanted = r->header(r, "Access-Control-Request-Headers");
    struct http_header         h[] = {
        {"Access-Control-Allow-Methods", HTTP_METHODS},
        {"Access-Control-Max-Age", "600"},
        {"Access-Control-Allow-Headers", wanted},
    };
    size_t n = !cors_allows(setting, r->header(r, "Origin")) ? 0 : wanted && *wanted ? 3 : 2;
    reply_start(&x->reply, 204, h, n);
    reply_end(&x->reply);
}
