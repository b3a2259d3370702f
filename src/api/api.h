/* api.h -- the endpoints: a request comes in, JSON or a stream of events goes out; no sockets.
 *
 * Routes are listed in routes.def.  Handlers run on a small pool of threads of the api's own: parsing, rendering the
 * template and tokenizing never hold up the network or the engine.  Every known field of a request is honoured, has
 * documented no effect (fields.def), or is refused by name; unknown ones are served and named in X-Ignored-Fields. */
#ifndef API_API_H
#define API_API_H

#include "api/views.h"
#include "base/reply.h"
#include "chat/template.h"
#include "engine/engine.h"
#include "text/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct api;

struct api_key {
    const char *name, *key;             /* name: for logs and turns; never the key itself */
};

/* What is pointed to is borrowed until api_close(). */
struct api_opts {
    struct engine           *engine;    /* started; outlives the api */
    const struct tokenizer  *tokenizer;
    const struct template   *template;  /* NULL: the model has none, and chat is refused with a reason */
    struct str     bos_text, eos_text;  /* what templates know as bos_token and eos_token; {NULL, 0}: none */
    const struct model_info *info;
    const struct eyes       *eyes;      /* NULL: the model sees nothing */
    const char    *model;               /* the served name; "default" always means it too */
    const int32_t *eos;                 /* ids that end an answer */
    size_t         n_eos;
    const struct api_key *key;          /* none: everybody may ask */
    size_t         n_key;
    unsigned       n_thread;            /* 0: 2 */
    uint32_t       tokens_max;          /* an answer's length when the request names none; 0: what the context leaves */
    uint32_t       timeout_s;           /* for requests that name none; 0: none */
    uint32_t       calls_max;           /* requests being served; over it 503; 0: 1024 */
    uint32_t       keepalive_s;         /* a comment line in silent streams; 0: 10 */
    struct { float temperature, top_p, min_p, repeat; int32_t top_k; } defaults;   /* as the checkpoint recommends */
    float          verify_bound;        /* by how much log probabilities may differ with caches and without; 0: not at all */
    struct clock   clock;               /* ns NULL: the real one */
    const struct log *log;              /* a line per finished request */
};

MUST_USE bool api_open(struct api **out, const struct api_opts *o, struct err *e);

/* Answers one request, soon.  Both functions fit server_opts (ctx is the api). */
void api_handle(void *api, const struct http_request *in, struct reply *out);
void api_fail(void *api, const struct http_request *in, struct reply *out, const struct err *e);

/* From now on new work gets 503; what runs goes on.  api_busy(): requests not yet answered. */
void     api_drain(struct api *a);
unsigned api_busy(struct api *a);

/* Drains, and has everything that runs end now: streams with an error event, others with 503.  Returns at once. */
void api_stop(struct api *a);

/* Stops, waits until every reply has ended (the engine must still be running), frees everything.  No request may come
 * any more: whoever calls api_handle() is closed between api_stop() and this. */
void api_close(struct api *a);          /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
