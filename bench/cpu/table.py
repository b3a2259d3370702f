"""table.py -- from the records of cpu_table.py to one table a model: what each row means, its limit, the bar it has to reach."""
import statistics

HEARTH, GUESSING, PEERS = "hearth", "hearth guessing", ["llama.cpp", "OpenVINO GenAI", "onnxruntime-genai"]
ENGINES = [HEARTH, GUESSING, *PEERS]
STREAMS, PROMPT, TOKENS = [1, 4, 8, 16], 48, 96         # of the decode rows
PREFILL, LONG = 512, 1950
SMALL, AT_06B = 0.3e9, (0.5e9, 0.8e9)                   # parameters


class Row:
    """ratio, share, at_most: the bar, as times the best peer, as a part of the limit, or as a value; numbers, or of the model's facts."""

    def __init__(self, name, label, less=False, limit=None, ratio=None, share=None, at_most=None):
        self.name, self.label, self.less, self.limit = name, label, less, limit
        self.bars = {"ratio": ratio, "share": share, "at_most": at_most}

    def bar(self, facts):
        for kind, value in self.bars.items():
            value = value(facts) if callable(value) else value
            if value:
                return kind, value
        return None, None

    def best(self, values):
        return min(values) if self.less else max(values)

    def times(self, ours, theirs):
        """How many times better ours is."""
        return theirs / ours if self.less else ours / theirs


# ---- limits: what memory and multipliers would allow if nothing else took time --------------------------------------------

def attention(facts, context):
    return 4 * facts["layers"] * facts["heads"] * facts["head_dim"] * context


def at_least(limits, read_bytes, products):
    """Seconds.  Where the rate of products is not known, memory alone decides."""
    return max(read_bytes / max(limits["read"]), products / max(limits["int8"]) if max(limits["int8"]) else 0)


def decode_limit(streams):
    """Every weight read once a step (a tied table once: as the output), and the streams' keys and values in 16 bits."""
    def limit(facts, limits):
        context = PROMPT + TOKENS / 2
        kv = facts["plan"]["kv_bytes"] / facts["plan"]["blocks"] / facts["plan"]["block_tokens"]
        return streams / at_least(limits, facts["plan"]["weight_bytes"] + streams * context * kv,
                                  streams * (2 * facts["parameters"] + attention(facts, context)))
    return limit


def prompt_seconds(n, facts, limits):
    """The output's matrix is needed for the last token only."""
    inner = facts["parameters"] - facts["vocabulary"] * facts["width"]
    return at_least(limits, facts["plan"]["weight_bytes"], n * (2 * inner + attention(facts, n / 2)))


# ---- rows and their bars ----------------------------------------------------------------------------------------------------

def if_small(value):
    return lambda facts: value if facts["parameters"] < SMALL else None


def unless_small(value):
    return lambda facts: value if facts["parameters"] >= SMALL else None


def at_06b(value):
    return lambda facts: value if AT_06B[0] < facts["parameters"] < AT_06B[1] else None


ROWS = [
    Row("decode 1", "decode, 1 stream, tok/s", limit=decode_limit(1), ratio=if_small(1.5), share=unless_small(0.85)),
    Row("decode 4", "decode, 4 streams, tok/s", limit=decode_limit(4), ratio=1.6),
    Row("decode 8", "decode, 8 streams, tok/s", limit=decode_limit(8), ratio=2),
    Row("decode 16", "decode, 16 streams, tok/s", limit=decode_limit(16), ratio=2.5),
    Row("prefill", "prefill of 512, tok/s", limit=lambda f, l: PREFILL / prompt_seconds(PREFILL, f, l), ratio=1.5),
    Row("first cold", "first token of 1,950, cold, ms", less=True, limit=lambda f, l: 1000 * prompt_seconds(LONG, f, l), at_most=at_06b(2200)),
    Row("first repeated", "first token of 1,950, repeated, ms", less=True, at_most=at_06b(20)),
    Row("busy rate", "1 stream, one core busy, tok/s"),
    Row("busy", "1 stream, one core busy, times slower", less=True, at_most=2.2),
    Row("shared", "16 x (2,000 shared + 20 own → 128), cold, s", less=True, ratio=4),
    Row("gap", "worst gap beside a prompt of 4,000, ms", less=True, at_most=150),
    Row("start", "start to first token, 1 slot, ms", less=True, ratio=2),
    Row("memory 1", "resident after this start, MB", less=True),
    Row("memory 16", "resident, 16 slots, after all this, MB", less=True),
]


# ---- records ----------------------------------------------------------------------------------------------------------------

