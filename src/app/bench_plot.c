/* bench_plot.c -- see bench_plot.h.
 *
 * Everything has a fixed place but what grows with the number of runs: the legend's lines and the bars. */
#include "app/bench_plot.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>

enum { LEGEND_COLUMNS = 3, TICKS_MAX = 32, NAME_MAX = 22, EDGE = 5 };

/* Pixels. */
static const double WIDTH = 960, MARGIN = 24, HEAD = 62, LEGEND_LINE = 20;
static const double CURVE_LEFT = 70, CURVE_WIDTH = 372, CURVE_HEIGHT = 220, CURVE_GAP = 108, CURVE_FOOT = 84;
static const double BAR_LEFT = 190, BAR_WIDTH = 150, BAR_GAP = 98, BAR_LINE = 24, BAR_THICK = 15, BAR_HEAD = 14;

/* Okabe and Ito's, which the colour-blind tell apart, and two more. */
static const char *const colours[BENCH_PLOT_MAX] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00",
                                                    "#56B4E9", "#555555", "#7B3FA0", "#8C6D31"};

/* ---- small pieces ------------------------------------------------------------------------------------------------ */

/* At most `most` characters, and "…" for the rest. */
static void put_escaped(struct buf *out, const char *text, size_t most)
{
    struct buf clean;
    buf_init(&clean, 0);
    utf8_clean(str_of(text), &clean);
    struct str rest = buf_view(&clean);
    uint32_t   cp;
    for (unsigned n; (n = utf8_decode(rest, &cp)) > 0; rest = (struct str){rest.p + n, rest.n - n}) {
        if (most-- == 0) {
            buf_str(out, str_of("…"));
            break;
        }
        if (cp == '&' || cp == '<' || cp == '>' || cp == '"')
            buf_printf(out, "&#%u;", (unsigned)cp);
        else if (cp < ' ' || cp == 0xFFFE || cp == 0xFFFF)
            buf_char(out, ' ');         /* not to be had in XML */
        else
            buf_append(out, rest.p, n);
    }
    buf_drop(&clean);
}

static void put_text(struct buf *out, double x, double y, const char *style, const char *text, size_t most)
{
    buf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, style);
    put_escaped(out, text, most);
    buf_str(out, str_of("</text>\n"));
}

static void put_line(struct buf *out, double x1, double y1, double x2, double y2, const char *colour)
{
    buf_printf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", x1, y1, x2, y2, colour);
}

#define MIDDLE "text-anchor=\"middle\""
#define RIGHT  "text-anchor=\"end\""
#define TITLE  "font-size=\"14\" font-weight=\"bold\""
#define FAINT  "fill=\"#555\""

/* ---- a logarithmic axis ------------------------------------------------------------------------------------------ */

struct axis {
    double least, most;         /* the ends, in milliseconds */
    double tick[TICKS_MAX];
    int    n;
};

enum { STEPS = 3 };
static const double step[STEPS] = {1, 2, 5};

static double tick_value(int i)
{
    return step[i % STEPS] * pow(10, i / STEPS - 2);
}

/* From one of 0.01, 0.02, 0.05, 0.1, … to another, at least a decade apart; as many of them labelled as there is room
 * for.  Gaps of 0 are common (two events in one packet) and lie on the left edge. */
static struct axis axis_over(double least, double most)
{
    struct axis a = {0};
    int         from = 0, to = 0, every;
    while (from < 3 * STEPS * STEPS && tick_value(from + 1) <= least)
        from++;
    while (to < 9 * STEPS && tick_value(to) < most)
        to++;
    if (to < from + STEPS)
        to = from + STEPS;
    every = to - from > 2 * STEPS ? STEPS : 1;
    a.least = tick_value(from);
    a.most = tick_value(to);
    for (int i = from; i <= to && a.n < TICKS_MAX; i++)
        if (i % every == 0)
            a.tick[a.n++] = tick_value(i);
    return a;
}

static double axis_x(const struct axis *a, double v)
{
    double part = v <= a->least ? 0 : v >= a->most ? 1 : log(v / a->least) / log(a->most / a->least);
    return part * CURVE_WIDTH;
}

