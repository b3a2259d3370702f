/* metrics.c -- GET /metrics, in Prometheus' text format 0.0.4 (metrics.def). */
#include "api/inside.h"

/* A label's value: backslash, quote and line feed are escaped. */
static void put_label(struct buf *b, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\' || *text == '"')
            buf_char(b, '\\');
        if (*text == '\n')
            buf_str(b, STR("\\n"));
        else
            buf_char(b, *text);
    }
}

static void put_metric(struct buf *b, const struct str name[3], double value, const char *model)
{
    buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n%s", name[0].p, name[2].p, name[0].p, name[1].p, name[0].p);
    if (str_find(name[0], STR(":")) != STR_NONE) {
        buf_str(b, STR("{model_name=\""));
        put_label(b, model);
        buf_str(b, STR("\"}"));
    }
    buf_printf(b, " %.17g\n", value);
}

static void put_engine(struct buf *b, const struct api *a)
{
    struct engine_stats s;
    engine_stats(a->o.engine, &s);
    double kv_used = s.blocks ? (double)s.blocks_used / (double)s.blocks : 0;
    double computed = (double)(s.tokens_prompt - s.tokens_cached);
    const struct view_totals *v = &a->views;
#define METRIC(name, type, value, help)                                                                                \
    put_metric(b, (struct str[]){STR(#name), STR(#type), STR(help)}, (double)(value), a->o.model);
#include "api/metrics.def"
#undef METRIC
}

static void put_http(struct buf *b, struct totals *t)
{
    buf_str(b, STR("# HELP hearth_http_requests_total requests answered\n# TYPE hearth_http_requests_total counter\n"));
    pthread_mutex_lock(&t->lock);
    for (size_t r = 0; r <= route_len(); r++)
        for (size_t k = 0; k < 5; k++)
            if (t->http[r][k])
                buf_printf(b, "hearth_http_requests_total{method=\"%s\",route=\"%s\",status=\"%zuxx\"} %llu\n",
                           r < route_len() ? route_at(r)->method.p : "", r < route_len() ? route_at(r)->path.p : "",
                           k + 1, (unsigned long long)t->http[r][k]);
    buf_str(b, STR("# HELP hearth_answers_total answers ended\n# TYPE hearth_answers_total counter\n"));
    for (unsigned k = 0; k < ENDING_COUNT; k++)
        buf_printf(b, "hearth_answers_total{reason=\"%s\"} %llu\n", totals_ending((enum ending)k),
                   (unsigned long long)t->ended[k]);
    pthread_mutex_unlock(&t->lock);
}

bool metrics_get(struct call *c)
{
    struct totals *t = &c->api->totals;
    struct buf     b;
    buf_init(&b, 0);
    put_engine(&b, c->api);
    put_http(&b, t);
    totals_print(t, &t->first_token, "hearth_time_to_first_token_seconds", "from the request to its first token", &b);
    totals_print(t, &t->between_tokens, "hearth_time_per_output_token_seconds", "an answer's mean time between tokens",
                 &b);
    totals_print(t, &t->whole, "hearth_request_seconds", "from the request to the end of its answer", &b);
    call_text(c, 200, "text/plain; version=0.0.4; charset=utf-8", buf_view(&b));
    buf_drop(&b);
    return true;
}
