"""plot.py -- the table as one SVG: a panel a model; every bar is how many times better than the best peer an engine is.

Longer is better everywhere, also where less is (times, memory): then it is the best peer's over the engine's.  The figure
beside a bar is the measured one.
"""
import math, statistics
from xml.sax.saxutils import escape

import table

# As src/app/bench_plot.c: Okabe and Ito's, which the colour-blind tell apart.
COLOURS = {"hearth": "#0072B2", "hearth guessing": "#56B4E9", "llama.cpp": "#D55E00", "OpenVINO GenAI": "#009E73", "onnxruntime-genai": "#E69F00"}
MARGIN, HEAD, LABEL, PANEL, PANEL_GAP, VALUE = 24, 138, 290, 330, 34, 62
BAR, STEP, ROW_GAP = 9, 11, 12
HALO = 'paint-order="stroke" stroke="#fff" stroke-width="3" stroke-linejoin="round"'        # lines behind a figure leave it readable
MOST = 6            # times the best peer; longer bars are cut and marked


def put(x, y, text, style=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def rule(x1, y1, x2, y2, style):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'


def at(times):
    return min(times, MOST) / MOST * (PANEL - VALUE)


def bar_at(row, verdict, results, model, best):
    """Where the bar to reach lies on this row's scale."""
    if verdict.kind == "ratio":
        return verdict.bar
    if verdict.kind == "at_most":
        return row.times(verdict.bar, best)
    limit = results.limit(model, row)
    return row.times(limit * verdict.bar, best) if verdict.kind == "share" and limit else None


def group(results, model, row, engines, x, y):
    """The bars of one row in one panel."""
    out, figures, verdict = [], [], table.Verdict(results, model, row)
    values = {engine: results.of(model, row, engine) for engine in engines}
    peers = [row.best(values[e]) for e in table.PEERS if values.get(e)]
    if not peers:
        return out
    best = row.best(peers)
    for i, engine in enumerate(engines):
        if not values[engine]:
            continue
        ours, top = row.best(values[engine]), y + i * STEP
        length, bold = at(row.times(ours, best)), ' font-weight="bold"' if engine == table.HEARTH else ""
        out.append(f'<rect x="{x:.1f}" y="{top:.1f}" width="{length:.1f}" height="{BAR}" fill="{COLOURS[engine]}"/>')
        if len(values[engine]) > 1:
            middle = x + at(row.times(statistics.median(values[engine]), best))
            out.append(rule(middle, top, middle, top + BAR, 'stroke="#fff" stroke-width="1.5"'))
        cut = " ▸" if row.times(ours, best) > MOST else ""
        figures.append(put(x + length + 4, top + BAR - 1, table.number(ours) + cut, f'font-size="10"{bold} {HALO}'))
    mark = bar_at(row, verdict, results, model, best)
    if mark:
        colour = {"yes": "#009E73", "**no**": "#c00"}.get(verdict.reached, "#222")
        out.append(rule(x + at(mark), y - 4, x + at(mark), y + len(engines) * STEP + 2, f'stroke="{colour}" stroke-width="2" stroke-dasharray="4 2"'))
    return out + figures


def legend(engines, y):
    out, x = [], MARGIN
    for engine in engines:
        out += [f'<rect x="{x}" y="{y - 8}" width="22" height="9" fill="{COLOURS[engine]}"/>', put(x + 28, y, engine)]
        x += 50 + 7 * len(engine)
    notes = ["dashed: the bar to reach (green: reached, red: not, black: by best or median only)", "white: the median", "▸: longer than shown"]
    return out + [put(MARGIN, y + 18, "; ".join(notes), 'fill="#555"')]


def panel(results, model, rows, engines, x, height):
    out = [put(x, HEAD - 30, model, 'font-size="14" font-weight="bold"')]
    for times in range(MOST + 1):
        line = x + at(times)
        out.append(rule(line, HEAD - 8, line, height, 'stroke="#888"' if times <= 1 else 'stroke="#e4e4e4"'))
        out.append(put(line, HEAD - 14, f"{times}x" if times != 1 else "best peer", 'text-anchor="middle" font-size="10" fill="#555"'))
    for i, row in enumerate(rows):
        out += group(results, model, row, engines, x, HEAD + i * row_height(engines))
    return out


def row_height(engines):
    return len(engines) * STEP + ROW_GAP


def svg(results):
    models = results.models()
    engines = [e for e in table.ENGINES if any(e in results.engines(model) for model in models)]
    rows = [row for row in table.ROWS if any(results.of(model, row, e) for model in models for e in engines)]
    height = HEAD + len(rows) * row_height(engines)
    width = max(MARGIN + LABEL + len(models) * (PANEL + PANEL_GAP), 1100)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height + MARGIN}" viewBox="0 0 {width} {height + MARGIN}" '
           'font-family="Helvetica, Arial, \'DejaVu Sans\', sans-serif" font-size="12" fill="#222">', '<rect width="100%" height="100%" fill="#fff"/>',
           put(MARGIN, 32, "hearth and its peers on one CPU: times better than the best peer", 'font-size="18" font-weight="bold"'),
           put(MARGIN, 50, "; ".join(dict.fromkeys(run["machine"] + ", " + run["date"] for run in results.runs)), 'fill="#555"'), *legend(engines, 70)]
    for i, row in enumerate(rows):
        middle = HEAD + i * row_height(engines) + len(engines) * STEP / 2
        out.append(put(MARGIN + LABEL - 12, middle + 4, row.label, 'text-anchor="end"'))
    for i, model in enumerate(models):
        out += panel(results, model, rows, engines, MARGIN + LABEL + i * (PANEL + PANEL_GAP), height)
    return "\n".join([*out, "</svg>", ""])
