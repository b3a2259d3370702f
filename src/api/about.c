/* about.c -- GET /: what this is, and where to go from here. */
#include "api/inside.h"

/* A browser says that it takes HTML; everybody else gets JSON. */
static bool wants_html(const struct call *c)
{
    const char *accept = c->in->header ? c->in->header(c->in, "Accept") : NULL;
    return accept && str_find(str_of(accept), STR("text/html")) != STR_NONE;
}

static void escape(struct buf *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&': buf_str(out, STR("&amp;")); break;
        case '<': buf_str(out, STR("&lt;")); break;
        case '>': buf_str(out, STR("&gt;")); break;
        default: buf_char(out, *text);
        }
    }
}

static bool send_html(struct call *c)
{
    struct buf b;
    buf_init(&b, 0);
    buf_str(&b, STR("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>hearth</title>"
                    "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:46em;margin:3em auto;padding:0 1em}"
                    "td{padding:.15em 1em .15em 0;vertical-align:top}code{white-space:nowrap}</style>"
                    "<h1>hearth " HEARTH_VERSION "</h1><p>A language model served over the OpenAI API. Model: <code>"));
    escape(&b, c->api->o.model);
    buf_str(&b, STR("</code>. Clients use this address with <code>/v1</code> behind it as their base URL.</p><table>"));
    for (size_t i = 0; i < route_len(); i++) {
        const struct route *r = route_at(i);
        bool links = str_is(r->method, "GET") && str_find(r->path, STR("{")) == STR_NONE;
        buf_printf(&b, "<tr><td><code>%s ", r->method.p);
        buf_printf(&b, links ? "<a href=\"%s\">%s</a>" : "%s", r->path.p, r->path.p);
        buf_printf(&b, "</code><td>%s", r->about);
    }
    buf_str(&b, STR("</table></html>\n"));
    call_text(c, 200, "text/html; charset=utf-8", buf_view(&b));
    buf_drop(&b);
    return true;
}

bool about_get(struct call *c)
{
    if (wants_html(c))
        return send_html(c);
    struct json_out *w = json_out_new();
    json_open(w, NULL, '{');
    json_put_text(w, "name", "hearth");
    json_put_text(w, "version", HEARTH_VERSION);
    json_put_text(w, "about", "a language model served over the OpenAI API");
    json_put_text(w, "model", c->api->o.model);
    json_open(w, "endpoints", '[');
    for (size_t i = 0; i < route_len(); i++) {
        json_open(w, NULL, '{');
        json_put_str(w, "method", route_at(i)->method);
        json_put_str(w, "path", route_at(i)->path);
        json_put_text(w, "about", route_at(i)->about);
        json_close(w);
    }
    json_close(w);
    json_close(w);
    return call_json(c, 200, w);
}