/* "5 ms", "2 s" */
static void tick_name(double ms, char out[static 24])
{
    snprintf(out, 24, ms >= 1000 ? "%.4g s" : "%.4g ms", ms >= 1000 ? ms / 1000 : ms);
}

/* ---- distributions ----------------------------------------------------------------------------------------------- */

typedef const struct spread *spread_of(const struct bench_result *r);

static const struct spread *first_of(const struct bench_result *r)
{
    return &r->first_ms;
}

static const struct spread *gap_of(const struct bench_result *r)
{
    return &r->gap_ms;
}

/* From the 5th percentile of the fastest: a few pauses of nearly nothing would else take half of the axis. */
static struct axis axis_for(const struct bench_result *r, size_t n, spread_of *of)
{
    double least = INFINITY, most = 0;
    for (size_t i = 0; i < n; i++) {
        const struct spread *s = of(&r[i]);
        least = s->at[EDGE] < least ? s->at[EDGE] : least;
        most = s->at[SPREAD_POINTS - 1] > most ? s->at[SPREAD_POINTS - 1] : most;
    }
    return axis_over(isfinite(least) ? least : 1, most);
}

static void put_frame(struct buf *out, const struct axis *a, double x, double y, const char *title, const char *share)
{
    char name[24];
    put_text(out, x, y - 12, TITLE, title, SIZE_MAX);
    for (int p = 0; p <= 100; p += 25) {
        double at = y + CURVE_HEIGHT * (1 - p / 100.0);
        put_line(out, x, at, x + CURVE_WIDTH, at, p == 0 ? "#888" : "#e4e4e4");
        snprintf(name, sizeof name, "%d%%", p);
        put_text(out, x - 8, at + 4, RIGHT, name, SIZE_MAX);
    }
    for (int i = 0; i < a->n; i++) {
        double at = x + axis_x(a, a->tick[i]);
        put_line(out, at, y, at, y + CURVE_HEIGHT + 4, "#e4e4e4");
        tick_name(a->tick[i], name);
        put_text(out, at, y + CURVE_HEIGHT + 18, MIDDLE, name, SIZE_MAX);
    }
    put_text(out, x + CURVE_WIDTH / 2, y + CURVE_HEIGHT + 38, MIDDLE " " FAINT, "time, logarithmic", SIZE_MAX);
    buf_printf(out, "<text transform=\"translate(%.1f %.1f) rotate(-90)\" %s>%s</text>\n", x - 50,
               y + CURVE_HEIGHT / 2, MIDDLE " " FAINT, share);
}

static void put_curve(struct buf *out, const struct axis *a, const struct spread *s, double x, double y, const char *colour)
{
    static const int dots[] = {50, 99};
    if (s->n == 0)
        return;
    buf_str(out, str_of("<polyline fill=\"none\" stroke-width=\"2\" stroke-linejoin=\"round\" points=\""));
    for (int i = 0; i < SPREAD_POINTS; i++)
        buf_printf(out, "%.1f,%.1f ", x + axis_x(a, s->at[i]), y + CURVE_HEIGHT * (1 - i / 100.0));
    buf_printf(out, "\" stroke=\"%s\"/>\n", colour);
    for (int i = 0; i < 2; i++)
        buf_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\"/>\n", x + axis_x(a, s->at[dots[i]]),
                   y + CURVE_HEIGHT * (1 - dots[i] / 100.0), colour);
}

static void put_curves(struct buf *out, const struct bench_result *r, size_t n, double y)
{
    static const struct {
        spread_of  *of;
        const char *title, *share;
    } panels[] = {{first_of, "First token (dots: p50, p99)", "share of requests"},
                  {gap_of, "Pause between tokens (dots: p50, p99)", "share of pauses"}};
    for (int p = 0; p < 2; p++) {
        double      x = CURVE_LEFT + p * (CURVE_WIDTH + CURVE_GAP);
        struct axis a = axis_for(r, n, panels[p].of);
        put_frame(out, &a, x, y, panels[p].title, panels[p].share);
        for (size_t i = n; i-- > 0;)        /* the first, this run, on top */
            put_curve(out, &a, panels[p].of(&r[i]), x, y, colours[i]);
    }
}

