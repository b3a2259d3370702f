/* stop.c -- see stop.h. */
#include "api/stop.h"

/* Bytes at the end of held that a proper prefix of s equals. */
static size_t begun(struct str s, struct str held)
{
    size_t n = s.n - 1 < held.n ? s.n - 1 : held.n;
    while (n > 0 && memcmp(held.p + held.n - n, s.p, n) != 0)
        n--;
    return n;
}

size_t stop_scan(const struct str *stop, size_t n, struct str held, const struct str **found)
{
    size_t free_to = held.n, best_end = 0;
    *found = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t at = str_find(held, stop[i]);
        if (at == STR_NONE)
            continue;
        size_t end = at + stop[i].n;
        if (!*found || end < best_end || (end == best_end && at < free_to)) {
            *found = &stop[i];
            best_end = end;
            free_to = at;
        }
    }
    for (size_t i = 0; i < n && !*found; i++) {
        size_t kept = begun(stop[i], held);
        if (held.n - kept < free_to)
            free_to = held.n - kept;
    }
    return free_to;
}
