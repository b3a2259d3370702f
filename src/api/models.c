/* models.c -- GET /v1/models, GET /v1/models/{id}. */
#include "api/inside.h"

static void put_modalities(struct json_out *w, const char *key, const struct eyes *eyes)
{
    json_open(w, key, '[');
    json_put_text(w, NULL, "text");
    if (eyes)
        json_put_text(w, NULL, "image");
    if (eyes && processor_has_video(eyes->processor))
        json_put_text(w, NULL, "video");
    json_close(w);
}

/* max_model_len is what vLLM's clients read, context_length what others do. */
static void put_model(struct json_out *w, const struct api *a)
{
    const struct model_info  *m = a->o.info;
    const struct engine_plan *plan = engine_plan(a->o.engine);
    json_open(w, NULL, '{');
    json_put_text(w, "id", a->o.model);
    json_put_text(w, "object", "model");
    json_put_int(w, "created", (int64_t)a->opened_s);
    json_put_text(w, "owned_by", "hearth");
    json_put_int(w, "max_model_len", plan->context_max);
    json_put_int(w, "context_length", plan->context_max);
    json_open(w, "capabilities", '[');
    json_put_text(w, NULL, "completion");
    if (a->o.template)
        json_put_text(w, NULL, "chat");
    if (a->o.eyes)
        json_put_text(w, NULL, "vision");
    json_close(w);
    json_open(w, "architecture", '{');
    json_put_text(w, "name", m->arch);
    put_modalities(w, "input_modalities", a->o.eyes);
    put_modalities(w, "output_modalities", NULL);
    json_close(w);
    json_open(w, "meta", '{');
    json_put_int(w, "n_vocab", m->n_vocab);
    json_put_int(w, "n_ctx_train", m->context);
    json_put_int(w, "n_embd", m->width);
    json_put_int(w, "n_layer", m->n_layer);
    json_put_int(w, "n_params", (int64_t)m->n_param);
    json_put_int(w, "size", (int64_t)plan->weight_bytes);
    json_put_int(w, "sequences_max", plan->seq_max);
    json_close(w);
    json_close(w);
}

bool models_get(struct call *c)
{
    struct json_out *w = json_out_new();
    json_open(w, NULL, '{');
    json_put_text(w, "object", "list");
    json_open(w, "data", '[');
    put_model(w, c->api);
    json_close(w);
    json_close(w);
    return call_json(c, 200, w);
}

bool model_get(struct call *c)
{
    struct err e;
    if (!api_is_model(c->api, c->id, &e))
        return call_fail(c, &e);
    struct json_out *w = json_out_new();
    put_model(w, c->api);
    return call_json(c, 200, w);
}