class Results:
    """records: dicts as cpu_table.py writes them, of one run or of several on one machine.

    Values taken while others had more than the part `calm` of the cores do not count, unless there is none better."""

    def __init__(self, records, calm):
        self.runs = [r["run"] for r in records if "run" in r]
        self.facts = {r["model"]: r["facts"] for r in records if "facts" in r}
        self.values, self.limits, self.foreign = {}, {}, {}
        self.n_disturbed, found, run = {}, {}, -1
        for r in records:
            run += "run" in r
            if "value" in r:
                found.setdefault((r["model"], r["row"], r["engine"]), []).append((r["foreign"], (run, r["round"]), r["value"]))
            if "limits" in r:
                self.limits[r["model"], r["row"], run, r["round"]] = r["limits"]
        for key, values in found.items():
            kept = [v for v in values if v[0] <= calm] or values
            self.values[key] = [v[1:] for v in kept]
            self.foreign.setdefault(key[0], []).extend(v[0] for v in kept)
            self.n_disturbed[key[0]] = self.n_disturbed.get(key[0], 0) + len(values) - len(kept)

    def models(self):
        return [model for model in self.facts if any(key[0] == model for key in self.values)]

    def of(self, model, row, engine):
        return [value for _, value in self.values.get((model, row.name, engine), [])]

    def engines(self, model):
        return [engine for engine in ENGINES if any(key[0] == model and key[2] == engine for key in self.values)]

    def limit(self, model, row):
        """The median over the rounds, or None."""
        found = [row.limit(self.facts[model], l) for key, l in self.limits.items() if key[:2] == (model, row.name)] if row.limit else []
        return statistics.median(found) if found else None

    def shares(self, model, row):
        """Ours as a part of the limit taken just before it."""
        if not row.limit:
            return []
        pairs = [(value, self.limits.get((model, row.name, *when))) for when, value in self.values.get((model, row.name, HEARTH), [])]
        return [row.times(value, row.limit(self.facts[model], limits)) for value, limits in pairs if limits]


class Verdict:
    """One row of one model: ours against the best of each peer, and against the bar; by best and by median."""

    def __init__(self, results, model, row):
        ours = results.of(model, row, HEARTH)
        peers = {peer: results.of(model, row, peer) for peer in PEERS if results.of(model, row, peer)}
        self.kind, self.bar = row.bar(results.facts[model])
        self.shares = results.shares(model, row)
        self.best_peer = (min if row.less else max)(peers, key=lambda peer: row.best(peers[peer])) if peers else None
        self.ratio = None
        if ours and peers:
            self.ratio = (row.times(row.best(ours), row.best([row.best(v) for v in peers.values()])),
                          row.times(statistics.median(ours), row.best([statistics.median(v) for v in peers.values()])))
        self.reached = self.judge(row, ours)

    def judge(self, row, ours):
        pair = {"ratio": self.ratio, "share": self.shares and (max(self.shares), statistics.median(self.shares)),
                "at_most": ours and (row.best(ours), statistics.median(ours)), None: None}[self.kind]
        if not pair:
            return ""
        by_best, by_median = [v <= self.bar if self.kind == "at_most" else v >= self.bar for v in pair]
        return "yes" if by_best and by_median else "by the best" if by_best else "by the median" if by_median else "**no**"

    def bar_text(self):
        return {"ratio": "≥ {:g}x", "share": "≥ {:.0%} of the limit", "at_most": "≤ {:,g}", None: ""}[self.kind].format(self.bar)


def number(v):
    """Three digits that count."""
    return f"{v:,.0f}" if v >= 99.95 else f"{v:.1f}" if v >= 9.995 else f"{v:.2f}"


def cell(row, values, text=number):
    if not values:
        return "–"
    best, median = text(row.best(values)), text(statistics.median(values))
    return best if best == median else f"{best} ({median})"


def line(results, model, row, engines):
    verdict, limit = Verdict(results, model, row), results.limit(model, row)
    return [row.label, *[cell(row, results.of(model, row, engine)) for engine in engines], verdict.best_peer or "–",
            "–" if not verdict.ratio else "{:.2f} ({:.2f})".format(*verdict.ratio), verdict.bar_text(), verdict.reached,
            number(limit) if limit else "–",
            "–" if not verdict.shares else f"{max(verdict.shares):.0%} ({statistics.median(verdict.shares):.0%})"]


def heading(results, model):
    limits = [l for key, l in results.limits.items() if key[0] == model]
    spread = lambda values, unit: f"{min(values) / unit:.3g} to {max(values) / unit:.3g}"
    text = f"\n### {model}\n\n"
    if limits:
        text += (f"Taken between the measurements: reads {spread([max(l['read']) for l in limits], 1e9)} GB/s, int8 products "
                 f"{spread([max(l['int8']) for l in limits], 1e12)} TOPS. ")
    foreign = results.foreign[model]
    text += f"Other processes took {statistics.median(foreign):.0%} of the cores (median; {max(foreign):.0%} at worst)"
    return text + f"; {results.n_disturbed[model]} of {len(foreign) + results.n_disturbed[model]} values were set aside because they took more.\n"


def text(results):
    """Markdown that is aligned for a terminal."""
    out = []
    for model in results.models():
        engines = results.engines(model)
        rows = [row for row in ROWS if any(results.of(model, row, engine) for engine in engines)]
        table = [["best (median)", *engines, "best peer", "ratio", "bar", "reached", "limit", "of it"],
                 *[line(results, model, row, engines) for row in rows]]
        widths = [max(len(cells[i]) for cells in table) for i in range(len(table[0]))]
        table.insert(1, ["-" * width for width in widths])
        out.append(heading(results, model))
        out += ["| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths)) + " |" for cells in table]
    return "\n".join(out)
