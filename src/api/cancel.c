/* cancel.c -- DELETE /v1/requests/{id}, POST /v1/requests/{id}/cancel. */
#include "api/answer.h"

bool cancel_request(struct call *c)
{
    struct err e;
    pthread_mutex_lock(&c->api->lock);
    bool found = answer_cancel(c->api, c->id, &c->client);
    pthread_mutex_unlock(&c->api->lock);
    if (!found) {
        err_set(&e, ERR_NOT_FOUND, "no request %.*s of yours runs here; it may have ended", SHOWN(c->id));
        return call_fail(c, &e);
    }
    struct json_out *w = json_out_new();
    json_open(w, NULL, '{');
    json_put_text(w, "object", "request.cancel");
    json_put_str(w, "id", c->id);
    json_put_bool(w, "cancelled", true);
    json_put_text(w, "model", c->api->o.model);
    json_close(w);
    return call_json(c, 200, w);
}
