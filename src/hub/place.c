/* place.c -- see place.h. */
#include "hub/place.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <strings.h>

enum { TOKEN_BYTES_MAX = 4096, STALL_S = 30, STALL_S_MAX = 3600 };

/* The first of two variables that says something; NULL: neither.  b may be NULL. */
static const char *said(const char *a, const char *b)
{
    const char *v = getenv(a);
    if (!(v && *v) && b)
        v = getenv(b);
    return v && *v ? v : NULL;
}

static bool is_true(const char *v)
{
    static const char *const yes[] = {"1", "on", "yes", "true"};
    for (int i = 0; v && i < 4; i++)
        if (strcasecmp(v, yes[i]) == 0)
            return true;
    return false;
}

/* A path with ~ at its front resolved; to be freed. */
static char *path_of(const char *text)
{
    const char *home = getenv("HOME");
    if (text[0] == '~' && (text[1] == '/' || !text[1]) && home && *home)
        return path_join(home, text[1] ? text + 2 : "");
    return mem_copy(text, strlen(text));
}

/* $HF_HOME, to be freed; NULL: nobody says where. */
static char *family_home(void)
{
    const char *own = said("HF_HOME", NULL), *cache = said("XDG_CACHE_HOME", NULL), *home = said("HOME", NULL);
    if (own)
        return path_of(own);
    if (cache)
        return path_join(cache, "huggingface");
    return home ? path_join(home, ".cache/huggingface") : NULL;
}

static bool find_cache(struct hub_place *p, const char *home, struct err *e)
{
    const char *own = said("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE");
    p->cache = own ? path_of(own) : home ? path_join(home, "hub") : NULL;
    return p->cache || err_set(e, ERR_INVALID, "there is no home folder to keep models in: set HF_HUB_CACHE to a folder");
}

/* A token goes into a header line; what could end that line is refused. */
static bool take_token(struct hub_place *p, struct str text, const char *from, struct err *e)
{
    text = str_trim(text);
    if (text.n == 0)
        return true;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] >= 0x7f)
            return err_set(e, ERR_INVALID, "the token from %s has a character that no token has", from);
    p->token = mem_copy(text.p, text.n);
    p->token_from = mem_copy(from, strlen(from));
    return true;
}

static bool find_token(struct hub_place *p, const char *home, struct err *e)
{
    static const char *const names[] = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"};
    if (is_true(getenv("HF_HUB_DISABLE_IMPLICIT_TOKEN")))
        return true;
    for (int i = 0; i < 2 && !p->token; i++)
        if (!take_token(p, str_of(getenv(names[i])), names[i], e))
            return false;
    const char *own = said("HF_TOKEN_PATH", NULL);
    char       *path = own ? path_of(own) : home ? path_join(home, "token") : NULL;
    struct buf  text;
    buf_init(&text, 0);
    bool ok = p->token || !path || file_kind(path) == FILE_NONE ||
              (file_read(&text, path, TOKEN_BYTES_MAX, e) && take_token(p, buf_view(&text), path, e));
    buf_drop(&text);
    free(path);
    return ok;
}

static bool find_endpoint(struct hub_place *p, struct err *e)
{
    const char *own = said("HF_ENDPOINT", NULL);
    struct str  s = own ? str_of(own) : STR("https://huggingface.co");
    while (s.n && s.p[s.n - 1] == '/')
        s.n--;
    p->endpoint = mem_copy(s.p, s.n);
    return str_starts(s, STR("https://")) || str_starts(s, STR("http://")) ||
           err_set(e, ERR_INVALID, "HF_ENDPOINT wants something like https://huggingface.co, not \"%s\"", p->endpoint);
}

bool hub_place_open(struct hub_place *out, struct err *e)
{
    struct hub_place p = {.stall_s = STALL_S};
    uint64_t         stall;
    char            *home = family_home();
    const char      *vouch = said("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), *wait = said("HF_HUB_DOWNLOAD_TIMEOUT", NULL);
    p.offline = is_true(getenv("HF_HUB_OFFLINE")) || is_true(getenv("TRANSFORMERS_OFFLINE"));
    bool ok = find_endpoint(&p, e) && find_cache(&p, home, e) && find_token(&p, home, e);
    if (ok && wait && str_u64(str_of(wait), &stall) && stall > 0)
        p.stall_s = stall < STALL_S_MAX ? (unsigned)stall : STALL_S_MAX;
    p.authorities = vouch ? path_of(vouch) : NULL;
    free(home);
    if (ok)
        *out = p;
    else
        hub_place_drop(&p);
    return ok;
}

void hub_place_drop(struct hub_place *p)
{
    free(p->endpoint);
    free(p->cache);
    free(p->token);
    free(p->token_from);
    free(p->authorities);
    *p = (struct hub_place){0};
}
