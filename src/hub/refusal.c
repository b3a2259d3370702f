/* refusal.c -- see refusal.h.
 *
 * A hub answers 401 for what is private and for what does not exist alike, so that names cannot be probed; only the code in
 * X-Error-Code tells more. */
#include "hub/refusal.h"

#include <stdio.h>

static bool gated(const struct hub_place *p, const struct hub_name *n, struct err *e)
{
    if (!p->token)
        return err_set(e, ERR_AUTH, "%s is gated: accept its licence at %s/%s, make a token at %s/settings/tokens, and set "
                                    "HF_TOKEN to it", n->repo, p->endpoint, n->repo, p->endpoint);
    return err_set(e, ERR_DENIED, "%s is gated, and the account of your token (from %s) has not been let in: accept the licence "
                                  "at %s/%s with that account, or set HF_TOKEN to another's", n->repo, p->token_from, p->endpoint, n->repo);
}

static bool no_repo(const struct hub_place *p, const struct hub_name *n, struct err *e)
{
    if (!p->token)
        return err_set(e, ERR_NOT_FOUND, "there is no model %s at %s, or it is private: check the name; for a private or gated "
                                         "model set HF_TOKEN", n->repo, p->endpoint);
    return err_set(e, ERR_NOT_FOUND, "there is no model %s at %s that your token (from %s) may see: check the name", n->repo,
                   p->endpoint, p->token_from);
}

static bool too_many(const struct hub_refusal *r, const struct hub_place *p, struct err *e)
{
    char wait[32] = "a while";
    if (r->retry_s)
        snprintf(wait, sizeof wait, "%llu s", (unsigned long long)r->retry_s);
    return err_set(e, ERR_RATE, "the hub gets too many requests from here and asks to wait %s: try again then%s", wait,
                   p->token ? "" : "; with a token (HF_TOKEN) more are allowed");
}

bool hub_refuse(const struct hub_refusal *r, const struct hub_place *p, const struct hub_name *n, struct err *e)
{
    struct str code = str_of(r->code);
    if (str_is(code, "GatedRepo"))
        return gated(p, n, e);
    if (str_is(code, "RevisionNotFound"))
        return err_set(e, ERR_NOT_FOUND, "%s has no revision \"%s\": check it at %s/%s, or leave @%s off for the newest", n->repo,
                       n->revision, p->endpoint, n->repo, n->revision);
    if (str_is(code, "EntryNotFound"))
        return err_set(e, ERR_NOT_FOUND, "a file that the hub lists in %s is not to be had; try again", n->repo);
    if (r->status == 401 && p->token && !str_is(code, "RepoNotFound"))
        return err_set(e, ERR_AUTH, "the hub does not take your token (from %s): it is wrong or has expired; make one at "
                                    "%s/settings/tokens", p->token_from, p->endpoint);
    if (r->status == 401 || r->status == 404 || str_is(code, "RepoNotFound"))
        return no_repo(p, n, e);
    if (r->status == 403)
        return err_set(e, ERR_DENIED, "the hub refuses %s (403%s%s): %s", n->repo, *r->text ? ", " : "", r->text,
                       p->token ? "your token may lack the permission to read it" : "set HF_TOKEN to a token that may read it");
    if (r->status == 429)
        return too_many(r, p, e);
    return err_set(e, ERR_IO, "the hub has trouble (HTTP %d%s%s): try again later; what has come is kept", r->status,
                   *r->text ? ", " : "", r->text);
}
