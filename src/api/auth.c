/* auth.c -- see auth.h.
 *
 * Keys are compared by their SHA-256, all bytes of all keys each time: neither the length nor the first wrong byte
 * shows in how long it takes. */
#include "api/inside.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct auth {
    size_t n;
    struct named_digest { const char *name; struct sha256 digest; } key[];
};

struct auth *auth_new(const struct api_key *key, size_t n)
{
    struct auth *k = mem_new(sizeof *k + n * sizeof k->key[0]);
    for (; k->n < n; k->n++)
        k->key[k->n] = (struct named_digest){key[k->n].name, sha256_of(key[k->n].key, strlen(key[k->n].key))};
    return k;
}

void auth_free(struct auth *k)
{
    free(k);
}

static bool equal(const struct sha256 *a, const struct sha256 *b)
{
    unsigned differs = 0;
    for (size_t i = 0; i < sizeof a->byte; i++)
        differs |= (unsigned)(a->byte[i] ^ b->byte[i]);
    return differs == 0;
}

static const char *find(const struct auth *k, struct str given)
{
    struct sha256 digest = sha256_of(given.p, given.n);
    const char   *name = NULL;
    for (size_t i = 0; i < k->n; i++)
        if (equal(&digest, &k->key[i].digest))
            name = k->key[i].name;
    return name;
}

static struct str bearer(const struct http_request *in)
{
    const char *h = in->header ? in->header(in, "Authorization") : NULL;
    return h && strncasecmp(h, "Bearer ", 7) == 0 ? str_trim(str_of(h + 7)) : (struct str){NULL, 0};
}

static bool refuse(bool sent, struct err *e)
{
    err_set(e, ERR_AUTH, sent ? "that key is not one of this server's"
                              : "a key is needed: send it as \"Authorization: Bearer KEY\" or as \"x-api-key: KEY\"");
    snprintf(e->code, sizeof e->code, "invalid_api_key");
    return false;
}

bool auth_check(const struct auth *k, const struct http_request *in, bool needed, struct client *out, struct err *e)
{
    const char *header = in->header ? in->header(in, "x-api-key") : NULL;
    struct str  sent[2] = {bearer(in), str_trim(str_of(header))};
    const char *name = NULL;
    for (size_t i = 0; i < 2 && k->n && !name; i++)
        if (sent[i].p)
            name = find(k, sent[i]);
    if (!name && needed && k->n)
        return refuse(sent[0].p || sent[1].p, e);
    struct str shown = name ? str_of(name) : in->peer;
    snprintf(out->name, sizeof out->name, "%.*s", SHOWN(shown));
    out->id = hash64(out->name, strlen(out->name), name ? 1 : 2);
    return true;
}
