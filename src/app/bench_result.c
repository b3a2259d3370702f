/* bench_result.c -- see bench_result.h. */
#include "app/bench_result.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { NAME_WIDTH = 33, COLUMN_MIN = 12, COLUMN_MAX = 20 };

static double rate(const struct bench_result *r, uint64_t n)
{
    return r->seconds > 0 ? (double)n / r->seconds : (double)NAN;
}

static const struct measure {
    const char *key, *text;
    int         decimals;
} measures[] = {
#define MEASURE(key, text, decimals, value) {#key, text, decimals},
#include "app/bench_measures.def"
#undef MEASURE
};

enum { N_MEASURES = sizeof measures / sizeof measures[0] };

static void measure_all(const struct bench_result *r, double out[static N_MEASURES])
{
    const double v[] = {
#define MEASURE(key, text, decimals, value) value,
#include "app/bench_measures.def"
#undef MEASURE
    };
    for (int i = 0; i < N_MEASURES; i++)
        out[i] = v[i];
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

/* Characters, which is what a terminal lines up (as good as always). */
static int characters(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += (*text & 0xC0) != 0x80;
    return n;
}

/* The label cut to its column, on the right. */
static void put_label(const char *label, int width, struct buf *out)
{
    int         n = characters(label), keep = n < COLUMN_MAX ? n : COLUMN_MAX;
    const char *end = label;
    for (int i = 0; i < keep; i++)
        for (end++; (*end & 0xC0) == 0x80; end++)
            ;
    buf_printf(out, "  %*s", width - keep, "");
    buf_append(out, label, (size_t)(end - label));
}

static int column_width(const struct bench_result *r)
{
    int n = characters(r->label);
    return n < COLUMN_MIN ? COLUMN_MIN : n > COLUMN_MAX ? COLUMN_MAX : n;
}

static void put_counts(const struct bench_result *r, size_t n, struct buf *out)
{
    static const char *const names[] = {"requests answered", "turned away (429, 503)", "failed", "seconds"};
    for (int row = 0; row < 4; row++) {
        buf_printf(out, "%-*s", NAME_WIDTH, names[row]);
        for (size_t i = 0; i < n; i++) {
            const uint64_t count[] = {r[i].ok, r[i].limited, r[i].failed};
            if (row < 3)
                buf_printf(out, "  %*" PRIu64, column_width(&r[i]), count[row]);
            else
                buf_printf(out, "  %*.1f", column_width(&r[i]), r[i].seconds);
        }
        buf_char(out, '\n');
    }
}

void bench_result_table(const struct bench_result *r, size_t n, struct buf *out)
{
    buf_printf(out, "%-*s", NAME_WIDTH, "");
    for (size_t i = 0; i < n; i++)
        put_label(r[i].label, column_width(&r[i]), out);
    buf_char(out, '\n');
    put_counts(r, n, out);
    for (int row = 0; row < N_MEASURES; row++) {
        buf_printf(out, "%-*s", NAME_WIDTH, measures[row].text);
        for (size_t i = 0; i < n; i++) {
            double v[N_MEASURES];
            measure_all(&r[i], v);
            if (isfinite(v[row]))
                buf_printf(out, "  %*.*f", column_width(&r[i]), measures[row].decimals, v[row]);
            else
                buf_printf(out, "  %*s", column_width(&r[i]), "-");
        }
        buf_char(out, '\n');
    }
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static void put_kind(struct buf *out, uint64_t n, const char *one, const char *many)
{
    if (n > 0)
        buf_printf(out, "%s%" PRIu64 " %s", out->n ? ", " : "", n, n == 1 ? one : many);
}

void bench_errors_text(const struct bench_errors *x, struct buf *out)
{
    struct buf text;
    buf_init(&text, 0);
    put_kind(&text, x->unreached, "without a connection", "without a connection");
    put_kind(&text, x->timeout, "timeout", "timeouts");
    put_kind(&text, x->broken, "broken stream", "broken streams");
    put_kind(&text, x->empty, "empty answer", "empty answers");
    put_kind(&text, x->told, "error within a stream", "errors within a stream");
    for (int status = 0; status < BENCH_STATUS_MAX; status++) {
        char name[16];
        snprintf(name, sizeof name, "HTTP %d", status);
        put_kind(&text, x->status[status], name, name);
    }
    buf_str(out, buf_view(&text));
    buf_drop(&text);
}

static void put_errors(const struct bench_errors *x, struct json_out *w)
{
    json_open(w, "errors", '{');
    json_put_int(w, "unreached", (int64_t)x->unreached);
    json_put_int(w, "timeout", (int64_t)x->timeout);
    json_put_int(w, "broken", (int64_t)x->broken);
    json_put_int(w, "empty", (int64_t)x->empty);
    json_put_int(w, "in_stream", (int64_t)x->told);
    json_open(w, "http", '{');
    for (int status = 0; status < BENCH_STATUS_MAX; status++) {
        char name[8];
        snprintf(name, sizeof name, "%d", status);
        if (x->status[status])
            json_put_int(w, name, (int64_t)x->status[status]);
    }
    json_close(w);
    json_put_text(w, "first", x->first[0] ? x->first : NULL);
    json_close(w);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static void put_spread(const char *key, const struct spread *s, struct json_out *w)
{
    json_open(w, key, '{');
    json_put_int(w, "n", (int64_t)s->n);
    json_put_num(w, "mean", s->mean);
    json_open(w, "percentiles", '[');
    for (int i = 0; i < SPREAD_POINTS; i++)
        json_put_num(w, NULL, s->at[i]);
    json_close(w);
    json_close(w);
}

void bench_result_put(const struct bench_result *r, const struct bench_errors *x, struct json_out *w)
{
    double v[N_MEASURES];
    measure_all(r, v);
    json_put_text(w, "label", r->label);
    json_put_int(w, "requests_ok", (int64_t)r->ok);
    json_put_int(w, "requests_limited", (int64_t)r->limited);
    json_put_int(w, "requests_failed", (int64_t)r->failed);
    put_errors(x, w);
    json_put_num(w, "seconds", r->seconds);
    json_put_num(w, "client_cpu_s", r->client_cpu_s);
    json_put_text(w, "tokens_counted_by", r->by_usage ? "usage" : "events");
    json_put_int(w, "prompt_tokens", (int64_t)r->prompt_tokens);
    if (r->has_cached)
        json_put_int(w, "cached_tokens", (int64_t)r->cached_tokens);
    else
        json_put_null(w, "cached_tokens");
    json_put_int(w, "answer_tokens", (int64_t)r->answer_tokens);
    json_put_int(w, "events", (int64_t)r->pieces);
    for (int i = 0; i < N_MEASURES; i++)
        json_put_num(w, measures[i].key, v[i]);
    put_spread("first_ms", &r->first_ms, w);
    put_spread("gap_ms", &r->gap_ms, w);
    put_spread("whole_ms", &r->whole_ms, w);
}

static bool get_spread(struct spread *s, json v)
{
    json at = json_get(v, "percentiles");
    s->mean = json_num_or(json_get(v, "mean"), (double)NAN);
    for (int i = 0; i < SPREAD_POINTS; i++)
        s->at[i] = json_num_or(json_at(at, (size_t)i), (double)NAN);
    return json_u64(json_get(v, "n"), &s->n) && json_len(at) == SPREAD_POINTS;
}

void bench_result_label(struct bench_result *r, struct str label)
{
    struct str cut = {label.p, label.n < BENCH_LABEL_MAX ? label.n : BENCH_LABEL_MAX};
    size_t     n = 0;
    if (label.n > cut.n)
        cut.n -= utf8_tail(cut);
    for (; n < cut.n; n++)
        r->label[n] = (unsigned char)cut.p[n] < ' ' || cut.p[n] == 0x7f ? ' ' : cut.p[n];
    r->label[n] = '\0';
}

bool bench_result_get(struct bench_result *out, json v, struct err *e)
{
    struct bench_result r = {.by_usage = json_is(json_get(v, "tokens_counted_by"), "usage")};
    r.has_cached = json_u64(json_get(v, "cached_tokens"), &r.cached_tokens);
    r.client_cpu_s = json_num_or(json_get(v, "client_cpu_s"), (double)NAN);
    bench_result_label(&r, json_str(json_get(v, "label")));
    bool ok = r.label[0] && json_u64(json_get(v, "requests_ok"), &r.ok) &&
              json_u64(json_get(v, "requests_limited"), &r.limited) &&
              json_u64(json_get(v, "requests_failed"), &r.failed) && json_f64(json_get(v, "seconds"), &r.seconds) &&
              json_u64(json_get(v, "prompt_tokens"), &r.prompt_tokens) &&
              json_u64(json_get(v, "answer_tokens"), &r.answer_tokens) && json_u64(json_get(v, "events"), &r.pieces) &&
              get_spread(&r.first_ms, json_get(v, "first_ms")) && get_spread(&r.gap_ms, json_get(v, "gap_ms")) &&
              get_spread(&r.whole_ms, json_get(v, "whole_ms"));
    if (!ok)
        return err_set(e, ERR_INVALID, "that is no result of hearth bench serve --json");
    *out = r;
    return true;
}
