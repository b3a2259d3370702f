/* sse.c -- see sse.h. */
#include "app/sse.h"

void sse_init(struct sse *s, size_t bytes_max, void (*event)(void *ctx, struct str data), void *ctx)
{
    *s = (struct sse){.event = event, .ctx = ctx};
    buf_init(&s->line, bytes_max);
    buf_init(&s->data, bytes_max);
}

void sse_drop(struct sse *s)
{
    buf_drop(&s->line);
    buf_drop(&s->data);
}

void sse_reset(struct sse *s)
{
    buf_clear(&s->line);
    buf_clear(&s->data);
    s->has_data = s->after_cr = s->begun = false;
}

static void end_event(struct sse *s)
{
    if (s->has_data)
        s->event(s->ctx, buf_view(&s->data));
    buf_clear(&s->data);
    s->has_data = false;
}

static bool end_line(struct sse *s)
{
    struct str line = buf_view(&s->line), value;
    if (!s->begun && str_starts(line, STR("\xEF\xBB\xBF")))
        line = (struct str){line.p + 3, line.n - 3};
    s->begun = true;
    bool ok = true;
    if (line.n == 0) {
        end_event(s);
    } else if (str_is(line, "data") || str_starts(line, STR("data:"))) {
        value = line.n > 5 ? (struct str){line.p + 5, line.n - 5} : (struct str){NULL, 0};
        if (str_starts(value, STR(" ")))
            value = (struct str){value.p + 1, value.n - 1};
        ok = (!s->has_data || buf_char(&s->data, '\n')) && buf_str(&s->data, value);
        s->has_data = true;
    }
    buf_clear(&s->line);
    return ok;
}

bool sse_feed(struct sse *s, struct str bytes)
{
    for (size_t from = 0, at = 0; from < bytes.n; from = ++at) {
        while (at < bytes.n && bytes.p[at] != '\n' && bytes.p[at] != '\r')
            at++;
        if (at > from && !buf_append(&s->line, bytes.p + from, at - from))
            return false;
        if (at == bytes.n) {
            s->after_cr = false;
            return true;
        }
        /* The second half of \r\n, maybe of another piece, ends nothing. */
        bool second = bytes.p[at] == '\n' && at == from && s->after_cr;
        s->after_cr = bytes.p[at] == '\r';
        if (!second && !end_line(s))
            return false;
    }
    return true;
}
