/* inside.h -- what the files of this room share: the api itself, one request on its way, the table of routes.
 *
 * THREADS.  api_handle() (network) hands a call to `intake`, where it is parsed, rendered and tokenized.  The
 * engine's events and the timer wake the answer they concern on `outlet`.  A call is at most once in one of the two,
 * and there are at most calls_max calls, so neither pool ever refuses.  Locks are taken in the order api, answer. */
#ifndef API_INSIDE_H
#define API_INSIDE_H

#include "api/api.h"
#include "api/auth.h"
#include "api/prompt.h"
#include "api/route.h"
#include "api/totals.h"
#include "base/json.h"
#include "base/pool.h"

#include <pthread.h>

enum { NAMES_SEEN_MAX = 64 };

/* A piece of text from outside as the two arguments of "%.*s", cut to a length that messages bear. */
#define SHOWN(s) (int)((s).n < 128 ? (s).n : 128), (s).p ? (s).p : ""

struct answer;
struct seeing;

struct api {
    struct api_opts o;
    struct auth    *auth;
    struct pool    *intake, *outlet, *sight;    /* sight: for what requests show; NULL: the model sees nothing */
    bool            lists;              /* prompt_wants_lists() */
    struct view_totals views;
    _Atomic uint64_t n_verified, n_mismatch;
    struct totals   totals;
    uint64_t        opened_ns, opened_s;
    pthread_t       timer;
    bool            timed;              /* the timer runs */

    pthread_mutex_t lock;               /* over what follows */
    pthread_cond_t  changed;
    unsigned        n_call;
    struct answer  *answer;             /* those that run, newest first */
    struct seeing  *seeing;             /* those whose pictures are being brought */
    bool            draining, stopping, closing;
    uint64_t        name_seen[NAMES_SEEN_MAX];      /* ignored fields that the log has named, by hash */
    size_t          n_name_seen;
};

/* One request.  Made by api_handle(), freed by whoever ended its reply. */
struct call {
    struct api                *api;
    const struct http_request *in;      /* gone once the reply has ended */
    struct reply              *out;
    const struct route        *route;   /* NULL: none found */
    char                       allow[64];       /* the methods that the path has, when it was another */
    struct str                 id;      /* what stood for {id} in the path */
    struct client              client;
    struct buf                 ignored; /* names of fields that have no effect */
    uint64_t                   came_ns;
    bool                       head;    /* HEAD: headers only */
};

void call_free(struct call *c);

/* Sends status and headers: the type, X-Ignored-Fields where there are any, and `more` (an array ended by a NULL name;
 * may be NULL). */
void call_start(struct call *c, int status, const char *type, const struct http_header *more);

/* Each sends a whole answer and returns true, so that a handler ends with `return call_…`. */
bool call_text(struct call *c, int status, const char *type, struct str body);
bool call_json(struct call *c, int status, struct json_out *w);         /* frees w */
bool call_fail(struct call *c, const struct err *e);
void call_fail_open(struct call *c, const struct err *e);               /* the reply is not ended yet */

/* The body of an error: {"error": {…}, "detail": …}. */
void call_error_body(const struct err *e, struct buf *out);

/* Whether `name` means the model served; else fills *e with what is served. */
MUST_USE bool api_is_model(const struct api *a, struct str name, struct err *e);

struct prompter api_prompter(const struct api *a);

/* New work is taken.  ERR_BUSY: draining or stopping. */
MUST_USE bool api_is_open(struct api *a, struct err *e);

/* Seconds after which a refused client may try again. */
unsigned api_retry_s(const struct api *a);

/* Sends a comment into every stream that has been silent for keepalive_s.  The timer calls it. */
void api_tick(struct api *a);

#define ROUTE(method, path, handler, who, about) bool handler(struct call *c);
#include "api/routes.def"
#undef ROUTE

#endif
