/* health.c -- GET /health. */
#include "api/inside.h"

bool health_get(struct call *c)
{
    struct err       e;
    struct json_out *w = json_out_new();
    bool             open = api_is_open(c->api, &e);
    json_open(w, NULL, '{');
    json_put_text(w, "status", open ? "healthy" : "unhealthy");
    json_put_bool(w, "model_loaded", true);
    json_put_text(w, "model_name", c->api->o.model);
    json_open(w, "available_models", '[');
    json_put_text(w, NULL, c->api->o.model);
    json_close(w);
    json_put_text(w, "model_type", "llm");
    json_put_text(w, "engine_type", "hearth");
    json_put_bool(w, "draining", !open);
    json_close(w);
    return call_json(c, open ? 200 : err_status(ERR_BUSY), w);
}