/* ---- throughput -------------------------------------------------------------------------------------------------- */

static double per_second(const struct bench_result *r, uint64_t n)
{
    return r->seconds > 0 ? (double)n / r->seconds : 0;
}

static double bar_value(const struct bench_result *r, int panel)
{
    return per_second(r, panel == 0 ? r->answer_tokens : panel == 1 ? r->prompt_tokens : r->ok);
}

/* Three digits that count, and thousands told apart: 1,277 or 40.2 or 0.35. */
static void bar_name(double v, char out[static 24])
{
    if (v >= 1e6)
        snprintf(out, 24, "%.3g million", v / 1e6);
    else if (v >= 999.5)
        snprintf(out, 24, "%d,%03d", (int)(v + 0.5) / 1000, (int)(v + 0.5) % 1000);
    else
        snprintf(out, 24, v >= 99.95 ? "%.0f" : v >= 9.995 ? "%.1f" : "%.2f", v);
}

static void put_bars(struct buf *out, const struct bench_result *r, size_t n, double y)
{
    static const char *const titles[] = {"Answer tokens a second", "Prompt tokens a second", "Requests a second"};
    for (int p = 0; p < 3; p++) {
        double x = BAR_LEFT + p * (BAR_WIDTH + BAR_GAP), most = 0;
        for (size_t i = 0; i < n; i++)
            most = bar_value(&r[i], p) > most ? bar_value(&r[i], p) : most;
        put_text(out, x, y, TITLE, titles[p], SIZE_MAX);
        put_line(out, x, y + BAR_HEAD - 4, x, y + BAR_HEAD + (double)n * BAR_LINE, "#888");
        for (size_t i = 0; i < n; i++) {
            double v = bar_value(&r[i], p), top = y + BAR_HEAD + (double)i * BAR_LINE;
            double length = most > 0 ? v / most * BAR_WIDTH : 0;
            char   name[24];
            buf_printf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" fill=\"%s\"/>\n", x, top, length,
                       BAR_THICK, colours[i]);
            bar_name(v, name);
            put_text(out, x + length + 6, top + 12, "", name, SIZE_MAX);
            if (p == 0)
                put_text(out, x - 8, top + 12, RIGHT, r[i].label, NAME_MAX);
        }
    }
}

/* ---- the page ---------------------------------------------------------------------------------------------------- */

static void put_legend(struct buf *out, const struct bench_result *r, size_t n)
{
    double column = (WIDTH - 2 * MARGIN) / (double)LEGEND_COLUMNS;
    for (size_t i = 0; i < n; i++) {
        double x = MARGIN + (double)(i % LEGEND_COLUMNS) * column;
        double y = HEAD + 14 + (double)(i / LEGEND_COLUMNS) * LEGEND_LINE;
        buf_printf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"22\" height=\"5\" fill=\"%s\"/>\n", x, y - 7, colours[i]);
        put_text(out, x + 30, y, "", r[i].label, BENCH_LABEL_MAX);
    }
}

void bench_plot_svg(const struct bench_result *r, size_t n, const char *subtitle, struct buf *out)
{
    CHECK(n >= 1 && n <= BENCH_PLOT_MAX);
    double legend = (double)((n + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS) * LEGEND_LINE;
    double curves = HEAD + legend + 46, bars = curves + CURVE_HEIGHT + CURVE_FOOT;
    double height = bars + BAR_HEAD + (double)n * BAR_LINE + MARGIN;
    buf_printf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" "
               "font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\" font-size=\"12\" fill=\"#222\">\n"
               "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n", WIDTH, height, WIDTH, height);
    put_text(out, MARGIN, 32, "font-size=\"18\" font-weight=\"bold\"", "hearth bench serve", SIZE_MAX);
    put_text(out, MARGIN, 52, FAINT, subtitle, 140);
    put_legend(out, r, n);
    put_curves(out, r, n, curves);
    put_bars(out, r, n, bars);
    buf_str(out, str_of("</svg>\n"));
}
