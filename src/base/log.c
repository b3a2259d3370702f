/* log.c -- see log.h. */
#include "base/log.h"

#include "base/buf.h"
#include "base/json.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};

/* What a client sent may be in a line; control characters must not reach the terminal. */
static void make_printable(struct buf *b)
{
    for (size_t i = 0; i < b->n; i++)
        if ((unsigned char)b->p[i] < 0x20 || b->p[i] == 0x7F)
            b->p[i] = ' ';
}

void log_line(const struct log *l, enum log_level level, const char *fmt, ...)
{
    if (!l || level > l->level)
        return;
    char    text[2048], when[40];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    time_t    now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);

    struct buf line;
    buf_init(&line, 0);
    if (l->as_json) {
        struct json_out *w = json_out_new();
        json_open(w, NULL, '{');
        json_put_text(w, "time", when);
        json_put_text(w, "level", level_names[level]);
        json_put_text(w, "text", text);
        json_close(w);
        json_out_write(w, &line);
        json_out_free(w);
    } else {
        buf_printf(&line, "%s %-5s %s", when, level_names[level], text);
        make_printable(&line);
    }
    buf_char(&line, '\n');
    ssize_t ignored = write(l->fd, line.p, line.n);
    (void)ignored;
    buf_drop(&line);
}
